package reporter

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// A flowKey tells flows apart: the kernel's ids are recycled, and tuples meet
// again in other zones and namespaces.
type flowKey struct {
	orig   ctmsg.Tuple
	id     uint32
	source uint32
	zone   uint16
}

// A flow is one life of a conntrack entry, three lines of memory of which most
// messages of it need two, and without pointers.
type flow struct {
	key    flowKey
	next   int32 // of the same hash: its number and 1, 0 for none
	number int32 // of its slot

	last    int64
	touched uint64 // record that last spoke of it
	shown   uint64 // record that last showed its state
	first   int64
	window  uint64 // in which it ended
	goneSeq uint64

	state     ctmsg.State
	used      bool // the slot holds a flow
	edge      bool // an established past was shown with a reply seen
	ended     bool // by CLOSE, TIME_WAIT, DESTROY or a dump that lacks it
	gone      bool // the kernel has it no more
	hasState  bool
	handshake bool // a SYN was seen: the original direction is the client's
	born      bool // its first packet was seen, at first
	held      bool // part of a chain that is still to be told of
	heard     bool // an event spoke of it, not only dumps
	nat       bool // the reply is not the original reversed
	kept      bool // it has ended, and newer tables have come into force: flows.kept has its sockets

	place int32 // among those that live
	reply ctmsg.Tuple
	end   stamp
	_     uint64 // to a whole line
}

// touch reads every line of the flow.
func (f *flow) touch() uint64 { return f.key.orig.SrcIP.Hi + f.touched + f.reply.DstIP.Hi }

func translated(orig, reply *ctmsg.Tuple) bool { return *reply != orig.Reversed() }

const flowPage = 256

// flows is the table of all flows. Pages keep their addresses, and a steady
// state allocates nothing.
type flows struct {
	named flowNames // by the key's hash
	pages [][]flow
	free  []*flow
	live  []*flow            // have not ended
	ended []*flow            // since the tick before last
	dead  []*flow            // gone from the kernel, kept for a report or a walk
	kept  map[int32]*[2]side // client's and server's sockets, by the flow's number

	maxDead int
}

func (t *flows) init() {
	*t = flows{kept: make(map[int32]*[2]side), maxDead: 1 << 20}
	t.named.init()
}

// unname takes a flow's name away; it does nothing to a flow without one.
func (t *flows) unname(f *flow) {
	h := f.key.hash()
	at := t.first(h)
	if at == f {
		if f.next == 0 {
			t.named.remove(h)
		} else {
			t.named.set(h, f.next-1)
			f.next = 0
		}
		return
	}
	for ; at != nil; at = t.after(at) {
		if at.next == f.number+1 {
			at.next, f.next = f.next, 0
			return
		}
	}
}

// add makes a new flow. A flow of the same key that was there stays, unnamed,
// until nothing needs it.
func (t *flows) add(key *flowKey, reply *ctmsg.Tuple, at int64) *flow {
	if len(t.free) == 0 {
		page := t.grow()
		for i := range page {
			t.free = append(t.free, &page[flowPage-1-i])
		}
	}
	f := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	h := key.hash()
	*f = flow{key: *key, reply: *reply, next: t.named.get(h) + 1, number: f.number, used: true, nat: translated(&key.orig, reply),
		place: int32(len(t.live)), first: at, last: at}
	t.named.set(h, f.number)
	t.live = append(t.live, f)
	return f
}

// end moves a flow from those that live to those that have ended.
func (t *flows) end(f *flow) {
	last := t.live[len(t.live)-1]
	t.live[f.place], last.place, f.place = last, f.place, 0
	t.live[len(t.live)-1] = nil
	t.live = t.live[:len(t.live)-1]
	t.ended = append(t.ended, f)
}

// keep is where the sockets of an ended flow are kept.
func (t *flows) keep(f *flow) *[2]side {
	k := t.kept[f.number]
	if k == nil {
		k = new([2]side)
		t.kept[f.number], f.kept = k, true
	}
	return k
}

// each visits all flows, in an order that only the records decide.
func (t *flows) each(visit func(*flow)) {
	for _, page := range t.pages {
		for i := range page {
			if page[i].used {
				visit(&page[i])
			}
		}
	}
}

