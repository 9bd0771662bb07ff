package collect

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
)

func TestWalkShowsTablesAndAllOwners(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "nginx", 100, 7)
	f.process(9, 10, "ngi) (nx", 100, 100)
	f.process(11, 10, "idle")
	f.process(300, 300, "other", 200)
	f.remove("300/net/tcp6")
	f.remove("300/net/sockstat6")
	f.write("self/stat", "not a process")
	p := f.proc()
	records := walkRecords(t, p)
	var got []string
	for _, r := range records {
		got = append(got, describe(t, r))
	}
	first := []string{"tcp 1 rows", "tcp6 0 rows", "owners 9:ngi) (nx[100] 10:nginx[7 100]"}
	second := []string{"tcp 1 rows", "tcp6 absent", "owners 300:other[200]"}
	one, _ := p.fs.netns(10)
	if other, _ := p.fs.netns(300); other < one {
		first, second = second, first
	}
	want := append(append(append([]string{"begin 1"}, first...), second...), "end 1: 4 processes, 2 namespaces")
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("walk (-want +got):\n%s", d)
	}
	for _, r := range records {
		if r.Kind != capture.KindProcSockets {
			continue
		}
		s := decodeTo[capture.ProcSockets](t, r)
		if s.Netns != one {
			continue
		}
		want := capture.Process{PID: 10, PPID: 1, Start: 1010, Comm: "nginx", Cgroup: []byte("0::/nginx\n"), Inodes: []uint64{7, 100}}
		if !reflect.DeepEqual(s.Processes[1], want) {
			t.Errorf("got %+v, want %+v", s.Processes[1], want)
		}
	}
}

func TestWalkReadsOnlyChangedTables(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "a", 100)
	p := f.proc()
	owners, end := "owners 10:a[100]", ": 1 processes, 1 namespaces"
	expect(t, p, "begin 1", "tcp 1 rows", "tcp6 0 rows", owners, "end 1"+end)
	expect(t, p, "begin 2", "tcp unchanged", "tcp6 unchanged", owners, "end 2"+end)
	// A segment: tcp is read; tcp6 was empty and still is, by its counters.
	f.net(10, row(1, 100)+row(2, 0), "", 2)
	expect(t, p, "begin 3", "tcp 2 rows", "tcp6 unchanged", owners, "end 3"+end)
	f.net(10, row(1, 100)+row(2, 0), row(1, 0), 3)
	expect(t, p, "begin 4", "tcp 2 rows", "tcp6 1 rows", owners, "end 4"+end)
	// A socket that none owned before, with equal counters: a socket of any kind
	// makes the tables be read once.
	f.hold(10, 9, 101)
	owners = "owners 10:a[100 101]"
	expect(t, p, "begin 5", "tcp 2 rows", "tcp6 1 rows", owners, "end 5"+end)
	expect(t, p, "begin 6", "tcp unchanged", "tcp6 unchanged", owners, "end 6"+end)
	// IPv6 is turned off.
	f.net(10, row(1, 100)+row(2, 0), "", 4)
	f.remove("10/net/tcp6")
	f.remove("10/net/sockstat6")
	expect(t, p, "begin 7", "tcp 2 rows", "tcp6 absent", owners, "end 7"+end)
	expect(t, p, "begin 8", "tcp unchanged", "tcp6 unchanged", owners, "end 8"+end)
	f.net(10, row(1, 100), "", 5)
	expect(t, p, "begin 9", "tcp 1 rows", "tcp6 0 rows", owners, "end 9"+end)
	// If counters cannot be read, the tables are read.
	f.remove("10/net/snmp")
	expect(t, p, "begin 10", "tcp 1 rows", "tcp6 0 rows", owners, "end 10"+end)
	expect(t, p, "begin 11", "tcp 1 rows", "tcp6 0 rows", owners, "end 11"+end)
}

// A change that only sockstat shows is noticed within thoroughWalks walks.
func TestWalkReadsSockstatWhenDue(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "a", 100)
	p := f.proc()
	walkOnce(t, p)
	f.net(10, row(1, 100)+row(2, 101), row(1, 102), 1)
	for n := 1; walkOnce(t, p)[2] != "tcp6 1 rows"; n++ {
		if n == thoroughWalks {
			t.Fatalf("unnoticed for %d walks", n)
		}
	}
}

