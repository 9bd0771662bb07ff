package current

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/source"
)

// An entryKey identifies a conntrack entry: the kernel has a tuple once in each zone of
// a network namespace.
type entryKey struct {
	orig   ctmsg.Tuple
	source uint32
	zone   uint16
}

// A flowKey identifies one life of an entry: the kernel recycles ids, and opens tuples
// again.
type flowKey struct {
	orig   ctmsg.Tuple
	id     uint32
	source uint32
	zone   uint16
}

func (k *flowKey) entry() entryKey { return entryKey{k.orig, k.source, k.zone} }

// A flow is one life of a conntrack entry.
type flow struct {
	key   flowKey
	reply ctmsg.Tuple
	older *flow    // an earlier life of the entry that is still found by its id
	sides *[2]side // client's and server's sockets, which newer tables of /proc lack: only of an ended flow, else nil

	first, last int64
	lastSeq     uint64 // record of its last message
	stateSeq    uint64 // record that last showed its state
	end         stamp
	window      uint64 // in which it ended
	goneSeq     uint64 // record that removed it

	state       ctmsg.State
	hasState    bool
	nat         bool // the reply is not the original reversed
	indexed     bool // it is found by its key
	established bool // an established past was shown with a reply seen
	ended       bool // by CLOSE, TIME_WAIT, DESTROY or a dump that lacks it
	gone        bool // the kernel no longer has it
	handshake   bool // a SYN was seen: the original direction is the client's
	sawFirst    bool // its first packet was seen, at first
	pending     bool // its chain is not reported as closed yet
	observed    bool // by an event, not only by dumps
}

func translated(orig, reply *ctmsg.Tuple) bool { return *reply != orig.Reversed() }

// flows is the table of all flows.
type flows struct {
	all     []*flow             // in the order in which they were first seen
	byEntry map[entryKey]*flow  // the last life; earlier ones follow it
	open    map[ctmsg.Tuple]int // how many open connections have the tuple: see hasOpen
	gone    int                 // flows that the kernel no longer has
	maxGone int
}

func (t *flows) init() {
	*t = flows{byEntry: make(map[entryKey]*flow), maxGone: 1 << 20}
}

// find returns the flow of a key, nil if there is none.
func (t *flows) find(key *flowKey) *flow {
	f := t.byEntry[key.entry()]
	for f != nil && f.key.id != key.id {
		f = f.older
	}
	return f
}

// add makes a new flow. A named flow of the same key must have been detached.
func (t *flows) add(key *flowKey, reply *ctmsg.Tuple, at int64) *flow {
	f := &flow{key: *key, reply: *reply, nat: translated(&key.orig, reply), first: at, last: at}
	t.all = append(t.all, f)
	t.index(f)
	return f
}

// name makes a flow the last life of its entry.
func (t *flows) index(f *flow) {
	e := f.key.entry()
	f.older, f.indexed = t.byEntry[e], true
	t.byEntry[e] = f
}

// unname makes a flow unknown by its key.
func (t *flows) unindex(f *flow) {
	if !f.indexed {
		return
	}
	e := f.key.entry()
	switch last := t.byEntry[e]; {
	case last != f:
		for last.older != f {
			last = last.older
		}
		last.older = f.older
	case f.older != nil:
		t.byEntry[e] = f.older
	default:
		delete(t.byEntry, e)
	}
	f.older, f.indexed = nil, false
}

// hasOpen reports whether an open connection has the tuple, as original or as reply. It
// counts the tuples once in a window, and only if somebody asks: few windows need it.
func (t *flows) hasOpen(tuple *ctmsg.Tuple) bool {
	if t.open == nil {
		t.open = make(map[ctmsg.Tuple]int)
		for _, f := range t.all {
			if f.established && !f.ended {
				t.count(f, 1)
			}
		}
	}
	return t.open[*tuple] > 0
}

// count adds to the counts of a flow's tuples when it shows an open connection from now
// on, or does not any more.
func (t *flows) count(f *flow, change int) {
	if t.open != nil {
		t.open[f.key.orig] += change
		t.open[f.reply] += change
	}
}

// remove notes that the kernel no longer has an ended flow.
func (t *flows) remove(f *flow, now stamp) {
	f.gone, f.goneSeq = true, now.seq
	t.gone++
}

// detach makes an ended flow unknown by its key, for its next life.
func (t *flows) detach(f *flow, now stamp) {
	t.unindex(f)
	if !f.gone {
		t.remove(f, now)
	}
}

// sweep forgets the gone flows that nothing needs: they were reported, no dump that
// began before their end goes on, and a walk that began after it has finished. If that
// walk does not finish, the oldest of more than maxGone are forgotten all the same;
// broken reports that a chain lost one of its flows so.
func (t *flows) sweep(window uint64, ss *source.Sources, k *sockets) (broken bool) {
	t.open = nil
	excess := t.excess()
	t.all = slices.DeleteFunc(t.all, func(f *flow) bool {
		if !f.gone {
			return false
		}
		s := ss.Get(f.key.source)
		dumping := s != nil && s.Dumping && s.DumpFrom < f.goneSeq
		if !excess[f] && (f.window == window || f.pending || dumping || k.mayShow(f.end)) {
			return false
		}
		broken = broken || f.pending
		t.unindex(f)
		t.gone--
		return true
	})
	return broken
}

// excess returns the oldest of more than maxGone gone flows.
func (t *flows) excess() map[*flow]bool {
	n := t.gone - t.maxGone
	if n <= 0 {
		return nil
	}
	gone := make([]*flow, 0, t.gone)
	for _, f := range t.all {
		if f.gone {
			gone = append(gone, f)
		}
	}
	slices.SortStableFunc(gone, func(a, b *flow) int { return cmp.Compare(a.goneSeq, b.goneSeq) })
	out := make(map[*flow]bool, n)
	for _, f := range gone[:n] {
		out[f] = true
	}
	return out
}
