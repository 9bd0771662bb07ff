package netlab

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Report is what of a topotape report (replay --format json) is compared.
type Report struct {
	Tick        int          `json:"tick"`
	Connections []ReportConn `json:"connections"`
	Names       []struct {
		Addr    netip.Addr `json:"addr"`
		Forward []string   `json:"forward"`
	} `json:"names"`
}

// ReportConn is a connection as a report shows it.
type ReportConn struct {
	Proto     string    `json:"proto"`
	From      ReportEnd `json:"from"`
	To        ReportEnd `json:"to"`
	State     string    `json:"state"`
	Direction string    `json:"direction"`
	Closed    bool      `json:"closed"`
	Seen      []string  `json:"seen"`
}

// ReportEnd is one end of a ReportConn.
type ReportEnd struct {
	Addr      netip.Addr `json:"addr"`
	Port      uint16     `json:"port"`
	Netns     uint64     `json:"netns"` // 0: unknown
	Processes []struct {
		PID  int    `json:"pid"`
		Comm string `json:"comm"`
	} `json:"processes"`
}

func (e ReportEnd) addrPort() netip.AddrPort { return netip.AddrPortFrom(e.Addr, e.Port) }

// ReadReport reads one report.
func ReadReport(r io.Reader) (Report, error) {
	var rep Report
	if err := json.NewDecoder(r).Decode(&rep); err != nil {
		return Report{}, fmt.Errorf("read report: %w", err)
	}
	return rep, nil
}

// Window is the time a report speaks of, half-open; a zero bound is none.
type Window struct{ From, To time.Time }

// Result says how a report and the truth differ. Missing and below are errors
// of the report; each of its connections is in one of False, Reversed and Duplicate at most.
type Result struct {
	Found     []Conn       // true, and reported
	Missing   []Conn       // true in the window, and not reported
	False     []ReportConn // reported, and never made: also the refused and half-open
	Reversed  []ReportConn // true the other way round
	Duplicate []ReportConn // true, but reported more often than made
	Stale     []ReportConn // closed before the window, and not reported as closed
	Misplaced []ReportConn // right, with the netns or the processes of another
	Unnamed   []Conn       // reported, but the name it was looked up by is not
	Owned     int          // ends that were reported with their own process
}

// Err is nil if report and truth agree on what connections there were.
func (r Result) Err() error {
	if len(r.Missing)+len(r.False)+len(r.Reversed)+len(r.Duplicate)+len(r.Stale)+len(r.Misplaced) == 0 {
		return nil
	}
	return fmt.Errorf("report and truth differ: %s", r)
}

func (r Result) String() string {
	return fmt.Sprintf("found %d, missing %d, false %d, reversed %d, duplicate %d, stale %d, misplaced %d, unnamed %d, %d ends with process",
		len(r.Found), len(r.Missing), len(r.False), len(r.Reversed), len(r.Duplicate), len(r.Stale), len(r.Misplaced), len(r.Unnamed), r.Owned)
}

// edge is what a connection is known by. Loopback addresses mean something in their namespace only.
type edge struct {
	from, to netip.AddrPort
	netns    uint64
}

func newEdge(from, to netip.AddrPort, netns uint64) edge {
	if !from.Addr().IsLoopback() {
		netns = 0
	}
	return edge{from, to, netns}
}

func (e edge) reverse() edge { return edge{e.to, e.from, e.netns} }

// Compare holds a report against the truth. The true edge of a connection is
// from the client's own address to the server's own: before source NAT, behind
// destination NAT. Connections outside the lab's namespaces and addresses are nobody's business.
func Compare(truth []Conn, rep Report, w Window) Result {
	c := comparison{truth: map[edge][]Conn{}, netns: map[uint64]bool{}, seen: map[edge]int{}}
	for _, t := range truth {
		c.netns[t.Client.Netns], c.netns[t.Server.Netns] = true, true
		if t.Established {
			e := newEdge(t.Client.Local, t.Server.Local, t.Client.Netns)
			c.truth[e] = append(c.truth[e], t)
		}
	}
	delete(c.netns, 0)
	for _, rc := range rep.Connections {
		c.judge(rc, w)
	}
	names := forwardNames(rep)
	for _, t := range truth {
		if !t.Established {
			continue
		}
		switch {
		case c.seen[newEdge(t.Client.Local, t.Server.Local, t.Client.Netns)] > 0:
			c.Found = append(c.Found, t)
			if t.Name != "" && !names[t.Client.Remote.Addr()][t.Name] {
				c.Unnamed = append(c.Unnamed, t)
			}
		case t.openBetween(w.From, w.To):
			c.Missing = append(c.Missing, t)
		}
	}
	return c.Result
}

