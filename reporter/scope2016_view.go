package reporter

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// processes lists, node by node, the one process that a node has.
func (g *graph) processes() [][]Process {
	list := make([][]Process, len(g.points))
	all := make([]Process, 0, len(g.points))
	for i := range g.points {
		if p := &g.points[i]; p.ownerRow > 0 {
			all = append(all, Process{p.owner.pid, p.owner.comm})
			list[i] = all[len(all)-1 : len(all) : len(all)]
		}
	}
	return list
}

// connections makes one of each adjacency. Those that an end without an
// address has stand in the view alone.
func (g *graph) connections(processes [][]Process) []Connection {
	end := func(at int32) End {
		p := &g.points[at]
		e := End{Addr: p.addr, Netns: p.netns, Processes: processes[at]}
		if !p.addr.Addr().IsLoopback() && p.ownerRow > 0 {
			e.Netns = p.owner.netns
		}
		return e
	}
	out := make([]Connection, 0, len(g.links))
	for i := 0; i < len(g.links); {
		l := g.links[i]
		same := i
		for ; i < len(g.links) && g.links[i].from == l.from && g.links[i].to == l.to; i++ {
		}
		if !g.points[l.from].addr.IsValid() || !g.points[l.to].addr.IsValid() {
			continue
		}
		c := Connection{Proto: "tcp", From: end(l.from), To: end(l.to), Direction: DirectionScope, State: l.state,
			FirstSeen: l.first, LastSeen: l.last, Closed: true}
		flows, rows := false, false
		for _, l := range g.links[same:i] {
			c.FirstSeen, c.LastSeen = min(c.FirstSeen, l.first), max(c.LastSeen, l.last)
			if c.Closed && !l.ended { // the first that lives tells the state
				c.Closed, c.State = false, l.state
			}
			flows, rows = flows || !l.proc, rows || l.proc
		}
		switch {
		case flows && rows:
			c.Seen = seenBoth
		case flows:
			c.Seen = seenConntrack
		default:
			c.Seen = seenProc
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Connection) int {
		return cmp.Or(a.From.Addr.Compare(b.From.Addr), a.To.Addr.Compare(b.To.Addr),
			cmp.Compare(a.From.Netns, b.From.Netns), cmp.Compare(a.To.Netns, b.To.Netns))
	})
	return out
}

// endpoints lists the nodes that are no copies.
func (g *graph) endpoints(processes [][]Process, aliases [][]netip.AddrPort) []Endpoint {
	out := make([]Endpoint, 0, len(processes))
	for _, at := range g.order {
		if int(at) >= len(processes) || !g.points[at].addr.IsValid() {
			continue
		}
		e := Endpoint{Addr: g.points[at].addr, Processes: processes[at]}
		var room [64]byte
		e.Scope = g.ids[at][:len(g.ids[at])-len(e.AppendID(room[:0]))]
		if aliases != nil {
			slices.SortFunc(aliases[at], netip.AddrPort.Compare)
			e.Aliases = slices.Compact(aliases[at])
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Endpoint) int { return a.Compare(&b) })
	return out
}

// names lists those of the addresses that occur in the report.
func (g *graph) names(r *Report) []Names {
	if g.known == nil {
		return nil
	}
	for i := range r.Endpoints {
		for _, a := range r.Endpoints[i].Aliases {
			g.labelled(a.Addr())
		}
	}
	out := make([]Names, 0, len(g.labels))
	for _, l := range g.labels {
		out = append(out, Names{Addr: l.addr, Forward: l.forward, Reverse: l.reverse})
	}
	slices.SortFunc(out, func(a, b Names) int { return a.Addr.Compare(b.Addr) })
	return out
}

// view is the report as Weave Scope has it. All times in it are the tick's.
func (g *graph) view(r *Report) *ScopeReport {
	s := &ScopeReport{HostID: r.HostID, HostName: r.HostName, At: r.At, Nodes: make([]ScopeNode, len(g.points))}
	s.LocalNetworks = slices.Clone(g.c.listed)
	slices.Sort(s.LocalNetworks)
	s.LocalNetworks = slices.Compact(s.LocalNetworks)
	host := g.c.hostID + ";<host>"
	latest := make([]ScopeValue, 0, 5*len(g.points))
	for rank, at := range g.order {
		p := &g.points[at]
		first := len(latest)
		set := func(key, value string) { latest = append(latest, ScopeValue{key, value, r.At}) }
		id := g.ids[at]
		port := strings.LastIndexByte(id, ';')
		addr := strings.LastIndexByte(id[:port], ';')
		set("addr", id[addr+1:port])
		if p.conntracked {
			set("conntracked", "true")
		}
		if p.copyOf >= 0 {
			set("copy_of", g.ids[p.copyOf])
		}
		if p.ownerRow > 0 {
			set("host_node_id", host)
			set("pid", strconv.FormatUint(uint64(p.owner.pid), 10))
		}
		set("port", id[port+1:])
		if p.procspied {
			set("procspied", "true")
		}
		s.Nodes[rank] = ScopeNode{ID: id, Latest: slices.Clip(latest[first:]), Sets: g.setsOf(p.named), Adjacency: g.idsOf(p.next)}
	}
	return s
}

// idsOf lists the ids of the points in a bag, sorted.
func (g *graph) idsOf(b *bag) []string {
	if b == nil {
		return nil
	}
	if b.ids == nil {
		b.ids = make([]string, len(b.list))
		ranks := make([]int32, len(b.list))
		for i, at := range b.list {
			ranks[i] = g.rank[at]
		}
		slices.Sort(ranks)
		for i, rank := range ranks {
			b.ids[i] = g.ids[g.order[rank]]
		}
	}
	return b.ids
}

// setsOf joins the names of the labels in a bag.
func (g *graph) setsOf(b *bag) []ScopeSet {
	if b == nil {
		return nil
	}
	if b.sets == nil {
		var forward, reverse []string
		for _, at := range b.list {
			forward = append(forward, g.labels[at].forward...)
			reverse = append(reverse, g.labels[at].reverse...)
		}
		add := func(name string, values []string) {
			slices.Sort(values)
			if len(values) > 0 {
				b.sets = append(b.sets, ScopeSet{name, slices.Compact(values)})
			}
		}
		add("reverse_dns_names", reverse)
		add("snooped_dns_names", forward)
	}
	return b.sets
}
