package reporter

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
)

// scopeProc is the result of the last finished walk of /proc, and of the current walk
// so far.
type scopeProc struct {
	tables      []scopeTable // current, in the order in which they were read
	lists       []capture.ProcSockets
	rows        []scopeRow
	read        int64                     // when the last of the tables was read
	currentSize int                       // of tables and lists, bytes
	parts       map[tableKey][]scopeTable // the tables, by key

	walking  bool
	implicit bool   // started by tables outside a walk: they add to the current ones
	begun    uint64 // number of the record that began the walk

	pending      []scopeTable
	pendingLists []capture.ProcSockets
	pendingRead  int64
	size         int // of pending and pendingLists, bytes; shared texts count, too
}

// A scopeTable is one part of a /proc/net table. The original appended it to the text
// of its walk.
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

// A scopeRow is a socket that the original reported as a connection.
type scopeRow struct {
	tuple // src is the local end
	inode uint64
	owner scopeOwner
	first int64 // when a walk first read it
}

// A scopeOwner is the process that has a socket open, and its namespace.
type scopeOwner struct {
	pid   uint32 // 0 for none
	comm  string
	netns uint64 // 0 if unknown
}

func (k *scopeProc) begin(r *capture.Record) {
	k.abort()
	k.walking, k.begun = true, r.Seq
}

// abort drops the current walk.
func (k *scopeProc) abort() {
	k.walking, k.implicit = false, false
	k.pending, k.pendingLists, k.size = nil, nil, 0
}

// ensureWalk starts an implicit walk if there is no walk. It starts with the current
// tables and lists.
func (k *scopeProc) ensureWalk() {
	if k.walking {
		return
	}
	k.walking, k.implicit = true, true
	k.pending, k.pendingLists, k.pendingRead, k.size = slices.Clone(k.tables), slices.Clone(k.lists), k.read, k.currentSize
}

// table adds one part of a table to the walk. It returns false if the original did not
// read such tables, or the walk is too long.
func (k *scopeProc) table(p *capture.ProcNet, r *capture.Record) bool {
	if p.Table != "tcp" && p.Table != "tcp6" {
		return false
	}
	if k.ensureWalk(); k.size > maxWalk {
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

// unchanged adds the current text of a table to the walk again.
func (k *scopeProc) unchanged(p *capture.ProcUnchanged, r *capture.Record) {
	for _, t := range k.parts[tableKey{p.Netns, p.Table}] {
		if k.size > maxWalk {
			return
		}
		k.ensureWalk()
		k.pendingRead = r.At
		if k.implicit { // it started with the current tables
			return
		}
		k.size += t.size() // the text is shared, but list copies it
		k.pending = append(k.pending, t)
	}
}

// sockets adds a list of processes to the walk.
func (k *scopeProc) sockets(p *capture.ProcSockets) {
	if k.ensureWalk(); k.size > maxWalk {
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

// commit makes the result of the walk current.
func (k *scopeProc) commit() {
	type socket struct {
		tuple
		inode uint64
	}
	first := make(map[socket]int64, len(k.rows))
	for i := range k.rows {
		first[socket{k.rows[i].tuple, k.rows[i].inode}] = k.rows[i].first
	}
	k.tables, k.lists, k.read = k.pending, k.pendingLists, k.pendingRead
	k.abort()
	k.list()
	for i := range k.rows {
		row := &k.rows[i]
		if at, ok := first[socket{row.tuple, row.inode}]; ok {
			row.first = at
		}
	}
}

// list parses the current tables into rows.
func (k *scopeProc) list() {
	owners := k.owners()
	k.currentSize, k.rows = 0, nil
	for i := range k.lists {
		k.currentSize += listSize(&k.lists[i])
	}
	k.parts = make(map[tableKey][]scopeTable)
	for _, t := range k.tables {
		k.currentSize += t.size()
		k.parts[t.key] = append(k.parts[t.key], t)
	}
	text := make([]byte, 0, k.currentSize)
	for _, t := range k.tables {
		text = append(text, t.text...)
	}
	// The original parsed all tables of a walk as one text, and kept the first row of
	// each inode. A row without a known owner kept the owner of the row before it.
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

// owners maps inodes of all namespaces to processes. Chosen: if several processes have
// a socket open, the one that was listed last. If a namespace has no tcp or no tcp6
// table, reading it failed, and the original did not look at the descriptors of its
// processes.
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

// scopeScanner reads the text of tables as the original did. It expects complete lines:
// in a short line it continues with the fields of the next line, and a missing value is
// zero. It reads every address as a little-endian host writes it.
type scopeScanner struct {
	rest []byte
	seen map[uint64]bool // inodes of the rows that were returned
	// unreadable reports that the row has an address of a length that does not exist.
	unreadable bool
}

// next reads the next row in state ESTABLISHED of an inode not seen before. It
// leaves the row's owner as it is.
func (s *scopeScanner) next(r *scopeRow) bool {
	const shortest = 3 // the original crashed on shorter texts
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

// scopeLine returns the text after the first line.
func scopeLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[i+1:]
	}
	return nil
}

// scopeField cuts off the first field. Only a space ends a field: without one there
// are no field and no rest.
func scopeField(b []byte) (field, rest []byte) {
	b = bytes.TrimLeft(b, " ")
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i:]
	}
	return nil, nil
}

// scopeAddress reads an address and a port. Without a colon the address is missing and
// the port is 0; ok is false if the original has no text for the address.
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

// scopeDigit returns the value of a hexadecimal digit, 0 for any other character.
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
