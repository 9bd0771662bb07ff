package reporter

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A point is a node of the original's Endpoint topology in the making.
//
// The original stamped each key of a node's metadata with the time at which it
// was set, and where two nodes of one id met, the later stamp won. Of all keys
// only the process and copy_of ever differ between such nodes. A copy's copy_of
// is set anew, so the last one counts. A copy's process has the stamp
// of the node that it was copied from: the number of the row that set it.
type point struct {
	addr        netip.AddrPort // without an address: "<nil>"
	netns       uint64         // in its id
	scoped      bool           // its id begins with the host's name
	conntracked bool
	procspied   bool
	owner       scopeOwner
	ownerRow    int32 // from 1; 0 without a process
	copyOf      int32 // -1 none
	next        *bag  // points that it is a client of
	named       *bag  // labels
}

type pointKey struct {
	addr  netip.AddrPort
	netns uint64
}

// A link is one evidence of an adjacency.
type link struct {
	from, to    int32
	first, last int64
	state       string
	proc        bool // of a row, not of a flow
	ended       bool
}

// A graph is one report in the making.
type graph struct {
	c      *scope2016
	points []point
	index  map[pointKey]int32
	links  []link
	labels []label
	known  map[netip.Addr]*bag // of the address's label alone; nil without names
	ids    []string            // of points
	rank   []int32             // of points, by id
	order  []int32             // points by rank
}

// A label is an address that has names.
type label struct {
	addr             netip.Addr
	forward, reverse []string
}

func (c *scope2016) report() *Report {
	size := 2 * (len(c.flows.active) + len(c.flows.shown) + len(c.proc.rows))
	g := &graph{c: c, points: make([]point, 0, size), index: make(map[pointKey]int32, size), links: make([]link, 0, size/2)}
	if len(c.snooped.byAddr) > 0 || len(c.reversed.byAddr) > 0 {
		g.known = make(map[netip.Addr]*bag)
	}
	g.connect()
	r := &Report{
		HostID: c.hostID, HostName: c.host, Tick: c.tick.Number, At: c.wall + c.tickAt,
		Window: c.tick.Interval, Rules: RulesScope2016,
	}
	if r.Window == 0 {
		r.Window = c.tickAt - c.lastTick
	}
	real := len(g.points) // the others are copies
	processes := g.processes()
	r.Connections = g.connections(processes)
	aliases := g.translate(real)
	g.name()
	r.Endpoints = g.endpoints(processes, aliases)
	r.Names = g.names(r)
	r.Coverage = c.sources.coverage(c.window-1, "")
	r.scope = g.view(r)
	return r
}

// point returns the number of an end's node, which is made if need be.
func (g *graph) point(addr netip.AddrPort, netns uint64) int32 {
	key, scoped := g.key(addr, netns)
	if at, ok := g.index[key]; ok {
		return at
	}
	at := int32(len(g.points))
	g.index[key] = at
	g.points = append(g.points, point{addr: addr, netns: key.netns, scoped: scoped, copyOf: -1})
	return at
}

// key tells what makes a node's id: the scope of an address in a local network
// is the host, that of another loopback address the host and the namespace.
func (g *graph) key(addr netip.AddrPort, netns uint64) (k pointKey, scoped bool) {
	switch a := addr.Addr(); {
	case g.c.isLocal(a):
		return pointKey{addr, 0}, true
	case a.IsLoopback():
		return pointKey{addr, netns}, true
	}
	return pointKey{addr, 0}, false
}

// connect draws an adjacency for every flow and every row.
func (g *graph) connect() {
	seen := make(map[tuple]bool, len(g.c.flows.active)) // by tuple with the smaller end first: whether that is the server
	g.c.flows.each(func(f *scopeFlow, ended bool) {
		t := f.tuple()
		key, swapped := t.undirected()
		seen[key] = swapped
		state := ""
		if f.hasState {
			state = f.state.String()
		}
		l := link{g.end(t.src, 0), g.end(t.dst, 0), f.first, f.last, state, false, ended}
		g.points[l.from].conntracked, g.points[l.to].conntracked = true, true
		g.links = append(g.links, l)
	})
	for i := range g.c.proc.rows {
		w := &g.c.proc.rows[i]
		// A flow knows which end is the client. Else it is the one with the higher
		// port, or, ports being equal, the local one.
		key, swapped := w.undirected()
		server, known := seen[key]
		l := link{g.end(w.src, w.owner.netns), g.end(w.dst, w.owner.netns), w.first, g.c.proc.read, "ESTABLISHED", true, false}
		if local := &g.points[l.from]; w.owner.pid > 0 {
			local.owner, local.ownerRow = w.owner, int32(i+1)
		}
		g.points[l.from].procspied, g.points[l.to].procspied = true, true
		if known && server != swapped || !known && w.src.Port() < w.dst.Port() {
			l.from, l.to = l.to, l.from
		}
		g.links = append(g.links, l)
	}
	g.draw()
}

// undirected gives both directions of a connection one tuple.
func (t tuple) undirected() (key tuple, swapped bool) {
	if t.dst.Compare(t.src) < 0 {
		return t.reversed(), true
	}
	return t, false
}

// end is a node with the names of its address.
func (g *graph) end(addr netip.AddrPort, netns uint64) int32 {
	before := len(g.points)
	at := g.point(addr, netns)
	if len(g.points) > before && g.known != nil {
		g.points[at].named = g.labelled(addr.Addr())
	}
	return at
}

