package reporter

import "github.com/topotape/topotape/reporter/ctmsg"

// A row of a tuple counts until a flow of that tuple ends. These look-ups are
// made when flows begin and end, and again when new tables come into force.

// A view is one end of a flow: the tuple as its socket has it, the one that the
// other end's socket has, and the flow's namespace, 0 if that is unknown.
type view struct {
	own, back *ctmsg.Tuple
	netns     uint64
}

// views are the client's and the server's.
func (c *current) views(f *flow) [2]view {
	netns := c.sources.netnsOf(f.key.source)
	return [2]view{{&f.key.orig, &f.reply, netns}, {&f.reply, &f.key.orig, netns}}
}

// end makes the rows that were read before the end of a flow not count any
// more. It reports whether one did until now.
func (k *sockets) end(v view, end stamp) bool {
	counted := false
	for w := k.firstOf(v); w != nil; w = k.following(w, v) {
		if end.after(w.table.read()) {
			counted = w.suppress(end) || counted
		}
	}
	return counted
}

// drainLag is by how much the stamp of an event may be behind the event, in ns: the
// recorder drains its socket by a timer. A table that was read in that time may
// show the flow's own socket.
const drainLag = 50e6

// begins is the same for the first packet of a flow: what had the tuple before
// was over then.
func (k *sockets) begins(v view, at int64) {
	for w := k.firstOf(v); w != nil; w = k.following(w, v) {
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

// supersede ends the connection that only rows tell of when a flow begins with
// its tuple.
func (c *current) supersede(f *flow) {
	k := &c.sockets
	for _, v := range c.views(f) {
		for w := k.firstOf(v); w != nil; w = k.following(w, v) {
			if w.suppressed == (stamp{}) && w.table.readEnd < f.first {
				c.supersedeRow(w, f)
			}
		}
		k.begins(v, f.first)
	}
}

func (c *current) supersedeRow(w *socketRow, f *flow) {
	k := &c.sockets
	for _, g := range c.flows.live { // a flow whose end was lost tells of it when that is found out
		if g != f && g.edge && (g.key.orig == w.Tuple || g.reply == w.Tuple) {
			return
		}
	}
	at := k.place(w)
	back := w.Reversed()
	for i := k.first(&back); i >= 0; i = k.rows[i].next {
		k.rows[i].used = k.rows[i].suppressed != (stamp{}) || i == at
	}
	peer := k.mirror(at)
	k.closed = append(k.closed, closedRows{c.window, k.closedConnection(at, peer)})
	if peer >= 0 {
		k.rows[peer].suppress(stamp{at: f.first})
	}
}

// firstOf and following visit the rows that a flow may speak of. Loopback never
// leaves its namespace; where that is unknown, only one namespace may have rows
// of the flow's ends.
func (k *sockets) firstOf(v view) *socketRow {
	i := k.first(v.own)
	if i < 0 {
		return nil
	}
	w := &k.rows[i]
	if !loopback(v.own) {
		return w
	}
	if v.netns != 0 {
		return k.find(*v.own, v.netns)
	}
	if w.next >= 0 {
		return nil
	}
	if m := k.first(v.back); m >= 0 && loopback(v.back) {
		if o := &k.rows[m]; o.next >= 0 || o.table.key.netns != w.table.key.netns {
			return nil
		}
	}
	return w
}

func (k *sockets) following(w *socketRow, v view) *socketRow {
	if w.next < 0 || loopback(v.own) {
		return nil
	}
	return &k.rows[w.next]
}

// of is the row that belongs to a flow's end, if taken is false one that is not
// used. The flow's own namespace goes first, then the lowest.
func (k *sockets) of(f *flow, v view, taken bool) *socketRow {
	var best *socketRow
	for w := k.firstOf(v); w != nil; w = k.following(w, v) {
		if w.used && !taken || !f.ended && w.suppressed != (stamp{}) || f.ended && !w.overWith(f) {
			continue
		}
		if best == nil || w.table.key.netns == v.netns {
			best = w
		}
	}
	return best
}

// overWith reports whether the row stopped counting when the flow ended, or
// before, when another namespace's flow of its tuple did. Of flows of several
// zones the lowest has the row.
func (w *socketRow) overWith(f *flow) bool {
	return w.suppressed == f.end || f.key.zone == 0 && w.suppressed.at > f.first && f.end.after(w.suppressed)
}