func forwardNames(rep Report) map[netip.Addr]map[string]bool {
	names := map[netip.Addr]map[string]bool{}
	for _, n := range rep.Names {
		names[n.Addr] = map[string]bool{}
		for _, f := range n.Forward {
			names[n.Addr][f] = true
		}
	}
	return names
}

type comparison struct {
	Result
	truth map[edge][]Conn
	netns map[uint64]bool // the lab's
	seen  map[edge]int    // how often reported
}

func (c *comparison) judge(rc ReportConn, w Window) {
	if rc.Proto != "tcp" || !c.ours(&rc) {
		return
	}
	e := newEdge(rc.From.addrPort(), rc.To.addrPort(), max(rc.From.Netns, rc.To.Netns))
	made := c.truth[e]
	if len(made) == 0 {
		if len(c.truth[e.reverse()]) > 0 {
			c.Reversed = append(c.Reversed, rc)
		} else {
			c.False = append(c.False, rc)
		}
		return
	}
	if c.seen[e]++; c.seen[e] > len(made) {
		c.Duplicate = append(c.Duplicate, rc)
		return
	}
	if !rc.Closed && !slices.ContainsFunc(made, func(t Conn) bool { return t.openBetween(w.From, w.To) }) {
		c.Stale = append(c.Stale, rc)
	}
	// The same tuple may have been used by several connections: any of them will do.
	if !slices.ContainsFunc(made, func(t Conn) bool { return t.Client.owns(rc.From) && t.Server.owns(rc.To) }) {
		c.Misplaced = append(c.Misplaced, rc)
		return
	}
	for _, end := range []ReportEnd{rc.From, rc.To} {
		if len(end.Processes) > 0 {
			c.Owned++
		}
	}
}

// ours tells whether a connection is the lab's, by the namespace of an end, or
// by an address where no namespace is known: another lab has the same ones.
func (c *comparison) ours(rc *ReportConn) bool {
	if rc.From.Netns != 0 || rc.To.Netns != 0 {
		return c.netns[rc.From.Netns] || c.netns[rc.To.Netns]
	}
	return slices.ContainsFunc([]netip.Addr{rc.From.Addr, rc.To.Addr}, func(a netip.Addr) bool {
		return range4.Contains(a) || range6.Contains(a)
	})
}

// owns tells whether what a report says of an end can be this one. What it does
// not say is not wrong.
func (e End) owns(r ReportEnd) bool {
	if r.Netns != 0 && r.Netns != e.Netns {
		return false
	}
	for _, p := range r.Processes {
		if e.PID != 0 && p.PID != e.PID || p.Comm != e.Comm {
			return false
		}
	}
	return true
}

// Summary tells, one a line, what differs, at most n of each sort, and how many
// of each pattern were found.
func (r Result) Summary(n int) string {
	var b strings.Builder
	fmt.Fprintln(&b, r)
	type score struct{ found, of int }
	scores := map[string]score{}
	for _, c := range r.Found {
		s := scores[c.Pattern]
		scores[c.Pattern] = score{s.found + 1, s.of + 1}
	}
	for _, c := range r.Missing {
		s := scores[c.Pattern]
		scores[c.Pattern] = score{s.found, s.of + 1}
	}
	for _, p := range slices.Sorted(maps.Keys(scores)) {
		fmt.Fprintf(&b, "  %-12s %d of %d\n", p, scores[p].found, scores[p].of)
	}
	for _, c := range r.Missing[:min(n, len(r.Missing))] {
		fmt.Fprintf(&b, "missing   %-11s %v -> %v (%s -> %s) %v\n", c.Pattern, c.Client.Local, c.Server.Local, c.Client.Comm, c.Server.Comm, c.Closed.Sub(c.Opened))
	}
	for _, l := range []struct {
		what  string
		conns []ReportConn
	}{{"false", r.False}, {"reversed", r.Reversed}, {"duplicate", r.Duplicate}, {"stale", r.Stale}, {"misplaced", r.Misplaced}} {
		for _, c := range l.conns[:min(n, len(l.conns))] {
			fmt.Fprintf(&b, "%-9s %v -> %v %s by %s, seen by %s\n", l.what, c.From.addrPort(), c.To.addrPort(), c.State, c.Direction, strings.Join(c.Seen, "+"))
		}
	}
	for _, c := range r.Unnamed[:min(n, len(r.Unnamed))] {
		fmt.Fprintf(&b, "unnamed   %s for %v\n", c.Name, c.Client.Remote.Addr())
	}
	return b.String()
}