// labelled returns the bag that holds the address's label alone.
func (g *graph) labelled(a netip.Addr) *bag {
	if b, ok := g.known[a]; ok {
		return b
	}
	var b *bag
	l := label{a, g.c.snooped.of(a), g.c.reversed.of(a, g.c.tickAt)}
	if len(l.forward) > 0 || len(l.reverse) > 0 {
		b = &bag{list: []int32{int32(len(g.labels))}, shared: true}
		g.labels = append(g.labels, l)
	}
	g.known[a] = b
	return b
}

// draw sorts the links and gives every node those that it is a client of.
func (g *graph) draw() {
	slices.SortStableFunc(g.links, func(a, b link) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	all := make([]int32, 0, len(g.links))
	bags := make([]bag, 0, len(g.links))
	for i := 0; i < len(g.links); {
		from, start := g.links[i].from, len(all)
		for ; i < len(g.links) && g.links[i].from == from; i++ {
			if len(all) == start || all[len(all)-1] != g.links[i].to {
				all = append(all, g.links[i].to)
			}
		}
		bags = append(bags, bag{list: all[start:len(all):len(all)]})
		g.points[from].next = &bags[len(bags)-1]
	}
}

// translate copies nodes to what NAT shows in their place. It returns what is
// shown in place of the first n nodes. Flows are taken in the order of
// scopeFlows.each; a copy can be copied by a later flow.
func (g *graph) translate(n int) [][]netip.AddrPort {
	var aliases [][]netip.AddrPort
	type taken struct{ next, named int } // how much of a node its copy has
	pairs := make(map[uint64]taken)
	g.c.nat.each(func(f *scopeFlow, _ bool) {
		addr, shown := f.mapping()
		key, _ := g.key(addr, 0)
		real, ok := g.index[key]
		if !ok {
			return
		}
		copied := g.point(shown, 0)
		to, from := &g.points[copied], &g.points[real]
		to.copyOf = real
		if real == copied {
			return
		}
		to.conntracked = to.conntracked || from.conntracked
		to.procspied = to.procspied || from.procspied
		if from.ownerRow > to.ownerRow {
			to.owner, to.ownerRow = from.owner, from.ownerRow
		}
		pair := uint64(real)<<32 | uint64(copied)
		have, again := pairs[pair]
		pairs[pair] = taken{take(&to.next, from.next, have.next), take(&to.named, from.named, have.named)}
		if int(real) < n && !again {
			if aliases == nil {
				aliases = make([][]netip.AddrPort, n)
			}
			aliases[real] = append(aliases[real], shown)
		}
	})
	return aliases
}

// A bag is a set of numbers that grows at its end. Nodes share one until they
// come to differ. Nil is the empty bag.
type bag struct {
	list   []int32
	has    map[int32]bool // of what is in the list, once that is long
	shared bool           // it must not grow
	ids    []string       // of points, sorted
	sets   []ScopeSet     // of labels
}

// take adds what a bag holds behind its first done elements. It returns how many
// elements the bag has.
func take(to **bag, from *bag, done int) int {
	if from == nil {
		return 0
	}
	if *to == nil {
		*to, from.shared = from, true
	}
	if *to != from {
		for _, x := range from.list[done:] {
			if !(*to).holds(x) {
				(*to).add(to, x)
			}
		}
	}
	return len(from.list)
}

func (b *bag) holds(x int32) bool {
	const short = 16
	if len(b.list) <= short {
		return slices.Contains(b.list, x)
	}
	if b.has == nil {
		b.has = make(map[int32]bool, 2*len(b.list))
		for _, y := range b.list {
			b.has[y] = true
		}
	}
	return b.has[x]
}

// add adds a number, to a bag of its own if others share it.
func (b *bag) add(at **bag, x int32) {
	if b.shared {
		b = &bag{list: slices.Clone(b.list)}
		*at = b
	}
	b.list = append(b.list, x)
	if b.has != nil {
		b.has[x] = true
	}
}

// name makes the ids, and the order of the nodes by them.
func (g *graph) name() {
	var all strings.Builder
	all.Grow(32 * len(g.points))
	g.ids = make([]string, len(g.points))
	g.order = make([]int32, len(g.points))
	g.rank = make([]int32, len(g.points))
	var b []byte
	for i := range g.points {
		b = g.appendID(b[:0], &g.points[i])
		at := all.Len()
		all.Write(b)
		g.ids[i], g.order[i] = all.String()[at:], int32(i)
	}
	slices.SortFunc(g.order, func(x, y int32) int { return strings.Compare(g.ids[x], g.ids[y]) })
	for rank, at := range g.order {
		g.rank[at] = int32(rank)
	}
}

// appendID appends scope;addr;port.
func (g *graph) appendID(b []byte, p *point) []byte {
	if p.scoped {
		b = append(b, g.c.hostID...)
		if p.netns != 0 {
			b = strconv.AppendUint(append(b, '-'), p.netns, 10)
		}
	}
	b = append(b, ';')
	if p.addr.Addr().IsValid() {
		b = p.addr.Addr().AppendTo(b)
	} else {
		b = append(b, "<nil>"...)
	}
	return strconv.AppendUint(append(b, ';'), uint64(p.addr.Port()), 10)
}
