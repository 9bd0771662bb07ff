package reporter

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

type tableKey struct {
	netns uint64
	name  string
}

// A table is one reading of a /proc/net table.
type table struct {
	key       tableKey
	source    *source
	at        stamp // of its record
	readStart int64
	readEnd   int64
	rows      []row
	listen    []netip.AddrPort
}

// read is the moment before which the kernel's table is not known to be as
// the rows say.
func (t *table) read() stamp { return stamp{t.readStart, t.at.seq} }

// A row is a socket whose state shows an established connection.
type row struct {
	ctmsg.Tuple // Src is the local end
	inode       uint64
	state       procnet.State
	first       int64 // when a table first had it
}

// A socketRow is a row of the tables in force, with what a report needs.
type socketRow struct {
	*row  // in its table
	table *table
	next  int32 // another row of that tuple, -1 for none
	// suppressed is the first end of a flow with the row's tuple after the
	// row was read; the zero stamp when there was none.
	suppressed stamp
	used       bool
}

// sockets is what the last finished walk of /proc brought, and what the walk
// that goes on has brought so far.
type sockets struct {
	tables map[tableKey]*table // in force
	rows   []socketRow         // of those tables, by namespace and tuple
	index  tupleIndex
	listen listeners
	held   owners // sockets

	walking   bool
	implicit  bool  // of tables that stand outside a walk: they add, and take nothing away
	begun     stamp // begin of the walk that goes on
	committed stamp // begin of the last finished walk
	walked    bool  // there was one

	pending       map[tableKey]*table
	pendingOwners []capture.ProcSockets
	lists         []capture.ProcSockets // in force

	closed []closedRows // connections that only rows told of, ended in a window
}

type closedRows struct {
	window uint64
	conn   Connection
}

// needs reports whether the end of a flow is still to be kept: a table that was
// read before it is in force or may come into force.
func (k *sockets) needs(end stamp) bool {
	return (k.walking || k.walked || len(k.tables) > 0) && !k.committed.after(end)
}

func (k *sockets) begin(r *capture.Record) {
	k.walking, k.implicit, k.begun = true, false, stamp{r.At, r.Seq}
	k.pending = make(map[tableKey]*table)
	k.pendingOwners = nil
}

func (k *sockets) void() {
	k.walking, k.implicit, k.pending, k.pendingOwners = false, false, nil, nil
}

// enter makes sure that there is a walk for what r brings.
func (k *sockets) enter(r *capture.Record) {
	if !k.walking {
		k.begin(r)
		k.implicit = true
	}
}

// table takes one part of a table.
func (k *sockets) table(p *capture.ProcNet, r *capture.Record, s *source, bigEndian bool) {
	if p.Table != "tcp" && p.Table != "tcp6" {
		s.ignored++
		return
	}
	k.enter(r)
	key := tableKey{p.Netns, p.Table}
	t := k.pending[key]
	if t == nil || p.Part == 0 && p.Netns != 0 { // of unknown namespaces there may be several
		t = &table{key: key, source: s, readStart: p.ReadStart}
		k.pending[key] = t
	}
	t.at, t.readEnd = stamp{r.At, r.Seq}, p.ReadEnd
	scan := procnet.NewScanner(p.Text, bigEndian)
	var w procnet.Row
	for scan.Next(&w) {
		switch w.State {
		case procnet.Listen:
			t.listen = append(t.listen, w.Local)
		case procnet.Established, procnet.FinWait1, procnet.FinWait2, procnet.CloseWait:
			t.rows = append(t.rows, row{tcpTuple(w.Local, w.Remote), w.Inode, w.State, r.At})
		}
	}
	s.undecodable += uint64(scan.Malformed())
}

// unchanged asserts the last reading of a table anew.
func (k *sockets) unchanged(p *capture.ProcUnchanged, r *capture.Record) {
	key := tableKey{p.Netns, p.Table}
	last := k.tables[key]
	if last == nil {
		return
	}
	k.enter(r)
	t := *last
	t.at, t.readStart, t.readEnd = stamp{r.At, r.Seq}, p.Checked, p.Checked
	k.pending[key] = &t
}

// owners takes a list of processes; it is looked into at the walk's end.
func (k *sockets) owners(p *capture.ProcSockets, r *capture.Record) {
	k.enter(r)
	for i := range p.Processes {
		p.Processes[i].Cgroup = nil // it points into the record
	}
	k.pendingOwners = append(k.pendingOwners, *p)
}

// commit puts what the walk brought into force. A whole walk replaces all that
// was known; one that lost something only adds to it.
func (c *current) commit() (whole bool) {
	k := &c.sockets
	old := *k
	whole = !k.implicit
	for _, s := range c.sources.list {
		whole = whole && (s.kind != capture.SourceProc || s.gapSeq < k.begun.seq)
	}
	if whole {
		k.committed, k.walked = k.begun, true
	} else {
		k.addTo(&old)
	}
	k.tables, k.lists = k.pending, k.pendingOwners
	k.build()
	k.void()
	c.flows.each(func(f *flow) { c.carryOver(f, &old) })
	for _, conn := range k.vanished(&old, c) {
		k.closed = append(k.closed, closedRows{c.window, conn})
	}
	return whole
}

