package survey

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/report"
)

// Statistics count the connections of tapes.
type Statistics struct {
	Connections uint64
	LeftOut     uint64 // connections beyond the maximum
	Talkers     []Talker
	Servers     []Ranked // addresses and ports
	Processes   []Ranked // by name
	Names       []Ranked // of servers
	NAT         []Ranked // none, snat, dnat, both, redirect
	Directions  []Ranked // the evidence for which end is the client
	NoProcess   Lacking  // at either end
	NoName      Lacking  // for either end
	Tables      TableOrder
	Coverage    []report.Coverage // of the last report
}

// Ranked is a value and the number of connections that have it.
type Ranked struct {
	What        string
	Connections uint64
}

// A Talker is an address and the number of its connections.
type Talker struct {
	Addr        netip.Addr
	Connections uint64
	Names       []string
}

// Lacking counts connections that lack something, by the probable reason.
type Lacking struct {
	Connections uint64
	Why         []Ranked
}

// Measure replays tapes and counts their connections, at most maxConnections
// (0 is 1,000,000). Lists of talkers, servers, processes and names have top elements.
// each is called with every record.
func Measure(inputs []replay.Input, top, maxConnections int, each func(*capture.Header, *capture.Record)) (*Statistics, *replay.Summary, error) {
	m := &measurer{local: map[netip.Addr]bool{}, talkers: map[netip.Addr]*Talker{}, maxTalkers: 2 * cmp.Or(maxConnections, fold.DefaultMax)}
	var whole *report.Report
	o := replay.Options{Reports: replay.Whole, ReadOn: true, MaxConnections: maxConnections, Each: func(h *capture.Header, r *capture.Record) {
		m.facts.add(r)
		each(h, r)
	}}
	summary, err := replay.Run(inputs, o, func(r *report.Report) error {
		whole = r
		return nil
	})
	if err != nil {
		return nil, summary, err
	}
	m.result.LeftOut = summary.LeftOut
	if whole != nil {
		m.report(whole)
	}
	return m.finish(top), summary, nil
}

// A measurer collects facts from all records, and then counts the connections of one
// folded report.
type measurer struct {
	result     Statistics
	facts      recordFacts
	sources    map[string]bool     // kinds that are on the tape
	local      map[netip.Addr]bool // addresses of ends with a namespace or a process
	names      map[netip.Addr][]string
	talkers    map[netip.Addr]*Talker
	maxTalkers int
	ranks      [rankings]map[string]uint64
}

// What connections are counted by.
const (
	byServer = iota
	byProcess
	byName
	byNAT
	byDirection
	byNoProcess
	byNoName
	rankings
)

func (m *measurer) rank(list int, what string) {
	if m.ranks[list] == nil {
		m.ranks[list] = map[string]uint64{}
	}
	m.ranks[list][what]++
}

// talks counts a connection of an address.
func (m *measurer) talks(a netip.Addr) {
	t := m.talkers[a]
	if t == nil {
		if len(m.talkers) >= m.maxTalkers {
			return
		}
		t = &Talker{Addr: a}
		m.talkers[a] = t
	}
	t.Connections++
}

// report counts the connections of a report.
func (m *measurer) report(r *report.Report) {
	m.result.Coverage = r.Coverage
	m.sources = map[string]bool{}
	for _, c := range r.Coverage {
		m.sources[c.Source] = m.sources[c.Source] || c.State != report.CoverageOff || c.Records > 0
	}
	m.names = map[netip.Addr][]string{}
	for i := range r.Names {
		n := &r.Names[i]
		list := slices.Concat(n.Forward, n.Reverse)
		if n.Host != "" {
			list = append(list, n.Host)
		}
		m.names[n.Addr] = list
	}
	for i := range r.Connections {
		for _, e := range [...]*report.End{&r.Connections[i].From, &r.Connections[i].To} {
			if e.Netns != 0 || len(e.Processes) > 0 {
				m.local[e.Addr.Addr()] = true
			}
		}
	}
	for i := range r.Connections {
		m.connection(&r.Connections[i])
	}
}

