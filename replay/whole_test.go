package replay

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/reporter"
)

func connection(from, to string, first, last int64, seen ...string) reporter.Connection {
	return reporter.Connection{Proto: "tcp", From: reporter.End{Addr: ap(from)}, To: reporter.End{Addr: ap(to)}, FirstSeen: first, LastSeen: last, Seen: seen}
}

func TestFoldKeepsEveryConnectionOnce(t *testing.T) {
	a1 := connection("10.0.0.1:1", "10.0.0.2:2", 1, 2, "conntrack")
	a1.From.Processes = []reporter.Process{{PID: 5, Comm: "a"}}
	a1.NAT = []reporter.NAT{{OriginalSrc: ap("10.0.0.1:1")}}
	a2 := connection("10.0.0.1:1", "10.0.0.2:2", 1, 9, "proc")
	a2.From.Netns, a2.State, a2.Closed = 77, "CLOSE", true
	again := connection("10.0.0.1:1", "10.0.0.2:2", 20, 21, "conntrack") // the same tuple later
	turned := connection("10.0.0.9:1", "10.0.0.8:2", 3, 4, "proc")
	turnedBack := connection("10.0.0.8:2", "10.0.0.9:1", 3, 8, "conntrack") // direction became known
	turned.To.Processes = []reporter.Process{{PID: 6, Comm: "server"}}
	loop := func(netns uint64) reporter.Connection {
		c := connection("127.0.0.1:1", "127.0.0.1:2", 5, 6, "proc")
		c.From.Netns, c.To.Netns = netns, netns
		return c
	}
	f := newFold(0)
	f.add(&reporter.Report{Tick: 1, Window: 3, Connections: []reporter.Connection{a1, turned, loop(1), loop(2)},
		Endpoints: []reporter.Endpoint{{Scope: "b", Addr: ap("10.0.0.1:1")}, {Scope: "a", Addr: ap("10.0.0.1:1")}}})
	f.add(&reporter.Report{Tick: 2, Window: 4, Connections: []reporter.Connection{a2, turnedBack, loop(2), loop(1)},
		Endpoints: []reporter.Endpoint{{Scope: "b", Addr: ap("10.0.0.1:1"), Processes: []reporter.Process{{PID: 1}}}}})
	f.add(&reporter.Report{Tick: 3, Window: 5, Connections: []reporter.Connection{again}})
	got := f.finish()
	a := a2
	a.Seen = []string{"conntrack", "proc"}
	a.From.Processes, a.NAT = a1.From.Processes, a1.NAT
	b := turnedBack
	b.Seen = []string{"conntrack", "proc"}
	b.From.Processes = turned.To.Processes
	want := []reporter.Connection{a, again, b, loop(1), loop(2)}
	slices.SortFunc(want, compareConnections)
	text := func(list []reporter.Connection) (lines []string) {
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

func TestFoldIsBounded(t *testing.T) {
	tape := busyTape(t, 7000, 500)
	full, s := ndjson(t, Options{Reports: Whole}, tape)
	if n := strings.Count(full[0], `"proto"`); n != 1000 || s.LeftOut != 0 {
		t.Fatal(n, s.LeftOut)
	}
	some, s := ndjson(t, Options{Reports: Whole, MaxConnections: 300}, tape)
	if n := strings.Count(some[0], `"proto"`); n != 300 || s.LeftOut != 300 {
		t.Fatal(n, s.LeftOut)
	}
	if again, _ := ndjson(t, Options{Reports: Whole}, tape); again[0] != full[0] {
		t.Error("another report of the same tape")
	}
}

func TestTable(t *testing.T) {
	r := selected()
	r.HostName, r.Tick, r.At, r.Window, r.Rules = "host\x1b[2J", 7, 1767323045e9+10e9, 3e9, "current"
	r.Coverage = []reporter.Coverage{{Source: "conntrack", State: reporter.CoverageOK, Records: 12}, {Source: "dns", State: reporter.CoverageOff, Why: "not recorded"},
		{Source: "proc", State: reporter.CoverageDegraded, Records: 3, Lost: 4, Undecodable: 5, Why: "a walk failed"}}
	c := &r.Connections[0]
	c.State, c.Direction, c.FirstSeen, c.LastSeen, c.Closed, c.Seen = "CLOSE", reporter.DirectionHandshake, 1e9, 3.25e9, true, []string{"conntrack", "proc"}
	r.Connections[2].MayHaveClosed = true
	c.From.Processes = append(c.From.Processes, reporter.Process{PID: 1, Comm: "\x1b]0;x\x07"}, reporter.Process{PID: 2}, reporter.Process{PID: 3}, reporter.Process{PID: 4})
	var b bytes.Buffer
	if err := WriteTable(&b, r, 1767323045e9); err != nil {
		t.Fatal(err)
	}
	const want = `host?[2J  2026-01-02T03:04:15Z  tick 7  window 3s  rules current
coverage: conntrack ok (12 records); dns off (not recorded); proc degraded (3 records, 4 lost, 5 undecodable, a walk failed)

CLIENT                PROCESS                                  SERVER               PROCESS   STATE         BY         AGE   SEEN            NAT                                                   NAMES
10.0.0.1:40000        curl[4242],?]0;x?[1],[2],and 2 more      172.17.0.2:8080      nginx[7]  CLOSE closed  handshake  2.3s  conntrack+proc  client as 192.0.2.1:1024 server as 10.0.0.80:80       shop.internal,web-1.internal
[2001:db8::1]:40000   -                                        [2001:db8::2]:443    -         -                        10s                   -                                                     db.internal
127.0.0.1:40000 in 5  -                                        127.0.0.1:443 in 5   -         - closed?                10s                   -                                                     -
`
	squeeze := func(s string) string {
		var lines []string
		for _, l := range strings.Split(s, "\n") {
			lines = append(lines, strings.Join(strings.Fields(l), " "))
		}
		return strings.Join(lines, "\n")
	}
	if d := cmp.Diff(squeeze(want), squeeze(b.String())); d != "" {
		t.Errorf("%s\n%s", d, b.String())
	}
}