// addTo lets stay in force what the walk did not bring.
func (k *sockets) addTo(old *sockets) {
	for key, t := range old.tables { // order cannot matter: into a map
		if k.pending[key] == nil {
			k.pending[key] = t
		}
	}
	brought := make(map[uint64]bool)
	for i := range k.pendingOwners {
		brought[k.pendingOwners[i].Netns] = true
	}
	for _, l := range old.lists {
		if !brought[l.Netns] {
			k.pendingOwners = append(k.pendingOwners, l)
		}
	}
}

// carryOver makes a flow's beginning and end felt by the tables that have come
// into force, and keeps for an ended flow what the ones before told of it.
func (c *current) carryOver(f *flow, old *sockets) {
	if !f.ended && !f.born {
		return
	}
	for i, v := range c.views(f) {
		if f.ended && f.edge && f.window == c.window {
			if w := old.of(f, v, true); w != nil {
				s := c.flows.keep(f)
				old.side(&s[i], w, v.own.Src())
				s[i].row = nil
			}
		}
		if f.born {
			c.sockets.begins(v, f.first-drainLag)
		}
		if f.ended {
			c.sockets.end(v, f.end)
		}
	}
}

// vanished carries over since when the rows are known, and returns the
// connections that only rows told of and of which no row is left.
func (k *sockets) vanished(old *sockets, c *current) []Connection {
	left := make([]bool, len(old.rows))
	any := false
	for i := range old.rows {
		was := &old.rows[i]
		was.used = was.suppressed != (stamp{}) // whatever ended told of its end
		is := k.find(was.Tuple, was.table.key.netns)
		if is != nil && (is.inode == was.inode || is.inode == 0 || was.inode == 0) {
			is.first = min(is.first, was.first)
		} else {
			left[i], any = true, true
		}
	}
	if !any {
		return nil
	}
	for _, f := range c.flows.live { // a flow that lives will tell of its end itself
		if !f.edge {
			continue
		}
		for _, v := range c.views(f) {
			for was := old.firstOf(v); was != nil; was = old.following(was, v) {
				was.used = true
			}
		}
	}
	var out []Connection
	old.pairs(func(a, b int32) {
		if left[a] && (b < 0 || left[b]) {
			out = append(out, old.closedConnection(a, b))
		}
	})
	return out
}

// pairs visits the connections that the rows not yet used make: each row with
// that of its peer, -1 where no table has one.
func (k *sockets) pairs(visit func(a, b int32)) {
	for i := range k.rows {
		if k.rows[i].used {
			continue
		}
		k.rows[i].used = true
		m := k.mirror(int32(i))
		if m >= 0 {
			k.rows[m].used = true
		}
		visit(int32(i), m)
	}
}

// build makes rows and their look-ups from the tables in force.
func (k *sockets) build() {
	order := make([]*table, 0, len(k.tables))
	count := 0
	for _, t := range k.tables { // sorted below
		order = append(order, t)
		count += len(t.rows)
	}
	slices.SortFunc(order, func(a, b *table) int {
		return cmp.Or(cmp.Compare(a.key.netns, b.key.netns), cmp.Compare(a.key.name, b.key.name))
	})
	k.rows = make([]socketRow, 0, count)
	k.index.init(count)
	k.listen.init()
	for _, t := range order {
		k.listen.namespaces[t.key.netns] = true
		for _, a := range t.listen {
			k.listen.add(t.key.netns, a)
		}
		for i := range t.rows {
			k.add(t, &t.rows[i])
		}
	}
	k.own()
}

// add lists a row. A namespace has a connected tuple once; where a table shows
// it twice, the socket with a file counts.
func (k *sockets) add(t *table, w *row) {
	last := int32(-1)
	for i := k.first(&w.Tuple); i >= 0; i = k.rows[i].next {
		if have := &k.rows[i]; have.table.key.netns == t.key.netns {
			if have.inode == 0 && w.inode != 0 {
				have.row, have.table = w, t
			}
			return
		}
		last = i
	}
	at := int32(len(k.rows))
	k.rows = append(k.rows, socketRow{row: w, table: t, next: -1})
	if last >= 0 {
		k.rows[last].next = at
	} else {
		k.index.put(k.rows, at)
	}
}

// first is the first row of a tuple, -1 if there is none.
func (k *sockets) first(t *ctmsg.Tuple) int32 {
	if len(k.rows) == 0 {
		return -1
	}
	return k.firstAt(t, either(t))
}

// firstAt is first of a tuple whose hash is known.
func (k *sockets) firstAt(t *ctmsg.Tuple, h uint64) int32 {
	if len(k.rows) == 0 {
		return -1
	}
	at, _ := k.index.slot(k.rows, t, h)
	if k.index.tags[at] == 0 {
		return -1
	}
	return k.index.rows[at]
}

// place is a row's number.
func (k *sockets) place(w *socketRow) int32 {
	at := k.first(&w.Tuple)
	for &k.rows[at] != w {
		at = k.rows[at].next
	}
	return at
}

// find returns the row of a tuple in a namespace, nil if there is none.
func (k *sockets) find(t ctmsg.Tuple, netns uint64) *socketRow {
	for i := k.first(&t); i >= 0; i = k.rows[i].next {
		if k.rows[i].table.key.netns == netns {
			return &k.rows[i]
		}
	}
	return nil
}

// forget drops the closed connections that the reports up to now have told.
func (k *sockets) forget(window uint64) {
	k.closed = slices.DeleteFunc(k.closed, func(c closedRows) bool { return c.window < window })
}
