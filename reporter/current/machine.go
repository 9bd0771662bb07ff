package current

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// stamp places an event: by time, and among equal times by record number.
type stamp struct {
	at  int64
	seq uint64
}

func (s stamp) after(t stamp) bool { return s.at > t.at || s.at == t.at && s.seq > t.seq }

// Machine is the rule set that reports what is right.
type Machine struct {
	header  *capture.Header
	hostID  string
	host    string
	wall    int64 // Unix ns at At 0, moved by every step of the wall clock
	local   map[netip.Addr]bool
	facts   report.TapeFacts
	sources source.Sources
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

func New(h *capture.Header) *Machine {
	c := &Machine{header: h, hostID: h.HostID, host: h.HostName, wall: h.Start}
	c.facts.Local, c.facts.Listed = source.LocalNetworks(h, &capture.Host{})
	c.flows.init()
	c.names.init()
	c.dns = dnsmsg.NewAssembler(func(number uint32, undecodable, ignored uint64) {
		s := c.sources.Get(number)
		s.Undecodable += undecodable
		s.Ignored += ignored
	})
	return c
}

func (c *Machine) Step(r *capture.Record) bool {
	c.linked = nil
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		c.conntrack(r)
	case capture.KindDumpBegin, capture.KindDumpEnd:
		c.dump(r)
	case capture.KindProcNet:
		var p capture.ProcNet
		if s, ok := c.sources.Observe(r, &p); ok {
			c.sockets.table(&p, r, s, c.header.BigEndian)
		}
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if _, ok := c.sources.Observe(r, &p); ok {
			c.sockets.unchanged(&p, r)
		}
	case capture.KindProcSockets:
		var p capture.ProcSockets
		if _, ok := c.sources.Observe(r, &p); ok {
			c.sockets.owners(&p, r)
		}
	case capture.KindWalkBegin, capture.KindWalkEnd:
		c.walk(r)
	case capture.KindDNS:
		c.dnsPacket(r)
	case capture.KindReverseName:
		var p capture.ReverseName
		if _, ok := c.sources.Observe(r, &p); ok {
			c.forgot(capture.SourceRDNS, c.names.reverseAnswer(&p, r.At), r)
		}
	case capture.KindSource:
		var p capture.Source
		if s, ok := c.sources.Decode(r, &p); ok {
			s.Change(&p, r.Seq)
			c.dnsLost(r, s)
		}
	case capture.KindGap:
		var p capture.Gap
		if s, ok := c.sources.Decode(r, &p); ok {
			s.Gap(&p, r.Seq, c.window)
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
func (c *Machine) ticked(r *capture.Record) bool {
	var t capture.Tick
	if r.Decode(&t) != nil {
		return false
	}
	if c.sockets.implicit {
		c.commit()
	}
	c.learn(r, c.dns.Expire(r.At))
	if c.sources.Several() {
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

func (c *Machine) walk(r *capture.Record) {
	var p capture.ProcWalk
	s, ok := c.sources.Decode(r, &p)
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
		s.Degrade("the last walk of /proc failed: "+p.Failed, r.Seq)
	case c.sockets.walking:
		if whole := c.commit(); whole {
			s.Degraded, s.Reason = false, ""
		}
	}
}

// hostChanged sets the host's names, and drops the flows of addresses that the host no
// longer has: nothing will end them.
func (c *Machine) hostChanged(p *capture.Host, r *capture.Record) {
	if p.ID != "" {
		c.hostID = p.ID
	}
	if p.Name != "" {
		c.host = p.Name
	}
	c.facts.Local, c.facts.Listed = source.LocalNetworks(c.header, p)
	c.sources.HostChanged(p)
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
func (c *Machine) factsSoFar() report.TapeFacts {
	f := c.facts
	f.Wall = c.wall
	return f
}
