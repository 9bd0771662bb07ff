package scope2016

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/packed"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockdiag"
	"github.com/topotape/topotape/reporter/source"
)

// proc is the result of the last finished walk of /proc, and of the current walk
// so far.
type proc struct {
	contents // current
	rows     []row
	read     int64                        // when the last of the tables was read
	parts    map[source.TableKey][]*table // the tables, by key

	walking  bool
	implicit bool   // started by tables outside a walk: they add to the current ones
	begun    uint64 // number of the record that began the walk

	pending     contents
	pendingRead int64

	packer packed.Packer
}

// contents are the tables and lists of a walk.
type contents struct {
	tables []*table                // in the order in which they were read
	of     map[source.TableKey]int // number of tables with that key
	lists  []capture.ProcSockets   // of source.Owners
	size   walkSize
}

// Bounds of a walk, besides source.MaxOwners. A host with a million sockets is within
// them.
const (
	maxText   = 256 << 20 // bytes of the texts
	maxPacked = 40 << 20  // bytes that they take in memory, with tableCost for each of them
	tableCost = 512
)

// A walkSize is how large a walk is, or a part of it, in bytes.
type walkSize struct{ text, packed, owners int }

// add adds to the size of the contents. It returns false, and adds nothing, if they would
// be too large. sign -1 subtracts.
func (w *contents) add(s walkSize, sign int) bool {
	next := walkSize{w.size.text + sign*s.text, w.size.packed + sign*s.packed, w.size.owners + sign*s.owners}
	if sign > 0 && (next.text > maxText || next.packed > maxPacked || next.owners > source.MaxOwners) {
		return false
	}
	w.size = next
	return true
}

// A table is one part of a /proc/net table. The original appended it to the text
// of its walk.
type table struct {
	key    source.TableKey
	absent bool
	text   packed.Bytes
}

func (t *table) size() walkSize {
	return walkSize{text: t.text.Len(), packed: tableCost + t.text.Size()}
}

func (w *contents) addTable(t *table) bool {
	fits := w.add(t.size(), 1)
	if fits {
		if w.of == nil {
			w.of = make(map[source.TableKey]int)
		}
		w.of[t.key]++
		w.tables = append(w.tables, t)
	}
	return fits
}

func (w *contents) addList(p capture.ProcSockets) bool {
	fits := w.add(walkSize{owners: source.SizeOf(&p)}, 1)
	if fits {
		w.lists = append(w.lists, p)
	}
	return fits
}

// dropTables and dropLists remove what a new reading replaces.
func (w *contents) dropTables(key source.TableKey) {
	if w.of[key] == 0 {
		return
	}
	delete(w.of, key)
	w.tables = slices.DeleteFunc(w.tables, func(t *table) bool { return t.key == key && w.add(t.size(), -1) })
}

func (w *contents) dropLists(netns uint64) {
	w.lists = slices.DeleteFunc(w.lists, func(l capture.ProcSockets) bool {
		return l.Netns == netns && w.add(walkSize{owners: source.SizeOf(&l)}, -1)
	})
}

