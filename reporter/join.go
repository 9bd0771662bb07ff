package reporter

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// A join makes a report's connections from flows and socket rows. Its lists
// are reused from report to report, those of the report are if it is released.
type join struct {
	c    *current
	ties []tie
	all  []*flow
	memory
	found           []NAT     // in the order in which the connections are made
	holders         []Process // of an endpoint that has them from several connections
	keys, spareKeys []sortKey
	others, turns   []int32
	swapped         []bool // of the report's connections: From is the end that the flow's replies come from
	scoped          []scoped
	mentioned       [2]sortKey // the client and the server that were mentioned last
	// established rows that conntrack should know, and how many it does
	rows, tracked int

	spare memory // of a report that was released
}

// A tie orders connections whose ends and times are equal, and says whether
// From is the end that the flow's replies come from.
type tie struct {
	source, id uint32 // of the flow
	zone       uint16
	swapped    bool
}

func (c *current) report() *Report {
	j := &c.join
	j.c, j.memory, j.spare = c, j.spare, memory{}
	last := len(j.ties)
	j.found = emptied(j.found, last)
	j.ties, j.all, j.rows, j.tracked = j.ties[:0], j.all[:0], 0, 0
	j.reserve(last)
	for i := range c.sockets.rows {
		c.sockets.rows[i].used = false
	}
	j.flows()
	j.leftRows()
	for i := range c.sockets.closed {
		if e := &c.sockets.closed[i]; e.window == c.reported() {
			*j.add(tie{}) = e.conn
		}
	}
	r := &Report{
		HostID: c.hostID, HostName: c.host, Tick: c.tick.Number, At: c.wall + c.tickAt,
		Window: c.tick.Interval, Rules: RulesCurrent, tape: c.told(),
	}
	if r.Window == 0 {
		r.Window = c.tickAt - c.lastTick
	}
	j.order()
	r.Connections = j.connections
	r.Endpoints = j.listEndpoints()
	r.Names = c.namesOf(r)
	r.Coverage = c.sources.coverage(c.reported(), j.untracked())
	r.home, r.memory = j, j.memory
	j.memory = memory{}
	return r
}

// order puts the connections into the report's order. Those of IPv4 are sorted
// by numbers, the others by comparing them.
func (j *join) order() {
	j.keys, j.others, j.turns, j.swapped = j.keys[:0], j.others[:0], j.turns[:0], j.swapped[:0]
	for i := range j.connections {
		from, to := j.connections[i].From.Addr, j.connections[i].To.Addr
		if !from.Addr().Is4() || !to.Addr().Is4() {
			j.others = append(j.others, int32(i))
			continue
		}
		x, y := numeric(from), numeric(to)
		j.keys = append(j.keys, sortKey{x<<16 | y>>32, y << 32, uint32(i)})
	}
	slices.SortFunc(j.others, j.compare)
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(j.keys))
	j.keys, j.spareKeys = radixSort(j.keys, j.spareKeys, true)
	for i := 1; i < len(j.keys); i++ { // those of equal ends
		first := i - 1
		for i < len(j.keys) && j.keys[i].hi == j.keys[first].hi && j.keys[i].lo == j.keys[first].lo {
			i++
		}
		if i > first+1 {
			slices.SortFunc(j.keys[first:i], func(a, b sortKey) int { return j.compare(int32(a.at), int32(b.at)) })
		}
	}
	others := j.others
	for i := range j.keys {
		at := int32(j.keys[i].at)
		for len(others) > 0 && j.compare(others[0], at) < 0 {
			j.turns = append(j.turns, others[0])
			others = others[1:]
		}
		j.turns = append(j.turns, at)
	}
	j.turns = append(j.turns, others...)
	for _, at := range j.turns {
		j.swapped = append(j.swapped, j.ties[at].swapped)
	}
	permute(j.connections, j.turns)
	j.place()
}

// place puts what was found of NAT into the connections' order, in which it is
// read from here on. A loop that does more would wait longer for memory.
func (j *join) place() {
	if len(j.found) > cap(j.nat) {
		j.nat = slices.Grow(j.nat, len(j.found)+len(j.found)/8)
	}
	for i := range j.connections {
		if c := &j.connections[i]; len(c.NAT) > 0 {
			at := len(j.nat)
			j.nat = append(j.nat, c.NAT...)
			c.NAT = slices.Clip(j.nat[at:])
		}
	}
}

