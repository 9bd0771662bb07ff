package reporter

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
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
	tuple // src is the local end
	inode uint64
	state procnet.State
	first int64 // when a table first had it
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

type inodeKey struct{ netns, inode uint64 }

// sockets is what the last finished walk of /proc brought, and what the walk
// that goes on has brought so far.
type sockets struct {
	tables map[tableKey]*table // in force
	rows   []socketRow         // of those tables, by namespace and tuple
	index  map[tuple]int32
	listen listeners
	owner  map[inodeKey][]Process
	shared map[uint64][]Process // by inode alone

	walking   bool
	begun     stamp // begin of the walk that goes on
	committed stamp // begin of the last finished walk
	walked    bool  // there was one

	pending       map[tableKey]*table
	pendingOwners []capture.ProcSockets

	closed []closedRows // connections that only rows told of, ended in a window
}

type closedRows struct {
	window uint64
	conn   Connection
}

// needs reports whether the end of a flow is still to be kept: a table that was
// read before it is in force or may come into force.
func (k *sockets) needs(end stamp) bool {
	return (k.walking || k.walked) && !k.committed.after(end)
}

func (k *sockets) begin(r *capture.Record) {
	k.walking, k.begun = true, stamp{r.At, r.Seq}
	k.pending = make(map[tableKey]*table)
	k.pendingOwners = nil
}

func (k *sockets) void() {
	k.walking, k.pending, k.pendingOwners = false, nil, nil
}

// table takes one part of a table.
func (k *sockets) table(p *capture.ProcNet, r *capture.Record, s *source, bigEndian bool) {
	if p.Table != "tcp" && p.Table != "tcp6" {
		s.ignored++
		return
	}
	if !k.walking {
		return
	}
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
			t.rows = append(t.rows, row{tuple{w.Local, w.Remote}, w.Inode, w.State, r.At})
		}
	}
	s.undecodable += uint64(scan.Malformed())
}

// unchanged asserts the last reading of a table anew.
func (k *sockets) unchanged(p *capture.ProcUnchanged, r *capture.Record) {
	key := tableKey{p.Netns, p.Table}
	last := k.tables[key]
	if !k.walking || last == nil {
		return
	}
	t := *last
	t.at, t.readStart, t.readEnd = stamp{r.At, r.Seq}, p.Checked, p.Checked
	k.pending[key] = &t
}

// owners takes a list of processes; it is looked into at the walk's end.
func (k *sockets) owners(p *capture.ProcSockets) {
	if !k.walking {
		return
	}
	for i := range p.Processes {
		p.Processes[i].Cgroup = nil // it points into the record
	}
	k.pendingOwners = append(k.pendingOwners, *p)
}

// commit puts what the walk brought into force. It returns when the walk
// began, and false when there is none.
func (k *sockets) commit(fl *flows, window uint64) (begun stamp, ok bool) {
	if !k.walking {
		return stamp{}, false
	}
	old := *k
	k.tables = k.pending
	k.build()
	k.committed, k.walked = k.begun, true
	k.void()
	for _, c := range k.vanished(&old, fl) {
		k.closed = append(k.closed, closedRows{window, c})
	}
	return k.committed, true
}

// vanished carries over since when the rows are known, and returns the
// connections that only rows told of and of which no row is left.
func (k *sockets) vanished(old *sockets, fl *flows) []Connection {
	left := make([]bool, len(old.rows))
	any := false
	for i := range old.rows {
		was := &old.rows[i]
		was.used = false
		is := k.find(was.tuple, was.table.key.netns)
		if is != nil && (is.inode == was.inode || is.inode == 0 || was.inode == 0) {
			is.first = min(is.first, was.first)
		} else {
			left[i], any = true, true
		}
	}
	if !any {
		return nil
	}
	fl.each(func(f *flow) { // a flow tells of its connection's end itself
		for _, t := range [...]tuple{f.key.orig, f.reply} {
			i, ok := old.index[t]
			for ; ok && i >= 0; i = old.rows[i].next {
				if was := &old.rows[i]; !f.ended || f.end.after(was.table.read()) {
					was.used = true
				}
			}
		}
	})
	var out []Connection
	old.pairs(func(a, b int32) {
		if !left[a] || b >= 0 && !left[b] {
			return
		}
		c := old.connection(a, b)
		c.Closed, c.MayHaveClosed = true, false
		out = append(out, c)
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
	k.index = make(map[tuple]int32, count)
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
	k.owner = make(map[inodeKey][]Process)
	k.shared = make(map[uint64][]Process)
	for i := range k.pendingOwners {
		p := &k.pendingOwners[i]
		for j := range p.Processes {
			q := &p.Processes[j]
			for _, inode := range q.Inodes {
				key := inodeKey{p.Netns, inode}
				k.owner[key] = addProcess(k.owner[key], Process{q.PID, q.Comm})
				k.shared[inode] = addProcess(k.shared[inode], Process{q.PID, q.Comm})
			}
		}
	}
}

// add lists a row. A namespace has a connected tuple once; where a table shows
// it twice, the socket with a file counts.
func (k *sockets) add(t *table, w *row) {
	first, known := k.index[w.tuple]
	last := int32(-1)
	if known {
		for i := first; i >= 0; i = k.rows[i].next {
			if have := &k.rows[i]; have.table.key.netns == t.key.netns {
				if have.inode == 0 && w.inode != 0 {
					have.row, have.table = w, t
				}
				return
			}
			last = i
		}
	}
	at := int32(len(k.rows))
	k.rows = append(k.rows, socketRow{row: w, table: t, next: -1})
	if known {
		k.rows[last].next = at
	} else {
		k.index[w.tuple] = at
	}
}

func addProcess(list []Process, p Process) []Process {
	i, found := slices.BinarySearchFunc(list, p, compareProcess)
	if found {
		return list
	}
	return slices.Insert(list, i, p)
}

func compareProcess(a, b Process) int {
	return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Comm, b.Comm))
}

// processes lists who holds a row's socket. A socket may be held from another
// namespace than the one it was made in.
func (k *sockets) processes(w *socketRow) []Process {
	if w.inode == 0 {
		return nil
	}
	if list, ok := k.owner[inodeKey{w.table.key.netns, w.inode}]; ok {
		return list
	}
	return k.shared[w.inode]
}

// find returns the row of a tuple in a namespace, nil if there is none.
func (k *sockets) find(t tuple, netns uint64) *socketRow {
	i, ok := k.index[t]
	for ; ok && i >= 0; i = k.rows[i].next {
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