// conntrack takes one message, be it an event or an entry of a dump.
func (c *current) conntrack(r *capture.Record) {
	s := c.sources.of(r)
	s.records++
	m := &c.message
	if m.Decode(r.Payload, c.header.BigEndian) != nil {
		s.undecodable++
		return
	}
	if m.Orig.Proto != dnsmsg.TCP {
		s.ignored++
		return
	}
	m.Reply.Proto = m.Orig.Proto // whatever it says: only addresses and ports count
	key := flowKey{orig: m.Orig, id: m.ID, source: s.number, zone: m.Zone}
	now := stamp{r.At, r.Seq}
	f := c.flows.find(&key)
	if r.Kind == capture.KindDumpEntry {
		m.Type = ctmsg.Dump
		if f != nil && s.dumping && f.touched > s.dumpFrom && (f.ended || f.hasState) {
			return // the entry may be older than what events have told since
		}
	}
	if m.Type == ctmsg.Destroy {
		c.destroyed(f, m, &key, now, s.dumping)
		return
	}
	if f != nil && (f.gone || f.ended && reborn(m) || !f.ended && f.over(m)) {
		if !f.ended {
			c.finish(f, now)
		}
		c.flows.detach(f, now)
		f = nil
	}
	if f == nil {
		f = c.flows.add(&key, &m.Reply, r.At)
		c.succeed(f, now, m.Type == ctmsg.Dump)
		if m.Type == ctmsg.New && m.HasState && m.State == ctmsg.SynSent {
			f.born = true
			c.supersede(f)
		}
	}
	shown := f.shown
	f.take(m, now)
	f.heard = f.heard || m.Type != ctmsg.Dump
	if m.Type == ctmsg.Dump && m.HasState && s.dumping { // the entry may be as old as the dump
		f.shown = max(shown, s.dumpFrom)
	}
	if !f.ended && f.hasState && (f.state == ctmsg.TimeWait || f.state == ctmsg.Close) {
		c.finish(f, now)
	}
}

// destroyed takes the last message of a flow. Of an unknown one it may be the
// only trace, and an older entry of a dump or row of a table may be still to come.
func (c *current) destroyed(f *flow, m *ctmsg.Message, key *flowKey, now stamp, dumping bool) {
	if f != nil && f.gone {
		f.touched = now.seq
		return
	}
	if f == nil {
		var seen flow
		if seen.take(m, now); !seen.edge && !dumping && !c.sockets.needs(now) {
			return
		}
		f = c.flows.add(key, &m.Reply, now.at)
	}
	f.take(m, now)
	c.remove(f, now)
}

// reborn reports whether a message about an ended flow speaks of a new life:
// the kernel reuses an entry whose tuple opens again. Later states do not
// count, for they may be older than the end that a dump told of.
func reborn(m *ctmsg.Message) bool {
	return m.Type == ctmsg.New || m.HasState && (m.State == ctmsg.SynSent || m.State == ctmsg.SynRecv || m.State == ctmsg.Established)
}

// over reports whether a message speaks of a life after the flow's, whose end
// was lost: a flow begins once, and an entry opens again only when it is closed.
// What only a dump told of may be younger than the events that come.
func (f *flow) over(m *ctmsg.Message) bool {
	switch {
	case m.Type == ctmsg.New:
		return f.heard || f.reply != m.Reply
	case !f.heard || !m.HasState || m.State != ctmsg.SynSent:
		return false
	}
	return f.hasState && f.state >= ctmsg.Established && f.state < ctmsg.TimeWait
}

// maxLives is how many flows of one tuple are known by name: the one that lives,
// and those whose destruction may still come.
const maxLives = 4

// succeed ends what had a new flow's tuple before: the kernel has a tuple once
// in a zone. An entry of a dump ends nothing, it may be older than the events.
func (c *current) succeed(f *flow, now stamp, dumped bool) {
	lives := 1
	for g := c.flows.after(f); g != nil; {
		next := c.flows.after(g)
		if g.key.orig == f.key.orig && g.key.source == f.key.source && g.key.zone == f.key.zone {
			lives++
			if !g.ended && (!dumped || lives > maxLives) {
				c.finish(g, now)
			}
			if lives > maxLives {
				c.flows.detach(g, now)
			}
		}
		g = next
	}
}

