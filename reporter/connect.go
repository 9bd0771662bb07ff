package reporter

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// connect makes the report's connections of the drafts, in the report's order.
func (j *join) connect() {
	j.order()
	j.reserve()
	first := 0 // of those with equal ends
	done := func(end int) {
		j.settle(first, end)
		for ; first < end; first++ {
			j.mentions(first)
		}
	}
	for turns := j.keys; len(turns) > 0; {
		some := turns[:min(len(turns), batch)]
		turns = turns[len(some):]
		j.expect(some)
		for i := range some {
			i, c := len(j.connections), j.connection(&some[i])
			if last := &j.connections[first]; c.From.Addr != last.From.Addr || c.To.Addr != last.To.Addr {
				done(i)
			}
		}
	}
	done(len(j.connections))
}

// expect touches what connections are made of: memory is waited for once then,
// not at every turn.
func (j *join) expect(some []sortKey) {
	k, sum := &j.c.sockets, uint64(0)
	for i := range some {
		sum += j.drafts[some[i].at()].to.Hi
	}
	for i := range some {
		d := &j.drafts[some[i].at()]
		if d.shown > 0 {
			sum += j.shown[d.aliases].ip.Hi
		}
		for _, row := range [...]int32{d.client, d.server} {
			if row >= 0 {
				sum += k.rows[row].inode
			}
		}
	}
	j.touched = sum
}

// connection makes the next connection.
func (j *join) connection(key *sortKey) *Connection {
	j.connections = j.connections[:len(j.connections)+1]
	c := &j.connections[len(j.connections)-1]
	d := &j.drafts[key.at()]
	j.swapped = append(j.swapped, d.swapped)
	switch d.kind {
	case ofRows:
		*c = j.c.sockets.connection(d.client, d.server)
	case ofClosed:
		*c = j.c.sockets.closed[d.at].conn
	default:
		j.complete(c, d, key.hostPort())
	}
	return c
}

// complete makes the connection of which flows tell.
func (j *join) complete(c *Connection, d *draft, from hostPort) {
	// Field by field: what stands there is a report's that was released.
	c.Proto, c.Seen, c.State, c.NAT = "tcp", seenConntrack, "", nil
	c.FirstSeen, c.LastSeen = d.first, d.last
	c.Closed, c.MayHaveClosed = d.closed, d.hidden && !d.closed
	if d.hasState {
		c.State = d.state.String()
	}
	switch {
	case d.handshake:
		c.Direction = DirectionHandshake
	case d.listener:
		c.Direction = DirectionListener
	default:
		c.Direction = DirectionOriginal
	}
	to := hostPort{d.to, d.port}
	c.From, c.To = End{}, End{}
	c.From.Addr, c.To.Addr = j.addrs[0].of(from), j.addrs[1].of(to)
	if d.shown > 0 {
		c.NAT = j.nats(d, c)
	}
	if d.client >= 0 || d.server >= 0 || d.kept || from.ip.IsLoopback() || to.ip.IsLoopback() {
		j.fromSockets(c, d, from, to)
	}
}

// nats are the translations of a connection whose ends are known.
func (j *join) nats(d *draft, c *Connection) []NAT {
	first := len(j.nat)
	if d.long {
		for _, f := range j.path(d) {
			j.nat = append(j.nat, NAT{f.key.orig.Src(), f.key.orig.Dst(), f.reply.Src(), f.reply.Dst()})
		}
	} else {
		client, server := &c.From.Addr, &c.To.Addr
		if d.swapped {
			client, server = server, client
		}
		n := added(&j.nat)
		n.OriginalSrc, n.OriginalDst, n.ReplySrc, n.ReplyDst = *client, *server, *server, *client
		for i := range j.shown[d.aliases:][:d.shown] {
			if a := &j.shown[int(d.aliases)+i]; a.reply {
				n.OriginalDst = j.addrs[2].of(a.hostPort)
			} else {
				n.ReplyDst = j.addrs[2].of(a.hostPort)
			}
		}
	}
	return j.nat[first:len(j.nat):len(j.nat)]
}

// fromSockets adds what sockets tell.
func (j *join) fromSockets(c *Connection, d *draft, from, to hostPort) {
	if d.swapped {
		from, to = to, from
	}
	j.sides(d, from, to)
	vague := !d.hasState || d.state < ctmsg.Established || d.state == ctmsg.SynSent2
	for i := range j.ends {
		s := &j.ends[i]
		if s.state == "" {
			continue
		}
		c.Seen = seenBoth
		c.FirstSeen = min(c.FirstSeen, s.first)
		if !d.closed {
			c.LastSeen = max(c.LastSeen, s.last)
		}
		if vague {
			c.State, vague = s.state, false
		}
		if s.row != nil && !d.closed {
			j.count(s.row, true)
		}
	}
	client, server := &c.From, &c.To
	if d.swapped {
		client, server = server, client
	}
	j.ends[0].end(client)
	j.ends[1].end(server)
}

// sides makes the client's and the server's, as the flows see them.
func (j *join) sides(d *draft, from, to hostPort) {
	client, server := &j.ends[0], &j.ends[1]
	j.side(client, d, from, 0)
	j.side(server, d, to, 1)
	if from.ip.IsLoopback() || to.ip.IsLoopback() {
		path := j.path(d)
		if client.state == "" && from.ip.IsLoopback() {
			client.netns = j.c.sources.netnsOf(path[0].key.source)
		}
		if server.state == "" && to.ip.IsLoopback() {
			server.netns = j.c.sources.netnsOf(path[len(path)-1].key.source)
		}
		sameHost(client, server)
	}
}

// side is that of a row, or that which was kept of it.
func (j *join) side(s *side, d *draft, at hostPort, which int) {
	k := &j.c.sockets
	if row := [...]int32{d.client, d.server}[which]; row >= 0 {
		k.side(s, &k.rows[row], at.addr())
		return
	}
	if d.kept {
		path := j.path(d)
		f := path[which*(len(path)-1)]
		if f.kept {
			if kept := &j.c.flows.kept[f.number][which]; kept.state != "" {
				*s = *kept
				s.addr = at.addr()
				return
			}
		}
	}
	k.side(s, nil, at.addr())
}

// A tied connection has the same ends as its neighbours: what orders them.
type tied struct {
	from, to    uint64 // namespaces
	first, last int64
	source, id  uint32 // of its first flow
	zone        uint16
	swapped     bool
	at          int32
	key         sortKey // of its draft
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
		t := tied{from: c.From.Netns, to: c.To.Netns, first: c.FirstSeen, last: c.LastSeen, swapped: j.swapped[i], at: int32(i - first), key: j.keys[i]}
		if d := &j.drafts[j.keys[i].at()]; d.kind <= ofChain {
			t.of(j.path(d)[0])
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
		j.connections[first+i], j.swapped[first+i], j.keys[first+i] = j.moved[t.at], t.swapped, t.key
	}
}

func (t *tied) of(f *flow) { t.source, t.id, t.zone = f.key.source, f.key.id, f.key.zone }
