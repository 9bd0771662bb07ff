package current

import (
	"maps"
	"slices"

	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// carry codes the current tables and those of the unfinished walk, the suppressed rows, and the
// closed connections.
func (k *sockets) carry(c *carry.Coder, ss *source.Sources) {
	k.contents.carry(c, ss, nil)
	built := k.owned.all != nil
	c.Bools(&built, &k.walking, &k.implicit, &k.walked)
	k.begun.carry(c)
	k.committed.carry(c)
	c.Check((k.walking || !k.implicit) && (built || len(k.tables)+len(k.lists) == 0))
	if k.walking {
		k.pending.carry(c, ss, k.tables)
	}
	if c.Reading() && c.OK() && built {
		k.build()
	}
	k.carrySuppressed(c)
	carry.List(c, &k.closed, 16, func(c *carry.Coder, r *closedRows) {
		c.Check(!c.Reading() || len(k.closed) < maxClosed)
		r.carry(c)
	})
}

// carry codes the tables, by namespace and name, and the lists. A table that was unchanged shares
// its rows with the table of the same key in same.
func (w *contents) carry(c *carry.Coder, ss *source.Sources, same map[source.TableKey]*table) {
	keys := slices.SortedFunc(maps.Keys(w.tables), source.TableKey.Compare)
	n := len(keys)
	c.Len(&n, 8)
	if c.Reading() {
		*w = newContents()
	}
	for i := 0; i < n && c.OK(); i++ {
		t := new(table)
		if !c.Reading() {
			t = w.tables[keys[i]]
		}
		t.carry(c, ss, same)
		if c.Reading() {
			c.Check(w.tables[t.key] == nil && w.put(t))
		}
	}
	source.CarryProcesses(c, &w.lists)
	for i := range w.lists {
		if c.Reading() {
			c.Check(w.take(walkSize{owners: source.SizeOf(&w.lists[i])}))
		}
	}
}

// carry codes a table. Rows that are shared with a table in same are not repeated.
func (t *table) carry(c *carry.Coder, ss *source.Sources, same map[source.TableKey]*table) {
	t.key.Carry(c)
	number := uint32(0)
	if !c.Reading() {
		number = t.source.Number
	}
	carry.Uint(c, &number)
	t.source = ss.Get(number)
	c.Check(t.source != nil)
	t.at.carry(c)
	carry.Int(c, &t.readStart)
	carry.Int(c, &t.readEnd)
	other := same[t.key]
	shared := other != nil && sameList(t.rows, other.rows) && sameList(t.listen, other.listen)
	c.Bools(&shared)
	if shared {
		c.Check(other != nil)
		if c.Reading() && c.OK() {
			t.rows, t.listen = other.rows, other.listen
		}
		return
	}
	carry.List(c, &t.rows, 8, func(c *carry.Coder, w *row) {
		c.Check(!c.Reading() || len(t.rows) < maxRows)
		w.carry(c)
	})
	carry.List(c, &t.listen, 3, func(c *carry.Coder, w *listenRow) {
		c.Check(!c.Reading() || len(t.listen) < maxTables/listenerCost)
		c.AddrPort(&w.addr)
		carry.Uint(c, &w.inode)
	})
}

// sameList reports whether two lists are the same memory.
func sameList[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// carry codes a row.
func (w *row) carry(c *carry.Coder) {
	carryTCP(c, &w.Tuple)
	carry.Uint(c, &w.inode)
	carry.Uint(c, &w.state)
	carry.Int(c, &w.first)
}

// carrySuppressed codes the numbers of the suppressed rows, and when they were suppressed.
func (k *sockets) carrySuppressed(c *carry.Coder) {
	type end struct {
		row   uint32
		stamp stamp
	}
	var list []end
	if !c.Reading() {
		for i := range k.rows {
			if s := k.rows[i].suppressed; s != (stamp{}) {
				list = append(list, end{uint32(i), s})
			}
		}
	}
	carry.List(c, &list, 3, func(c *carry.Coder, e *end) {
		c.Check(!c.Reading() || len(list) < maxRows)
		carry.Uint(c, &e.row)
		e.stamp.carry(c)
	})
	if !c.Reading() {
		return
	}
	for _, e := range list {
		inRange := uint64(e.row) < uint64(len(k.rows))
		if c.Check(inRange); inRange {
			k.rows[e.row].suppressed = e.stamp
		}
	}
}

// carry codes a closed connection, without the fields that are equal for all of them.
func (r *closedRows) carry(c *carry.Coder) {
	carry.Uint(c, &r.window)
	n := &r.conn
	carryEnd(c, &n.From)
	carryEnd(c, &n.To)
	c.String(&n.State)
	direction := string(n.Direction)
	c.String(&direction)
	carry.Int(c, &n.FirstSeen)
	carry.Int(c, &n.LastSeen)
	if c.Reading() {
		n.Proto, n.Direction, n.Closed, n.Seen = "tcp", report.Direction(direction), true, report.SeenBy(false, true, false)
	}
}

// carryEnd codes an end. Its address must be one that a row can have.
func carryEnd(c *carry.Coder, e *report.End) {
	c.AddrPort(&e.Addr)
	c.Check(ctmsg.IPOf(e.Addr.Addr()).Addr() == e.Addr.Addr())
	carry.Uint(c, &e.Netns)
	carryProcesses(c, &e.Processes)
}

// carry codes the stamp.
func (s *stamp) carry(c *carry.Coder) {
	carry.Int(c, &s.at)
	carry.Uint(c, &s.seq)
}

// carryTCP codes a TCP tuple. Its addresses must be ones that a message or a row can have.
func carryTCP(c *carry.Coder, t *ctmsg.Tuple) {
	src, dst := t.Src(), t.Dst()
	c.AddrPort(&src)
	c.AddrPort(&dst)
	c.Check(src.IsValid() && dst.IsValid())
	if c.Reading() {
		*t = tcpTuple(src, dst)
		c.Check(t.Src() == src && t.Dst() == dst)
	}
}

// carryProcesses codes the processes of a socket.
func carryProcesses(c *carry.Coder, list *[]report.Process) {
	carry.List(c, list, 2, func(c *carry.Coder, p *report.Process) {
		c.Check(!c.Reading() || len(*list) < maxSocketOwners)
		carry.Uint(c, &p.PID)
		c.String(&p.Comm)
	})
}
