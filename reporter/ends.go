package reporter

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
)

// A side is one end of a connection in the making.
type side struct {
	addr      netip.AddrPort
	netns     uint64
	processes []Process
	state     string // of the end's socket, "" when no table has it
	first     int64
	last      int64
	row       *socketRow // the end's socket in the tables in force
}

// end puts the side into a connection.
func (s *side) end(e *End) { e.Addr, e.Netns, e.Processes = s.addr, s.netns, s.processes }

// side makes s the local end of a row; the bare address when the row is nil.
func (k *sockets) side(s *side, w *socketRow, addr netip.AddrPort) {
	s.addr, s.row = addr, w
	if w == nil {
		s.netns, s.processes, s.state, s.first, s.last = 0, nil, "", 0, 0
		return
	}
	s.netns, s.processes, s.state, s.first, s.last = w.table.key.netns, k.processes(w), w.state.String(), w.first, w.table.at.at
}

// sameHost gives two loopback ends one namespace: whichever of them knows it.
func sameHost(a, b *side) {
	if a.addr.Addr().IsLoopback() && b.addr.Addr().IsLoopback() {
		a.netns = max(a.netns, b.netns)
		b.netns = a.netns
	}
}

// listening reports whether the side's own namespace has a listener for it.
func (k *sockets) listening(s *side) bool {
	if s.state != "" || s.netns != 0 {
		return k.listen.at(s.netns, s.addr)
	}
	return k.listen.bound(s.addr)
}

// mirror returns the unused row of a row's peer: the same connection seen from
// its other end, -1 if no table has it. Of several the one in the same namespace
// counts, else the first; loopback never leaves its namespace.
func (k *sockets) mirror(at int32) int32 {
	a := &k.rows[at]
	t := a.Reversed()
	first := int32(-1)
	for i := k.first(&t); i >= 0; i = k.rows[i].next {
		w := &k.rows[i]
		if w.used {
			continue
		}
		if w.table.key.netns == a.table.key.netns {
			return i
		}
		if first < 0 && !loopback(&t) {
			first = i
		}
	}
	return first
}

// connection is what rows alone tell of a connection: the row at, and that of
// its peer, -1 where no table has one.
func (k *sockets) connection(at, peer int32) Connection {
	a := &k.rows[at]
	var b *socketRow
	if peer >= 0 {
		b = &k.rows[peer]
	}
	var x, y side
	k.side(&x, a, a.Src())
	k.side(&y, b, a.Dst())
	if x.addr == y.addr { // connected to itself
		y = x
	}
	sameHost(&x, &y)
	lx, ly := k.listening(&x), k.listening(&y)
	how := DirectionListener
	switch {
	case lx != ly:
		if lx {
			x, y = y, x
		}
	case x.addr.Port() != y.addr.Port():
		how = DirectionPortOrder
		if x.addr.Port() < y.addr.Port() {
			x, y = y, x
		}
	default:
		how = DirectionUnknown
		if x.addr.Compare(y.addr) > 0 {
			x, y = y, x
		}
	}
	c := Connection{
		Proto: "tcp", Direction: how,
		State: a.state.String(), FirstSeen: a.first, LastSeen: a.table.at.at, Seen: seenProc,
		MayHaveClosed: a.table.source.hidden(a.table.at.seq),
	}
	x.end(&c.From)
	y.end(&c.To)
	if b != nil {
		c.FirstSeen = min(c.FirstSeen, b.first)
		c.LastSeen = max(c.LastSeen, b.table.at.at)
		if x.row == b { // the client's state counts
			c.State = b.state.String()
		}
		c.MayHaveClosed = c.MayHaveClosed && b.table.source.hidden(b.table.at.seq)
	}
	return c
}

// closedConnection is what rows alone told of a connection that is over.
func (k *sockets) closedConnection(at, peer int32) Connection {
	c := k.connection(at, peer)
	c.Closed, c.MayHaveClosed = true, false
	return c
}

var (
	seenConntrack = []string{capture.SourceConntrack}
	seenProc      = []string{capture.SourceProc}
	seenBoth      = []string{capture.SourceConntrack, capture.SourceProc}
)
