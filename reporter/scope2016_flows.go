package reporter

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// A scopeFlow is what the last message about a conntrack id said.
type scopeFlow struct {
	orig, reply tuple
	id          uint32
	source      uint32
	hasState    bool
	state       ctmsg.State
	first       int64 // when the id came to stand for these tuples
	last        int64
}

// scopeFlows is what one of the original's conntrack children told: the flows
// that are active, by id and nothing else, and those that ended.
type scopeFlows struct {
	active map[uint32]*scopeFlow
	ended  []scopeFlow // since the last tick, in order
	shown  []scopeFlow // in the window that the last tick closed
}

// maxEnded bounds the flows that end between two ticks; what ends beyond that
// is not shown. The original's buffer grew until memory ran out.
const maxEnded = 1 << 20

// conntrack takes one message, be it an event or an entry of a dump.
func (c *scope2016) conntrack(r *capture.Record) {
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
	f := scopeFlow{
		orig: scopeTuple(&m.Orig), reply: scopeTuple(&m.Reply), id: m.ID, source: r.Source,
		hasState: m.HasState, state: m.State, first: r.At, last: r.At,
	}
	typ := m.Type
	if r.Kind == capture.KindDumpEntry {
		typ = ctmsg.Dump
	}
	c.flows.take(&f, typ)
	if m.Status&(ctmsg.SrcNAT|ctmsg.DstNAT) != 0 {
		c.nat.take(&f, typ)
	}
}

// take follows a message. An update and an entry of a dump make a flow active
// in whatever state, none included, but TIME_WAIT, which ends one that is. A
// new flow is no flow yet.
func (w *scopeFlows) take(f *scopeFlow, typ ctmsg.Type) {
	was := w.active[f.id]
	if was != nil && was.orig == f.orig && was.reply == f.reply {
		f.first = was.first
	}
	switch typ {
	case ctmsg.Update, ctmsg.Dump:
		switch {
		case !f.hasState || f.state != ctmsg.TimeWait:
			if was == nil {
				was = new(scopeFlow)
				w.active[f.id] = was
			}
			*was = *f
		case was != nil:
			delete(w.active, f.id)
			w.end(f) // as this message has it, not as it was
		}
	case ctmsg.Destroy:
		if was != nil {
			delete(w.active, f.id)
			was.last = f.last
			w.end(was) // as it was, not as this message has it
		}
	}
}

func (w *scopeFlows) end(f *scopeFlow) {
	if len(w.ended) < maxEnded {
		w.ended = append(w.ended, *f)
	}
}

// clear ends the flows of a source that lost something: the child that the
// original read from did not survive that. What still lives comes back by the
// dump that follows. Chosen: they end in the order of their ids.
func (w *scopeFlows) clear(source uint32) {
	for _, id := range w.ids() {
		if f := w.active[id]; f.source == source {
			delete(w.active, id)
			w.end(f)
		}
	}
}

func (w *scopeFlows) ids() []uint32 {
	ids := slices.AppendSeq(make([]uint32, 0, len(w.active)), maps.Keys(w.active))
	slices.Sort(ids)
	return ids
}

// tick makes the ended flows those of the report.
func (w *scopeFlows) tick() { w.ended, w.shown = w.shown[:0], w.ended }

// each visits what a report shows: active flows, then those that ended.
// Chosen: the active ones in the order of their ids.
func (w *scopeFlows) each(visit func(f *scopeFlow, ended bool)) {
	for _, id := range w.ids() {
		visit(w.active[id], false)
	}
	for i := range w.shown {
		visit(&w.shown[i], true)
	}
}

// tuple is the flow as the original drew it, client first: as its packets leave
// the client, and where the destination's address was rewritten as the server
// sees them. Ports do not count for that.
func (f *scopeFlow) tuple() tuple {
	if f.orig.dst.Addr() != f.reply.src.Addr() {
		return f.reply.reversed()
	}
	return f.orig
}

// mapping is the one translation that the original saw in a flow: what stands
// in the report, and what NAT shows in its place. Of a flow with both it is that
// of the source.
func (f *scopeFlow) mapping() (real, shown netip.AddrPort) {
	if f.orig.src.Addr() == f.reply.dst.Addr() {
		return f.reply.src, f.orig.dst
	}
	return f.orig.src, f.reply.dst
}
