package fold

import (
	"net/netip"
	"testing"

	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
)

// attempt returns an attempt with that many tries, of which earlier are in an earlier report.
func attempt(server string, count, earlier uint64, first, last int64) report.Attempt {
	return report.Attempt{Proto: "tcp", From: report.End{Addr: replaytest.AddrPort("10.0.0.1:0"), Processes: []report.Process{{PID: 4, Comm: "app"}}},
		To: report.End{Addr: replaytest.AddrPort(server)}, Outcome: report.OutcomeUnanswered, Count: count, Earlier: earlier,
		FirstSeen: first, LastSeen: last, Seen: []string{"sockets"}}
}

// Counts of attempts add up, and each try counts once.
func TestFoldCountsEachTryOnce(t *testing.T) {
	const a, b = "10.0.0.9:80", "10.0.0.9:81"
	f := New(0)
	f.Add(&report.Report{Attempts: []report.Attempt{attempt(a, 2, 1, 1, 3)}}) // the first report of a window of the tape
	f.Add(&report.Report{Attempts: []report.Attempt{attempt(a, 2, 2, 1, 3), attempt(b, 1, 0, 4, 4)}})
	f.Add(&report.Report{})
	f.Add(&report.Report{Attempts: []report.Attempt{attempt(a, 4, 1, 2, 9)}})
	got := f.Finish().Attempts
	want := []report.Attempt{attempt(a, 5, 0, 1, 9), attempt(b, 1, 0, 4, 4)}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if x, y := string(got[i].AppendJSON(nil)), string(want[i].AppendJSON(nil)); x != y {
			t.Errorf("got  %s\nwant %s", x, y)
		}
	}
}

// The attempts beyond the maximum are an event of the host.
func TestFoldCountsAttemptsThatItLeavesOut(t *testing.T) {
	f := New(1)
	f.Add(&report.Report{At: 5, Attempts: []report.Attempt{attempt("10.0.0.9:80", 2, 0, 1, 3), attempt("10.0.0.9:81", 3, 0, 1, 3)}})
	if r := f.Finish(); len(r.Attempts) != 1 || len(r.HostEvents) != 1 || r.HostEvents[0].Count != 3 {
		t.Errorf("%+v %+v", r.Attempts, r.HostEvents)
	}
}

// Selectors apply to attempts as to connections, and keep the names of their ends.
func TestFilterSelectsAttempts(t *testing.T) {
	r := &report.Report{Attempts: []report.Attempt{attempt("10.0.0.8:80", 1, 0, 1, 1), attempt("10.0.0.9:81", 1, 0, 1, 1)},
		Names: []report.Names{{Addr: netip.MustParseAddr("10.0.0.8"), Forward: []string{"db.internal"}}, {Addr: netip.MustParseAddr("10.0.0.7"), Forward: []string{"x"}}}}
	for selector, want := range map[string][2]int{":80": {1, 1}, "db.internal": {1, 1}, "->:81": {1, 0}, "app": {2, 1}, "pid:5": {0, 0}, "10.0.0.9->*": {0, 0}, "*": {2, 1}} {
		s, err := ParseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		if got := Filter(r, []*Selector{s}); len(got.Attempts) != want[0] || len(got.Names) != want[1] {
			t.Errorf("%s: %+v, %+v", selector, got.Attempts, got.Names)
		}
	}
}
