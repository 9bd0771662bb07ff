package current

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/sockdiag"
	"github.com/topotape/topotape/reporter/source"
)

// A table is one reading of a table of sockets: of /proc/net, or by sock_diag.
type table struct {
	key       source.TableKey
	source    *source.Source
	at        stamp // of its last record
	readStart int64 // ns since the recording's start
	readEnd   int64
	rows      []row
	listen    []listenRow
}

// A listenRow is a listening socket.
type listenRow struct {
	addr  netip.AddrPort
	inode uint64
}

// read returns the time at which the reading began: connections that ended before it are not in
// the table.
func (t *table) read() stamp { return stamp{t.readStart, t.at.seq} }

// A row is a socket whose state shows an established connection.
type row struct {
	ctmsg.Tuple // Src is the local end
	inode       uint64
	state       procnet.State
	first       int64 // when a table first showed it
}

// A socketRow is a row of the current tables.
type socketRow struct {
	*row   // in its table
	table  *table
	number int        // its index in rows
	next   *socketRow // a row of the same tuple in another namespace
	// suppressed is when a flow with the row's tuple ended after the row was read, the first time;
	// zero if none did.
	suppressed stamp
}

// A rowSet has a value for each row, by number.
type rowSet []bool

func (k *sockets) noRows() rowSet { return make(rowSet, len(k.rows)) }

// sockets are the tables and lists of the last completed walk of /proc, and those of the
// unfinished walk so far.
type sockets struct {
	contents                            // current
	rows     []socketRow                // of their tables, by namespace and tuple
	byTuple  map[ctmsg.Tuple]*socketRow // the first row of each tuple
	listen   listeners
	owned    owners

	walking   bool
	implicit  bool  // tables outside a walk started it: they are added to the current ones
	begun     stamp // when the unfinished walk began
	committed stamp // when the last complete walk began
	walked    bool  // there was a complete walk

	pending contents // of the unfinished walk

	closed []closedRows // connections that only rows showed, until they ended
}

// A closedRows is a connection that only rows showed, and the window in which it ended.
type closedRows struct {
	window uint64
	conn   report.Connection
}

// mayShow reports whether a table that was read before the end of a flow is current or may
// become current: it may show the flow's sockets.
func (k *sockets) mayShow(end stamp) bool {
	return (k.walking || k.walked || len(k.tables) > 0) && !k.committed.after(end)
}

// begin starts a walk.
func (k *sockets) begin(r *capture.Record) {
	k.walking, k.implicit, k.begun = true, false, stamp{r.At, r.Seq}
	k.pending = newContents()
}

// abort drops the unfinished walk.
func (k *sockets) abort() { k.walking, k.implicit, k.pending = false, false, contents{} }

// ensureWalk starts an implicit walk if there is no walk.
func (k *sockets) ensureWalk(r *capture.Record) {
	if !k.walking {
		k.begin(r)
		k.implicit = true
	}
}

// table adds one part of a table of /proc/net to the walk.
func (k *sockets) table(p *capture.ProcNet, r *capture.Record, s *source.Source, bigEndian bool) {
	t := k.part(p, r, s)
	if t == nil {
		return
	}
	scan, fits := procnet.NewScanner(p.Text, bigEndian), true
	for w := (procnet.Row{}); scan.Next(&w); {
		fits = k.pending.addSocket(t, &w, r.At) && fits
	}
	s.Undecodable += uint64(scan.Malformed())
	if !fits {
		s.LeaveOut(r.Seq)
	}
}

// socketTable adds one part of a table that was read by sock_diag to the walk.
func (k *sockets) socketTable(p *capture.SocketTable, r *capture.Record, s *source.Source, bigEndian bool) {
	t := k.part(&capture.ProcNet{Netns: p.Netns, Table: p.Table, ReadStart: p.ReadStart, ReadEnd: p.ReadEnd, Part: p.Part}, r, s)
	if t == nil {
		return
	}
	if p.Interrupted {
		s.TableChanged(r.Seq)
	}
	scan, fits := sockdiag.NewScanner(p.Messages, bigEndian), true
	for w := (sockdiag.Row{}); scan.Next(&w); {
		fits = k.pending.addSocket(t, &w.Row, r.At) && fits
	}
	s.Undecodable += uint64(scan.Malformed())
	if !fits {
		s.LeaveOut(r.Seq)
	}
}

// part returns the table of the walk to which a part belongs; nil if it is no table of TCP, or if there is no room.
func (k *sockets) part(p *capture.ProcNet, r *capture.Record, s *source.Source) *table {
	if p.Table != "tcp" && p.Table != "tcp6" {
		s.Ignored++
		return nil
	}
	k.ensureWalk(r)
	key := source.TableKey{Netns: p.Netns, Name: p.Table}
	t := k.pending.tables[key]
	if t == nil || p.Part == 0 && p.Netns != 0 { // if the namespace is unknown, there may be several tables
		t = &table{key: key, source: s, readStart: p.ReadStart}
		if !k.pending.put(t) {
			s.LeaveOut(r.Seq)
			return nil
		}
	}
	t.at, t.readEnd = stamp{r.At, r.Seq}, p.ReadEnd
	return t
}

// unchanged adds the current reading of a table to the walk again.
func (k *sockets) unchanged(p *capture.ProcUnchanged, r *capture.Record, s *source.Source) {
	last := k.tables[source.TableKey{Netns: p.Netns, Name: p.Table}]
	if last == nil {
		return
	}
	k.ensureWalk(r)
	t := *last
	t.at, t.readStart, t.readEnd = stamp{r.At, r.Seq}, p.Checked, p.Checked
	if !k.pending.put(&t) {
		s.LeaveOut(r.Seq)
	}
}

// owners adds a list of processes to the walk.
func (k *sockets) owners(p *capture.ProcSockets, r *capture.Record, s *source.Source) {
	k.ensureWalk(r)
	if !k.pending.addList(p) {
		s.LeaveOut(r.Seq)
	}
}
