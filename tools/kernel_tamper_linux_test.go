package tools

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/reporter"
)

// A spoiled story is one in which something is told wrong of a connection that
// stayed: there must be residues.
type spoiled struct {
	*tapeStory
	times int // it was told wrong
}

// tamper spoils what the reports or tables say.
func tamper(t *testing.T, story *tapeStory, settled *look, looks []*look, spaces []uint64) {
	target, ok := stayed(newJudge(story, spaces...), settled)
	if !ok {
		t.Fatal("no connection of the lab stayed")
	}
	for name, s := range map[string]spoiled{
		"a connection is missing": story.withReports(target, func(rest []reporter.Connection, c reporter.Connection) []reporter.Connection {
			return rest
		}),
		"a ghost": story.withReports(target, func(rest []reporter.Connection, c reporter.Connection) []reporter.Connection {
			ghost := c
			ghost.NAT = nil
			ghost.From.Addr = netip.AddrPortFrom(ghost.From.Addr.Addr(), 9)
			return append(rest, c, ghost)
		}),
		"a wrong process": story.withReports(target, func(rest []reporter.Connection, c reporter.Connection) []reporter.Connection {
			c.From.Processes = []reporter.Process{{PID: 1, Comm: "init"}}
			return append(rest, c)
		}),
		"a row is missing": story.withTables(way{target.From.Addr, target.To.Addr}),
	} {
		j := newJudge(s.tapeStory, spaces...)
		if !j.flows(settled) || !j.sockets(settled) {
			t.Fatal("no report around the last look")
		}
		j.walksBetween(append(slices.Clone(looks), settled))
		if s.times == 0 || len(j.residues) == 0 {
			t.Errorf("%s: told %d times, no residue: %v", name, s.times, j)
		}
	}
}

// stayed returns a routed connection of the lab, with the processes of both ends
// known, that is in the reports before and after the last look.
func stayed(j *judge, settled *look) (reporter.Connection, bool) {
	before, after := j.around(settled)
	if before == nil {
		return reporter.Connection{}, false
	}
	is := j.connections(after)
	for _, c := range before.conns {
		name, _ := nameOf(&c)
		if !c.Closed && j.ours(&c) && is[name] && len(c.NAT) == 0 && len(c.From.Processes) > 0 && len(c.To.Processes) > 0 && settled.flows[name] {
			return c, true
		}
	}
	return reporter.Connection{}, false
}

// withReports changes every report of a connection: the change is given it and
// the others.
func (s *tapeStory) withReports(target reporter.Connection, change func(rest []reporter.Connection, c reporter.Connection) []reporter.Connection) spoiled {
	copied := *s
	out := spoiled{tapeStory: &copied}
	copied.ticks = slices.Clone(s.ticks)
	for i := range copied.ticks {
		conns := slices.Clone(copied.ticks[i].conns)
		at := slices.IndexFunc(conns, func(c reporter.Connection) bool {
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

// withTables takes a socket's row out of every table.
func (s *tapeStory) withTables(w way) spoiled {
	copied := *s
	out := spoiled{tapeStory: &copied}
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
