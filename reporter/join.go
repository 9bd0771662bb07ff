package reporter

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// A join makes a report's connections from flows and socket rows. Its lists
// are reused from report to report, those of the report itself are not.
type join struct {
	c        *current
	conns    []Connection
	ties     []tie
	all      []*flow
	places   []int32
	mentions []mention
	sorted   []named
	nat      []NAT
	// established rows that conntrack should know, and how many it does
	rows, tracked int
}

// A tie orders connections whose ends and times are equal, and says which end
// NAT speaks of.
type tie struct {
	key     flowKey
	swapped bool // From is the end that the flow's replies come from
}

func (c *current) report() *Report {
	j := &c.join
	*j = join{c: c, conns: j.conns[:0], ties: j.ties[:0], all: j.all[:0], places: j.places[:0],
		mentions: j.mentions[:0], sorted: j.sorted[:0], nat: make([]NAT, 0, len(j.nat))}
	for i := range c.sockets.rows {
		c.sockets.rows[i].used = false
	}
	j.flows()
	j.leftRows()
	for i := range c.sockets.closed {
		if e := &c.sockets.closed[i]; e.window == c.reported() {
			j.add(e.conn, tie{})
		}
	}
	r := &Report{
		HostID: c.hostID, HostName: c.host, Tick: c.tick.Number, At: c.wall + c.tickAt,
		Window: c.tick.Interval, Rules: RulesCurrent, tape: c.told(),
	}
	if r.Window == 0 {
		r.Window = c.tickAt - c.lastTick
	}
	order := j.order()
	r.Connections = make([]Connection, len(order))
	for i, at := range order {
		r.Connections[i] = j.conns[at]
	}
	r.Endpoints = j.endpoints()
	r.Names = c.namesOf(r)
	r.Coverage = c.sources.coverage(c.reported(), j.untracked())
	return r
}

func (j *join) add(c Connection, t tie) {
	j.conns = append(j.conns, c)
	j.ties = append(j.ties, t)
}

func (j *join) order() []int32 {
	for i := range j.conns {
		j.places = append(j.places, int32(i))
	}
	order := j.places
	slices.SortFunc(order, func(x, y int32) int {
		a, b := &j.conns[x], &j.conns[y]
		if n := a.From.Addr.Compare(b.From.Addr); n != 0 {
			return n
		}
		if n := a.To.Addr.Compare(b.To.Addr); n != 0 {
			return n
		}
		ta, tb := &j.ties[x], &j.ties[y]
		return cmp.Or(cmp.Compare(a.From.Netns, b.From.Netns), cmp.Compare(a.To.Netns, b.To.Netns),
			cmp.Compare(a.FirstSeen, b.FirstSeen), cmp.Compare(a.LastSeen, b.LastSeen),
			cmp.Compare(ta.key.source, tb.key.source), cmp.Compare(ta.key.zone, tb.key.zone),
			cmp.Compare(ta.key.id, tb.key.id), cmp.Compare(x, y))
	})
	return order
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
// socket has it, client first.
func (j *join) side(f *flow, t tuple, which int) side {
	if f.kept != nil && f.kept[which].state != "" {
		return f.kept[which]
	}
	w := j.c.sockets.of(f, t, j.c.sources.netnsOf(f.key.source), false)
	if w != nil {
		w.used = true
	}
	return j.c.sockets.side(w, t.src)
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
	zones := false
	j.c.flows.each(func(f *flow) {
		if f.ended && (!f.edge || f.window != window) {
			return
		}
		zones = zones || f.key.zone != 0
		j.all = append(j.all, f)
	})
	if zones {
		byZone(j.all)
	}
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

// chain makes one connection.
func (j *join) chain(l *chain) {
	first, last := l.path[0], l.path[len(l.path)-1]
	client, server := j.side(first, first.key.orig, 0), j.side(last, last.reply, 1)
	edge, closed, handshake, hidden := false, true, false, true
	c := Connection{Proto: "tcp", FirstSeen: first.first, LastSeen: first.last, Seen: seenConntrack}
	natFrom := len(j.nat)
	teller := first // of the state
	gapSeq := uint64(0)
	l.each(func(f *flow) {
		s := j.c.sources.get(f.key.source)
		edge = edge || f.edge
		closed = closed && f.ended
		handshake = handshake || f.handshake
		hidden = hidden && s.hidden(f.touched)
		gapSeq = max(gapSeq, s.gapSeq)
		c.FirstSeen, c.LastSeen = min(c.FirstSeen, f.first), max(c.LastSeen, f.last)
		if f.tells() > teller.tells() {
			teller = f
		}
		if f.nat() {
			j.nat = append(j.nat, NAT{f.key.orig.src, f.key.orig.dst, f.reply.src, f.reply.dst})
		}
	})
	if !edge && client.row == nil && server.row == nil {
		j.nat = j.nat[:natFrom]
		return // half open
	}
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
			hidden = hidden && s.row.table.at.seq < gapSeq
		}
	}
	c.NAT = j.nat[natFrom:len(j.nat):len(j.nat)]
	c.Closed, c.MayHaveClosed = closed, hidden && !closed
	if client.state == "" && client.addr.Addr().IsLoopback() {
		client.netns = j.c.sources.netnsOf(first.key.source)
	}
	if server.state == "" && server.addr.Addr().IsLoopback() {
		server.netns = j.c.sources.netnsOf(last.key.source)
	}
	sameHost(&client, &server)
	swapped := false
	c.Direction = DirectionHandshake
	if !handshake {
		c.Direction, swapped = j.listenerOr(DirectionOriginal, first, &client, &server)
	}
	if swapped {
		client, server = server, client
	}
	c.From, c.To = client.end(), server.end()
	j.add(c, tie{first.key, swapped})
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
		j.add(k.connection(a, b), tie{})
	})
}
