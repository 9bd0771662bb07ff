package current

import (
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/source"
)

// A row of a tuple counts until a flow of that tuple ends. These look-ups are made when
// flows begin and end, and again when new tables become current.

// A view is one end of a flow: the tuple as its socket has it, the one that the
// other end's socket has, and the flow's namespace, 0 if that is unknown.
type view struct {
	own, back *ctmsg.Tuple
	netns     uint64
}

// views are the client's and the server's.
func views(ss *source.Sources, f *flow) [2]view {
	netns := ss.NetnsOf(f.key.source)
	return [2]view{{&f.key.orig, &f.reply, netns}, {&f.reply, &f.key.orig, netns}}
}

// end suppresses the rows that were read before the end of a flow. It reports whether
// one counted until now.
func (k *sockets) end(v view, end stamp) bool {
	counted := false
	for w := k.firstOf(v); w != nil; w = following(w, v) {
		if end.after(w.table.read()) {
			counted = w.suppress(end) || counted
		}
	}
	return counted
}

// drainLag is how much later than its event a record may be stamped, in ns: the recorder
// drains its socket by a timer. A table that was read in that time may show the flow's
// own socket.
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

// suppress keeps the earliest end. It reports whether it is the first one.
func (w *socketRow) suppress(end stamp) bool {
	first := w.suppressed == (stamp{})
	if first || w.suppressed.after(end) {
		w.suppressed = end
	}
	return first
}

// supersede ends the connections that only rows show when a flow begins with their
// tuple.
func (m *Machine) supersede(f *flow) {
	k := &m.sockets
	for _, v := range views(&m.sources, f) {
		for w := k.firstOf(v); w != nil; w = following(w, v) {
			if w.suppressed == (stamp{}) && w.table.readEnd < f.first {
				m.supersedeRow(w, f.first)
			}
		}
		k.suppressOlder(v, f.first)
	}
}

func (m *Machine) supersedeRow(w *socketRow, at int64) {
	k := &m.sockets
	if m.flows.hasOpen(&w.Tuple) { // its end was lost, and is reported when that is found out
		return
	}
	p := pair{w, k.mirror(w, func(o *socketRow) bool { return o == w || o.suppressed != (stamp{}) })}
	k.closed = append(k.closed, closedRows{m.window, k.closedConnection(p)})
	if p.peer != nil {
		p.peer.suppress(stamp{at: at})
	}
}

// firstOf and following visit the rows that may be sockets of a flow. Loopback never
// leaves its namespace; where the flow's is unknown, only one namespace may have rows of
// its ends.
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

// match returns the row of a flow's end that is not used: of several the one in the
// flow's own namespace, else the first.
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

// endedWith reports whether the row was suppressed by the end of the flow, or earlier in
// its life by another namespace's flow of its tuple. Of flows of several zones the lowest
// has the row.
func (w *socketRow) endedWith(f *flow) bool {
	return w.suppressed == f.end || f.key.zone == 0 && w.suppressed.at > f.first && f.end.after(w.suppressed)
}
