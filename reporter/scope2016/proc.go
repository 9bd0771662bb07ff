package scope2016

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/source"
)

// proc is the result of the last finished walk of /proc, and of the current walk
// so far.
type proc struct {
	tables      []table // current, in the order in which they were read
	lists       []capture.ProcSockets
	rows        []row
	read        int64                       // when the last of the tables was read
	currentSize int                         // of tables and lists, bytes
	parts       map[source.TableKey][]table // the tables, by key

	walking  bool
	implicit bool   // started by tables outside a walk: they add to the current ones
	begun    uint64 // number of the record that began the walk

	pending      []table
	pendingLists []capture.ProcSockets
	pendingRead  int64
	size         int // of pending and pendingLists, bytes; shared texts count, too
}

// A table is one part of a /proc/net table. The original appended it to the text
// of its walk.
type table struct {
	key    source.TableKey
	absent bool
	text   []byte
}

func (t *table) size() int { return len(t.text) + 64 }

func listSize(p *capture.ProcSockets) int {
	n := 64
	for i := range p.Processes {
		n += 64 + len(p.Processes[i].Comm) + 8*len(p.Processes[i].Inodes)
	}
	return n
}

// A row is a socket that the original reported as a connection.
type row struct {
	tuple // src is the local end
	inode uint64
	owner owner
	first int64 // when a walk first read it
}

// An owner is the process that has a socket open, and its namespace.
type owner struct {
	pid   uint32 // 0 for none
	comm  string
	netns uint64 // 0 if unknown
}

func (k *proc) begin(r *capture.Record) {
	k.abort()
	k.walking, k.begun = true, r.Seq
}

// abort drops the current walk.
func (k *proc) abort() {
	k.walking, k.implicit = false, false
	k.pending, k.pendingLists, k.size = nil, nil, 0
}

// ensureWalk starts an implicit walk if there is no walk. It starts with the current
// tables and lists.
func (k *proc) ensureWalk() {
	if k.walking {
		return
	}
	k.walking, k.implicit = true, true
	k.pending, k.pendingLists, k.pendingRead, k.size = slices.Clone(k.tables), slices.Clone(k.lists), k.read, k.currentSize
}

// table adds one part of a table to the walk. It returns false if the original did not
// read such tables, or the walk is too long.
func (k *proc) table(p *capture.ProcNet, r *capture.Record) bool {
	if p.Table != "tcp" && p.Table != "tcp6" {
		return false
	}
	if k.ensureWalk(); k.size > source.MaxWalk {
		return false
	}
	key := source.TableKey{Netns: p.Netns, Name: p.Table}
	if k.implicit && p.Part == 0 {
		k.pending = slices.DeleteFunc(k.pending, func(t table) bool {
			if t.key != key {
				return false
			}
			k.size -= t.size()
			return true
		})
	}
	t := table{key, p.Absent, bytes.Clone(p.Text)}
	k.size += t.size()
	k.pending = append(k.pending, t)
	k.pendingRead = r.At
	return true
}

// unchanged adds the current text of a table to the walk again.
func (k *proc) unchanged(p *capture.ProcUnchanged, r *capture.Record) {
	for _, t := range k.parts[source.TableKey{Netns: p.Netns, Name: p.Table}] {
		if k.size > source.MaxWalk {
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
func (k *proc) sockets(p *capture.ProcSockets) {
	if k.ensureWalk(); k.size > source.MaxWalk {
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
func (k *proc) commit() {
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
func (k *proc) list() {
	owners := k.owners()
	k.currentSize, k.rows = 0, nil
	for i := range k.lists {
		k.currentSize += listSize(&k.lists[i])
	}
	k.parts = make(map[source.TableKey][]table)
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
	s := scanner{rest: text, seen: make(map[uint64]bool)}
	var row row
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
func (k *proc) owners() map[uint64]owner {
	unread := make(map[uint64]bool)
	for _, t := range k.tables {
		if t.absent {
			unread[t.key.Netns] = true
		}
	}
	owners := make(map[uint64]owner)
	for _, l := range k.lists {
		if unread[l.Netns] {
			continue
		}
		for _, p := range l.Processes {
			for _, inode := range p.Inodes {
				owners[inode] = owner{p.PID, p.Comm, l.Netns}
			}
		}
	}
	return owners
}

// scanner reads the text of tables as the original did. It expects complete lines:
// in a short line it continues with the fields of the next line, and a missing value is
// zero. It reads every address as a little-endian host writes it.
type scanner struct {
	rest []byte
	seen map[uint64]bool // inodes of the rows that were returned
	// unreadable reports that the row has an address of a length that does not exist.
	unreadable bool
}

// next reads the next row in state ESTABLISHED of an inode not seen before. It
// leaves the row's owner as it is.
func (s *scanner) next(r *row) bool {
	const shortest = 3 // the original crashed on shorter texts
	for len(s.rest) >= shortest {
		b := s.rest
		if b[2] == 's' { // the header's first word
			s.rest = nextLine(b)
			continue
		}
		_, b = nextField(b) // number
		local, b := nextField(b)
		remote, b := nextField(b)
		state, b := nextField(b)
		if parseHex(state) != 1 {
			s.rest = nextLine(b)
			continue
		}
		for range 5 { // queues, timer, retransmissions, user, timeout
			_, b = nextField(b)
		}
		inode, b := nextField(b)
		s.rest = nextLine(b)
		r.inode = 0
		for _, c := range inode {
			r.inode = r.inode*10 + uint64(c-'0')
		}
		if s.seen[r.inode] {
			continue
		}
		s.seen[r.inode] = true
		var ok, ok2 bool
		r.src, ok = parseAddress(local)
		r.dst, ok2 = parseAddress(remote)
		s.unreadable = !ok || !ok2
		return true
	}
	return false
}

// nextLine returns the text after the first line.
func nextLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[i+1:]
	}
	return nil
}

// nextField cuts off the first field. Only a space ends a field: without one there
// are no field and no rest.
func nextField(b []byte) (field, rest []byte) {
	b = bytes.TrimLeft(b, " ")
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i:]
	}
	return nil, nil
}

// parseAddress reads an address and a port. Without a colon the address is missing and
// the port is 0; ok is false if the original has no text for the address.
func parseAddress(b []byte) (a netip.AddrPort, ok bool) {
	colon := bytes.IndexByte(b, ':')
	if colon < 0 {
		return netip.AddrPort{}, true
	}
	const digits = 8 // of a group
	port := uint16(parseHex(b[colon+1:]))
	var raw [16]byte
	groups := colon / digits
	if groups > len(raw)/4 {
		return netip.AddrPort{}, false
	}
	for i := range 4 * groups {
		at := i&^3*2 + (3-i&3)*2
		raw[i] = hexDigit(b[at])<<4 | hexDigit(b[at+1])
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

func parseHex(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<4 + uint64(hexDigit(c))
	}
	return n
}

// hexDigit returns the value of a hexadecimal digit, 0 for any other character.
func hexDigit(c byte) byte {
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
