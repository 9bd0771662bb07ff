package reporter

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
)

// scopeProc is what the last finished walk of /proc brought, and what the walk
// that goes on has brought so far.
type scopeProc struct {
	tables []scopeTable // in force, in the order in which they were read
	lists  []capture.ProcSockets
	rows   []scopeRow
	read   int64                     // when the last of the tables was read
	held   int                       // of tables and lists, bytes about
	parts  map[tableKey][]scopeTable // the tables by their keys

	walking  bool
	implicit bool   // of tables that stand outside a walk: they add, and take nothing away
	begun    uint64 // record of the walk's begin

	pending      []scopeTable
	pendingLists []capture.ProcSockets
	pendingRead  int64
	size         int // of pending and pendingLists, bytes about; shared ones count, too
}

// A scopeTable is one part of a /proc/net table as the original would have
// appended it to the text of its walk.
type scopeTable struct {
	key    tableKey
	absent bool
	text   []byte
}

func (t *scopeTable) size() int { return len(t.text) + 64 }

func listSize(p *capture.ProcSockets) int {
	n := 64
	for i := range p.Processes {
		n += 64 + len(p.Processes[i].Comm) + 8*len(p.Processes[i].Inodes)
	}
	return n
}

// A scopeRow is a socket that the original made a connection of.
type scopeRow struct {
	tuple // src is the local end
	inode uint64
	owner scopeOwner
	first int64 // when a walk first brought it
}

// A scopeOwner is the process that holds a socket, and its namespace.
type scopeOwner struct {
	pid   uint32 // 0 none
	comm  string
	netns uint64 // 0 unknown
}

// maxWalk bounds the bytes of one walk; what comes behind them does not count.
const maxWalk = 256 << 20

func (k *scopeProc) begin(r *capture.Record) {
	k.void()
	k.walking, k.begun = true, r.Seq
}

// void forgets the walk that goes on.
func (k *scopeProc) void() {
	k.walking, k.implicit = false, false
	k.pending, k.pendingLists, k.size = nil, nil, 0
}

// enter makes sure that there is a walk. One that nobody began starts from
// what is in force.
func (k *scopeProc) enter() {
	if k.walking {
		return
	}
	k.walking, k.implicit = true, true
	k.pending, k.pendingLists, k.pendingRead, k.size = slices.Clone(k.tables), slices.Clone(k.lists), k.read, k.held
}

// table takes one part of a table. It returns false if the original did not
// read such tables, or the walk is too long.
func (k *scopeProc) table(p *capture.ProcNet, r *capture.Record) bool {
	if p.Table != "tcp" && p.Table != "tcp6" {
		return false
	}
	if k.enter(); k.size > maxWalk {
		return false
	}
	key := tableKey{p.Netns, p.Table}
	if k.implicit && p.Part == 0 {
		k.pending = slices.DeleteFunc(k.pending, func(t scopeTable) bool {
			if t.key != key {
				return false
			}
			k.size -= t.size()
			return true
		})
	}
	t := scopeTable{key, p.Absent, bytes.Clone(p.Text)}
	k.size += t.size()
	k.pending = append(k.pending, t)
	k.pendingRead = r.At
	return true
}

// unchanged brings the last reading of a table again.
func (k *scopeProc) unchanged(p *capture.ProcUnchanged, r *capture.Record) {
	for _, t := range k.parts[tableKey{p.Netns, p.Table}] {
		if k.size > maxWalk {
			return
		}
		k.enter()
		k.pendingRead = r.At
		if k.implicit { // it starts from what is in force
			return
		}
		k.size += t.size() // the text is shared, until the rows are made
		k.pending = append(k.pending, t)
	}
}

// sockets takes a list of processes.
func (k *scopeProc) sockets(p *capture.ProcSockets) {
	if k.enter(); k.size > maxWalk {
		return
	}
	if k.implicit && p.Part == 0 {
		k.pendingLists = slices.DeleteFunc(k.pendingLists, func(l capture.ProcSockets) bool {
			if l.Netns != p.Netns {
				return false
			}
			k.size -= listSize(&l)
			return true
		})
	}
	for i := range p.Processes {
		p.Processes[i].Cgroup = nil // it points into the record
	}
	k.size += listSize(p)
	k.pendingLists = append(k.pendingLists, *p)
}

// commit puts what the walk brought into force, in place of all that was.
func (k *scopeProc) commit() {
	type name struct {
		tuple
		inode uint64
	}
	first := make(map[name]int64, len(k.rows))
	for i := range k.rows {
		first[name{k.rows[i].tuple, k.rows[i].inode}] = k.rows[i].first
	}
	k.tables, k.lists, k.read = k.pending, k.pendingLists, k.pendingRead
	k.void()
	k.list()
	for i := range k.rows {
		w := &k.rows[i]
		if at, ok := first[name{w.tuple, w.inode}]; ok {
			w.first = at
		}
	}
}

