package reporter

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// stamp places an event: by time, and among equal times by record number.
type stamp struct {
	at  int64
	seq uint64
}

func (s stamp) after(t stamp) bool { return s.at > t.at || s.at == t.at && s.seq > t.seq }

// current is the rule set that reports what is right.
type current struct {
	header  *capture.Header
	hostID  string
	host    string
	wall    int64 // Unix ns at At 0, moved by every step of the wall clock
	local   map[netip.Addr]bool
	facts   tapeFacts
	sources sources
	flows   flows
	sockets sockets
	names   names

	window   uint64 // counts ticks; what ends now is reported at the next one
	tick     capture.Tick
	tickAt   int64
	lastTick int64

	linked  []chain       // of several namespaces, linked at the last tick; nil if a record came since
	message ctmsg.Message // reused from record to record
	dns     *dnsmsg.Assembler
}

func newCurrent(h *capture.Header) *current {
	c := &current{header: h, hostID: h.HostID, host: h.HostName, wall: h.Start}
	c.facts.local, c.facts.listed = localNetworks(h, &capture.Host{})
	c.flows.init()
	c.names.init()
	c.dns = dnsmsg.NewAssembler(func(number uint32, undecodable, ignored uint64) {
		s := c.sources.get(number)
		s.undecodable += undecodable
		s.ignored += ignored
	})
	return c
}

func (c *current) Step(r *capture.Record) bool {
	c.linked = nil
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		c.conntrack(r)
	case capture.KindDumpBegin, capture.KindDumpEnd:
		c.dump(r)
	case capture.KindProcNet:
		var p capture.ProcNet
		if s, ok := c.sources.observe(r, &p); ok {
			c.sockets.table(&p, r, s, c.header.BigEndian)
		}
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if _, ok := c.sources.observe(r, &p); ok {
			c.sockets.unchanged(&p, r)
		}
	case capture.KindProcSockets:
		var p capture.ProcSockets
		if _, ok := c.sources.observe(r, &p); ok {
			c.sockets.owners(&p, r)
		}
	case capture.KindWalkBegin, capture.KindWalkEnd:
		c.walk(r)
	case capture.KindDNS:
		c.dnsPacket(r)
	case capture.KindReverseName:
		var p capture.ReverseName
		if _, ok := c.sources.observe(r, &p); ok {
			c.forgot(capture.SourceRDNS, c.names.reverseAnswer(&p, r.At), r)
		}
	case capture.KindSource:
		var p capture.Source
		if s, ok := c.sources.decode(r, &p); ok {
			s.change(&p, r.Seq)
			c.dnsLost(r, s)
		}
	case capture.KindGap:
		var p capture.Gap
		if s, ok := c.sources.decode(r, &p); ok {
			s.gap(&p, r.Seq, c.window)
			c.dnsLost(r, s)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			c.hostChanged(&p, r)
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

// ticked closes the window. The flows that ended in the window before it were reported,
// and are forgotten.
func (c *current) ticked(r *capture.Record) bool {
	var t capture.Tick
	if r.Decode(&t) != nil {
		return false
	}
	if c.sockets.implicit {
		c.commit()
	}
	c.learn(r, c.dns.Expire(r.At))
	if c.sources.several() {
		c.linked = c.chains(c.window)
	}
	c.flows.setPending(c.linked)
	if broken := c.flows.sweep(c.window, &c.sources, &c.sockets); broken {
		c.linked = nil
	}
	c.sockets.forget(c.window)
	c.lastTick, c.tickAt, c.tick = c.tickAt, r.At, t
	c.window++
	return true
}

func (c *current) walk(r *capture.Record) {
	var p capture.ProcWalk
	s, ok := c.sources.decode(r, &p)
	if !ok {
		return
	}
	if r.Kind == capture.KindWalkBegin {
		if c.sockets.implicit {
			c.commit()
		}
		c.sockets.begin(r)
		return
	}
	switch {
	case p.Failed != "":
		c.sockets.void()
		s.degrade("the last walk of /proc failed: "+p.Failed, r.Seq)
	case c.sockets.walking:
		if whole := c.commit(); whole {
			s.degraded, s.reason = false, ""
		}
	}
}

// hostChanged sets the host's names, and drops the flows of addresses that the host no
// longer has: nothing will end them.
func (c *current) hostChanged(p *capture.Host, r *capture.Record) {
	if p.ID != "" {
		c.hostID = p.ID
	}
	if p.Name != "" {
		c.host = p.Name
	}
	c.facts.local, c.facts.listed = localNetworks(c.header, p)
	c.sources.hostChanged(p)
	now := make(map[netip.Addr]bool)
	for _, i := range p.Interfaces {
		for _, a := range i.Addresses {
			if prefix, err := netip.ParsePrefix(a); err == nil {
				now[prefix.Addr().Unmap()] = true
			} else if addr, err := netip.ParseAddr(a); err == nil {
				now[addr.Unmap()] = true
			}
		}
	}
	gone := c.local
	for a := range now { // order cannot matter: a set less a set
		delete(gone, a)
	}
	if len(gone) > 0 {
		c.dropAddresses(gone, stamp{r.At, r.Seq})
	}
	c.local = now
}

// factsSoFar returns the facts of the tape so far.
func (c *current) factsSoFar() tapeFacts {
	f := c.facts
	f.wall = c.wall
	return f
}
