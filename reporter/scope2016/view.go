package scope2016

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/topotape/topotape/reporter/report"
)

// processes lists, by node, the one process that a node has.
func (t *topology) processes() [][]report.Process {
	list := make([][]report.Process, len(t.nodes))
	for i := range t.nodes {
		if n := &t.nodes[i]; n.ownerRow > 0 {
			list[i] = []report.Process{{PID: n.owner.pid, Comm: n.owner.comm}}
		}
	}
	return list
}

// connections makes one connection of the observations of the same two nodes. Only the
// view shows nodes without an address.
func (t *topology) connections(processes [][]report.Process) []report.Connection {
	end := func(at int) report.End {
		n := &t.nodes[at]
		e := report.End{Addr: n.addr, Netns: n.netns, Processes: processes[at]}
		if !n.addr.Addr().IsLoopback() && n.ownerRow > 0 {
			e.Netns = n.owner.netns
		}
		return e
	}
	out := make([]report.Connection, 0, len(t.observations))
	for rest := t.observations; len(rest) > 0; {
		from, to := rest[0].from, rest[0].to
		n := 1
		for n < len(rest) && rest[n].from == from && rest[n].to == to {
			n++
		}
		if t.nodes[from].addr.IsValid() && t.nodes[to].addr.IsValid() {
			c := report.Connection{Proto: "tcp", From: end(from), To: end(to), Direction: report.DirectionScope}
			combine(&c, rest[:n])
			out = append(out, c)
		}
		rest = rest[n:]
	}
	slices.SortFunc(out, func(a, b report.Connection) int {
		return cmp.Or(a.From.Addr.Compare(b.From.Addr), a.To.Addr.Compare(b.To.Addr),
			cmp.Compare(a.From.Netns, b.From.Netns), cmp.Compare(a.To.Netns, b.To.Netns))
	})
	return out
}

// combine sets what several observations show: the times span all of them, and the
// state is that of the first one that has not ended.
func combine(c *report.Connection, all []observation) {
	c.State, c.FirstSeen, c.LastSeen, c.Closed = all[0].state, all[0].first, all[0].last, true
	flows, rows := false, false
	for _, o := range all {
		c.FirstSeen, c.LastSeen = min(c.FirstSeen, o.first), max(c.LastSeen, o.last)
		if c.Closed && !o.ended {
			c.Closed, c.State = false, o.state
		}
		flows, rows = flows || !o.row, rows || o.row
	}
	c.Seen = report.SeenBy(flows, rows, false)
}

// endpoints lists the nodes that are not copies: the first ones, for which there are
// processes.
func (t *topology) endpoints(processes [][]report.Process, aliases [][]netip.AddrPort) []report.Endpoint {
	out := make([]report.Endpoint, 0, len(processes))
	for _, at := range t.order {
		if at >= len(processes) || !t.nodes[at].addr.IsValid() {
			continue
		}
		slices.SortFunc(aliases[at], netip.AddrPort.Compare)
		out = append(out, report.Endpoint{Scope: t.scopeOf(&t.nodes[at]), Addr: t.nodes[at].addr, Processes: processes[at], Aliases: slices.Compact(aliases[at])})
	}
	slices.SortFunc(out, func(a, b report.Endpoint) int { return a.Compare(&b) })
	return out
}

// names lists the names of the addresses in the report.
func (t *topology) names(r *report.Report) []report.Names {
	for i := range r.Endpoints {
		for _, a := range r.Endpoints[i].Aliases {
			t.nameSet(a.Addr())
		}
	}
	var out []report.Names
	for _, n := range t.named {
		out = append(out, report.Names{Addr: n.addr, Forward: n.forward, Reverse: n.reverse})
	}
	slices.SortFunc(out, func(a, b report.Names) int { return a.Addr.Compare(b.Addr) })
	return out
}

// view makes the report of Weave Scope. All times in it are the tick's.
func (t *topology) view(r *report.Report) *report.ScopeReport {
	s := &report.ScopeReport{HostID: r.HostID, HostName: r.HostName, At: r.At, Nodes: make([]report.ScopeNode, len(t.nodes))}
	s.LocalNetworks = slices.Clone(t.machine.localNetworks)
	slices.Sort(s.LocalNetworks)
	s.LocalNetworks = slices.Compact(s.LocalNetworks)
	for rank, at := range t.order {
		n := &t.nodes[at]
		s.Nodes[rank] = report.ScopeNode{ID: t.ids[at], Latest: t.latest(n, r.At), Sets: t.namesIn(n.names), Adjacency: t.idsIn(n.servers)}
	}
	return s
}

// latest makes a node's metadata, sorted by key.
func (t *topology) latest(n *node, now int64) []report.ScopeValue {
	list := make([]report.ScopeValue, 0, 7)
	set := func(key, value string) { list = append(list, report.ScopeValue{Key: key, Value: value, At: now}) }
	set("addr", n.addrText())
	if n.conntracked {
		set("conntracked", "true")
	}
	if n.copyOf >= 0 {
		set("copy_of", t.ids[n.copyOf])
	}
	if n.ownerRow > 0 {
		set("host_node_id", t.machine.hostID+";<host>")
		set("pid", strconv.FormatUint(uint64(n.owner.pid), 10))
	}
	set("port", n.portText())
	if n.procspied {
		set("procspied", "true")
	}
	return list
}

// idsIn lists the ids of the nodes in a set, sorted.
func (t *topology) idsIn(s *indexSet) []string {
	if s == nil {
		return nil
	}
	if s.ids == nil {
		ranks := make([]int, 0, len(s.list))
		for _, at := range s.list {
			ranks = append(ranks, t.rank[at])
		}
		slices.Sort(ranks)
		for _, rank := range ranks {
			s.ids = append(s.ids, t.ids[t.order[rank]])
		}
	}
	return s.ids
}

// namesIn lists the names of the namedAddrs in a set.
func (t *topology) namesIn(s *indexSet) []report.ScopeSet {
	if s == nil {
		return nil
	}
	if s.names == nil {
		var forward, reverse []string
		for _, at := range s.list {
			forward = append(forward, t.named[at].forward...)
			reverse = append(reverse, t.named[at].reverse...)
		}
		add := func(name string, values []string) {
			slices.Sort(values)
			if len(values) > 0 {
				s.names = append(s.names, report.ScopeSet{Name: name, Values: slices.Compact(values)})
			}
		}
		add("reverse_dns_names", reverse)
		add("snooped_dns_names", forward)
	}
	return s.names
}
