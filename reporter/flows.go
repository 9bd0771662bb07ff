package reporter

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// A tuple is one direction of a TCP connection, as packets or a socket show it.
type tuple struct{ src, dst netip.AddrPort }

func (t tuple) reversed() tuple { return tuple{t.dst, t.src} }

func (t tuple) loopback() bool {
	return t.src.Addr().IsLoopback() || t.dst.Addr().IsLoopback()
}

// A flowKey tells flows apart: the kernel's ids are recycled, and tuples meet
// again in other zones and namespaces.
type flowKey struct {
	orig   tuple
	id     uint32
	source uint32
	zone   uint16
}

// A flow is one life of a conntrack entry.
type flow struct {
	key   flowKey
	reply tuple

	used      bool // the slot holds a flow
	edge      bool // an established past was shown with a reply seen
	ended     bool // by CLOSE, TIME_WAIT, DESTROY or a dump that lacks it
	gone      bool // the kernel has it no more
	hasState  bool
	handshake bool // a SYN was seen: the original direction is the client's
	born      bool // its first packet was seen, at first

	state   ctmsg.State
	first   int64
	last    int64
	touched uint64 // record that last spoke of it
	end     stamp
	window  uint64 // in which it ended
	goneSeq uint64
}

func (f *flow) nat() bool { return f.reply != f.key.orig.reversed() }

const flowPage = 256

// flows is the table of all flows. Pages keep their addresses, and a steady
// state allocates nothing.
type flows struct {
	byKey map[flowKey]*flow
	pages [][]flow
	free  []*flow
	dead  []*flow // gone from the kernel, kept for a report or a walk
}

func (t *flows) init() { t.byKey = make(map[flowKey]*flow) }

// add makes a new flow. A flow of the same key that was there stays, unnamed,
// until nothing needs it.
func (t *flows) add(key *flowKey, reply *tuple, at int64) *flow {
	if len(t.free) == 0 {
		page := make([]flow, flowPage)
		t.pages = append(t.pages, page)
		for i := range page {
			t.free = append(t.free, &page[flowPage-1-i])
		}
	}
	f := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	*f = flow{key: *key, reply: *reply, used: true, first: at, last: at}
	t.byKey[*key] = f
	return f
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
	key := flowKey{orig: tuple{m.Orig.Src, m.Orig.Dst}, id: m.ID, source: r.Source, zone: m.Zone}
	now := stamp{r.At, r.Seq}
	f := c.flows.byKey[key]
	if r.Kind == capture.KindDumpEntry {
		m.Type = ctmsg.Dump
		if f != nil && f.ended && s.dumping && f.endSeq() > s.dumpFrom {
			f.touched = r.Seq
			return // the entry may be older than the end
		}
	}
	if m.Type == ctmsg.Destroy {
		c.destroyed(f, m, &key, now)
		return
	}
	if f != nil && (f.gone || f.ended && reborn(m)) {
		c.flows.detach(f, now)
		f = nil
	}
	if f == nil {
		f = c.flows.add(&key, &tuple{m.Reply.Src, m.Reply.Dst}, r.At)
		f.born = m.Type == ctmsg.New && m.HasState && m.State == ctmsg.SynSent
	}
	f.take(m, now)
	if !f.ended && f.hasState && (f.state == ctmsg.TimeWait || f.state == ctmsg.Close) {
		f.finish(now, c.window)
	}
}

// destroyed takes the last message of a flow. Of an unknown one it may be the
// only trace.
func (c *current) destroyed(f *flow, m *ctmsg.Message, key *flowKey, now stamp) {
	if f != nil && f.gone {
		f.touched = now.seq
		return
	}
	if f == nil {
		var seen flow
		if seen.take(m, now); !seen.edge {
			return
		}
		f = c.flows.add(key, &tuple{m.Reply.Src, m.Reply.Dst}, now.at)
	}
	f.take(m, now)
	c.flows.remove(f, now, c.window)
}

// reborn reports whether a message about an ended flow speaks of a new life:
// the kernel reuses an entry whose tuple opens again. Later states do not
// count, for they may be older than the end that a dump told of.
func reborn(m *ctmsg.Message) bool {
	return m.Type == ctmsg.New || m.HasState && (m.State == ctmsg.SynSent || m.State == ctmsg.SynRecv || m.State == ctmsg.Established)
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
	f.edge = f.hasState && f.state >= ctmsg.Established && f.state <= ctmsg.TimeWait || m.Status&ctmsg.Assured != 0
}

// handshakeFlags reports whether what the kernel knows of both directions began
// with a SYN. It always does, unless the flow was picked up in mid-stream:
// then the kernel sets the fourth bit and cannot know of window scaling.
func handshakeFlags(flags uint8) bool {
	return flags&ctmsg.FlagBeLiberal == 0 || flags&ctmsg.FlagWindowScale != 0
}

func (f *flow) finish(now stamp, window uint64) {
	f.ended, f.end, f.window = true, now, window
}

func (f *flow) endSeq() uint64 {
	if f.gone {
		return f.goneSeq
	}
	return f.end.seq
}

// remove ends a flow that the kernel has no more.
func (t *flows) remove(f *flow, now stamp, window uint64) {
	if !f.ended {
		f.finish(now, window)
	}
	f.gone, f.goneSeq = true, now.seq
	t.dead = append(t.dead, f)
}

// detach takes an ended flow's name away, for its next life.
func (t *flows) detach(f *flow, now stamp) {
	delete(t.byKey, f.key)
	if !f.gone {
		f.gone, f.goneSeq = true, now.seq
		t.dead = append(t.dead, f)
	}
}

// maxDead bounds the flows that are kept for a walk of /proc which does not
// come to its end.
const maxDead = 1 << 20

// sweep frees the dead flows that nothing needs: they were reported, no dump
// that began before their end goes on, and a walk that began after it has
// finished.
func (t *flows) sweep(window uint64, ss *sources, sk *sockets) {
	keep := t.dead[:0]
	excess := len(t.dead) - maxDead
	for i, f := range t.dead {
		s := ss.get(f.key.source)
		dumping := s != nil && s.dumping && s.dumpFrom < f.goneSeq
		if i >= excess && (f.window == window || dumping || sk.needs(f.end)) {
			keep = append(keep, f)
			continue
		}
		if t.byKey[f.key] == f {
			delete(t.byKey, f.key)
		}
		*f = flow{}
		t.free = append(t.free, f)
	}
	t.dead = keep
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
		if f.key.source == r.Source && !f.gone && f.touched < s.dumpFrom {
			c.flows.remove(f, now, c.window)
		}
	})
	s.degraded, s.reason = false, ""
}

// dropAddresses ends the flows that have an end at one of the addresses.
func (t *flows) dropAddresses(gone map[netip.Addr]bool, now stamp, window uint64) {
	t.each(func(f *flow) {
		o, r := &f.key.orig, &f.reply
		if !f.gone && (gone[o.src.Addr()] || gone[o.dst.Addr()] || gone[r.src.Addr()] || gone[r.dst.Addr()]) {
			t.remove(f, now, window)
		}
	})
}
