package current

import (
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/source"
)

// A row is suppressed when a flow with its tuple ends: it no longer shows a connection. Rows are
// suppressed when flows begin and end, and when new tables become current.

// A view is one end of a flow: the tuple of its socket, the tuple of the other end's socket,
// and the flow's namespace, 0 if that is unknown.
type view struct {
	own, back *ctmsg.Tuple
	netns     uint64
}

// views returns the views of the client and the server.
func views(ss *source.Sources, f *flow) [2]view {
	netns := ss.NetnsOf(f.key.source)
	return [2]view{{&f.key.orig, &f.reply, netns}, {&f.reply, &f.key.orig, netns}}
}

// end suppresses the rows that were read before the end of a flow. It reports whether it
// suppressed one that was not suppressed.
func (k *sockets) end(v view, end stamp) bool {
	suppressed := false
	for w := k.firstOf(v); w != nil; w = following(w, v) {
		if end.after(w.table.read()) {
			suppressed = w.suppress(end) || suppressed
		}
	}
	return suppressed
}

// drainLag is how much later than its event a record's time may be, in ns: the recorder reads
// its socket by a timer. A table that was read in that time may show the flow's own socket.
const drainLag = 50e6

// suppressOlder marks the rows read before the flow's first packet as stale: they belong
// to an earlier connection.
func (k *sockets) suppressOlder(v view, at int64) {
	for w := k.firstOf(v); w != nil; w = following(w, v) {
		if w.table.readEnd < at {
			w.suppress(stamp{at: at})
		}
	}
}

// suppress suppresses a row; the earliest end counts. It reports whether the row was not
// suppressed.
func (w *socketRow) suppress(end stamp) bool {
	first := w.suppressed == (stamp{})
	if first || w.suppressed.after(end) {
		w.suppressed = end
	}
	return first
}

// supersede ends the connections that only rows show and that have the tuple of a new one, whose
// first packet came at a time.
func (m *Machine) supersede(v view, at int64) {
	k := &m.sockets
	for w := k.firstOf(v); w != nil; w = following(w, v) {
		if w.suppressed == (stamp{}) && w.table.readEnd < at {
			m.supersedeRow(w, at)
		}
	}
	k.suppressOlder(v, at)
}

// supersedeRow ends the connection of a row, unless an open flow has it.
func (m *Machine) supersedeRow(w *socketRow, at int64) {
	k := &m.sockets
	if m.flows.hasOpen(&w.Tuple) { // it is reported until that flow ends
		return
	}
	p := pair{w, k.mirror(w, func(o *socketRow) bool { return o == w || o.suppressed != (stamp{}) })}
	k.close(m.ticks.Window, k.closedConnection(p))
	if p.peer != nil {
		p.peer.suppress(stamp{at: at})
	}
}

// firstOf returns the first row that may be the socket of a view, and following the next one.
// The sockets of a loopback flow are in its own namespace. If that is unknown, it is the one
// with rows of both ends; if several have them, no row counts.
func (k *sockets) firstOf(v view) *socketRow {
	w := k.byTuple[*v.own]
	if w == nil || !loopback(v.own) {
		return w
	}
	if v.netns != 0 {
		return k.find(v.own, v.netns)
	}
	if w.next != nil {
		return nil
	}
	if o := k.byTuple[*v.back]; o != nil && loopback(v.back) && (o.next != nil || o.table.key.Netns != w.table.key.Netns) {
		return nil
	}
	return w
}

func following(w *socketRow, v view) *socketRow {
	if loopback(v.own) {
		return nil
	}
	return w.next
}

// match returns an unused row that is the socket of a flow's end, nil if there is none. It
// prefers one in the flow's own namespace.
func (k *sockets) match(f *flow, v view, used rowSet) *socketRow {
	var best *socketRow
	for w := k.firstOf(v); w != nil; w = following(w, v) {
		if used != nil && used[w.number] || !f.ended && w.suppressed != (stamp{}) || f.ended && !w.endedWith(f) {
			continue
		}
		if best == nil || w.table.key.Netns == v.netns {
			best = w
		}
	}
	return best
}

// endedWith reports whether the end of the flow suppressed the row, or the end of another
// namespace's flow with this tuple while the flow was open. Of flows in several zones, the one
// in zone 0 has the row.
func (w *socketRow) endedWith(f *flow) bool {
	return w.suppressed == f.end || f.key.zone == 0 && w.suppressed.at > f.first && f.end.after(w.suppressed)
}
