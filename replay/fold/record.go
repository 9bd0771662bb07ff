package fold

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/sockdiag"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// A RecordMatcher compares records with selectors.
type RecordMatcher struct {
	Selectors []*Selector     // with none, every record matches
	Format    *sockmsg.Format // layout of socket events

	conntrack ctmsg.Message
	packet    dnsmsg.Packet
	dns       dnsmsg.Message
	answers   []dnsmsg.Answer
}

// Match reports whether the content of a record matches one of the selectors. A
// record without addresses, names and processes matches none. bigEndian is the
// tape's byte order.
func (m *RecordMatcher) Match(r *capture.Record, bigEndian bool) bool {
	if len(m.Selectors) == 0 {
		return true
	}
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		return m.matchConntrack(r, bigEndian)
	case capture.KindSocketEvent:
		return m.matchSocketEvent(r, bigEndian)
	case capture.KindProcessEvent:
		return m.matchProcessEvent(r, bigEndian)
	case capture.KindSocketClose:
		var c sockdiag.Close
		return c.Decode(r.Payload, bigEndian) == nil && m.matchEither(endAt(c.Local), endAt(c.Remote))
	}
	p := r.Kind.New()
	if p == nil || r.Decode(p) != nil {
		return false
	}
	switch p := p.(type) {
	case *capture.ProcNet:
		s := procnet.NewScanner(p.Text, bigEndian)
		for row := (procnet.Row{}); s.Next(&row); {
			if m.matchEither(endAt(row.Local), endAt(row.Remote)) {
				return true
			}
		}
	case *capture.SocketTable:
		s := sockdiag.NewScanner(p.Messages, bigEndian)
		for row := (sockdiag.Row{}); s.Next(&row); {
			if m.matchEither(endAt(row.Local), endAt(row.Remote)) {
				return true
			}
		}
	case *capture.ProcSockets:
		var e EdgeEnd
		return slices.ContainsFunc(p.Processes, func(q capture.Process) bool {
			e.Processes = []report.Process{{PID: q.PID, Comm: q.Comm}}
			return m.matchEither(e, EdgeEnd{})
		})
	case *capture.DNS:
		return m.matchDNS(p)
	case *capture.ReverseName:
		var e EdgeEnd
		if a, err := netip.ParseAddr(p.Addr); err == nil {
			e = endAt(netip.AddrPortFrom(a.Unmap(), 0))
		}
		for _, name := range p.Names {
			e.Names = append(e.Names, strings.TrimSuffix(strings.ToLower(name), "."))
		}
		return m.matchEither(e, EdgeEnd{})
	}
	return false
}

func (m *RecordMatcher) matchConntrack(r *capture.Record, bigEndian bool) bool {
	if m.conntrack.Decode(r.Payload, bigEndian) != nil {
		return false
	}
	o, p := &m.conntrack.Orig, &m.conntrack.Reply
	return MatchAny(m.Selectors, &Edge{endAt(o.Src(), p.Dst()), endAt(o.Dst(), p.Src())})
}

// matchSocketEvent compares both addresses. The process that had the processor counts as that
// of the local end.
func (m *RecordMatcher) matchSocketEvent(r *capture.Record, bigEndian bool) bool {
	var e sockmsg.Event
	if m.Format.Decode(&e, r.Payload, bigEndian) != nil {
		return false
	}
	local := endAt(e.Local)
	local.Processes = []report.Process{{PID: e.PID}}
	return m.matchEither(local, endAt(e.Remote))
}

// matchProcessEvent compares the process, its parent and its name.
func (m *RecordMatcher) matchProcessEvent(r *capture.Record, bigEndian bool) bool {
	var p sockmsg.Process
	if sockmsg.DecodeProcess(&p, r.Payload, bigEndian) != nil || p.Kind == sockmsg.Cgroup {
		return false
	}
	end := EdgeEnd{Processes: []report.Process{{PID: p.PID, Comm: p.Comm}}}
	if p.Kind == sockmsg.Fork {
		end.Processes = append(end.Processes, report.Process{PID: p.PPID})
	}
	return m.matchEither(end, EdgeEnd{})
}

func endAt(addrs ...netip.AddrPort) EdgeEnd { return EdgeEnd{Addrs: addrs} }

// matchEither matches two ends, either of them as the client.
func (m *RecordMatcher) matchEither(a, b EdgeEnd) bool {
	return MatchAny(m.Selectors, &Edge{a, b}) || MatchAny(m.Selectors, &Edge{b, a})
}

// matchDNS compares the packet's addresses; the names asked for and the addresses
// in the answers count as the receiver's.
func (m *RecordMatcher) matchDNS(d *capture.DNS) bool {
	err := m.packet.Decode(d.Packet)
	e := Edge{endAt(m.packet.Src), endAt(m.packet.Dst)}
	decode := m.dns.Decode
	if err == dnsmsg.ErrTruncated {
		decode = m.dns.DecodeCut
	}
	if (err == nil || err == dnsmsg.ErrTruncated) && decode(m.packet.Message()) == nil {
		for _, q := range m.dns.Questions {
			e.To.Names = append(e.To.Names, strings.ToLower(m.dns.QuestionName(q)))
		}
		m.answers = m.dns.Answers(m.answers[:0])
		for _, a := range m.answers {
			e.To.Addrs = append(e.To.Addrs, netip.AddrPortFrom(a.Addr, 0))
		}
	}
	return MatchAny(m.Selectors, &e)
}
