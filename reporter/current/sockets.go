package current

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// A table is one reading of a /proc/net table.
type table struct {
	key       source.TableKey
	source    *source.Source
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

// A socketRow is a row of the current tables.
type socketRow struct {
	*row   // in its table
	table  *table
	number int        // among the rows
	next   *socketRow // a row of the same tuple in another namespace
	// suppressed is the first end of a flow with the row's tuple after the
	// row was read; the zero stamp when there was none.
	suppressed stamp
}

// A rowSet is a set of rows, by number.
type rowSet []bool

func (k *sockets) noRows() rowSet { return make(rowSet, len(k.rows)) }

// sockets is what the last finished walk of /proc brought, and what the walk
// that goes on has brought so far.
type sockets struct {
	tables  map[source.TableKey]*table // current
	rows    []socketRow                // of those tables, by namespace and tuple
	byTuple map[ctmsg.Tuple]*socketRow // the first row of each tuple
	listen  listeners
	owned   owners

	walking   bool
	implicit  bool  // the walk is of tables outside any: they add, and replace nothing
	begun     stamp // begin of the walk that goes on
	committed stamp // begin of the last finished walk
	walked    bool  // there was one

	pending       map[source.TableKey]*table
	pendingOwners []capture.ProcSockets
	lists         []capture.ProcSockets // current

	closed []closedRows // connections that only rows showed, ended in a window
}

type closedRows struct {
	window uint64
	conn   report.Connection
}

// needs reports whether the end of a flow still matters: a table that was read before
// it is current or may become so.
func (k *sockets) mayShow(end stamp) bool {
	return (k.walking || k.walked || len(k.tables) > 0) && !k.committed.after(end)
}

func (k *sockets) begin(r *capture.Record) {
	k.walking, k.implicit, k.begun = true, false, stamp{r.At, r.Seq}
	k.pending = make(map[source.TableKey]*table)
	k.pendingOwners = nil
}

func (k *sockets) abort() {
	k.walking, k.implicit, k.pending, k.pendingOwners = false, false, nil, nil
}

// enter makes sure that there is a walk for what r brings.
func (k *sockets) ensureWalk(r *capture.Record) {
	if !k.walking {
		k.begin(r)
		k.implicit = true
	}
}

// table adds one part of a table.
func (k *sockets) table(p *capture.ProcNet, r *capture.Record, s *source.Source, bigEndian bool) {
	if p.Table != "tcp" && p.Table != "tcp6" {
		s.Ignored++
		return
	}
	k.ensureWalk(r)
	key := source.TableKey{Netns: p.Netns, Name: p.Table}
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
	s.Undecodable += uint64(scan.Malformed())
}

// unchanged asserts the last reading of a table again.
func (k *sockets) unchanged(p *capture.ProcUnchanged, r *capture.Record) {
	key := source.TableKey{Netns: p.Netns, Name: p.Table}
	last := k.tables[key]
	if last == nil {
		return
	}
	k.ensureWalk(r)
	t := *last
	t.at, t.readStart, t.readEnd = stamp{r.At, r.Seq}, p.Checked, p.Checked
	k.pending[key] = &t
}

// owners adds a list of processes, which counts from the walk's end.
func (k *sockets) owners(p *capture.ProcSockets, r *capture.Record) {
	k.ensureWalk(r)
	for i := range p.Processes {
		p.Processes[i].Cgroup = nil // it points into the record
	}
	k.pendingOwners = append(k.pendingOwners, *p)
}
