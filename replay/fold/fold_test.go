package fold

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
)

func TestFoldKeepsEveryConnectionOnce(t *testing.T) {
	a1 := replaytest.Connection("10.0.0.1:1", "10.0.0.2:2", 1, 2, "conntrack")
	a1.From.Processes = []report.Process{{PID: 5, Comm: "a"}}
	a1.NAT = []report.NAT{{OriginalSrc: replaytest.AddrPort("10.0.0.1:1")}}
	a2 := replaytest.Connection("10.0.0.1:1", "10.0.0.2:2", 1, 9, "proc")
	a2.From.Netns, a2.State, a2.Closed = 77, "CLOSE", true
	again := replaytest.Connection("10.0.0.1:1", "10.0.0.2:2", 20, 21, "conntrack") // the same tuple, used again
	turned := replaytest.Connection("10.0.0.9:1", "10.0.0.8:2", 3, 4, "proc")
	turnedBack := replaytest.Connection("10.0.0.8:2", "10.0.0.9:1", 3, 8, "conntrack") // the direction is known now
	turned.To.Processes = []report.Process{{PID: 6, Comm: "server"}}
	loop := func(netns uint64) report.Connection {
		c := replaytest.Connection("127.0.0.1:1", "127.0.0.1:2", 5, 6, "proc")
		c.From.Netns, c.To.Netns = netns, netns
		return c
	}
	f := New(0)
	f.Add(&report.Report{Tick: 1, Window: 3, Connections: []report.Connection{a1, turned, loop(1), loop(2)},
		Endpoints: []report.Endpoint{{Scope: "b", Addr: replaytest.AddrPort("10.0.0.1:1")}, {Scope: "a", Addr: replaytest.AddrPort("10.0.0.1:1")}}})
	f.Add(&report.Report{Tick: 2, Window: 4, Connections: []report.Connection{a2, turnedBack, loop(2), loop(1)},
		Endpoints: []report.Endpoint{{Scope: "b", Addr: replaytest.AddrPort("10.0.0.1:1"), Processes: []report.Process{{PID: 1}}}}})
	f.Add(&report.Report{Tick: 3, Window: 5, Connections: []report.Connection{again}})
	got := f.Finish()
	a := a2
	a.Seen = []string{"conntrack", "proc"}
	a.From.Processes, a.NAT = a1.From.Processes, a1.NAT
	b := turnedBack
	b.Seen = []string{"conntrack", "proc"}
	b.From.Processes = turned.To.Processes
	want := []report.Connection{a, again, b, loop(1), loop(2)}
	slices.SortFunc(want, func(a, b report.Connection) int { return a.Compare(&b) })
	text := func(list []report.Connection) (lines []string) {
		for i := range list {
			lines = append(lines, string(list[i].AppendJSON(nil)))
		}
		return lines
	}
	if d := cmp.Diff(text(want), text(got.Connections)); d != "" {
		t.Error(d)
	}
	if got.Tick != 3 || got.Window != 12 || len(got.Endpoints) != 2 || got.Endpoints[0].Scope != "a" || len(got.Endpoints[1].Processes) != 1 {
		t.Errorf("%+v", got)
	}
}

// Connections of two zones stay two, also when one of them has ended. A later report that does
// not show the zone keeps it.
func TestFoldKeepsZonesApart(t *testing.T) {
	in := func(zone uint16, last int64) report.Connection {
		c := replaytest.Connection("10.0.0.1:1", "10.0.0.2:2", 1, last, "conntrack")
		c.Zone = zone
		return c
	}
	f := New(0)
	f.Add(replaytest.Report(in(3, 2), in(7, 2)))
	f.Add(replaytest.Report(in(7, 5)))
	f.Add(replaytest.Report(in(0, 9)))
	got := f.Finish().Connections
	if len(got) != 2 || got[0].Zone != 3 || got[0].LastSeen != 9 || got[1].Zone != 7 || got[1].LastSeen != 5 {
		t.Errorf("%+v", got)
	}
}

// The events of the host are kept, in order. Those beyond the maximum are added to the last one of
// their kind.
func TestFoldKeepsEventsOfTheHost(t *testing.T) {
	f := New(0)
	const reports = 3 * maxHostEvents
	for i := range int64(reports) {
		f.Add(&report.Report{At: i, HostEvents: []report.HostEvent{{At: i, What: "a", Count: 1}, {At: i, What: "b", Count: 1 << 63}}})
	}
	list := f.Finish().HostEvents
	if len(list) != maxHostEvents || !slices.IsSortedFunc(list, report.HostEvent.Compare) {
		t.Fatalf("%d events, or not sorted", len(list))
	}
	sum := uint64(0)
	for _, e := range list {
		if e.What == "a" {
			sum += e.Count
		}
	}
	if last := list[len(list)-1]; sum != reports || last.At != reports-1 || last.Count != 1<<64-1 {
		t.Errorf("%d events a, the last one is %+v", sum, last)
	}
	if f := New(0); f.Finish() != nil {
		t.Error("a report of no reports")
	}
}