func (m *measurer) connection(c *report.Connection) {
	m.result.Connections++
	from, to := c.From.Addr.Addr(), c.To.Addr.Addr()
	m.talks(from)
	if to != from {
		m.talks(to)
	}
	m.rank(byServer, c.To.Addr.String())
	m.rank(byDirection, string(c.Direction))
	m.rank(byNAT, m.natKind(c))
	var seen []string
	for _, p := range slices.Concat(c.From.Processes, c.To.Processes) {
		if name := cmp.Or(p.Comm, "(no name)"); !slices.Contains(seen, name) {
			seen = append(seen, name)
			m.rank(byProcess, name)
		}
	}
	if len(seen) == 0 {
		m.rank(byNoProcess, m.whyNoProcess(c))
	}
	for _, name := range m.names[to] {
		m.rank(byName, name)
	}
	if len(m.names[from]) == 0 && len(m.names[to]) == 0 {
		m.rank(byNoName, m.whyNoName(c))
	}
}

// natKind returns which ends NAT translates. redirect is a destination that became an
// address of this host.
func (m *measurer) natKind(c *report.Connection) string {
	var src, dst bool
	var server netip.Addr
	for i := range c.NAT {
		n := &c.NAT[i]
		src = src || n.OriginalSrc != n.ReplyDst
		if n.OriginalDst != n.ReplySrc {
			dst, server = true, n.ReplySrc.Addr()
		}
	}
	switch {
	case dst && !src && (server.IsLoopback() || m.facts.hostAddrs[server]):
		return "redirect"
	case src && dst:
		return "both"
	case src:
		return "snat"
	case dst:
		return "dnat"
	}
	return "none"
}

// whyNoProcess returns the most probable reason why no process is known.
func (m *measurer) whyNoProcess(c *report.Connection) string {
	isLocal := func(a netip.Addr) bool { return a.IsLoopback() || m.facts.hostAddrs[a] || m.local[a] }
	switch {
	case !m.sources[capture.SourceProc] || len(m.facts.walks) == 0:
		return "no walk of /proc is on the tape"
	case slices.Contains(c.Seen, capture.SourceProc):
		return "a socket was seen, and no walk found who holds it"
	case !isLocal(c.From.Addr.Addr()) && !isLocal(c.To.Addr.Addr()):
		return "neither end is on this host"
	case !m.facts.walkWithin(c.FirstSeen, c.LastSeen):
		return "it came and went between two walks of /proc"
	}
	return "no socket table shows it: its namespace was not read"
}

// whyNoName returns the most probable reason why no name is known.
func (m *measurer) whyNoName(c *report.Connection) string {
	from, to := c.From.Addr.Addr(), c.To.Addr.Addr()
	switch {
	case from.IsLoopback() && to.IsLoopback():
		return "both ends are loopback"
	case !m.sources[capture.SourceDNS] && !m.sources[capture.SourceRDNS]:
		return "neither dns nor rdns is on the tape"
	}
	return "no answer with either address was seen"
}

// finish sorts and shortens the lists.
func (m *measurer) finish(top int) *Statistics {
	s := &m.result
	list := make([]Talker, 0, len(m.talkers))
	for _, t := range m.talkers {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b Talker) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), a.Addr.Compare(b.Addr))
	})
	s.Talkers = list[:min(top, len(list))]
	for i := range s.Talkers {
		s.Talkers[i].Names = m.names[s.Talkers[i].Addr]
	}
	s.Servers, s.Processes, s.Names = m.ranked(byServer, top), m.ranked(byProcess, top), m.ranked(byName, top)
	s.NAT, s.Directions = m.ranked(byNAT, 0), m.ranked(byDirection, 0)
	s.NoProcess, s.NoName = lacking(m.ranked(byNoProcess, 0)), lacking(m.ranked(byNoName, 0))
	s.Tables = m.facts.tables
	return s
}

// ranked returns the first values of a list, the most frequent first; top 0 is all.
func (m *measurer) ranked(list, top int) []Ranked {
	all := make([]Ranked, 0, len(m.ranks[list]))
	for what, n := range m.ranks[list] {
		all = append(all, Ranked{what, n})
	}
	slices.SortFunc(all, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), strings.Compare(a.What, b.What))
	})
	if top > 0 && len(all) > top {
		all = all[:top]
	}
	return all
}

func lacking(why []Ranked) Lacking {
	l := Lacking{Why: why}
	for _, w := range why {
		l.Connections += w.Connections
	}
	return l
}
