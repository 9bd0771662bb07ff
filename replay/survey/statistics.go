package survey

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter/report"
)

// statistics count the connections of tapes. No list is nil.
type statistics struct {
	Connections uint64           `json:"connections"`
	LeftOut     uint64           `json:"left_out"`          // connections beyond the maximum
	Stopped     string           `json:"stopped,omitempty"` // why the connections after some record are not counted
	New         pace             `json:"new"`
	Closed      pace             `json:"closed"`
	Directions  []ranked[string] `json:"directions"`      // the evidence for which end is the client
	NAT         []ranked[string] `json:"nat"`             // none, snat, dnat, both, redirect
	NoProcess   lacking          `json:"without_process"` // at either end
	NoName      lacking          `json:"without_name"`    // for either end
	Talkers     []talker         `json:"talkers"`
	Servers     []ranked[string] `json:"servers"`   // addresses and ports
	Processes   []ranked[string] `json:"processes"` // by name
	Names       []ranked[string] `json:"names"`     // of servers
	Disorder    disorder         `json:"disorder"`
}

// A ranked value has the number of connections that have it.
type ranked[T any] struct {
	What        T      `json:"what"`
	Connections uint64 `json:"connections"`
}

// lacking counts connections that lack something, by the probable reason.
type lacking struct {
	Connections uint64           `json:"connections"`
	Share       float64          `json:"share"` // of all, 0 to 1
	Why         []ranked[string] `json:"why"`
}

// A talker is an address and the number of its connections.
type talker struct {
	Addr        netip.Addr `json:"addr"`
	Connections uint64     `json:"connections"`
	Bytes       *uint64    `json:"bytes"` // of flows that ended; null where the kernel did not count
	Names       []string   `json:"names"`
}

// AddTop replays the inputs of the survey and adds Top, whose lists of talkers, servers,
// processes and names get at most top elements. Beyond maxConnections, 0 for 1,000,000,
// connections are only counted.
func (v *Survey) AddTop(inputs []replay.Input, top, maxConnections int) error {
	m := newMeasurer()
	o := replay.Options{Reports: replay.Whole, ReadOn: true, MaxConnections: maxConnections, Each: m.facts.add}
	summary, err := replay.Run(inputs, o, func(r *report.Report) error {
		m.report(r)
		v.addCoverage(r.Coverage)
		return nil
	})
	if err != nil {
		return err
	}
	v.Top = m.statistics(top, v.Duration)
	v.Top.LeftOut = summary.LeftOut
	switch {
	case summary.Damage != nil:
		v.Top.Stopped = "the replay stopped at the damage"
	case summary.Panic != nil:
		v.Top.Stopped = fmt.Sprintf("the core panicked on record %d", summary.Panic.Record)
	}
	return nil
}

// addCoverage takes the coverage of the last report, which has one entry for a kind
// of source, where the tapes have one source of that kind.
func (v *Survey) addCoverage(reported []report.Coverage) {
	for _, r := range reported {
		var found []*coverage
		for i := range v.Coverage {
			if v.Coverage[i].Kind == r.Source {
				found = append(found, &v.Coverage[i])
			}
		}
		if len(found) == 1 {
			c := found[0]
			c.Undecodable, c.Ignored = &r.Undecodable, &r.Ignored
			if c.State == report.CoverageOK || r.State != report.CoverageOK { // an ok is that of the last window
				c.State, c.Why = r.State, r.Why
			}
		}
	}
}

// A measurer collects facts from all records, and then counts the connections of one
// folded report.
type measurer struct {
	facts       recordFacts
	connections uint64
	sources     map[string]bool     // kinds that are on the tape
	local       map[netip.Addr]bool // addresses of ends with a namespace or a process
	names       map[netip.Addr][]string

	// Connections by what they have:
	talkers    ranking[netip.Addr]
	servers    ranking[string]
	processes  ranking[string]
	hosts      ranking[string] // names of servers
	nat        ranking[string]
	directions ranking[string]
	noProcess  ranking[string]
	noName     ranking[string]
}

