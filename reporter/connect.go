package reporter

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// connect makes the report's connections of the drafts, in the report's order.
func (j *join) connect() {
	j.order()
	j.reserve(len(j.drafts), j.translations)
	first := 0 // of those with equal ends
	done := func(end int) {
		j.settle(first, end)
		for ; first < end; first++ {
			j.mentions(first)
		}
	}
	for turns := j.turns; len(turns) > 0; {
		some := turns[:min(len(turns), batch)]
		turns = turns[len(some):]
		j.expect(some)
		for _, at := range some {
			i := len(j.connections)
			c := j.connection(&j.drafts[at])
			if last := &j.connections[first]; c.From.Addr != last.From.Addr || c.To.Addr != last.To.Addr {
				done(i)
			}
		}
	}
	done(len(j.connections))
}

// expect touches what the drafts are made of: memory is waited for once then,
// not at every turn.
func (j *join) expect(some []uint32) {
	k, sum := &j.c.sockets, uint64(0)
	for _, at := range some {
		switch d := &j.drafts[at]; d.kind {
		case ofFlow:
			sum += j.c.flows.at(d.at).touch()
		case ofChain:
			j.linker.chain(d.at).each(func(f *flow) { sum += f.touch() })
		}
	}
	for _, at := range some {
		d := &j.drafts[at]
		for _, row := range [...]int32{d.client, d.server} {
			if row >= 0 {
				sum += k.rows[row].inode
			}
		}
	}
	j.touched = sum
}

// connection makes the next connection.
func (j *join) connection(d *draft) *Connection {
	j.connections = j.connections[:len(j.connections)+1]
	c := &j.connections[len(j.connections)-1]
	j.swapped = append(j.swapped, d.swapped)
	switch d.kind {
	case ofRows:
		*c = j.c.sockets.connection(d.client, d.server)
	case ofClosed:
		*c = j.c.sockets.closed[d.at].conn
	case ofChain:
		j.joinChain(c, d, j.linker.chain(d.at))
	case ofFlow:
		j.single[0] = j.c.flows.at(d.at)
		j.joinChain(c, d, chain{path: j.single[:]})
	}
	return c
}

// An account is what the flows of one chain tell together.
type account struct {
	closed, hidden bool // all of them
	first, last    int64
	gapSeq         uint64
	teller         *flow // of the state
}

// hear adds what a flow tells.
func (j *join) hear(a *account, f *flow) {
	s := j.c.sources.get(f.key.source)
	a.closed = a.closed && f.ended
	a.hidden = a.hidden && s.hidden(f.shown)
	a.first, a.last = min(a.first, f.first), max(a.last, f.last)
	a.gapSeq = max(a.gapSeq, s.gapSeq)
	if f != a.teller && f.tells() > a.teller.tells() {
		a.teller = f
	}
	if f.nat {
		j.nat = append(j.nat, NAT{f.key.orig.Src(), f.key.orig.Dst(), f.reply.Src(), f.reply.Dst()})
	}
}

// joinChain makes the connection of which a chain tells.
func (j *join) joinChain(c *Connection, d *draft, l chain) {
	j.sides(l, d)
	found := len(j.nat)
	first := l.path[0]
	a := account{closed: true, hidden: true, first: first.first, last: first.last, teller: first}
	l.each(func(f *flow) { j.hear(&a, f) })
	closed, hidden, teller := a.closed, a.hidden, a.teller
	// Field by field: what stands there is a report's that was released.
	c.Proto, c.Seen, c.State, c.NAT = "tcp", seenConntrack, "", nil
	c.FirstSeen, c.LastSeen = a.first, a.last
	if teller.hasState {
		c.State = teller.state.String()
	}
	for i := range j.ends {
		s := &j.ends[i]
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
	if len(j.nat) > found {
		c.NAT = slices.Clip(j.nat[found:])
	}
	c.Closed, c.MayHaveClosed = closed, hidden && !closed
	switch {
	case d.handshake:
		c.Direction = DirectionHandshake
	case d.listener:
		c.Direction = DirectionListener
	default:
		c.Direction = DirectionOriginal
	}
	client, server := &c.From, &c.To
	if d.swapped {
		client, server = server, client
	}
	j.ends[0].end(client)
	j.ends[1].end(server)
}

// sides makes the client's and the server's.
func (j *join) sides(l chain, d *draft) {
	first, last := l.path[0], l.path[len(l.path)-1]
	client, server := &j.ends[0], &j.ends[1]
	j.side(client, first, &first.key.orig, 0, d.client)
	j.side(server, last, &last.reply, 1, d.server)
	if client.state == "" && first.key.orig.SrcIP.IsLoopback() {
		client.netns = j.c.sources.netnsOf(first.key.source)
	}
	if server.state == "" && last.reply.SrcIP.IsLoopback() {
		server.netns = j.c.sources.netnsOf(last.key.source)
	}
	sameHost(client, server)
}

// side is that of a row, or that which was kept of it.
func (j *join) side(s *side, f *flow, t *ctmsg.Tuple, which int, row int32) {
	k := &j.c.sockets
	if row >= 0 {
		k.side(s, &k.rows[row], t.Src())
		return
	}
	if f.kept {
		if kept := &j.c.flows.kept[f.number][which]; kept.state != "" {
			*s = *kept
			s.addr = t.Src()
			return
		}
	}
	k.side(s, nil, t.Src())
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

// A tied connection has the same ends as its neighbours: what orders them.
type tied struct {
	from, to    uint64 // namespaces
	first, last int64
	source, id  uint32 // of its first flow
	zone        uint16
	swapped     bool
	at          int32
}

// settle orders the connections from first on, whose ends are equal, by all they
// have.
func (j *join) settle(first, end int) {
	if end-first < 2 {
		return
	}
	j.group, j.moved = j.group[:0], append(j.moved[:0], j.connections[first:end]...)
	for i := first; i < end; i++ {
		c := &j.connections[i]
		t := tied{from: c.From.Netns, to: c.To.Netns, first: c.FirstSeen, last: c.LastSeen, swapped: j.swapped[i], at: int32(i - first)}
		switch d := &j.drafts[j.turns[i]]; d.kind {
		case ofFlow:
			t.of(j.c.flows.at(d.at))
		case ofChain:
			t.of(j.linker.chain(d.at).path[0])
		}
		j.group = append(j.group, t)
	}
	slices.SortFunc(j.group, func(a, b tied) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to),
			cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last),
			cmp.Compare(a.source, b.source), cmp.Compare(a.zone, b.zone), cmp.Compare(a.id, b.id), cmp.Compare(a.at, b.at))
	})
	for i := range j.group {
		t := &j.group[i]
		j.connections[first+i], j.swapped[first+i] = j.moved[t.at], t.swapped
	}
}

func (t *tied) of(f *flow) { t.source, t.id, t.zone = f.key.source, f.key.id, f.key.zone }
