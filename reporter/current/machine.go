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
	header     *capture.Header
	hostID     string
	host       string
	wall       int64 // Unix ns at At 0, moved by every step of the wall clock
	addresses  map[netip.Addr]bool
	scopeInput report.ScopeInput
	sources    source.Sources
	flows      flows
	sockets    sockets
	names      names

	window   uint64 // counts ticks; what ends now is reported at the next one
	tick     capture.Tick
	tickAt   int64
	lastTick int64

	linked  []chain       // of several namespaces, linked at the last tick; nil if a record came since
	message ctmsg.Message // reused from record to record
	dns     *dnsmsg.Assembler
}

func New(h *capture.Header) *Machine {
	m := &Machine{header: h, hostID: h.HostID, host: h.HostName, wall: h.Start}
	m.scopeInput.HostScoped, m.scopeInput.LocalNetworks = source.LocalNetworks(h, &capture.Host{})
	m.flows.init()
	m.names.init()
	m.dns = dnsmsg.NewAssembler(func(number uint32, undecodable, ignored uint64) {
		s := m.sources.Get(number)
		s.Undecodable += undecodable
		s.Ignored += ignored
	})
	return m
}

func (m *Machine) Step(r *capture.Record) bool {
	m.linked = nil
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		m.conntrack(r)
	case capture.KindDumpBegin, capture.KindDumpEnd:
		m.dump(r)
	case capture.KindProcNet:
		var p capture.ProcNet
		if s, ok := m.sources.Observe(r, &p); ok {
			m.sockets.table(&p, r, s, m.header.BigEndian)
		}
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if _, ok := m.sources.Observe(r, &p); ok {
			m.sockets.unchanged(&p, r)
		}
	case capture.KindProcSockets:
		var p capture.ProcSockets
		if _, ok := m.sources.Observe(r, &p); ok {
			m.sockets.owners(&p, r)
		}
	case capture.KindWalkBegin, capture.KindWalkEnd:
		m.walk(r)
	case capture.KindDNS:
		m.dnsPacket(r)
	case capture.KindReverseName:
		var p capture.ReverseName
		if _, ok := m.sources.Observe(r, &p); ok {
			m.namesForgotten(capture.SourceRDNS, m.names.reverseAnswer(&p, r.At), r)
		}
	case capture.KindSource:
		var p capture.Source
		if s, ok := m.sources.Decode(r, &p); ok {
			s.Change(&p, r.Seq)
			m.dnsLost(r, s)
		}
	case capture.KindGap:
		var p capture.Gap
		if s, ok := m.sources.Decode(r, &p); ok {
			s.Gap(&p, r.Seq, m.window)
			m.dnsLost(r, s)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			m.hostChanged(&p, r)
		}
	case capture.KindClock:
		var p capture.Clock
		if r.Decode(&p) == nil {
			m.wall += p.Step
		}
	case capture.KindTick:
		return m.ticked(r)
	}
	return false
}

// ticked closes the window. The flows that ended in the window before it were reported,
// and are forgotten.
func (m *Machine) ticked(r *capture.Record) bool {
	var t capture.Tick
	if r.Decode(&t) != nil {
		return false
	}
	if m.sockets.implicit {
		m.commit()
	}
	m.learn(r, m.dns.Expire(r.At))
	if m.sources.SeveralConntrack() {
		m.linked = m.chains(m.window)
	}
	m.flows.setPending(m.linked)
	if broken := m.flows.sweep(m.window, &m.sources, &m.sockets); broken {
		m.linked = nil
	}
	m.sockets.forget(m.window)
	m.lastTick, m.tickAt, m.tick = m.tickAt, r.At, t
	m.window++
	return true
}

func (m *Machine) walk(r *capture.Record) {
	var p capture.ProcWalk
	s, ok := m.sources.Decode(r, &p)
	if !ok {
		return
	}
	if r.Kind == capture.KindWalkBegin {
		if m.sockets.implicit {
			m.commit()
		}
		m.sockets.begin(r)
		return
	}
	switch {
	case p.Failed != "":
		m.sockets.abort()
		s.Degrade("the last walk of /proc failed: "+p.Failed, r.Seq)
	case m.sockets.walking:
		if whole := m.commit(); whole {
			s.Recover()
		}
	}
}

// hostChanged sets the host's names, and drops the flows of addresses that the host no
// longer has: nothing will end them.
func (m *Machine) hostChanged(p *capture.Host, r *capture.Record) {
	if p.ID != "" {
		m.hostID = p.ID
	}
	if p.Name != "" {
		m.host = p.Name
	}
	m.scopeInput.HostScoped, m.scopeInput.LocalNetworks = source.LocalNetworks(m.header, p)
	m.sources.HostChanged(p)
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
	gone := m.addresses
	for a := range now { // order cannot matter: a set less a set
		delete(gone, a)
	}
	if len(gone) > 0 {
		m.dropAddresses(gone, stamp{r.At, r.Seq})
	}
	m.addresses = now
}

// factsSoFar returns the facts of the tape so far.
func (m *Machine) factsSoFar() report.ScopeInput {
	f := m.scopeInput
	f.Start = m.wall
	return f
}
