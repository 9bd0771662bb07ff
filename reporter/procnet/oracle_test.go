package procnet_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/procfs"
	"github.com/topotape/topotape/reporter/procnet"
)

// line has the fields of a row that both parsers read.
type line struct {
	local, remote netip.AddrPort
	state, uid    uint64
	inode         uint64
}

func ours(text []byte) []line {
	var lines []line
	s := procnet.NewScanner(text, false)
	for r := (procnet.Row{}); s.Next(&r); {
		lines = append(lines, line{r.Local, r.Remote, uint64(r.State), uint64(r.UID), r.Inode})
	}
	return lines
}

// oracle reads a little-endian table with prometheus/procfs; ok is false if procfs rejects the table.
func oracle(t testing.TB, table string, text []byte) (lines []line, ok bool) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "net", table), text, 0o644); err != nil {
		t.Fatal(err)
	}
	fs, err := procfs.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	addr := func(ip []byte, port uint64) netip.AddrPort {
		a, _ := netip.AddrFromSlice(ip)
		return netip.AddrPortFrom(a.Unmap(), uint16(port))
	}
	switch table {
	case "tcp", "tcp6":
		read := fs.NetTCP //lint:ignore SA1019 the test compares texts, not the kernel's answer
		if table == "tcp6" {
			read = fs.NetTCP6 //lint:ignore SA1019 as above
		}
		rows, err := read()
		for _, r := range rows {
			lines = append(lines, line{addr(r.LocalAddr, r.LocalPort), addr(r.RemAddr, r.RemPort), r.St, r.UID, r.Inode})
		}
		return lines, err == nil
	default:
		read := fs.NetUDP
		if table == "udp6" {
			read = fs.NetUDP6
		}
		rows, err := read()
		for _, r := range rows {
			lines = append(lines, line{addr(r.LocalAddr, r.LocalPort), addr(r.RemAddr, r.RemPort), r.St, r.UID, r.Inode})
		}
		return lines, err == nil
	}
}

func compare(t *testing.T, table string, text []byte) {
	t.Helper()
	got := ours(text)
	want, ok := oracle(t, table, text)
	if !ok {
		t.Fatalf("%s: the oracle rejects the table", table)
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, oracle %d", table, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s row %d: %v, oracle %v", table, i, got[i], want[i])
		}
	}
}

func TestOracle(t *testing.T) {
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile("testdata/" + table)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, table, text)
		// The machine's own table, if it has one.
		if text, err := os.ReadFile("/proc/self/net/" + table); err == nil && len(text) > 0 && text[len(text)-1] == '\n' {
			compare(t, table, text)
		}
	}
}
