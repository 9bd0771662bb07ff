package collect

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
)

// A fakeProc is a directory that looks like procfs. Processes whose ns/net links
// to the same file are in the same namespace.
type fakeProc struct {
	t    testing.TB
	root string
}

func newFakeProc(t testing.TB) *fakeProc { return &fakeProc{t: t, root: t.TempDir()} }

func (f *fakeProc) write(path, text string) {
	f.t.Helper()
	path = filepath.Join(f.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeProc) remove(path string) {
	f.t.Helper()
	if err := os.RemoveAll(filepath.Join(f.root, path)); err != nil {
		f.t.Fatal(err)
	}
}

// process adds a process to the namespace of the process leader (its own pid:
// a new namespace).
func (f *fakeProc) process(pid, leader int, comm string, inodes ...int) {
	f.t.Helper()
	p := fmt.Sprintf("%d/", pid)
	f.write(p+"stat", fmt.Sprintf("%d (%s) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %d 20 21\n", pid, comm, 1000+pid))
	f.write(p+"cgroup", fmt.Sprintf("0::/%s\n", comm))
	f.write(p+"ns/x", "")
	if leader == pid {
		f.write(p+"ns/net", "")
	} else if err := os.Link(filepath.Join(f.root, fmt.Sprintf("%d/ns/net", leader)), filepath.Join(f.root, p+"ns/net")); err != nil {
		f.t.Fatal(err)
	}
	f.net(pid, row(1, 100), "", 1)
	f.write(p+"net/dev", "")
	f.write(p+"fd/.keep", "")
	f.remove(p + "fd/.keep")
	for fd, inode := range inodes {
		f.hold(pid, fd, inode)
	}
}

func (f *fakeProc) hold(pid, fd, inode int) {
	f.t.Helper()
	path := filepath.Join(f.root, fmt.Sprintf("%d/fd/%d", pid, fd))
	os.Remove(path)
	if err := os.Symlink(fmt.Sprintf("socket:[%d]", inode), path); err != nil {
		f.t.Fatal(err)
	}
}

const tableHeader = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func row(n, inode int) string {
	return fmt.Sprintf("%4d: 0100007F:0050 00000000:0000 0A %d\n", n, inode)
}

// net sets what a process sees of its namespace: the rows of its tables, and
// counters that are equal exactly where segments is.
func (f *fakeProc) net(pid int, tcp, tcp6 string, segments int) {
	p := fmt.Sprintf("%d/net/", pid)
	f.write(p+"tcp", tableHeader+tcp)
	f.write(p+"tcp6", tableHeader+tcp6)
	f.write(p+"snmp", fmt.Sprintf("Ip: A B\nIp: 1 2\nTcp: InSegs\nTcp: %d\nUdp: C\nUdp: %d\n", segments, time.Now().UnixNano()))
	f.write(p+"sockstat", fmt.Sprintf("sockets: used 3\nTCP: inuse %d orphan 7 tw 0 alloc 9 mem 1\n", strings.Count(tcp, "\n")))
	f.write(p+"sockstat6", fmt.Sprintf("TCP6: inuse %d\n", strings.Count(tcp6, "\n")))
}

func (f *fakeProc) proc() *Proc { return openProc(f.t, ProcConfig{Root: f.root}) }

func openProc(t testing.TB, cfg ProcConfig) *Proc {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = testClock()
	}
	p := NewProc(cfg)
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// walkOnce does one walk and describes its records, one a line.
func walkOnce(t testing.TB, p *Proc) []string {
	t.Helper()
	var lines []string
	for _, r := range walkRecords(t, p) {
		lines = append(lines, describe(t, r))
	}
	return lines
}

func walkRecords(t testing.TB, p *Proc) []capture.Record {
	t.Helper()
	runtime.LockOSThread() // as Run does
	defer runtime.UnlockOSThread()
	out := make(chan *Batch)
	var records []capture.Record
	done := make(chan bool)
	go func() {
		for b := range out {
			records = append(records, b.Records...)
			b.Records = nil
			b.Release()
		}
		close(done)
	}()
	w := &walk{Proc: p, ctx: t.Context(), q: newQueue(p.cfg.Source, out), fs: p.fs, text: make([]byte, maxPart)}
	w.run()
	close(out)
	<-done
	at := int64(0)
	for _, r := range records {
		if r.At < at || r.Source != p.cfg.Source {
			t.Errorf("record at %d after %d, source %d", r.At, at, r.Source)
		}
		at = r.At
	}
	return records
}

func decodeTo[T any, P interface {
	*T
	capture.Payload
}](t testing.TB, r capture.Record) T {
	t.Helper()
	var v T
	if err := r.Decode(P(&v)); err != nil {
		t.Fatal(err)
	}
	return v
}

func describe(t testing.TB, r capture.Record) string {
	t.Helper()
	switch r.Kind {
	case capture.KindWalkBegin:
		return fmt.Sprintf("begin %d", decodeTo[capture.ProcWalk](t, r).Number)
	case capture.KindWalkEnd:
		p := decodeTo[capture.ProcWalk](t, r)
		return strings.TrimSpace(fmt.Sprintf("end %d: %d processes, %d namespaces %s", p.Number, p.Processes, p.Netns, p.Failed))
	case capture.KindProcNet:
		p := decodeTo[capture.ProcNet](t, r)
		if p.ReadStart > p.ReadEnd || p.ReadEnd > r.At {
			t.Errorf("read from %d to %d, stamped %d", p.ReadStart, p.ReadEnd, r.At)
		}
		if p.Absent {
			return p.Table + " absent"
		}
		return fmt.Sprintf("%s %d rows", p.Table, bytes.Count(p.Text, []byte{'\n'})-1)
	case capture.KindProcUnchanged:
		return decodeTo[capture.ProcUnchanged](t, r).Table + " unchanged"
	case capture.KindProcSockets:
		s := "owners"
		for _, p := range decodeTo[capture.ProcSockets](t, r).Processes {
			s += fmt.Sprintf(" %d:%s%v", p.PID, p.Comm, p.Inodes)
		}
		return s
	}
	return r.Kind.String()
}

func expect(t *testing.T, p *Proc, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, walkOnce(t, p)); d != "" {
		t.Errorf("walk (-want +got):\n%s", d)
	}
}
