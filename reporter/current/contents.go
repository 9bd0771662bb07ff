package current

import (
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/source"
)

// Bounds of a walk of /proc, besides source.MaxOwners. A host with a million sockets and 50,000 processes is within
// them. What a walk has beyond them is left out, and its source is degraded.
const (
	maxRows   = 2 << 20  // rows of connections, without repeated ones
	maxTables = 32 << 20 // bytes: tableCost for each table, listenerCost for each listener

	tableCost    = 400
	listenerCost = 200
)

// Repeated rows and listeners are removed when there are twice as many as after the last
// removal, but not before there are so many.
const (
	tidyRows   = 64 << 10
	tidyTables = 4 << 20
)

// A walkSize is how large a walk is, or a part of it.
type walkSize struct {
	rows           int
	tables, owners int // bytes
}

func (s walkSize) plus(t walkSize) walkSize {
	return walkSize{s.rows + t.rows, s.tables + t.tables, s.owners + t.owners}
}

func (s walkSize) minus(t walkSize) walkSize {
	return walkSize{s.rows - t.rows, s.tables - t.tables, s.owners - t.owners}
}

func (s walkSize) within(limit walkSize) bool {
	return s.rows <= limit.rows && s.tables <= limit.tables && s.owners <= limit.owners
}

// contents are the tables and lists of a walk of /proc.
type contents struct {
	tables map[source.TableKey]*table
	lists  []capture.ProcSockets
	size   walkSize
	tidied walkSize // size after repeated rows were removed the last time
}

func newContents() contents { return contents{tables: make(map[source.TableKey]*table)} }

// take adds to the size of the contents. It returns false, and adds nothing, if they would
// be too large.
func (w *contents) take(more walkSize) bool {
	next := w.size.plus(more)
	if next.rows > max(tidyRows, 2*w.tidied.rows) || next.tables > max(tidyTables, 2*w.tidied.tables) {
		w.tidy()
		next = w.size.plus(more)
	}
	if !next.within(walkSize{maxRows, maxTables, source.MaxOwners}) {
		return false
	}
	w.size = next
	return true
}

// tidy removes repeated rows and listeners of all tables.
func (w *contents) tidy() {
	for _, t := range w.tables { // the order cannot matter: tables do not depend on one another
		w.size = w.size.minus(t.size())
		t.tidy()
		w.size = w.size.plus(t.size())
	}
	w.tidied = w.size
}

// put adds a table, in place of one with its key. It returns false if there is no room.
func (w *contents) put(t *table) bool {
	if have := w.tables[t.key]; have != nil {
		w.size = w.size.minus(have.size())
		delete(w.tables, t.key)
	}
	fits := w.take(t.size())
	if fits {
		w.tables[t.key] = t
	}
	return fits
}

// addSocket adds a listener, or a row whose state shows an established connection, to a table of the contents. It returns
// false if there is no room.
func (w *contents) addSocket(t *table, r *procnet.Row, at int64) bool {
	switch r.State {
	case procnet.Listen:
		return w.addListener(t, listenRow{r.Local, r.Inode})
	case procnet.Established, procnet.FinWait1, procnet.FinWait2, procnet.CloseWait:
		return w.addRow(t, row{tcpTuple(r.Local, r.Remote), r.Inode, r.State, at})
	}
	return true
}

// addRow and addListener add to a table of the contents. They return false if there is no
// room.
func (w *contents) addRow(t *table, r row) bool {
	fits := w.take(walkSize{rows: 1})
	if fits {
		t.rows = append(t.rows, r)
	}
	return fits
}

func (w *contents) addListener(t *table, l listenRow) bool {
	fits := w.take(walkSize{tables: listenerCost})
	if fits {
		t.listen = append(t.listen, l)
	}
	return fits
}

// addList adds a list of processes. Those without a socket own no row. It returns false if
// there is no room.
func (w *contents) addList(p *capture.ProcSockets) bool {
	list := source.Owners(p)
	fits := w.take(walkSize{owners: source.SizeOf(&list)})
	if fits {
		w.lists = append(w.lists, list)
	}
	return fits
}

func (t *table) size() walkSize {
	return walkSize{rows: len(t.rows), tables: tableCost + listenerCost*len(t.listen)}
}

// tidy removes repeated rows and listeners. Of rows with one tuple, the first one with an
// inode stays, or else the first one, as in sockets.add. The lists may be shared with
// another table: they are replaced, not changed.
func (t *table) tidy() {
	at := make(map[ctmsg.Tuple]int)
	for i := range t.rows {
		if _, repeated := at[t.rows[i].Tuple]; !repeated {
			at[t.rows[i].Tuple] = len(at)
		}
	}
	if len(at) < len(t.rows) {
		rows := make([]row, len(at))
		for i := range t.rows {
			w := &t.rows[i]
			if have := &rows[at[w.Tuple]]; *have == (row{}) || have.inode == 0 && w.inode != 0 {
				*have = *w
			}
		}
		t.rows = rows
	}
	seen := make(map[listenRow]bool)
	for _, l := range t.listen {
		seen[l] = true
	}
	if len(seen) < len(t.listen) {
		t.listen = slices.DeleteFunc(slices.Clone(t.listen), func(l listenRow) bool {
			first := seen[l]
			seen[l] = false
			return !first
		})
		t.listen = slices.Clip(t.listen)
	}
}