// list makes the rows of the tables in force.
func (k *scopeProc) list() {
	owners := k.owners()
	k.held, k.rows = 0, nil
	for i := range k.lists {
		k.held += listSize(&k.lists[i])
	}
	k.parts = make(map[tableKey][]scopeTable)
	for _, t := range k.tables {
		k.held += t.size()
		k.parts[t.key] = append(k.parts[t.key], t)
	}
	text := make([]byte, 0, k.held)
	for _, t := range k.tables {
		text = append(text, t.text...)
	}
	// The original read all tables of a walk as one text, and kept of each inode the
	// first row. A row whose owner it did not find kept that of the row before.
	s := scopeScanner{rest: text, seen: make(map[uint64]bool)}
	var row scopeRow
	for s.next(&row) {
		if o, ok := owners[row.inode]; ok {
			row.owner = o
		}
		if s.unreadable {
			continue
		}
		row.first = k.read
		k.rows = append(k.rows, row)
	}
}

// owners maps inodes to who holds them, whatever the namespace. Chosen: of
// several the one that was listed last. Where a namespace has no tcp6 table
// (or no tcp table) reading it failed, and the original did not look at the
// descriptors of its processes.
func (k *scopeProc) owners() map[uint64]scopeOwner {
	unread := make(map[uint64]bool)
	for _, t := range k.tables {
		if t.absent {
			unread[t.key.netns] = true
		}
	}
	owners := make(map[uint64]scopeOwner)
	for _, l := range k.lists {
		if unread[l.Netns] {
			continue
		}
		for _, p := range l.Processes {
			for _, inode := range p.Inodes {
				owners[inode] = scopeOwner{p.PID, p.Comm, l.Netns}
			}
		}
	}
	return owners
}

// scopeScanner reads the text of tables as the original did: it counts on every line
// being whole. Fields are looked for beyond a line's end, what is missing is zero,
// and every address is taken for that of a little-endian host.
type scopeScanner struct {
	rest []byte
	seen map[uint64]bool // inodes of the rows that were returned
	// unreadable is set when the row has an address of a length that there is not.
	unreadable bool
}

// next reads the next row in state ESTABLISHED of an inode not seen before. It
// leaves the row's owner as it is.
func (s *scopeScanner) next(r *scopeRow) bool {
	const shortest = 3 // the original died of less
	for len(s.rest) >= shortest {
		b := s.rest
		if b[2] == 's' { // the header's first word
			s.rest = scopeLine(b)
			continue
		}
		_, b = scopeField(b) // number
		local, b := scopeField(b)
		remote, b := scopeField(b)
		state, b := scopeField(b)
		if scopeHex(state) != 1 {
			s.rest = scopeLine(b)
			continue
		}
		for range 5 { // queues, timer, retransmissions, user, timeout
			_, b = scopeField(b)
		}
		inode, b := scopeField(b)
		s.rest = scopeLine(b)
		r.inode = 0
		for _, c := range inode {
			r.inode = r.inode*10 + uint64(c-'0')
		}
		if s.seen[r.inode] {
			continue
		}
		s.seen[r.inode] = true
		var ok, ok2 bool
		r.src, ok = scopeAddress(local)
		r.dst, ok2 = scopeAddress(remote)
		s.unreadable = !ok || !ok2
		return true
	}
	return false
}

// scopeLine is what follows the line.
func scopeLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[i+1:]
	}
	return nil
}

// scopeField cuts off a field, which a space ends and nothing else; without one
// there is no field and nothing follows.
func scopeField(b []byte) (field, rest []byte) {
	b = bytes.TrimLeft(b, " ")
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i:]
	}
	return nil, nil
}

// scopeAddress reads an address and a port. Without a colon it is the port 0 of
// no address; ok is false where the original has no text for the address.
func scopeAddress(b []byte) (a netip.AddrPort, ok bool) {
	colon := bytes.IndexByte(b, ':')
	if colon < 0 {
		return netip.AddrPort{}, true
	}
	const digits = 8 // of a group
	port := uint16(scopeHex(b[colon+1:]))
	var raw [16]byte
	groups := colon / digits
	if groups > len(raw)/4 {
		return netip.AddrPort{}, false
	}
	for i := range 4 * groups {
		at := i&^3*2 + (3-i&3)*2
		raw[i] = scopeDigit(b[at])<<4 | scopeDigit(b[at+1])
	}
	switch groups {
	case 0:
		return netip.AddrPortFrom(netip.Addr{}, port), true
	case 1:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[:4])), port), true
	case 4:
		return netip.AddrPortFrom(netip.AddrFrom16(raw).Unmap(), port), true
	}
	return netip.AddrPort{}, false
}

func scopeHex(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<4 + uint64(scopeDigit(c))
	}
	return n
}

// scopeDigit is 0 for what is no digit.
func scopeDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0
}
