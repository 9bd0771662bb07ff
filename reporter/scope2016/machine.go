package scope2016

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/source"
)

// Machine is the state machine of the rules of 2016.
//
// The original made a report at every tick. A Machine behaves so too, even if Report is not
// called.
type Machine struct {
	header        *capture.Header
	hostID        string
	host          string
	wall          int64          // Unix ns at the recording's start, after all steps of the wall clock
	hostScoped    []netip.Prefix // networks whose addresses are scoped to the host
	localNetworks []string       // the host's local networks, as on the tape
	sources       source.Sources

	// The original read from two processes: conntrack, and conntrack --any-nat.
	// Chosen: both see each message at the same time, and the same gap ends both.
	flows, nat flows
	proc       proc
	snooped    snoopedNames
	reversed   reverseNames

	ticks source.Ticks

	message ctmsg.Message // reused from record to record
	packet  dnsmsg.Packet
	dns     dnsmsg.Message
}

// New returns a machine for a tape with this header.
func New(h *capture.Header) *Machine {
	m := &Machine{header: h, hostID: h.HostID, host: h.HostName, wall: h.Start, localNetworks: h.LocalNetworks}
	m.hostScoped = source.AppendNetworks(nil, h.LocalNetworks)
	m.flows.active = make(map[uint32]*flow)
	m.nat.active = make(map[uint32]*flow)
	m.snooped.init()
	m.reversed.init()
	return m
}

// Step applies a record, and returns true for a tick.
func (m *Machine) Step(r *capture.Record) bool {
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		m.conntrack(r)
	case capture.KindDumpBegin, capture.KindDumpEnd:
		m.dump(r)
	case capture.KindProcNet:
		var p capture.ProcNet
		if s, ok := m.sources.Observe(r, &p); ok {
			m.proc.table(&p, r, s)
		}
	case capture.KindSocketTable:
		var p capture.SocketTable
		if s, ok := m.sources.Observe(r, &p); ok {
			m.proc.socketTable(&p, r, s, m.header.BigEndian)
		}
	case capture.KindSocketClose:
		m.sources.SocketClose(r, m.header.BigEndian)
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if s, ok := m.sources.Observe(r, &p); ok {
			m.proc.unchanged(&p, r, s)
		}
	case capture.KindProcSockets:
		var p capture.ProcSockets
		if s, ok := m.sources.Observe(r, &p); ok {
			m.proc.sockets(&p, r, s)
		}
	case capture.KindWalkBegin, capture.KindWalkEnd:
		m.procWalk(r)
	case capture.KindDNS:
		var p capture.DNS
		if s, ok := m.sources.Observe(r, &p); ok {
			m.dnsPacket(&p, s)
		}
	case capture.KindReverseName:
		var p capture.ReverseName
		if _, ok := m.sources.Observe(r, &p); ok {
			m.reversed.answer(&p, r.At)
		}
	case capture.KindSource:
		var p capture.Source
		if s, ok := m.sources.Decode(r, &p); ok {
			s.Change(&p, r.Seq)
			if !p.Open {
				m.endFlows(r.Source)
			}
		}
	case capture.KindGap:
		var p capture.Gap
		if s, ok := m.sources.Decode(r, &p); ok {
			s.Gap(&p, r.Seq, m.ticks.Window)
			m.endFlows(r.Source)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			m.hostChanged(&p)
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

// ticked moves the flows that ended since the last tick to the report that may be
// made now.
func (m *Machine) ticked(r *capture.Record) bool {
	var t capture.Tick
	if r.Decode(&t) != nil {
		return false
	}
	if m.proc.implicit {
		m.commit(r)
	}
	m.flows.tick()
	m.nat.tick()
	m.ticks.Add(r.At, t)
	return true
}

// endFlows ends the flows of a source.
func (m *Machine) endFlows(source uint32) {
	m.flows.clear(source)
	m.nat.clear(source)
}

// dump changes the coverage only. The original read a listing when it started, and
// treated its entries like events: an entry that was missing ended no flow.
func (m *Machine) dump(r *capture.Record) {
	var p capture.ConntrackDump
	s, ok := m.sources.Decode(r, &p)
	if !ok {
		return
	}
	if r.Kind == capture.KindDumpBegin {
		s.BeginDump(0) // these rules do not use DumpFrom
		return
	}
	s.EndDump(p.Failed != "")
}

// procWalk begins or ends a walk of /proc.
func (m *Machine) procWalk(r *capture.Record) {
	var p capture.ProcWalk
	s, ok := m.sources.Decode(r, &p)
	if !ok {
		return
	}
	switch {
	case r.Kind == capture.KindWalkBegin:
		if m.proc.implicit {
			m.commit(r)
		}
		m.proc.begin(r)
	case p.Failed != "":
		m.proc.abort()
		s.Degrade("the last walk of /proc failed: "+p.Failed, r.Seq)
	case m.proc.walking:
		if !m.proc.implicit && s.GapSeq < m.proc.begun {
			s.Recover()
		}
		m.commit(r)
	}
}

// commit makes the result of the walk current.
func (m *Machine) commit(r *capture.Record) {
	if s := m.sources.First(capture.SourceProc); !m.proc.commit() && s != nil {
		s.LeaveOut(r.Seq)
	}
}

// hostChanged applies the host's id, its name and its local networks.
func (m *Machine) hostChanged(p *capture.Host) {
	if p.ID != "" {
		m.hostID = p.ID
	}
	if p.Name != "" {
		m.host = p.Name
	}
	m.sources.HostChanged(p)
	m.hostScoped, m.localNetworks = source.LocalNetworks(m.header, p)
}

// isLocal reports whether an address is in a local network.
func (m *Machine) isLocal(a netip.Addr) bool {
	for _, n := range m.hostScoped {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
