package current

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/events"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// A stamp is the time of a record; the record's number orders equal times.
type stamp struct {
	at  int64
	seq uint64
}

func (s stamp) after(t stamp) bool { return s.at > t.at || s.at == t.at && s.seq > t.seq }

// Machine is the state machine of the current rules.
type Machine struct {
	header     *capture.Header
	hostID     string
	host       string              // its name
	wall       int64               // Unix ns at the recording's start, after all steps of the wall clock
	addresses  map[netip.Addr]bool // of the host, as its last record has them
	scopeInput report.ScopeInput
	sources    source.Sources
	flows      flows
	sockets    sockets
	events     *events.Sockets
	names      names
	ticks      source.Ticks

	linked  []chain       // the chains of several namespaces as of the last tick; nil once another record came
	message ctmsg.Message // reused from record to record
	dns     *dnsmsg.Assembler
}

// New returns a machine for a tape with this header.
func New(h *capture.Header) *Machine {
	m := &Machine{header: h, hostID: h.HostID, host: h.HostName, wall: h.Start, events: events.New()}
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

// Step applies a record, and returns true for a tick.
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
	case capture.KindSocketTable:
		var p capture.SocketTable
		if s, ok := m.sources.Observe(r, &p); ok {
			m.sockets.socketTable(&p, r, s, m.header.BigEndian)
		}
	case capture.KindSocketClose:
		m.sources.SocketClose(r, m.header.BigEndian)
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if s, ok := m.sources.Observe(r, &p); ok {
			m.sockets.unchanged(&p, r, s)
		}
	case capture.KindProcSockets:
		var p capture.ProcSockets
		if s, ok := m.sources.Observe(r, &p); ok {
			m.sockets.owners(&p, r, s)
		}
	case capture.KindWalkBegin, capture.KindWalkEnd:
		m.walk(r)
	case capture.KindSocketFormat, capture.KindSocketEvent, capture.KindProcessEvent, capture.KindProcesses, capture.KindCgroups:
		m.socketEvent(r)
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
			s.Gap(&p, r.Seq, m.ticks.Window)
			if s.Kind == capture.SourceSockets {
				m.events.Lost()
			}
			m.dnsLost(r, s)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			m.hostChanged(&p, r)
		}
	case capture.KindCounters:
		m.sources.Counters(r, m.ticks.Window)
	case capture.KindStall:
		m.sources.Stall(r, m.ticks.Window)
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

// ticked ends the window. It drops the flows that ended in the window before: they were
// reported.
func (m *Machine) ticked(r *capture.Record) bool {
	var t capture.Tick
	if r.Decode(&t) != nil {
		return false
	}
	if m.sockets.implicit {
		m.commit(r)
	}
	m.learn(r, m.dns.Expire(r.At))
	if m.sources.SeveralConntrack() {
		m.linked = m.chains(m.ticks.Window)
	}
	m.flows.setPending(m.linked)
	if broken := m.flows.sweep(m.ticks.Window, m.events.Shown(), &m.sources, &m.sockets); broken {
		m.linked = nil
	}
	m.sockets.forget(m.ticks.Window)
	m.events.Sweep(m.ticks.Window, r.At-m.ticks.Interval(r.At, t), func(s *events.Socket) bool { return m.sockets.mayShow(endStamp(s)) })
	m.ticks.Add(r.At, t)
	return true
}

// walk begins or ends a walk of /proc.
func (m *Machine) walk(r *capture.Record) {
	var p capture.ProcWalk
	s, ok := m.sources.Decode(r, &p)
	if !ok {
		return
	}
	if r.Kind == capture.KindWalkBegin {
		if m.sockets.implicit {
			m.commit(r)
		}
		m.sockets.begin(r)
		return
	}
	switch {
	case p.Failed != "":
		m.sockets.abort()
		s.Degrade("the last walk of /proc failed: "+p.Failed, r.Seq)
	case m.sockets.walking:
		if complete := m.commit(r); complete {
			s.Recover()
		}
	}
}

// hostChanged applies a host record. It ends the flows of addresses that the host no longer
// has: no message will end them.
func (m *Machine) hostChanged(p *capture.Host, r *capture.Record) {
	if p.ID != "" {
		m.hostID = p.ID
	}
	if p.Name != "" {
		m.host = p.Name
	}
	m.scopeInput.HostScoped, m.scopeInput.LocalNetworks = source.LocalNetworks(m.header, p)
	m.sources.HostChanged(p)
	m.events.SetKernel(p.Kernel)
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
	for a := range now { // the order cannot matter: a difference of sets
		delete(gone, a)
	}
	if len(gone) > 0 {
		m.dropAddresses(gone, stamp{r.At, r.Seq})
	}
	m.addresses = now
}

// scopeInputNow returns what the Scope view of a report needs.
func (m *Machine) scopeInputNow() report.ScopeInput {
	f := m.scopeInput
	f.Start = m.wall
	return f
}
