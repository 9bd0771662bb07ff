package render

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
)

func TestTable(t *testing.T) {
	r := replaytest.ThreeConnections()
	r.HostName, r.Tick, r.At, r.Window, r.Rules = "host\x1b[2J", 7, 1767323045e9+10e9, 3e9, "current"
	r.Coverage = []report.Coverage{{Source: "conntrack", State: report.CoverageOK, Records: 12}, {Source: "dns", State: report.CoverageOff, Why: "not recorded"},
		{Source: "proc", State: report.CoverageDegraded, Records: 3, Lost: 4, Undecodable: 5, Why: "a walk failed"}}
	c := &r.Connections[0]
	c.State, c.Direction, c.FirstSeen, c.LastSeen, c.Closed, c.Seen = "CLOSE", report.DirectionHandshake, 1e9, 3.25e9, true, []string{"conntrack", "proc"}
	r.Connections[2].MayHaveClosed = true
	c.From.Processes = append(c.From.Processes, report.Process{PID: 1, Comm: "\x1b]0;x\x07"}, report.Process{PID: 2}, report.Process{PID: 3}, report.Process{PID: 4})
	var b bytes.Buffer
	if err := Table(&b, r, 1767323045e9); err != nil {
		t.Fatal(err)
	}
	const want = `host\x1b[2J  2026-01-02T03:04:15Z  tick 7  window 3s  rules current
coverage: conntrack ok (12 records); dns off (not recorded); proc degraded (3 records, 4 lost, 5 undecodable, a walk failed)

CLIENT                PROCESS                                  SERVER               PROCESS   STATE         BY         AGE   SEEN            NAT                                                   NAMES
10.0.0.1:40000        curl[4242],\x1b]0;x\a[1],[2],and 2 more      172.17.0.2:8080      nginx[7]  CLOSE closed  handshake  2.3s  conntrack+proc  client as 192.0.2.1:1024 server as 10.0.0.80:80       shop.internal,web-1.internal
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

// After the connections, each kind of event of the host is a line: the sum, when, and what to do.
func TestTableShowsEventsOfTheHost(t *testing.T) {
	r := &report.Report{At: 10e9, HostEvents: []report.HostEvent{{At: 3e9, What: "nf_conntrack drop", Count: 200}, {At: 4.5e9, What: "\x1b[2J", Count: 1},
		{At: 6e9, What: "nf_conntrack drop", Count: 12}, {At: 7e9, What: "softnet dropped", Count: 1<<64 - 1}, {At: 8e9, What: "softnet dropped", Count: 9}}}
	var b bytes.Buffer
	if err := Table(&b, r, 2e9); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "no connections\n")
	const want = `
host: nf_conntrack drop 212 between +1s and +4s: the conntrack table was full and packets were dropped; raise net.netfilter.nf_conntrack_max
host: \x1b[2J 1 at +2.5s
host: softnet dropped 18446744073709551615 between +5s and +6s: the host received packets faster than its CPUs handled them, and dropped some; raise net.core.netdev_max_backlog or spread the load (RPS)
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// After the connections, each attempt is a line.
func TestTableShowsAttempts(t *testing.T) {
	end := func(addr string, netns uint64) report.End {
		return report.End{Addr: replaytest.AddrPort(addr), Netns: netns}
	}
	r := &report.Report{Attempts: []report.Attempt{
		{From: end("10.0.0.1:0", 7), To: end("10.0.0.9:5432", 0), Outcome: report.OutcomeUnanswered, Count: 3, LastSeen: 2.5e9},
		{From: end("127.0.0.1:0", 7), To: end("127.0.0.1:80", 7), Outcome: report.OutcomeGaveUp, Why: "no local port", Count: 1, LastSeen: 61e9}},
		HostEvents: []report.HostEvent{{What: "attempts left out", Count: 2}}}
	r.Attempts[1].From.Processes = []report.Process{{PID: 4, Comm: "\x1b[2J"}}
	var b bytes.Buffer
	if err := Table(&b, r, 0); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "no connections\n")
	const want = `
not established: 4 attempts
CLIENT     SERVER             OUTCOME                 COUNT  LAST SEEN  PROCESS
10.0.0.1   10.0.0.9:5432      unanswered              3      +2.5s      -
127.0.0.1  127.0.0.1:80 in 7  gave-up: no local port  1      +1m1s      \x1b[2J[4]

host: attempts left out 2 at +0s: a report lists a limited number of attempts; the tries of further ones are only counted
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Line shows ends, state, evidence, translated addresses and sources.
// The zone of a connection is a column if connections are in several zones.
func TestTableShowsSeveralZones(t *testing.T) {
	for _, c := range []struct {
		zones []uint16
		want  []string
	}{
		{[]uint16{3, 7, 0}, []string{"CLIENT SERVER ZONE STATE", "10.0.0.1:1 10.0.0.2:2 3 CLOSE", "10.0.0.1:1 10.0.0.2:2 7 CLOSE", "10.0.0.1:1 10.0.0.2:2 - CLOSE"}},
		{[]uint16{3, 3}, []string{"CLIENT SERVER STATE", "10.0.0.1:1 10.0.0.2:2 CLOSE", "10.0.0.1:1 10.0.0.2:2 CLOSE"}},
	} {
		r := &report.Report{}
		for _, zone := range c.zones {
			conn := replaytest.Connection("10.0.0.1:1", "10.0.0.2:2", 0, 0, "conntrack")
			conn.State, conn.Zone = "CLOSE", zone
			r.Connections = append(r.Connections, conn)
		}
		var b bytes.Buffer
		if err := Rows(&b, r, r.Connections, 0); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		for i, line := range lines {
			if got := strings.Join(strings.Fields(line), " "); len(lines) != len(c.want) || !strings.HasPrefix(got, c.want[i]+" ") {
				t.Errorf("zones %v: line %d: %s", c.zones, i, got)
			}
		}
	}
}

func TestLine(t *testing.T) {
	c := replaytest.ThreeConnections().Connections[0]
	c.State, c.Direction, c.Seen, c.MayHaveClosed = "ESTABLISHED", report.DirectionHandshake, []string{"conntrack", "proc"}, true
	const want = "10.0.0.1:40000 curl[4242] -> 172.17.0.2:8080 nginx[7] ESTABLISHED closed? by handshake, " +
		"client as 192.0.2.1:1024 server as 10.0.0.80:80, seen by conntrack+proc"
	if got := Line(&c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.Zone = 7
	if got, want := Line(&c), strings.Replace(want, "handshake", "handshake in zone 7", 1); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCount(t *testing.T) {
	for want, got := range map[string]string{"1 record": Count(1, "record"), "0 records": Count(uint64(0), "record"), "2 entries": Count(2, "entry"),
		"1 entry": Count(1, "entry"), "3 processes": Count(uint32(3), "process"), "1 process": Count(int64(1), "process")} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