// permute puts list[order[i]] at place i, in place; order is used up.
func permute[T any](list []T, order []int32) {
	for i := range order {
		if order[i] == int32(i) {
			continue
		}
		first, at := list[i], int32(i)
		for order[at] != int32(i) {
			next := order[at]
			list[at], order[at] = list[next], at
			at = next
		}
		list[at], order[at] = first, at
	}
}

// compare orders two connections by all they have.
func (j *join) compare(x, y int32) int {
	a, b := &j.connections[x], &j.connections[y]
	if n := a.From.Addr.Compare(b.From.Addr); n != 0 {
		return n
	}
	if n := a.To.Addr.Compare(b.To.Addr); n != 0 {
		return n
	}
	ta, tb := &j.ties[x], &j.ties[y]
	return cmp.Or(cmp.Compare(a.From.Netns, b.From.Netns), cmp.Compare(a.To.Netns, b.To.Netns),
		cmp.Compare(a.FirstSeen, b.FirstSeen), cmp.Compare(a.LastSeen, b.LastSeen),
		cmp.Compare(ta.source, tb.source), cmp.Compare(ta.zone, tb.zone),
		cmp.Compare(ta.id, tb.id), cmp.Compare(x, y))
}

// untracked says, in words, that conntrack does not see this host's traffic.
func (j *join) untracked() string {
	missing := j.rows - j.tracked
	if missing*2 <= j.rows {
		return ""
	}
	return strconv.Itoa(missing) + " of " + strconv.Itoa(j.rows) +
		" established sockets have no conntrack entry: no rule asks for tracking, or something bypasses it"
}

// side takes the socket that belongs to a flow's end: t is the tuple as the
// socket has it, client first, h its hash.
func (j *join) side(f *flow, t *tuple, which int, h uint64) side {
	if f.kept != nil && f.kept[which].state != "" {
		return f.kept[which]
	}
	k := &j.c.sockets
	if k.firstAt(t, h) < 0 { // as for most
		return side{addr: t.src}
	}
	w := k.of(f, j.c.views(f)[which], false)
	if w != nil {
		w.used = true
	}
	return k.side(w, t.src)
}

// flows makes a connection of every flow that shows one, those of different
// namespaces whose tuples meet together.
func (j *join) flows() {
	window := j.c.reported()
	if j.c.sources.several() {
		for _, l := range chains(byZone(j.c.linked()), j.c.sources.netnsOf) {
			if l.told(window) {
				j.chain(&l)
			}
		}
		return
	}
	zones, edges := false, 0
	j.all = slices.Grow(j.all, len(j.c.flows.live)+len(j.c.flows.ended))
	for _, list := range [...][]*flow{j.c.flows.live, j.c.flows.ended} {
		for _, f := range list {
			if !f.ended || f.edge && f.window == window {
				zones = zones || f.key.zone != 0
				if f.edge {
					edges++
				}
				j.all = append(j.all, f)
			}
		}
	}
	if zones {
		byZone(j.all)
	}
	j.reserve(edges) // of the others few make one
	for i := range j.all {
		j.chain(&chain{path: j.all[i : i+1]})
	}
}

// byZone sorts flows, for where several zones have a socket's tuple the lowest
// takes it.
func byZone(all []*flow) []*flow {
	slices.SortStableFunc(all, func(a, b *flow) int { return cmp.Compare(a.key.zone, b.key.zone) })
	return all
}

// An account is what the flows of one chain tell together.
type account struct {
	edge, handshake bool
	closed, hidden  bool // all of them
	first, last     int64
	gapSeq          uint64
	teller          *flow // of the state
}

// hear adds what a flow tells.
func (j *join) hear(a *account, f *flow) {
	s := j.c.sources.get(f.key.source)
	a.edge = a.edge || f.edge
	a.handshake = a.handshake || f.handshake
	a.closed = a.closed && f.ended
	a.hidden = a.hidden && s.hidden(f.shown)
	a.first, a.last = min(a.first, f.first), max(a.last, f.last)
	a.gapSeq = max(a.gapSeq, s.gapSeq)
	if f != a.teller && f.tells() > a.teller.tells() {
		a.teller = f
	}
	if f.nat() {
		j.found = append(j.found, NAT{f.key.orig.src, f.key.orig.dst, f.reply.src, f.reply.dst})
	}
}

