package procnet

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var tables = []string{"tcp", "tcp6", "udp", "udp6"}

func read(t testing.TB, table string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + table)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func scan(text []byte, bigEndian bool) (rows []Row, malformed int) {
	s := NewScanner(text, bigEndian)
	for r := (Row{}); s.Next(&r); {
		rows = append(rows, r)
	}
	return rows, s.Malformed()
}

// The tables are from a namespace with listeners, connections of every kind, orphans and UDP sockets.
func TestCapturedTables(t *testing.T) {
	const golden = "testdata/golden"
	var got strings.Builder
	for _, table := range tables {
		rows, malformed := scan(read(t, table), false)
		for _, r := range rows {
			fmt.Fprintf(&got, "%s %v %v %v uid=%d inode=%d\n", table, r.Local, r.Remote, r.State, r.UID, r.Inode)
		}
		if malformed != 0 {
			t.Errorf("%s: %d malformed lines", table, malformed)
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("rows differ from %s; got:\n%s", golden, got.String())
	}
}

const (
	header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	row1   = "   0: 0100007F:1F90 0200007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 1001 1 0 20 4 30 10 -1\n"
	row2   = "   1: 0300007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1002 1 0 100 0 0 10 0\n"
)

func TestLines(t *testing.T) {
	one := Row{netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.2:40000"), Established, 1000, 1001}
	two := Row{netip.MustParseAddrPort("127.0.0.3:80"), netip.MustParseAddrPort("0.0.0.0:0"), Listen, 0, 1002}
	field := func(i int, s string) string {
		f := strings.Fields(row1)
		f[i] = s
		return strings.Join(f, " ") + "\n"
	}
	for name, test := range map[string]struct {
		text      string
		rows      []Row
		malformed int
	}{
		"nothing":                         {"", nil, 0},
		"newline":                         {"\n", nil, 0},
		"header alone":                    {header, nil, 0},
		"header cut":                      {"  sl", nil, 0},
		"header of two bytes":             {"sl", nil, 0},
		"header after one space":          {" sl local\n" + row1, []Row{one}, 0},
		"header twice":                    {header + row1 + header + row2, []Row{one, two}, 0},
		"no header":                       {row1 + row2, []Row{one, two}, 0},
		"no newline at the end":           {header + row1 + strings.TrimSuffix(row2, "\n"), []Row{one, two}, 0},
		"ends after the inode":            {strings.Join(strings.Fields(row1)[:10], " "), []Row{one}, 0},
		"carriage returns and tabs":       {strings.ReplaceAll(row1, "\n", "\r\n") + strings.ReplaceAll(row2, " ", "\t"), []Row{one, two}, 0},
		"empty lines":                     {"\n" + row1 + "   \n" + row2, []Row{one, two}, 0},
		"cut line keeps the next":         {row1[:40] + "\n" + row2, []Row{two}, 1},
		"cut after the uid":               {row1[:79] + "\n" + row2, []Row{two}, 1},
		"cut after the timeout":           {strings.Join(strings.Fields(row1)[:9], " ") + "\n" + row2, []Row{two}, 1},
		"short rows are skipped":          {"   0:\n   1: 0100007F:1F90\n" + row2, []Row{two}, 2},
		"noise":                           {"x\x00\xff\n" + row1, []Row{one}, 1},
		"no row number":                   {field(0, ":"), nil, 1},
		"row number without colon":        {field(0, "0"), nil, 1},
		"row number of five digits":       {field(0, "12345:"), []Row{one}, 0},
		"lower case":                      {strings.ToLower(row1), []Row{one}, 0},
		"address of 9 digits":             {field(1, "00100007F:1F90"), nil, 1},
		"address with a letter":           {field(1, "0100G07F:1F90"), nil, 1},
		"port of 3 digits":                {field(1, "0100007F:1F9"), nil, 1},
		"port with a sign":                {field(1, "0100007F:-F90"), nil, 1},
		"no colon":                        {field(2, "0100007F01F90"), nil, 1},
		"state of 3 digits":               {field(3, "001"), nil, 1},
		"uid is no number":                {field(7, "-1"), nil, 1},
		"uid of 33 bits":                  {field(7, "4294967296"), nil, 1},
		"inode is no number":              {field(9, "1f"), nil, 1},
		"inode of 65 bits":                {field(9, "18446744073709551616"), nil, 1},
		"two rows in a line are one":      {strings.TrimSuffix(row1, "\n") + row2, []Row{one}, 0},
		"IPv6 address in a table of IPv4": {field(2, "0000000000000000FFFF00000200007F:9C40"), []Row{one}, 0},
	} {
		rows, malformed := scan([]byte(test.text), false)
		if !reflect.DeepEqual(rows, test.rows) || malformed != test.malformed {
			t.Errorf("%s: %v, %d malformed; want %v, %d", name, rows, malformed, test.rows, test.malformed)
		}
	}
}

// Generate makes an arbitrary row that a table can have.
func (Row) Generate(r *rand.Rand, _ int) reflect.Value {
	addr := func() netip.AddrPort {
		var a [16]byte
		r.Read(a[:])
		if r.Intn(2) == 0 {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[:4])), uint16(r.Uint32()))
		}
		return netip.AddrPortFrom(netip.AddrFrom16(a).Unmap(), uint16(r.Uint32()))
	}
	return reflect.ValueOf(Row{addr(), addr(), State(r.Uint32()), r.Uint32(), r.Uint64()})
}

