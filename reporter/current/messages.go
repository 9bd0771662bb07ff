package current

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// conntrack applies a message: an event or an entry of a dump.
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
	if msg.Type == ctmsg.New || r.Kind == capture.KindDumpEntry {
		s.Flows++
	}
	msg.Reply.Proto = msg.Orig.Proto // the reply's protocol is ignored
	key := flowKey{orig: msg.Orig, id: msg.ID, source: s.Number, zone: msg.Zone}
	now := stamp{r.At, r.Seq}
	f := m.flows.find(&key)
	if r.Kind == capture.KindDumpEntry {
		msg.Type = ctmsg.Dump
		if f != nil && s.Dumping && f.lastSeq > s.DumpFrom && (f.ended || f.hasState) {
			return // events since the begin of the dump may be newer than the entry
		}
	}
	if msg.Type == ctmsg.Destroy {
		m.destroyed(f, msg, &key, now, s.Dumping)
		return
	}
	if f != nil && (f.gone || f.ended && reopens(msg) || !f.ended && f.reused(msg)) {
		if !f.ended {
			m.finish(f, now)
		}
		m.flows.detach(f, now)
		f = nil
	}
	if f == nil {
		f = m.flows.add(&key, &msg.Reply, r.At)
		m.endOlder(f, now, msg.Type == ctmsg.Dump)
		if msg.Type == ctmsg.New && msg.HasState && msg.State == ctmsg.SynSent {
			f.sawFirst = true
			for _, v := range views(&m.sources, f) {
				m.supersede(v, f.first)
			}
		}
	}
	shown := f.stateSeq
	m.apply(f, msg, now)
	f.observed = f.observed || msg.Type != ctmsg.Dump
	if msg.Type == ctmsg.Dump && (msg.HasState || msg.Status&offload != 0) && s.Dumping { // the entry may be as old as the dump
		f.stateSeq = max(shown, s.DumpFrom)
	}
	if !f.ended && f.hasState && (f.state == ctmsg.TimeWait || f.state == ctmsg.Close) {
		m.finish(f, now)
	}
}

// destroyed applies a DESTROY message. It adds an unknown flow if the message shows an
// established past, or if an older entry of a dump or row of a table may follow.
func (m *Machine) destroyed(f *flow, msg *ctmsg.Message, key *flowKey, now stamp, dumping bool) {
	if f != nil && f.gone {
		f.lastSeq = now.seq
		return
	}
	if f == nil {
		var seen flow
		if seen.apply(msg, now); !seen.established && !dumping && !m.sockets.mayShow(now) {
			return
		}
		f = m.flows.add(key, &msg.Reply, now.at)
	}
	m.apply(f, msg, now)
	m.remove(f, now)
}

// reopens reports whether a message with the key of an ended flow belongs to a new connection:
// the kernel reuses the entry if its tuple is opened again. Later states do not count, because
// the message may be older than the dump that showed the end.
func reopens(m *ctmsg.Message) bool {
	return m.Type == ctmsg.New || m.HasState && (m.State == ctmsg.SynSent || m.State == ctmsg.SynRecv || m.State == ctmsg.Established)
}

// reused reports whether m belongs to a later flow with the same key: the DESTROY was
// lost. A flow has one NEW message, and the kernel opens an entry again only after it closed.
// If only a dump has shown the flow, older events may still follow.
func (f *flow) reused(m *ctmsg.Message) bool {
	switch {
	case m.Type == ctmsg.New:
		return f.observed || f.reply != m.Reply
	case !f.observed || !m.HasState || m.State != ctmsg.SynSent:
		return false
	}
	return f.established || f.hasState && f.state >= ctmsg.Established && f.state < ctmsg.TimeWait
}

// maxLives bounds the flows of one entry that are found by their keys: the open one, and
// ended ones whose DESTROY may still come.
const maxLives = 4

// endOlder ends the earlier flows of a new flow's entry. A flow that a dump entry shows ends
// none, because the entry may be older than the events.
func (m *Machine) endOlder(f *flow, now stamp, dumped bool) {
	lives := 1
	for g := f.older; g != nil; {
		next := g.older
		lives++
		if !g.ended && (!dumped || lives > maxLives) {
			m.finish(g, now)
		}
		if lives > maxLives {
			m.flows.detach(g, now)
		}
		g = next
	}
}

// apply applies a message to a flow, and counts the flow once it is established.
func (m *Machine) apply(f *flow, msg *ctmsg.Message, now stamp) {
	had := f.established
	f.apply(msg, now)
	if f.established && !had {
		m.flows.count(f, 1)
	}
}

