package tools

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/reporter/report"
)

// tampered are facts with an error about a connection that stays open: a checker must find
// differences that it cannot explain.
type tampered struct {
	*tapeFacts
	times int // how often the error is in the facts
}

// tamper adds errors to the reports and to the tables, and checks that they are found.
func tamper(t *testing.T, facts *tapeFacts, settled *snapshot, snapshots []*snapshot, spaces []uint64) {
	target, ok := stayed(newChecker(facts, spaces...), settled)
	if !ok {
		t.Fatal("no connection of the lab stayed")
	}
	for name, s := range map[string]tampered{
		"a connection is missing": facts.withReports(target, func(rest []report.Connection, c report.Connection) []report.Connection {
			return rest
		}),
		"a ghost": facts.withReports(target, func(rest []report.Connection, c report.Connection) []report.Connection {
			ghost := c
			ghost.NAT = nil
			ghost.From.Addr = netip.AddrPortFrom(ghost.From.Addr.Addr(), 9)
			return append(rest, c, ghost)
		}),
		"a wrong process": facts.withReports(target, func(rest []report.Connection, c report.Connection) []report.Connection {
			c.From.Processes = []report.Process{{PID: 1, Comm: "init"}}
			return append(rest, c)
		}),
		"a row is missing": facts.withoutRow(way{target.From.Addr, target.To.Addr}),
	} {
		ch := newChecker(s.tapeFacts, spaces...)
		if !ch.flows(settled) || !ch.sockets(settled) {
			t.Fatal("no report around the last snapshot")
		}
		ch.checkWalks(append(slices.Clone(snapshots), settled))
		if s.times == 0 || len(ch.unexplained) == 0 {
			t.Errorf("%s: %d times, all explained: %v", name, s.times, ch)
		}
	}
}

// stayed returns a routed connection of the lab that is in the reports before and after the
// last snapshot, with the processes of both ends.
func stayed(ch *checker, settled *snapshot) (report.Connection, bool) {
	before, after := ch.around(settled)
	if before == nil {
		return report.Connection{}, false
	}
	is := ch.connections(after)
	for _, c := range before.conns {
		name, _ := nameOf(&c)
		if !c.Closed && ch.ours(&c) && is[name] && len(c.NAT) == 0 && len(c.From.Processes) > 0 && len(c.To.Processes) > 0 && settled.flows[name] {
			return c, true
		}
	}
	return report.Connection{}, false
}

// withReports changes every report with a connection. The function change gets the
// connection and the other connections.
func (s *tapeFacts) withReports(target report.Connection, change func(rest []report.Connection, c report.Connection) []report.Connection) tampered {
	copied := *s
	out := tampered{tapeFacts: &copied}
	copied.ticks = slices.Clone(s.ticks)
	for i := range copied.ticks {
		conns := slices.Clone(copied.ticks[i].conns)
		at := slices.IndexFunc(conns, func(c report.Connection) bool {
			return c.From.Addr == target.From.Addr && c.To.Addr == target.To.Addr && !c.Closed
		})
		if at >= 0 {
			c := conns[at]
			copied.ticks[i].conns = change(slices.Delete(conns, at, at+1), c)
			out.times++
		}
	}
	return out
}

// withoutRow removes a socket's row from every table.
func (s *tapeFacts) withoutRow(w way) tampered {
	copied := *s
	out := tampered{tapeFacts: &copied}
	copied.walks = nil
	for _, old := range s.walks {
		walk := *old
		walk.tables = map[tableName]*tableRead{}
		for name, table := range old.tables {
			t := *table
			t.inodes = maps.Clone(table.inodes)
			if _, ok := t.inodes[w]; ok {
				delete(t.inodes, w)
				out.times++
			}
			walk.tables[name] = &t
		}
		copied.walks = append(copied.walks, &walk)
	}
	return out
}
