package current

import (
	"maps"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// commit makes the tables and lists of the walk current. A complete walk replaces the current
// ones; an implicit walk, or one with a gap, adds to them.
func (m *Machine) commit(r *capture.Record) (complete bool) {
	k := &m.sockets
	old := *k
	complete = !k.implicit
	for _, s := range m.sources.List {
		complete = complete && (s.Kind != capture.SourceProc || s.GapSeq < k.begun.seq)
	}
	if complete {
		k.committed, k.walked = k.begun, true
	} else if s := m.sources.First(capture.SourceProc); !k.addTo(&old) && s != nil {
		s.LeaveOut(r.Seq)
	}
	k.contents = k.pending
	k.build()
	k.abort()
	for _, f := range m.flows.all {
		m.carryOver(f, &old)
	}
	m.carryEvents(r, complete)
	for _, conn := range k.vanished(&old, m) {
		k.close(m.ticks.Window, conn)
	}
	return complete
}

// addTo adds the current tables and lists that the walk lacks. It returns false if there is
// no room for all of them.
func (k *sockets) addTo(old *sockets) (fits bool) {
	fits = true
	for _, key := range slices.SortedFunc(maps.Keys(old.tables), source.TableKey.Compare) {
		if k.pending.tables[key] == nil {
			fits = k.pending.put(old.tables[key]) && fits
		}
	}
	listed := make(map[uint64]bool)
	for i := range k.pending.lists {
		listed[k.pending.lists[i].Netns] = true
	}
	for i := range old.lists {
		if l := &old.lists[i]; !listed[l.Netns] {
			fits = k.pending.addList(l) && fits
		}
	}
	return fits
}

// carryOver suppresses the new rows that were read before the flow's first packet or before its
// end. A flow that ended in this window keeps its sockets from the old tables.
func (m *Machine) carryOver(f *flow, old *sockets) {
	if !f.ended && !f.sawFirst {
		return
	}
	for i, v := range views(&m.sources, f) {
		if f.ended && f.established && f.window == m.ticks.Window {
			if w := old.match(f, v, nil); w != nil {
				if f.sides == nil {
					f.sides = new([2]side)
				}
				f.sides[i] = old.side(w, v.own.Src())
				f.sides[i].row = nil
			}
		}
		if f.sawFirst {
			m.sockets.suppressOlder(v, f.first-drainLag)
		}
		if f.ended {
			m.sockets.end(v, f.end)
		}
	}
}

// vanished copies the first times of rows to the new rows of the same sockets, and returns the
// connections that only rows showed and that have no row any more.
func (k *sockets) vanished(old *sockets, m *Machine) []report.Connection {
	lost, used := old.noRows(), old.noRows()
	any := false
	for i := range old.rows {
		was := &old.rows[i]
		used[i] = was.suppressed != (stamp{}) // the connection ended with a flow
		is := k.find(&was.Tuple, was.table.key.Netns)
		if is != nil && (is.inode == was.inode || is.inode == 0 || was.inode == 0) {
			is.first = min(is.first, was.first)
		} else {
			lost[i], any = true, true
		}
	}
	if !any {
		return nil
	}
	for _, f := range m.flows.all { // the connection of an open flow ends with the flow
		if f.ended || !f.established {
			continue
		}
		for _, v := range views(&m.sources, f) {
			for was := old.firstOf(v); was != nil; was = following(was, v) {
				used[was.number] = true
			}
		}
	}
	m.markOpen(old, used)
	var out []report.Connection
	for _, p := range old.pairs(used) {
		if lost[p.row.number] && (p.peer == nil || lost[p.peer.number]) {
			out = append(out, old.closedConnection(p))
		}
	}
	return out
}

// build makes rows, byTuple, listen and owned from the current tables and lists.
func (k *sockets) build() {
	order := make([]*table, 0, len(k.tables))
	count := 0
	for _, t := range k.tables { // sorted below
		order = append(order, t)
		count += len(t.rows)
	}
	slices.SortFunc(order, func(a, b *table) int { return a.key.Compare(b.key) })
	k.rows = make([]socketRow, 0, count) // must not grow: byTuple points to its elements
	k.byTuple = make(map[ctmsg.Tuple]*socketRow, count)
	k.listen.init()
	for _, t := range order {
		k.listen.namespaces[t.key.Netns] = true
		for _, a := range t.listen {
			k.listen.add(t.key.Netns, a)
		}
		for i := range t.rows {
			k.add(t, &t.rows[i])
		}
	}
	k.owned = k.listOwners()
}

// add adds a row. A namespace has one connected socket of a tuple. If the tables show two, the
// one with an inode counts.
func (k *sockets) add(t *table, w *row) {
	var last *socketRow
	for have := k.byTuple[w.Tuple]; have != nil; have = have.next {
		if have.table.key.Netns == t.key.Netns {
			if have.inode == 0 && w.inode != 0 {
				have.row, have.table = w, t
			}
			return
		}
		last = have
	}
	k.rows = append(k.rows, socketRow{row: w, table: t, number: len(k.rows)})
	if added := &k.rows[len(k.rows)-1]; last != nil {
		last.next = added
	} else {
		k.byTuple[w.Tuple] = added
	}
}

// find returns the row of a tuple in a namespace, nil if there is none.
func (k *sockets) find(t *ctmsg.Tuple, netns uint64) *socketRow {
	for w := k.byTuple[*t]; w != nil; w = w.next {
		if w.table.key.Netns == netns {
			return w
		}
	}
	return nil
}

// maxClosed bounds the closed connections that only rows showed. Further ones are in no
// report.
const maxClosed = 1 << 20

// close adds a connection that ended in a window.
func (k *sockets) close(window uint64, c report.Connection) {
	if len(k.closed) < maxClosed {
		k.closed = append(k.closed, closedRows{window, c})
	}
}

// forget drops the closed connections of earlier windows.
func (k *sockets) forget(window uint64) {
	k.closed = slices.DeleteFunc(k.closed, func(c closedRows) bool { return c.window < window })
}