func TestWalkNoticesAnotherNameAndAnotherProcess(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "sh", 100)
	p := f.proc()
	comm := func() string { return strings.Fields(walkOnce(t, p)[3])[1] }
	if got := comm(); got != "10:sh[100]" {
		t.Fatal(got)
	}
	f.write("10/stat", "10 (nginx) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 1010 20\n")
	for n := 1; comm() != "10:nginx[100]"; n++ {
		if n == thoroughWalks {
			t.Fatalf("another name goes unnoticed for %d walks", n)
		}
	}
	// Another process with the same pid has another directory: the test keeps the
	// old one's inode in use.
	if err := os.Rename(filepath.Join(f.root, "10"), filepath.Join(f.root, "was-10")); err != nil {
		t.Fatal(err)
	}
	f.process(10, 10, "next", 100)
	if got := comm(); got != "10:next[100]" {
		t.Errorf("the successor is %s", got)
	}
}

func TestWalkReadsEveryTableWhenDue(t *testing.T) {
	f := newFakeProc(t)
	for pid := 1; pid <= 20; pid++ {
		f.process(pid, pid, "a", pid)
	}
	var now int64
	p := openProc(t, ProcConfig{Root: f.root, Full: time.Minute, Clock: func() int64 { return now }})
	walkOnce(t, p)
	last := make(map[uint64]int64)
	for range 60 { // 3 minutes
		now += int64(3 * time.Second)
		n := 0
		for _, r := range walkRecords(t, p) {
			if r.Kind != capture.KindProcNet {
				continue
			}
			n++
			ns := decodeTo[capture.ProcNet](t, r).Netns
			if age := time.Duration(now - last[ns]); age > 63*time.Second {
				t.Errorf("namespace %d was not read for %v", ns, age)
			}
			last[ns] = now
		}
		if n > 4 {
			t.Errorf("%d tables in one walk", n)
		}
	}
	if len(last) != 20 {
		t.Errorf("%d of 20 namespaces were read", len(last))
	}
}

func TestWalkUsesAnotherProcessWhenOneVanishes(t *testing.T) {
	f := newFakeProc(t)
	for pid := 10; pid <= 13; pid++ {
		f.process(pid, 10, "a", 100)
	}
	// 10 can be opened but not read, 11 has ended and only its directory is left,
	// 12 has no network files (a zombie).
	f.remove("10/net/tcp")
	f.write("10/net/tcp/directory", "")
	f.remove("11/net")
	f.remove("11/stat")
	f.remove("12/net")
	expect(t, f.proc(), "begin 1", "tcp 1 rows", "tcp6 0 rows",
		"owners 10:a[100] 12:a[100] 13:a[100]", "end 1: 4 processes, 1 namespaces")
}

func TestVanishedNamespaceIsNotInTheWalk(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "a", 100)
	f.process(20, 20, "b", 200)
	p := f.proc()
	walkOnce(t, p)
	f.remove("20/net")
	expect(t, p, "begin 2", "tcp unchanged", "tcp6 unchanged", "owners 10:a[100]", "end 2: 2 processes, 1 namespaces")
	if s := p.Stats(); s.Why != "" || s.Lost != 0 {
		t.Errorf("degraded: %+v", s)
	}
	f.process(20, 20, "b", 200)
	if got := strings.Join(walkOnce(t, p), "\n"); strings.Count(got, "unchanged") != 2 {
		t.Errorf("a namespace that came back must be read:\n%s", got)
	}
}