// take learns from a message. An ended flow learns nothing more.
func (f *flow) take(m *ctmsg.Message, now stamp) {
	f.touched = now.seq
	if f.ended {
		return
	}
	f.last = now.at
	late := m.Type == ctmsg.New && f.hasState // a dump spoke of it before its event came
	if m.HasState {
		f.shown = now.seq
		if m.State == ctmsg.SynSent || m.State == ctmsg.SynRecv {
			f.handshake = true
		}
		if !late {
			f.state, f.hasState = m.State, true
		}
	}
	if m.HasFlags && handshakeFlags(m.FlagsOrig|m.FlagsReply) {
		f.handshake = true
	}
	if f.edge || m.Status&ctmsg.SeenReply == 0 || m.Type == ctmsg.Dump && (f.state == ctmsg.TimeWait || f.state == ctmsg.Close) {
		return
	}
	f.edge = f.hasState && (f.state >= ctmsg.Established && f.state <= ctmsg.TimeWait || f.state == ctmsg.Close && m.Status&ctmsg.Assured != 0)
}

// handshakeFlags reports whether what the kernel knows of both directions began
// with a SYN. It always does, unless the flow was picked up in mid-stream:
// then the kernel sets the fourth bit and cannot know of window scaling.
func handshakeFlags(flags uint8) bool {
	return flags&ctmsg.FlagBeLiberal == 0 || flags&ctmsg.FlagWindowScale != 0
}

// finish ends a flow. A socket that was connected shows an established past,
// whatever the messages showed.
func (c *current) finish(f *flow, now stamp) {
	f.ended, f.end, f.window = true, now, c.window
	c.flows.end(f)
	v := c.views(f)
	a, b := c.sockets.end(v[0], now), c.sockets.end(v[1], now)
	f.edge = f.edge || a || b
}

// remove ends a flow that the kernel has no more.
func (c *current) remove(f *flow, now stamp) {
	if !f.ended {
		c.finish(f, now)
	}
	f.gone, f.goneSeq = true, now.seq
	c.flows.dead = append(c.flows.dead, f)
}

// detach takes an ended flow's name away, for its next life.
func (t *flows) detach(f *flow, now stamp) {
	t.unname(f)
	if !f.gone {
		f.gone, f.goneSeq = true, now.seq
		t.dead = append(t.dead, f)
	}
}

// sweep frees the dead flows that nothing needs: they were reported, no dump
// that began before their end goes on, and a walk that began after it has
// finished. If that does not come to its end, the oldest of more than maxDead have
// to go nevertheless; broken says that a chain lost one so.
func (t *flows) sweep(window uint64, ss *sources, sk *sockets) (broken bool) {
	keep := t.dead[:0]
	excess := len(t.dead) - t.maxDead
	for i, f := range t.dead {
		s := ss.get(f.key.source)
		dumping := s != nil && s.dumping && s.dumpFrom < f.goneSeq
		if i >= excess && (f.window == window || f.held || dumping || sk.needs(f.end)) {
			keep = append(keep, f)
			continue
		}
		broken = broken || f.held
		t.unname(f)
		if f.kept {
			delete(t.kept, f.number)
		}
		*f = flow{number: f.number}
		t.free = append(t.free, f)
	}
	t.dead = keep
	t.ended = slices.DeleteFunc(t.ended, func(f *flow) bool { return !f.used || f.window != window })
	return broken
}

// dump begins or ends a table dump.
func (c *current) dump(r *capture.Record) {
	s := c.sources.of(r)
	var p capture.ConntrackDump
	if !c.decode(r, s, &p) {
		return
	}
	if r.Kind == capture.KindDumpBegin {
		s.dumping, s.dumpFrom, s.dumpGap = true, r.Seq, false
		return
	}
	if !s.dumping {
		return
	}
	s.dumping = false
	if s.dumpGap || p.Failed != "" {
		return // it added what it had; another one follows
	}
	now := stamp{r.At, r.Seq}
	c.flows.each(func(f *flow) {
		if f.key.source == s.number && !f.gone && f.touched < s.dumpFrom {
			c.remove(f, now)
		}
	})
	s.degraded, s.reason = false, ""
}

// dropAddresses ends the flows that have an end at one of the addresses.
func (c *current) dropAddresses(gone map[netip.Addr]bool, now stamp) {
	had := make(map[ctmsg.IP]bool, len(gone))
	for a := range gone { // order cannot matter: into a set
		if a.Zone() == "" { // no flow has one
			had[ctmsg.IPOf(a)] = true
		}
	}
	c.flows.each(func(f *flow) {
		o, r := &f.key.orig, &f.reply
		if !f.gone && (had[o.SrcIP] || had[o.DstIP] || had[r.SrcIP] || had[r.DstIP]) {
			c.remove(f, now)
		}
	})
}