// A row is a socket that the original reported as a connection.
type row struct {
	tuple // src is the local end
	inode uint64
	owner owner
	first int64 // when a walk first read it
	// unreadable reports that it has an address of a length that does not exist. Such a row
	// is not reported.
	unreadable bool
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
func (k *proc) abort() { k.walking, k.implicit, k.pending = false, false, contents{} }

// ensureWalk starts an implicit walk if there is no walk. It starts with the current
// tables and lists.
func (k *proc) ensureWalk() {
	if k.walking {
		return
	}
	k.walking, k.implicit = true, true
	k.pending, k.pendingRead = contents{slices.Clone(k.tables), maps.Clone(k.of), slices.Clone(k.lists), k.size}, k.read
}

// table adds one part of a table to the walk.
func (k *proc) table(p *capture.ProcNet, r *capture.Record, s *source.Source) {
	if p.Table != "tcp" && p.Table != "tcp6" { // the original did not read such tables
		s.Ignored++
		return
	}
	k.ensureWalk()
	key := source.TableKey{Netns: p.Netns, Name: p.Table}
	if k.implicit && p.Part == 0 {
		k.pending.dropTables(key)
	}
	if !k.pending.addTable(&table{key, p.Absent, k.packer.Pack(p.Text)}) {
		s.LeaveOut(r.Seq)
		return
	}
	k.pendingRead = r.At
}

// socketTable adds one part of a table that was read by sock_diag, as the text that the original would have read.
func (k *proc) socketTable(p *capture.SocketTable, r *capture.Record, s *source.Source, bigEndian bool) {
	if p.Interrupted {
		s.TableChanged(r.Seq)
	}
	text := capture.ProcNet{Netns: p.Netns, Table: p.Table, Part: p.Part}
	if p.Part == 0 {
		text.Text = procnet.AppendHeader(nil)
	}
	scan := sockdiag.NewScanner(p.Messages, bigEndian)
	for w, n := (sockdiag.Row{}), 0; scan.Next(&w); n++ {
		text.Text = procnet.AppendRow(text.Text, n, w.Row, p.Table == "tcp6", bigEndian)
	}
	s.Undecodable += uint64(scan.Malformed())
	k.table(&text, r, s)
}

// unchanged adds the current text of a table to the walk again.
func (k *proc) unchanged(p *capture.ProcUnchanged, r *capture.Record, s *source.Source) {
	for _, t := range k.parts[source.TableKey{Netns: p.Netns, Name: p.Table}] {
		k.ensureWalk()
		k.pendingRead = r.At
		if k.implicit { // it started with the current tables
			return
		}
		if !k.pending.addTable(t) {
			s.LeaveOut(r.Seq)
			return
		}
	}
}

// sockets adds a list of processes to the walk.
func (k *proc) sockets(p *capture.ProcSockets, r *capture.Record, s *source.Source) {
	k.ensureWalk()
	if k.implicit && p.Part == 0 {
		k.pending.dropLists(p.Netns)
	}
	if !k.pending.addList(source.Owners(p)) {
		s.LeaveOut(r.Seq)
	}
}

// commit makes the result of the walk current. It returns false if the walk has too many
// rows: a part of them is left out.
func (k *proc) commit() (complete bool) {
	type socket struct {
		tuple
		inode uint64
	}
	first := make(map[socket]int64, len(k.rows))
	for i := range k.rows {
		first[socket{k.rows[i].tuple, k.rows[i].inode}] = k.rows[i].first
	}
	k.contents, k.read = k.pending, k.pendingRead
	k.abort()
	complete = k.list()
	for i := range k.rows {
		row := &k.rows[i]
		if at, ok := first[socket{row.tuple, row.inode}]; ok {
			row.first = at
		}
	}
	return complete
}

// list parses the current tables into rows. It returns false if there are too many.
func (k *proc) list() (complete bool) {
	k.parts = make(map[source.TableKey][]*table)
	for _, t := range k.tables {
		k.parts[t.key] = append(k.parts[t.key], t)
	}
	complete = k.scan()
	owners := k.owners()
	// A row without a known owner kept the owner of the row before it.
	var last owner
	kept := k.rows[:0]
	for _, w := range k.rows {
		if o, ok := owners[w.inode]; ok && o != nil {
			last = *o
		}
		if w.owner, w.first = last, k.read; !w.unreadable {
			kept = append(kept, w)
		}
	}
	clear(k.rows[len(kept):])
	k.rows = kept
	return complete
}

// scan reads the rows of the current tables, without their owners. The original parsed all
// tables of a walk as one text, and kept the first row of each inode.
func (k *proc) scan() (complete bool) {
	k.rows = nil
	s := scanner{seen: make(map[uint64]bool)}
	whole := make(map[*table]bool) // tables whose rows were read from the first to the last
	check := repeatedRows          // the number of rows at which they are compared
	for tables := k.tables; !s.last; {
		atRow := len(s.rest) == 0
		if atRow && len(tables) > 1 && whole[tables[0]] {
			tables = tables[1:] // it is unchanged and has no new row
			continue
		}
		s.buf = append(s.buf[:0], s.rest...)
		var first *table
		added := 0
		for more := max(minText, 2*len(s.buf)); len(s.buf) < more && len(tables) > 0; tables = tables[1:] {
			s.buf = k.packer.Append(s.buf, tables[0].text)
			first = tables[0]
			added++
		}
		s.rest, s.last = s.buf, len(tables) == 0
		for w := (row{}); s.next(&w); {
			if len(k.rows) == check {
				if check *= 2; check > maxRows || repeated(k.rows) {
					return false
				}
			}
			k.rows = append(k.rows, w)
		}
		if atRow && added == 1 && len(s.rest) == 0 {
			whole[first] = true
		}
	}
	return true
}

// Bounds of the rows: how many there are at most, and how many there may be if most of them
// have the same addresses and ports as others.
const (
	maxRows      = 2 << 20
	repeatedRows = 64 << 10
)

// repeated reports whether most rows have the tuple of another one.
func repeated(rows []row) bool {
	tuples := make(map[tuple]bool)
	for i := range rows {
		tuples[rows[i].tuple] = true
	}
	return 2*len(tuples) < len(rows)
}

// minText is how many bytes of text are parsed at once, unless a row is longer.
const minText = 4 << 10

// owners maps the inodes of the rows to processes of all namespaces. Chosen: if several
// processes have a socket open, the one that was listed last. If a namespace has no tcp or
// no tcp6 table, reading it failed, and the original did not look at the descriptors of its
// processes.
func (k *proc) owners() map[uint64]*owner {
	unread := make(map[uint64]bool)
	for _, t := range k.tables {
		if t.absent {
			unread[t.key.Netns] = true
		}
	}
	owners := make(map[uint64]*owner, len(k.rows))
	for i := range k.rows {
		owners[k.rows[i].inode] = nil
	}
	for _, l := range k.lists {
		if unread[l.Netns] {
			continue
		}
		for _, p := range l.Processes {
			o := &owner{p.PID, p.Comm, l.Netns}
			for _, inode := range p.Inodes {
				if _, wanted := owners[inode]; wanted {
					owners[inode] = o
				}
			}
		}
	}
	return owners
}

// scanner reads the text of tables as the original did. It expects complete lines:
// in a short line it continues with the fields of the next line, and a missing value is
// zero. It reads every address as a little-endian host writes it.
type scanner struct {
	buf  []byte
	rest []byte          // the end of buf, not parsed yet
	last bool            // no text follows buf
	seen map[uint64]bool // inodes of the rows that were returned
}

// next reads the next row in state ESTABLISHED of an inode not seen before, without its
// owner. It returns false, and leaves the beginning of a row, if that needs the text that
// follows.
func (s *scanner) next(r *row) bool {
	const shortest = 3 // the original crashed on shorter texts
	for len(s.rest) >= shortest {
		b := s.rest
		var local, remote, state, inode []byte
		header := b[2] == 's' // the header's first word
		if !header {
			_, b = nextField(b) // number
			local, b = nextField(b)
			remote, b = nextField(b)
			state, b = nextField(b)
		}
		established := !header && parseHex(state) == 1
		if established {
			for range 5 { // queues, timer, retransmissions, user, timeout
				_, b = nextField(b)
			}
			inode, b = nextField(b)
		}
		rest := nextLine(b)
		if rest == nil && !s.last {
			return false
		}
		if s.rest = rest; !established {
			continue
		}
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
		r.unreadable = !ok || !ok2
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
