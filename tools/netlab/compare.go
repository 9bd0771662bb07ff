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

// Report has the parts of a topotape report (replay --format json) that Compare reads.
type Report struct {
	Tick        int          `json:"tick"`
	Connections []ReportConn `json:"connections"`
	Names       []struct {
		Addr    netip.Addr `json:"addr"`
		Forward []string   `json:"forward"`
	} `json:"names"`
}

// ReportConn is a connection of a Report.
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
	Processes []process  `json:"processes"`
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

// Window is the time that a report covers, without To. A zero time is no bound.
type Window struct{ From, To time.Time }

// Result is the difference between a report and the truth. All fields except Found, Owned and
// Unowned are errors of the report. A reported connection is in at most one of False,
// Reversed and Duplicate.
type Result struct {
	Found     []Conn       // made and reported
	Missing   []Conn       // open in the window, but not reported
	False     []ReportConn // reported, but never established
	Reversed  []ReportConn // reported with client and server swapped
	Duplicate []ReportConn // reported more often than made
	Stale     []ReportConn // closed before the window, but reported as open
	Misplaced []ReportConn // reported with the namespace or the processes of another connection
	Unnamed   []Conn       // reported without the name that the client looked up
	Owned     int          // reported ends with their own process
	Unowned   int          // reported ends without it, though the truth knows it
}

// Err returns an error unless report and truth have the same connections. It ignores
// Unnamed.
func (r Result) Err() error {
	if len(r.Missing)+len(r.False)+len(r.Reversed)+len(r.Duplicate)+len(r.Stale)+len(r.Misplaced) == 0 {
		return nil
	}
	return fmt.Errorf("report and truth differ: %s", r)
}

func (r Result) String() string {
	return fmt.Sprintf("found %d, missing %d, false %d, reversed %d, duplicate %d, stale %d, misplaced %d, unnamed %d, %d ends with process, %d without",
		len(r.Found), len(r.Missing), len(r.False), len(r.Reversed), len(r.Duplicate), len(r.Stale), len(r.Misplaced), len(r.Unnamed), r.Owned, r.Unowned)
}

// edge identifies connections. The namespace counts for loopback addresses only: others
// are the same in all namespaces.
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

// Compare compares a report with the truth. A connection goes from the client's own
// address to the server's own address: before source NAT, after destination NAT. Compare
// ignores connections outside the lab's namespaces and addresses.
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
		c.compare(rc, w)
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
	netns map[uint64]bool // of the lab
	seen  map[edge]int    // how often an edge was reported
}

// compare sorts one reported connection into the result.
func (c *comparison) compare(rc ReportConn, w Window) {
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
	// Several connections may have used the same tuple: one of them must match.
	at := slices.IndexFunc(made, func(t Conn) bool { return t.Client.owns(rc.From) && t.Server.owns(rc.To) })
	if at < 0 {
		c.Misplaced = append(c.Misplaced, rc)
		return
	}
	c.countOwner(made[at].Client, rc.From)
	c.countOwner(made[at].Server, rc.To)
}

// countOwner counts whether an end is reported with its process.
func (c *comparison) countOwner(e endpoint, r ReportEnd) {
	switch {
	case slices.ContainsFunc(r.Processes, e.isProcess):
		c.Owned++
	case e.PID != 0:
		c.Unowned++
	}
}

// ours reports whether a connection is the lab's: by the namespaces of its ends or, if
// both are unknown, by its addresses. Another lab has the same addresses.
func (c *comparison) ours(rc *ReportConn) bool {
	if rc.From.Netns != 0 || rc.To.Netns != 0 {
		return c.netns[rc.From.Netns] || c.netns[rc.To.Netns]
	}
	return slices.ContainsFunc([]netip.Addr{rc.From.Addr, rc.To.Addr}, func(a netip.Addr) bool {
		return range4.Contains(a) || range6.Contains(a)
	})
}

// owns reports whether a reported end can be this one. A namespace or processes that the
// report does not know are no contradiction.
func (e endpoint) owns(r ReportEnd) bool {
	if r.Netns != 0 && r.Netns != e.Netns {
		return false
	}
	return !slices.ContainsFunc(r.Processes, func(p process) bool { return !e.isProcess(p) && !slices.Contains(e.Others, p) })
}

// isProcess reports whether a process is that of the end. Without a PID its name must do.
func (e endpoint) isProcess(p process) bool {
	return p.Comm == e.Comm && (p.PID == e.PID || e.PID == 0)
}

// Summary lists how many connections of each pattern were found, and the differences, one
// a line, at most n of each kind.
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
