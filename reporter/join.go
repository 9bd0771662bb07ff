package reporter

import (
	"cmp"
	"math"
	"slices"
	"strconv"
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
	j.suppress()
	j.flows()
	j.leftRows()
	for i := range c.sockets.closed {
		if e := &c.sockets.closed[i]; e.window == c.reported() {
			j.add(e.conn, tie{})
		}
	}
	r := &Report{
		HostID: c.hostID, HostName: c.host, Tick: c.tick.Number, At: c.wall + c.tickAt,
		Window: c.tick.Interval, Rules: RulesCurrent,
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

// suppress marks the rows that were read before a flow of their tuple ended.
func (j *join) suppress() {
	k := &j.c.sockets
	for i := range k.rows {
		k.rows[i].used, k.rows[i].suppressed = false, stamp{}
	}
	if len(k.rows) == 0 {
		return
	}
	oldest := int64(math.MaxInt64) // reading of a table in force
	for _, t := range k.tables {   // order cannot matter: it is a minimum
		oldest = min(oldest, t.readStart)
	}
	j.c.flows.each(func(f *flow) {
		if !(f.born && f.first >= oldest || f.ended && f.end.at >= oldest) {
			return
		}
		netns := j.c.sources.netnsOf(f.key.source)
		for _, t := range [...]tuple{f.key.orig, f.reply} {
			for w := k.first(t, netns); w != nil; w = k.following(w, t) {
				if f.born && w.table.readEnd < f.first {
					w.suppress(stamp{at: f.first}) // what had the tuple before was over then
				}
				if f.ended && f.end.after(w.table.read()) {
					w.suppress(f.end)
				}
			}
		}
	})
}

func (w *socketRow) suppress(end stamp) {
	if w.suppressed == (stamp{}) || w.suppressed.after(end) {
		w.suppressed = end
	}
}

// first and following visit the rows of a tuple that a flow of a namespace may
// speak of. Loopback never leaves its namespace; where that is unknown, only
// one namespace may have the tuple.
func (k *sockets) first(t tuple, netns uint64) *socketRow {
	i, ok := k.index[t]
	if !ok {
		return nil
	}
	w := &k.rows[i]
	if !t.loopback() {
		return w
	}
	if netns != 0 {
		return k.find(t, netns)
	}
	if w.next >= 0 {
		return nil
	}
	if m, ok := k.index[t.reversed()]; ok {
		if o := &k.rows[m]; o.next >= 0 || o.table.key.netns != w.table.key.netns {
			return nil
		}
	}
	return w
}

func (k *sockets) following(w *socketRow, t tuple) *socketRow {
	if w.next < 0 || t.loopback() {
		return nil
	}
	return &k.rows[w.next]
}

// row takes the row that belongs to a flow's end: t is the tuple as the socket
// has it. The flow's own namespace goes first, then the lowest.
func (j *join) row(f *flow, t tuple) *socketRow {
	k := &j.c.sockets
	if len(k.rows) == 0 {
		return nil
	}
	netns := j.c.sources.netnsOf(f.key.source)
	var best *socketRow
	for w := k.first(t, netns); w != nil; w = k.following(w, t) {
		var none stamp
		if w.used || !f.ended && w.suppressed != none || f.ended && w.suppressed != f.end {
			continue
		}
		if best == nil || w.table.key.netns == netns {
			best = w
		}
	}
	if best != nil {
		best.used = true
	}
	return best
}

// flows makes a connection of every flow that shows one, those of different
// namespaces whose tuples meet together.
func (j *join) flows() {
	several, zones := false, false
	window := j.c.reported()
	j.c.flows.each(func(f *flow) {
		if f.ended && (!f.edge || f.window != window) {
			return
		}
		several = several || len(j.all) > 0 && f.key.source != j.all[0].key.source
		zones = zones || f.key.zone != 0
		j.all = append(j.all, f)
	})
	if zones { // where several zones have a socket's tuple, the lowest takes it
		slices.SortStableFunc(j.all, func(a, b *flow) int { return cmp.Compare(a.key.zone, b.key.zone) })
	}
	if several {
		for _, chain := range chains(j.all) {
			j.chain(chain)
		}
		return
	}
	for i := range j.all {
		j.chain(j.all[i : i+1])
	}
}

// chain makes one connection of flows in the order in which a packet from the
// client meets them.
func (j *join) chain(fs []*flow) {
	first, last := fs[0], fs[len(fs)-1]
	k := &j.c.sockets
	client := sideOf(j.row(first, first.key.orig), first.key.orig.src)
	server := sideOf(j.row(last, last.reply), last.reply.src)
	edge, closed, handshake, hidden := false, true, false, true
	c := Connection{Proto: "tcp", FirstSeen: first.first, LastSeen: first.last, Seen: seenConntrack}
	natFrom := len(j.nat)
	for _, f := range fs {
		edge = edge || f.edge
		closed = closed && f.ended
		handshake = handshake || f.handshake
		hidden = hidden && j.c.sources.get(f.key.source).hidden(f.touched)
		c.FirstSeen, c.LastSeen = min(c.FirstSeen, f.first), max(c.LastSeen, f.last)
		if f.hasState && (c.State == "" || !f.ended) {
			c.State = f.state.String()
		}
		if f.nat() {
			j.nat = append(j.nat, NAT{f.key.orig.src, f.key.orig.dst, f.reply.src, f.reply.dst})
		}
	}
	for _, w := range [...]*socketRow{client.row, server.row} {
		if w == nil {
			continue
		}
		c.Seen = seenBoth
		c.FirstSeen = min(c.FirstSeen, w.first)
		if !closed {
			c.LastSeen = max(c.LastSeen, w.table.at.at)
			j.count(w, true)
		}
		for _, f := range fs {
			if w.table.at.seq > j.c.sources.get(f.key.source).gapSeq {
				hidden = false
			}
		}
		if c.State == "" {
			c.State = w.state.String()
		}
	}
	if !edge && client.row == nil && server.row == nil {
		return // half open
	}
	c.NAT = j.nat[natFrom:len(j.nat):len(j.nat)]
	c.Closed, c.MayHaveClosed = closed, hidden && !closed
	if client.row == nil && client.addr.Addr().IsLoopback() {
		client.netns = j.c.sources.netnsOf(first.key.source)
	}
	if server.row == nil && server.addr.Addr().IsLoopback() {
		server.netns = j.c.sources.netnsOf(last.key.source)
	}
	sameHost(&client, &server)
	swapped := false
	c.Direction = DirectionHandshake
	if !handshake {
		lc, ls := k.listening(&client), k.listening(&server)
		if client.row == nil && server.row == nil && !lc && !ls {
			netns := k.listen.only(j.c.sources.netnsOf(first.key.source))
			lc, ls = k.listen.at(netns, client.addr), k.listen.at(netns, server.addr)
		}
		c.Direction = DirectionOriginal
		if lc != ls {
			c.Direction, swapped = DirectionListener, lc
		}
	}
	if swapped {
		client, server = server, client
	}
	c.From, c.To = client.end(k), server.end(k)
	j.add(c, tie{first.key, swapped})
}

// count notes an established socket that conntrack should know.
func (j *join) count(w *socketRow, tracked bool) {
	if w.state.String() != "ESTABLISHED" {
		return
	}
	watched := false
	for _, s := range j.c.sources.list {
		if s.kind == seenConntrack[0] && !s.closed && (s.netns == 0 || s.netns == w.table.key.netns) {
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