func TestBigTableIsCutAtLineEnds(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "a", 100)
	var rows strings.Builder
	for i := range 60_000 {
		rows.WriteString(row(i, i))
	}
	f.net(10, rows.String(), "", 1)
	var text []byte
	parts := uint32(0)
	for _, r := range walkRecords(t, f.proc()) {
		if r.Kind != capture.KindProcNet {
			continue
		}
		p := decodeTo[capture.ProcNet](t, r)
		if p.Table != "tcp" {
			continue
		}
		if p.Part != parts || len(p.Text) > maxPart || len(p.Text) > 0 && p.Text[len(p.Text)-1] != '\n' {
			t.Errorf("part %d is %d with %d bytes", parts, p.Part, len(p.Text))
		}
		text = append(text, p.Text...)
		parts++
		if last := len(text) == len(tableHeader)+rows.Len(); p.More == last {
			t.Errorf("part %d: more is %v", p.Part, p.More)
		}
	}
	if parts < 3 || string(text) != tableHeader+rows.String() {
		t.Errorf("%d parts with %d of %d bytes", parts, len(text), len(tableHeader)+rows.Len())
	}
}

func TestManyOwnersAreCutIntoParts(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "a", 100)
	p := f.proc()
	out := make(chan *Batch, 100)
	w := &walk{Proc: p, ctx: t.Context(), q: newQueue(0, out), fs: p.fs}
	list := make([]capture.Process, 50)
	for i := range list {
		list[i] = capture.Process{PID: uint32(i), Inodes: make([]uint64, 10_000)}
	}
	w.addOwners(1, list)
	w.q.flush()
	close(out)
	n, parts := 0, uint32(0)
	for b := range out {
		for _, r := range b.Records {
			s := decodeTo[capture.ProcSockets](t, r)
			if s.Part != parts || s.More != (n+len(s.Processes) < 50) {
				t.Errorf("part %d is %d, more %v", parts, s.Part, s.More)
			}
			parts++
			for _, q := range s.Processes {
				if int(q.PID) != n {
					t.Errorf("process %d at %d", q.PID, n)
				}
				n++
			}
		}
	}
	if n != 50 || parts < 4 {
		t.Errorf("%d processes in %d parts", n, parts)
	}
}

func TestFullQueueSkipsWalksAndSaysSo(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "a", 100)
	p := NewProc(ProcConfig{Root: f.root, Clock: testClock(), Interval: 20 * time.Millisecond, Source: 3})
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := make(chan *Batch, 1)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, out); close(out) }()
	for deadline := time.Now().Add(10 * time.Second); p.Stats().Lost < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no walk was skipped")
		}
	}
	if why := p.Stats().Why; !strings.Contains(why, queueFull) {
		t.Errorf("why: %q", why)
	}
	var lost uint64
	walks := 0
	for b := range out {
		for _, r := range b.Records {
			switch r.Kind {
			case capture.KindGap:
				g := decodeTo[capture.Gap](t, r)
				if lost += g.Lost; !g.Exact || g.Why == "" || r.Source != 3 || g.Since < 0 || g.Since > r.At {
					t.Errorf("gap %+v of source %d", g, r.Source)
				}
			case capture.KindWalkEnd:
				walks++
			}
		}
		b.Release()
		if walks == 5 {
			cancel()
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if lost < 3 || lost != p.Stats().Lost {
		t.Errorf("gaps say %d, stats %d", lost, p.Stats().Lost)
	}
}

func TestBudget(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBudget(0.05, now)
	if wait := b.spend(time.Second, now); wait != 0 { // 20 seconds' share
		t.Errorf("the first walk makes the next wait %v", wait)
	}
	if wait := b.spend(time.Second, now); wait.Round(time.Millisecond) != 20*time.Second {
		t.Errorf("a second in debt takes %v", wait)
	}
	b.forgive()
	if wait := b.spend(0, now); wait != 0 {
		t.Errorf("after debts are forgiven the wait is %v", wait)
	}
	now = now.Add(time.Hour)
	if wait := b.spend(2*time.Second, now); wait.Round(time.Millisecond) != 20*time.Second {
		t.Errorf("after an hour's rest a second beyond takes %v", wait)
	}
}

func TestProcOpenSaysWhatIsMissing(t *testing.T) {
	for _, root := range []string{t.TempDir(), "/nonexistent"} {
		err := NewProc(ProcConfig{Root: root, Clock: testClock()}).Open()
		if err == nil || !strings.Contains(err.Error(), root) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", root, err)
		}
	}
}