// A Scanner reads the rows that AppendRow wrote.
func TestAppendInverse(t *testing.T) {
	inverse := func(rows []Row, bigEndian bool) bool {
		text := AppendHeader(nil)
		for i, r := range rows {
			ipv6 := !r.Local.Addr().Is4() || !r.Remote.Addr().Is4() || i%2 == 0
			text = AppendRow(text, i*1000, r, ipv6, bigEndian)
		}
		got, malformed := scan(text, bigEndian)
		return malformed == 0 && len(got) == len(rows) && (len(rows) == 0 || reflect.DeepEqual(got, rows))
	}
	if err := quick.Check(inverse, &quick.Config{MaxCount: 300}); err != nil {
		t.Error(err)
	}
}

// AppendRow writes the same fields as the kernel, for the fields of Row.
func TestAppendMatchesKernel(t *testing.T) {
	for _, table := range tables {
		text := read(t, table)
		ipv6 := strings.HasSuffix(table, "6")
		rows, _ := scan(text, false)
		for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n"))[1:] {
			want := bytes.Fields(line)
			got := bytes.Fields(AppendRow(nil, i, rows[i], ipv6, false))
			for _, f := range []int{1, 2, 3, 7, 9} {
				if !bytes.Equal(got[f], want[f]) {
					t.Errorf("%s row %d field %d: %s, want %s", table, i, f, got[f], want[f])
				}
			}
		}
	}
	if got := AppendRow(nil, 0, Row{}, false, false); !bytes.Contains(got, []byte(" 00000000:0000 00000000:0000 00 ")) {
		t.Errorf("row of zeros: %s", got)
	}
}

// A text that is cut anywhere has no additional rows, and lacks at most one.
func TestEveryPrefix(t *testing.T) {
	for _, table := range tables {
		text := read(t, table)
		all, _ := scan(text, false)
		for n := range text {
			rows, _ := scan(text[:n], false)
			whole := max(bytes.Count(text[:n], []byte("\n"))-1, 0)
			if len(rows) < whole || len(rows) > whole+1 || !reflect.DeepEqual(rows[:whole], all[:whole]) && whole > 0 {
				t.Fatalf("%s cut at %d: %v", table, n, rows)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	text := append(read(t, "tcp6"), "broken\n"...)
	if n := testing.AllocsPerRun(100, func() {
		s := NewScanner(text, false)
		for r := (Row{}); s.Next(&r); {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestStateNames(t *testing.T) {
	for s, want := range map[State]string{0: "0", 1: "ESTABLISHED", 4: "FIN_WAIT1", 0xa: "LISTEN", 0xc: "NEW_SYN_RECV", 0xd: "13"} {
		if got := s.String(); got != want {
			t.Errorf("%d: %s", uint8(s), got)
		}
	}
}

func FuzzScanner(f *testing.F) {
	for _, table := range tables {
		f.Add(read(f, table), false)
	}
	f.Add([]byte(header+row1[:40]+"\n"+row2), true)
	f.Fuzz(func(t *testing.T, text []byte, bigEndian bool) {
		rows, malformed := scan(text, bigEndian)
		if lines := bytes.Count(text, []byte("\n")) + 1; len(rows)+malformed > lines {
			t.Fatalf("%d rows and %d malformed of %d lines", len(rows), malformed, lines)
		}
		// A row before the text does not change the other rows.
		again, _ := scan(append([]byte(row1), text...), bigEndian)
		if len(again) != len(rows)+1 || len(rows) > 0 && !reflect.DeepEqual(again[1:], rows) {
			t.Fatalf("%v after a row: %v", rows, again)
		}
		// Rows that are written and read again are the same.
		var out []byte
		for i, r := range rows {
			out = AppendRow(out, i, r, true, bigEndian)
		}
		if back, bad := scan(out, bigEndian); bad != 0 || len(rows) > 0 && !reflect.DeepEqual(back, rows) {
			t.Fatalf("%v written and read: %v", rows, back)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	for _, ipv6 := range []bool{false, true} {
		b.Run(map[bool]string{false: "tcp", true: "tcp6"}[ipv6], func(b *testing.B) {
			const n = 1000
			text := AppendHeader(nil)
			for i := range n {
				r := Row{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), uint16(i)), netip.MustParseAddrPort("10.1.2.3:443"),
					Established, 1000, uint64(1_000_000 + i)}
				text = AppendRow(text, i, r, ipv6, false)
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				s := NewScanner(text, false)
				rows := 0
				for r := (Row{}); s.Next(&r); {
					rows++
				}
				if rows != n {
					b.Fatal(rows)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
