package scope2016

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// A flow is the state of a flow in the last message with its conntrack id.
type flow struct {
	orig, reply tuple
	id          uint32
	source      uint32
	hasState    bool
	state       ctmsg.State
	first       int64 // when the id had these tuples first
	last        int64
}

// flows are the flows that one of the original's conntrack processes reported. The
// id alone identifies an active flow.
type flows struct {
	active map[uint32]*flow
	ended  []flow // since the last tick, in order
	shown  []flow // in the window that the last tick closed
}

// maxEnded bounds the flows that end between two ticks; reports do not show more. The
// original's buffer grew until memory ran out.
const maxEnded = 1 << 20

// conntrack applies one message: an event or an entry of a dump.
func (m *Machine) conntrack(r *capture.Record) {
	s := m.sources.Of(r)
	s.Records++
	msg := &m.message
	if msg.Decode(r.Payload, m.header.BigEndian) != nil {
		s.Undecodable++
		return
	}
	if msg.Orig.Proto != dnsmsg.TCP {
		s.Ignored++
		return
	}
	f := flow{
		orig: tupleOf(&msg.Orig), reply: tupleOf(&msg.Reply), id: msg.ID, source: r.Source,
		hasState: msg.HasState, state: msg.State, first: r.At, last: r.At,
	}
	typ := msg.Type
	if r.Kind == capture.KindDumpEntry {
		typ = ctmsg.Dump
	}
	if typ == ctmsg.New || typ == ctmsg.Dump {
		s.Flows++
	}
	m.flows.apply(&f, typ)
	if msg.Status&(ctmsg.SrcNAT|ctmsg.DstNAT) != 0 {
		m.nat.apply(&f, typ)
	}
}

// apply applies a message. An update or a dump entry makes a flow active in any state,
// and without a state, but TIME_WAIT ends an active flow. A message of type new has no
// effect.
func (w *flows) apply(f *flow, typ ctmsg.Type) {
	was := w.active[f.id]
	if was != nil && was.orig == f.orig && was.reply == f.reply {
		f.first = was.first
	}
	switch typ {
	case ctmsg.Update, ctmsg.Dump:
		switch {
		case !f.hasState || f.state != ctmsg.TimeWait:
			if was == nil {
				was = new(flow)
				w.active[f.id] = was
			}
			*was = *f
		case was != nil:
			delete(w.active, f.id)
			w.end(f) // in the state of this message
		}
	case ctmsg.Destroy:
		if was != nil {
			delete(w.active, f.id)
			was.last = f.last
			w.end(was) // in the state before this message
		}
	}
}

func (w *flows) end(f *flow) {
	if len(w.ended) < maxEnded {
		w.ended = append(w.ended, *f)
	}
}

// clear ends the flows of a source that lost messages: the original's conntrack process
// exited then. Flows that are still open come back with the dump that follows. Chosen:
// flows end in the order of their ids.
func (w *flows) clear(source uint32) {
	for _, id := range w.ids() {
		if f := w.active[id]; f.source == source {
			delete(w.active, id)
			w.end(f)
		}
	}
}

func (w *flows) ids() []uint32 {
	ids := slices.AppendSeq(make([]uint32, 0, len(w.active)), maps.Keys(w.active))
	slices.Sort(ids)
	return ids
}

// tick shows the flows that ended since the last tick, and no others, as ended.
func (w *flows) tick() { w.ended, w.shown = w.shown[:0], w.ended }

// each visits the flows of a report: active ones, then ended ones. Chosen: the active
// flows come in the order of their ids.
func (w *flows) each(visit func(f *flow, ended bool)) {
	for _, id := range w.ids() {
		visit(w.active[id], false)
	}
	for i := range w.shown {
		visit(&w.shown[i], true)
	}
}

// tuple returns the flow as the original drew it, client first: as its packets leave
// the client or, if NAT rewrote the destination's address, as the server sees them. A
// rewritten port alone does not count.
func (f *flow) tuple() tuple {
	if f.orig.dst.Addr() != f.reply.src.Addr() {
		return f.reply.reversed()
	}
	return f.orig
}

// mapping returns the one translation that the original saw in a flow: the end that
// the report shows, and the address that NAT shows instead. If NAT translates both
// ends, the source's translation counts.
func (f *flow) mapping() (real, shown netip.AddrPort) {
	if f.orig.src.Addr() == f.reply.dst.Addr() {
		return f.reply.src, f.orig.dst
	}
	return f.orig.src, f.reply.dst
}