// apply applies a message. An ended flow does not change any more.
func (f *flow) apply(m *ctmsg.Message, now stamp) {
	f.lastSeq = now.seq
	if f.ended {
		return
	}
	f.last = now.at
	late := m.Type == ctmsg.New && f.hasState // a dump showed the flow first
	if m.HasState {
		f.stateSeq = now.seq
		if m.State == ctmsg.SynSent || m.State == ctmsg.SynRecv {
			f.handshake = true
		}
		if !late {
			f.state, f.hasState, f.offloaded, f.inHardware = m.State, true, false, false
		}
	} else if m.Status&offload != 0 {
		f.stateSeq, f.offloaded, f.inHardware = now.seq, true, m.Status&ctmsg.HWOffload != 0
	}
	if m.HasFlags && handshakeFlags(m.FlagsOrig|m.FlagsReply) {
		f.handshake = true
	}
	if f.established || m.Status&ctmsg.SeenReply == 0 || m.Type == ctmsg.Dump && (f.state == ctmsg.TimeWait || f.state == ctmsg.Close) {
		return
	}
	f.established = f.proves(m)
	if f.established && f.inHandshake() { // the message has no state, and that of the handshake is outdated
		f.hasState = false
	}
}

// offload has the bits that the kernel shows instead of a state while a flow table forwards the
// packets. Only established flows get there.
const offload = ctmsg.Offload | ctmsg.HWOffload

// proves reports whether a message with SeenReply, which was applied, proves an established past:
// by its state, or by its status if it has none. The kernel sets Assured once a flow is
// established, so that a refused one never has it.
func (f *flow) proves(m *ctmsg.Message) bool {
	assured := m.Status&ctmsg.Assured != 0
	switch {
	case !m.HasState && (assured || m.Status&offload != 0):
		return true
	case !f.hasState:
		return false
	}
	return f.state >= ctmsg.Established && f.state <= ctmsg.TimeWait || f.state == ctmsg.Close && assured
}

// stateText returns the state as conntrack shows it, "" if it is unknown. settled reports that it
// is known, and that it is not one of a handshake.
func (f *flow) stateText() (text string, settled bool) {
	switch {
	case f.inHardware:
		return "HW_OFFLOAD", true
	case f.offloaded:
		return "OFFLOAD", true
	case f.hasState:
		return f.state.String(), !f.inHandshake()
	}
	return "", false
}

// inHandshake reports whether a message showed a state before ESTABLISHED.
func (f *flow) inHandshake() bool {
	return f.hasState && (f.state < ctmsg.Established || f.state == ctmsg.SynSent2)
}

// handshakeFlags reports whether the kernel saw the SYN of a flow. If it picked the flow up in
// mid-stream, it sets FlagBeLiberal and does not know about window scaling.
func handshakeFlags(flags uint8) bool {
	return flags&ctmsg.FlagBeLiberal == 0 || flags&ctmsg.FlagWindowScale != 0
}

// finish ends a flow. A current row of one of its sockets shows that it was established, even
// if no message did.
func (m *Machine) finish(f *flow, now stamp) {
	if f.established {
		m.flows.count(f, -1)
	}
	f.ended, f.end, f.window = true, now, m.ticks.Window
	v := views(&m.sources, f)
	a, b := m.sockets.end(v[0], now), m.sockets.end(v[1], now)
	f.established = f.established || a || b
}

// remove ends a flow whose entry the kernel has removed.
func (m *Machine) remove(f *flow, now stamp) {
	if !f.ended {
		m.finish(f, now)
	}
	m.flows.remove(f, now)
}

// dump begins or ends a dump. A complete dump ends the flows that it lacks.
func (m *Machine) dump(r *capture.Record) {
	var p capture.ConntrackDump
	s, ok := m.sources.Decode(r, &p)
	if !ok {
		return
	}
	if r.Kind == capture.KindDumpBegin {
		s.BeginDump(r.Seq)
		return
	}
	if complete := s.EndDump(p.Failed != ""); !complete {
		return // its entries have been applied; another dump follows
	}
	now := stamp{r.At, r.Seq}
	for _, f := range m.flows.all {
		if f.key.source == s.Number && !f.gone && f.lastSeq < s.DumpFrom {
			m.remove(f, now)
		}
	}
}

// dropAddresses ends the flows that have an end at one of the addresses.
func (m *Machine) dropAddresses(lost map[netip.Addr]bool, now stamp) {
	had := make(map[ctmsg.IP]bool, len(lost))
	for a := range lost { // the order cannot matter: a set
		if a.Zone() == "" { // no flow has an address with an IPv6 zone
			had[ctmsg.IPOf(a)] = true
		}
	}
	for _, f := range m.flows.all {
		o, r := &f.key.orig, &f.reply
		if !f.gone && (had[o.SrcIP] || had[o.DstIP] || had[r.SrcIP] || had[r.DstIP]) {
			m.remove(f, now)
		}
	}
}