func newMeasurer() *measurer {
	return &measurer{facts: newRecordFacts(), sources: map[string]bool{}, local: map[netip.Addr]bool{}, names: map[netip.Addr][]string{},
		talkers: ranking[netip.Addr]{}, servers: ranking[string]{}, processes: ranking[string]{}, hosts: ranking[string]{},
		nat: ranking[string]{}, directions: ranking[string]{}, noProcess: ranking[string]{}, noName: ranking[string]{}}
}

// A ranking counts connections by a value.
type ranking[T comparable] map[T]uint64

// top returns the first n values, the most frequent first and then in the order of
// compare; n 0 is all.
func (r ranking[T]) top(n int, compare func(a, b T) int) []ranked[T] {
	all := make([]ranked[T], 0, len(r))
	for what, connections := range r {
		all = append(all, ranked[T]{what, connections})
	}
	slices.SortFunc(all, func(a, b ranked[T]) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), compare(a.What, b.What))
	})
	if n > 0 {
		all = all[:min(n, len(all))]
	}
	return all
}

// report counts the connections of a report.
func (m *measurer) report(r *report.Report) {
	m.connections = uint64(len(r.Connections))
	for _, c := range r.Coverage {
		m.sources[c.Source] = m.sources[c.Source] || c.State != report.CoverageOff || c.Records > 0
	}
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
	from, to := c.From.Addr.Addr(), c.To.Addr.Addr()
	m.talkers[from]++
	if to != from {
		m.talkers[to]++
	}
	m.servers[c.To.Addr.String()]++
	m.directions[string(c.Direction)]++
	m.nat[m.natKind(c)]++
	var seen []string
	for _, p := range slices.Concat(c.From.Processes, c.To.Processes) {
		if name := cmp.Or(p.Comm, "(no name)"); !slices.Contains(seen, name) {
			seen = append(seen, name)
			m.processes[name]++
		}
	}
	if len(seen) == 0 {
		m.noProcess[m.whyNoProcess(c)]++
	}
	for _, name := range m.names[to] {
		m.hosts[name]++
	}
	if len(m.names[from]) == 0 && len(m.names[to]) == 0 {
		m.noName[m.whyNoName(c)]++
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

// statistics returns the counts. Lists of talkers, servers, processes and names have
// top elements; rates are over the duration.
func (m *measurer) statistics(top int, d duration) *statistics {
	f := &m.facts
	f.opened.Rate, f.closed.Rate = perSecond(f.opened.Count, d), perSecond(f.closed.Count, d)
	f.disorder.EventsLate = duration(f.late / int64(max(f.disorder.Events, 1)))
	s := &statistics{Connections: m.connections, New: f.opened, Closed: f.closed,
		Directions: m.directions.top(0, strings.Compare), NAT: m.nat.top(0, strings.Compare), NoProcess: m.lacking(m.noProcess), NoName: m.lacking(m.noName),
		Talkers: []talker{}, Servers: m.servers.top(top, strings.Compare), Processes: m.processes.top(top, strings.Compare), Names: m.hosts.top(top, strings.Compare),
		Disorder: f.disorder}
	for _, r := range m.talkers.top(top, netip.Addr.Compare) {
		t := talker{Addr: r.What, Connections: r.Connections, Names: append([]string{}, m.names[r.What]...)}
		if n, counted := f.traffic[r.What]; counted {
			t.Bytes = &n
		}
		s.Talkers = append(s.Talkers, t)
	}
	return s
}

// lacking returns how many connections lack something, for which reasons.
func (m *measurer) lacking(why ranking[string]) lacking {
	l := lacking{Why: why.top(0, strings.Compare)}
	for _, w := range l.Why {
		l.Connections += w.Connections
	}
	l.Share = float64(l.Connections) / float64(max(m.connections, 1))
	return l
}