// chain makes one connection.
func (j *join) chain(l *chain) {
	first, last := l.path[0], l.path[len(l.path)-1]
	h := first.key.orig.either()
	client := j.side(first, &first.key.orig, 0, h)
	if first != last || first.nat() {
		h = last.reply.either()
	}
	server := j.side(last, &last.reply, 1, h)
	found := len(j.found)
	a := account{closed: true, hidden: true, first: first.first, last: first.last, teller: first}
	for _, f := range l.path {
		j.hear(&a, f)
	}
	for _, f := range l.onlookers {
		j.hear(&a, f)
	}
	if !a.edge && client.row == nil && server.row == nil {
		j.found = j.found[:found]
		return // half open
	}
	closed, hidden, teller := a.closed, a.hidden, a.teller
	c := j.add(tie{source: first.key.source, id: first.key.id, zone: first.key.zone})
	*c = Connection{Proto: "tcp", FirstSeen: a.first, LastSeen: a.last, Seen: seenConntrack}
	if teller.hasState {
		c.State = teller.state.String()
	}
	for _, s := range [...]*side{&client, &server} {
		if s.state == "" {
			continue
		}
		c.Seen = seenBoth
		c.FirstSeen = min(c.FirstSeen, s.first)
		if !closed {
			c.LastSeen = max(c.LastSeen, s.last)
		}
		if !teller.hasState || teller.state < ctmsg.Established || teller.state == ctmsg.SynSent2 {
			c.State, teller = s.state, &settled
		}
		if s.row != nil && !closed {
			j.count(s.row, true)
			hidden = hidden && s.row.table.at.seq < a.gapSeq
		}
	}
	if len(j.found) > found {
		c.NAT = j.found[found:]
	}
	c.Closed, c.MayHaveClosed = closed, hidden && !closed
	if client.state == "" && client.addr.Addr().IsLoopback() {
		client.netns = j.c.sources.netnsOf(first.key.source)
	}
	if server.state == "" && server.addr.Addr().IsLoopback() {
		server.netns = j.c.sources.netnsOf(last.key.source)
	}
	sameHost(&client, &server)
	c.Direction, c.From, c.To = DirectionHandshake, client.end(), server.end()
	if a.handshake {
		return
	}
	var swapped bool
	if c.Direction, swapped = j.listenerOr(DirectionOriginal, first, &client, &server); swapped {
		c.From, c.To = c.To, c.From
		j.ties[len(j.ties)-1].swapped = true
	}
}

// settled stands for a flow whose state needs no other word.
var settled = flow{hasState: true, state: ctmsg.Established}

// tells ranks flows of one chain by what their state is worth.
func (f *flow) tells() int {
	switch {
	case f.edge && !f.ended:
		return 3
	case !f.ended:
		return 2
	case f.edge:
		return 1
	}
	return 0
}

// listenerOr looks for the end that listens; without one the direction is what
// it was.
func (j *join) listenerOr(otherwise Direction, f *flow, client, server *side) (d Direction, swapped bool) {
	k := &j.c.sockets
	lc, ls := k.listening(client), k.listening(server)
	if client.state == "" && server.state == "" && !lc && !ls {
		netns := k.listen.only(j.c.sources.netnsOf(f.key.source))
		lc, ls = k.listen.at(netns, client.addr), k.listen.at(netns, server.addr)
	}
	if lc != ls {
		return DirectionListener, lc
	}
	return otherwise, false
}

// count notes an established socket that conntrack should know.
func (j *join) count(w *socketRow, tracked bool) {
	if w.state != procnet.Established {
		return
	}
	watched := tracked
	for _, s := range j.c.sources.list {
		if s.kind != seenConntrack[0] || s.closed {
			continue
		}
		// A flow of loopback may be there, and of which namespace is unknown.
		if s.netns == 0 && !w.loopback() || s.netns == w.table.key.netns {
			watched = true
		}
	}
	if !watched {
		return
	}
	j.rows++
	if tracked {
		j.tracked++
	}
}

// leftRows makes connections of the rows that no flow explains.
func (j *join) leftRows() {
	k := &j.c.sockets
	var none stamp
	for i := range k.rows {
		w := &k.rows[i]
		if w.suppressed != none {
			w.used = true // so that it is nobody's mirror either
		}
	}
	k.pairs(func(a, b int32) {
		j.count(&k.rows[a], false)
		if b >= 0 {
			j.count(&k.rows[b], false)
		}
		*j.add(tie{}) = k.connection(a, b)
	})
}
