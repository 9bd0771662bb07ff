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

// A flowKey identifies a flow. The kernel reuses ids and tuples, so that flows may have equal
// keys at different times.
type flowKey struct {
	orig   ctmsg.Tuple
	id     uint32
	source uint32
	zone   uint16
}

func (k *flowKey) entry() entryKey { return entryKey{k.orig, k.source, k.zone} }

// A flow is a connection as one conntrack entry shows it. An entry that is reused is another
// flow.
type flow struct {
	key   flowKey
	reply ctmsg.Tuple
	older *flow    // the previous flow of the entry that is still indexed
	sides *[2]side // the sockets of the client and the server of an ended flow, if newer tables of /proc may lack them

	first, last int64
	lastSeq     uint64 // number of the record of its last message
	stateSeq    uint64 // number of the record that last showed its state
	end         stamp
	window      uint64 // in which it ended
	goneSeq     uint64 // number of the record that removed it

	state       ctmsg.State
	hasState    bool
	offloaded   bool // conntrack shows, instead of a state, that a flow table forwards the packets
	inHardware  bool // the flow table is the hardware's
	nat         bool // the reply tuple is not the reversed original one
	indexed     bool // flows.find finds it
	established bool // a message proved it, and that a reply was seen; or a socket did
	ended       bool // by CLOSE, TIME_WAIT, DESTROY or a dump that lacks it
	gone        bool // the kernel has removed its entry
	handshake   bool // a SYN was seen: the original direction is the client's
	sawFirst    bool // first is the time of its first packet
	pending     bool // its chain is not reported as closed yet
	observed    bool // by an event, not only by dumps
}

// translated reports whether NAT changes the tuples.
func translated(orig, reply *ctmsg.Tuple) bool { return *reply != orig.Reversed() }

// flows is the table of all flows.
type flows struct {
	all     []*flow             // in the order in which they were first seen
	byEntry map[entryKey]*flow  // the last indexed flow of the entry; older leads to the others
	open    map[ctmsg.Tuple]int // number of open connections by tuple; nil until hasOpen needs it
	gone    int                 // number of flows whose entry is removed
	maxGone int                 // how many of them are kept at most
}

// maxRemoved is maxGone, except in tests.
const maxRemoved = 1 << 20

func (t *flows) init() {
	*t = flows{byEntry: make(map[entryKey]*flow), maxGone: maxRemoved}
}

// find returns the indexed flow of a key, nil if there is none.
func (t *flows) find(key *flowKey) *flow {
	f := t.byEntry[key.entry()]
	for f != nil && f.key.id != key.id {
		f = f.older
	}
	return f
}

// add adds a new flow. An indexed flow of the same key must have been detached.
func (t *flows) add(key *flowKey, reply *ctmsg.Tuple, at int64) *flow {
	f := &flow{key: *key, reply: *reply, nat: translated(&key.orig, reply), first: at, last: at}
	t.all = append(t.all, f)
	t.index(f)
	return f
}

// index makes find find a flow, as the last one of its entry.
func (t *flows) index(f *flow) {
	e := f.key.entry()
	f.older, f.indexed = t.byEntry[e], true
	t.byEntry[e] = f
}

// unindex makes find not find a flow any more.
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

// hasOpen reports whether an open connection has the original or reply tuple. Few windows need
// it, so the first call in a window counts the tuples of all flows.
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

// count adds change to the counts of a flow's tuples.
func (t *flows) count(f *flow, change int) {
	if t.open != nil {
		t.open[f.key.orig] += change
		t.open[f.reply] += change
	}
}

// remove marks an ended flow as gone: the kernel has removed its entry.
func (t *flows) remove(f *flow, now stamp) {
	f.gone, f.goneSeq = true, now.seq
	t.gone++
}

// detach unindexes an ended flow, so that a new one can have its key.
func (t *flows) detach(f *flow, now stamp) {
	t.unindex(f)
	if !f.gone {
		t.remove(f, now)
	}
}

// sweep drops the gone flows that are not needed: they were reported, and since they ended a
// complete walk of /proc began, and every unfinished dump. If there are more than maxGone,
// it drops the oldest even if they are needed; late keeps them for another window, in which
// events of their sockets may come; broken reports that a chain lost a flow so.
func (t *flows) sweep(window uint64, late bool, ss *source.Sources, k *sockets) (broken bool) {
	t.open = nil
	excess := t.excess()
	t.all = slices.DeleteFunc(t.all, func(f *flow) bool {
		if !f.gone {
			return false
		}
		s := ss.Get(f.key.source)
		dumping := s != nil && s.Dumping && s.DumpFrom < f.goneSeq
		recent := f.window == window || late && f.window+1 == window
		if !excess[f] && (recent || f.pending || dumping || k.mayShow(f.end)) {
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
