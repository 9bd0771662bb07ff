package scope2016

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/source"
)

// Machine is the rule set of Weave Scope's endpoint reporter as it was on
// 2016-09-26, defect for defect. Where the original depended on the order of a Go map
// or on the timing of goroutines, this rule set always makes the same one of the
// possible choices. The comments marked "chosen" say which.
//
// The original makes a report at every tick, even if nobody asks for it here.
type Machine struct {
	header  *capture.Header
	hostID  string
	host    string
	wall    int64          // Unix ns at At 0, moved by every step of the wall clock
	local   []netip.Prefix // ids of addresses in them begin with the host's id
	listed  []string       // the host's local networks, as on the tape
	sources source.Sources

	// The original read from two processes: conntrack, and conntrack --any-nat.
	// Chosen: both see each message at the same time, and the same gap ends both.
	flows, nat flows
	proc       proc
	snooped    snoopedNames
	reversed   reverseNames

	window   uint64 // counts ticks
	tick     capture.Tick
	tickAt   int64
	lastTick int64

	message ctmsg.Message // reused from record to record
	packet  dnsmsg.Packet
	dns     dnsmsg.Message
}

func New(h *capture.Header) *Machine {
	c := &Machine{header: h, hostID: h.HostID, host: h.HostName, wall: h.Start, listed: h.LocalNetworks}
	c.local = source.AppendNetworks(nil, h.LocalNetworks)
	c.flows.active = make(map[uint32]*flow)
	c.nat.active = make(map[uint32]*flow)
	c.snooped.init()
	c.reversed.init()
	return c
}

func (c *Machine) Step(r *capture.Record) bool {
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		c.conntrack(r)
	case capture.KindDumpBegin, capture.KindDumpEnd:
		c.dump(r)
	case capture.KindProcNet:
		var p capture.ProcNet
		if s, ok := c.sources.Observe(r, &p); ok && !c.proc.table(&p, r) {
			s.Ignored++
		}
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if _, ok := c.sources.Observe(r, &p); ok {
			c.proc.unchanged(&p, r)
		}
	case capture.KindProcSockets:
		var p capture.ProcSockets
		if _, ok := c.sources.Observe(r, &p); ok {
			c.proc.sockets(&p)
		}
	case capture.KindWalkBegin, capture.KindWalkEnd:
		c.procWalk(r)
	case capture.KindDNS:
		var p capture.DNS
		if s, ok := c.sources.Observe(r, &p); ok {
			c.dnsPacket(&p, s)
		}
	case capture.KindReverseName:
		var p capture.ReverseName
		if _, ok := c.sources.Observe(r, &p); ok {
			c.reversed.answer(&p, r.At)
		}
	case capture.KindSource:
		var p capture.Source
		if s, ok := c.sources.Decode(r, &p); ok {
			s.Change(&p, r.Seq)
			if !p.Open {
				c.endFlows(r.Source)
			}
		}
	case capture.KindGap:
		var p capture.Gap
		if s, ok := c.sources.Decode(r, &p); ok {
			s.Gap(&p, r.Seq, c.window)
			c.endFlows(r.Source)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			c.hostChanged(&p)
		}
	case capture.KindClock:
		var p capture.Clock
		if r.Decode(&p) == nil {
			c.wall += p.Step
		}
	case capture.KindTick:
		return c.ticked(r)
	}
	return false
}

// ticked moves the flows that ended since the last tick to the report that may be
// made now.
func (c *Machine) ticked(r *capture.Record) bool {
	var t capture.Tick
	if r.Decode(&t) != nil {
		return false
	}
	if c.proc.implicit {
		c.proc.commit()
	}
	c.flows.tick()
	c.nat.tick()
	c.lastTick, c.tickAt, c.tick = c.tickAt, r.At, t
	c.window++
	return true
}

// endFlows ends the flows of a source.
func (c *Machine) endFlows(source uint32) {
	c.flows.clear(source)
	c.nat.clear(source)
}

// dump changes the coverage only. The original read a listing when it started, and
// treated its entries like events: an entry that was missing ended no flow.
func (c *Machine) dump(r *capture.Record) {
	var p capture.ConntrackDump
	s, ok := c.sources.Decode(r, &p)
	if !ok {
		return
	}
	if r.Kind == capture.KindDumpBegin {
		s.Dumping, s.DumpGap = true, false
		return
	}
	if s.Dumping && !s.DumpGap && p.Failed == "" {
		s.Degraded, s.Reason = false, ""
	}
	s.Dumping = false
}

func (c *Machine) procWalk(r *capture.Record) {
	var p capture.ProcWalk
	s, ok := c.sources.Decode(r, &p)
	if !ok {
		return
	}
	switch {
	case r.Kind == capture.KindWalkBegin:
		if c.proc.implicit {
			c.proc.commit()
		}
		c.proc.begin(r)
	case p.Failed != "":
		c.proc.abort()
		s.Degrade("the last walk of /proc failed: "+p.Failed, r.Seq)
	case c.proc.walking:
		if !c.proc.implicit && s.GapSeq < c.proc.begun {
			s.Degraded, s.Reason = false, ""
		}
		c.proc.commit()
	}
}

// hostChanged applies the host's id, its name and its local networks.
func (c *Machine) hostChanged(p *capture.Host) {
	if p.ID != "" {
		c.hostID = p.ID
	}
	if p.Name != "" {
		c.host = p.Name
	}
	c.sources.HostChanged(p)
	c.local, c.listed = source.LocalNetworks(c.header, p)
}

// isLocal reports whether an address is in a local network.
func (c *Machine) isLocal(a netip.Addr) bool {
	for _, n := range c.local {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
