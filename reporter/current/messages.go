package current

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// conntrack applies one message, an event or an entry of a dump.
func (c *Machine) conntrack(r *capture.Record) {
	s := c.sources.Of(r)
	s.Records++
	m := &c.message
	if m.Decode(r.Payload, c.header.BigEndian) != nil {
		s.Undecodable++
		return
	}
	if m.Orig.Proto != dnsmsg.TCP {
		s.Ignored++
		return
	}
	m.Reply.Proto = m.Orig.Proto // the reply's own is ignored: only addresses and ports count
	key := flowKey{orig: m.Orig, id: m.ID, source: s.Number, zone: m.Zone}
	now := stamp{r.At, r.Seq}
	f := c.flows.find(&key)
	if r.Kind == capture.KindDumpEntry {
		m.Type = ctmsg.Dump
		if f != nil && s.Dumping && f.touched > s.DumpFrom && (f.ended || f.hasState) {
			return // the entry may be older than the events since the dump's begin
		}
	}
	if m.Type == ctmsg.Destroy {
		c.destroyed(f, m, &key, now, s.Dumping)
		return
	}
	if f != nil && (f.gone || f.ended && reborn(m) || !f.ended && f.reused(m)) {
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
	c.apply(f, m, now)
	f.observed = f.observed || m.Type != ctmsg.Dump
	if m.Type == ctmsg.Dump && m.HasState && s.Dumping { // the entry may be as old as the dump
		f.shown = max(shown, s.DumpFrom)
	}
	if !f.ended && f.hasState && (f.state == ctmsg.TimeWait || f.state == ctmsg.Close) {
		c.finish(f, now)
	}
}

// destroyed applies the last message of a flow. It may be the only trace of an unknown
// one, and an older entry of a dump or row of a table may follow.
func (c *Machine) destroyed(f *flow, m *ctmsg.Message, key *flowKey, now stamp, dumping bool) {
	if f != nil && f.gone {
		f.touched = now.seq
		return
	}
	if f == nil {
		var seen flow
		if seen.apply(m, now); !seen.edge && !dumping && !c.sockets.needs(now) {
			return
		}
		f = c.flows.add(key, &m.Reply, now.at)
	}
	c.apply(f, m, now)
	c.remove(f, now)
}

// reborn reports whether a message about an ended flow belongs to a new life: the
// kernel reuses an entry whose tuple opens again. Later states do not count: the
// message may be older than the end that a dump showed.
func reborn(m *ctmsg.Message) bool {
	return m.Type == ctmsg.New || m.HasState && (m.State == ctmsg.SynSent || m.State == ctmsg.SynRecv || m.State == ctmsg.Established)
}

// reused reports whether m belongs to a later flow with the same key: the DESTROY was
// lost. A flow begins once, and an entry opens again only when it is closed. A flow that
// only a dump showed may be younger than the events that follow.
func (f *flow) reused(m *ctmsg.Message) bool {
	switch {
	case m.Type == ctmsg.New:
		return f.observed || f.reply != m.Reply
	case !f.observed || !m.HasState || m.State != ctmsg.SynSent:
		return false
	}
	return f.hasState && f.state >= ctmsg.Established && f.state < ctmsg.TimeWait
}

// maxLives bounds the flows of one entry that are found by their ids: the open one, and
// those whose DESTROY may still come.
const maxLives = 4

// succeed ends the flows that had a new flow's entry before. An entry of a dump ends
// none: it may be older than the events.
func (c *Machine) succeed(f *flow, now stamp, dumped bool) {
	lives := 1
	for g := f.older; g != nil; {
		next := g.older
		lives++
		if !g.ended && (!dumped || lives > maxLives) {
			c.finish(g, now)
		}
		if lives > maxLives {
			c.flows.detach(g, now)
		}
		g = next
	}
}

// apply adds what a message shows to a flow of the table.
func (c *Machine) apply(f *flow, m *ctmsg.Message, now stamp) {
	had := f.edge
	f.apply(m, now)
	if f.edge && !had {
		c.flows.count(f, 1)
	}
}

// apply adds what a message shows. An ended flow does not change any more.
func (f *flow) apply(m *ctmsg.Message, now stamp) {
	f.touched = now.seq
	if f.ended {
		return
	}
	f.last = now.at
	late := m.Type == ctmsg.New && f.hasState // a dump showed the flow before its event came
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

// handshakeFlags reports whether the kernel saw a SYN begin both directions. It always
// did, unless it picked the flow up in mid-stream: then it sets the fourth bit and cannot
// know of window scaling.
func handshakeFlags(flags uint8) bool {
	return flags&ctmsg.FlagBeLiberal == 0 || flags&ctmsg.FlagWindowScale != 0
}

// finish ends a flow. A socket that was connected shows an established past, even where
// no message did.
func (c *Machine) finish(f *flow, now stamp) {
	if f.edge {
		c.flows.count(f, -1)
	}
	f.ended, f.end, f.window = true, now, c.window
	v := views(&c.sources, f)
	a, b := c.sockets.end(v[0], now), c.sockets.end(v[1], now)
	f.edge = f.edge || a || b
}

// remove ends a flow that the kernel no longer has.
func (c *Machine) remove(f *flow, now stamp) {
	if !f.ended {
		c.finish(f, now)
	}
	c.flows.remove(f, now)
}

// dump begins or ends a table dump.
func (c *Machine) dump(r *capture.Record) {
	var p capture.ConntrackDump
	s, ok := c.sources.Decode(r, &p)
	if !ok {
		return
	}
	if r.Kind == capture.KindDumpBegin {
		s.Dumping, s.DumpFrom, s.DumpGap = true, r.Seq, false
		return
	}
	if !s.Dumping {
		return
	}
	s.Dumping = false
	if s.DumpGap || p.Failed != "" {
		return // its entries count; another dump follows
	}
	now := stamp{r.At, r.Seq}
	for _, f := range c.flows.all {
		if f.key.source == s.Number && !f.gone && f.touched < s.DumpFrom {
			c.remove(f, now)
		}
	}
	s.Degraded, s.Reason = false, ""
}

// dropAddresses ends the flows that have an end at one of the addresses.
func (c *Machine) dropAddresses(lost map[netip.Addr]bool, now stamp) {
	had := make(map[ctmsg.IP]bool, len(lost))
	for a := range lost { // order cannot matter: into a set
		if a.Zone() == "" { // no flow has one
			had[ctmsg.IPOf(a)] = true
		}
	}
	for _, f := range c.flows.all {
		o, r := &f.key.orig, &f.reply
		if !f.gone && (had[o.SrcIP] || had[o.DstIP] || had[r.SrcIP] || had[r.DstIP]) {
			c.remove(f, now)
		}
	}
}
