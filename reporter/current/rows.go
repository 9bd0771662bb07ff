package current

import (
	"net/netip"

	"github.com/topotape/topotape/reporter/events"
	"github.com/topotape/topotape/reporter/report"
)

// A side is one end of a connection, with its socket.
type side struct {
	addr      netip.AddrPort
	netns     uint64
	processes []report.Process
	state     string // of the socket, "" if no table has it
	first     int64
	last      int64
	row       *socketRow     // the socket in the current tables, nil for none
	event     *events.Socket // the socket as events show it, nil for none
}

// end returns the side as a report shows it.
func (s *side) end() report.End {
	return report.End{Addr: s.addr, Netns: s.netns, Processes: s.processes}
}

// side returns the local end of a row, or only the address if the row is nil.
func (k *sockets) side(w *socketRow, addr netip.AddrPort) side {
	if w == nil {
		return side{addr: addr}
	}
	return side{addr: addr, netns: w.table.key.Netns, processes: k.processes(w), state: w.state.String(), first: w.first, last: w.table.at.at, row: w}
}

// sameHost sets the namespace of both loopback ends of a connection to the one that is known.
func sameHost(a, b *side) {
	if a.addr.Addr().IsLoopback() && b.addr.Addr().IsLoopback() {
		a.netns = max(a.netns, b.netns)
		b.netns = a.netns
	}
}

// A pair is a row and the row of the connection's other socket, nil if no table has it.
type pair struct{ row, peer *socketRow }

// mirror returns the row of the connection's other socket, nil if no table has it. Of several
// it prefers the one in the same namespace, else it returns the first; the other end of a
// loopback connection is always in the same namespace. Used rows do not count.
func (k *sockets) mirror(a *socketRow, used func(*socketRow) bool) *socketRow {
	t := a.Reversed()
	var first *socketRow
	for w := k.byTuple[t]; w != nil; w = w.next {
		if used(w) {
			continue
		}
		if w.table.key.Netns == a.table.key.Netns {
			return w
		}
		if first == nil && !loopback(&t) {
			first = w
		}
	}
	return first
}

// pairs returns the connections that the unused rows show, and marks the rows as used.
func (k *sockets) pairs(used rowSet) (out []pair) {
	for i := range k.rows {
		if used[i] {
			continue
		}
		used[i] = true
		p := pair{row: &k.rows[i]}
		if p.peer = k.mirror(p.row, func(w *socketRow) bool { return used[w.number] }); p.peer != nil {
			used[p.peer.number] = true
		}
		out = append(out, p)
	}
	return out
}

// unexplained returns the connections that only rows show, and marks the rows as used.
// Suppressed rows show no connection.
func (k *sockets) unexplained(used rowSet) []pair {
	for i := range k.rows {
		if k.rows[i].suppressed != (stamp{}) {
			used[i] = true
		}
	}
	return k.pairs(used)
}

// closedIn returns the connections that only rows showed and that ended in a window.
func (k *sockets) closedIn(window uint64) (out []report.Connection) {
	for i := range k.closed {
		if k.closed[i].window == window {
			out = append(out, k.closed[i].conn)
		}
	}
	return out
}

// connection returns the connection that only rows show.
func (k *sockets) connection(p pair) report.Connection {
	a, b := p.row, p.peer
	x, y := k.side(a, a.Src()), k.side(b, a.Dst())
	if x.addr == y.addr { // a socket that is connected to itself
		y = x
	}
	sameHost(&x, &y)
	how, swapped := k.rowDirection(&x, &y)
	if swapped {
		x, y = y, x
	}
	c := report.Connection{
		Proto: "tcp", Direction: how, From: x.end(), To: y.end(),
		State: a.state.String(), FirstSeen: a.first, LastSeen: a.table.at.at, Seen: report.SeenBy(false, true, false),
		MayHaveClosed: a.table.source.Hidden(a.table.at.seq),
	}
	if b != nil {
		c.FirstSeen = min(c.FirstSeen, b.first)
		c.LastSeen = max(c.LastSeen, b.table.at.at)
		if x.row == b { // the client's state is reported
			c.State = b.state.String()
		}
		c.MayHaveClosed = c.MayHaveClosed && b.table.source.Hidden(b.table.at.seq)
	}
	return c
}

// closedConnection returns the connection of rows that are gone.
func (k *sockets) closedConnection(p pair) report.Connection {
	c := k.connection(p)
	c.Closed, c.MayHaveClosed = true, false
	return c
}
