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
)

// A RecordMatcher compares records with selectors.
type RecordMatcher struct {
	Selectors []*Selector // with none, every record matches

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
	if r.Kind.Raw() {
		if m.conntrack.Decode(r.Payload, bigEndian) != nil {
			return false
		}
		o, p := &m.conntrack.Orig, &m.conntrack.Reply
		return MatchAny(m.Selectors, &Edge{endAt(o.Src(), p.Dst()), endAt(o.Dst(), p.Src())})
	}
	p := r.Kind.New()
	if p == nil || r.Decode(p) != nil {
		return false
	}
	switch p := p.(type) {
	case *capture.ProcNet:
		return m.matchTable(p, bigEndian)
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

func endAt(addrs ...netip.AddrPort) EdgeEnd { return EdgeEnd{Addrs: addrs} }

// matchEither matches two ends, either of them as the client.
func (m *RecordMatcher) matchEither(a, b EdgeEnd) bool {
	return MatchAny(m.Selectors, &Edge{a, b}) || MatchAny(m.Selectors, &Edge{b, a})
}

// matchTable reports whether a row of a socket table matches.
func (m *RecordMatcher) matchTable(t *capture.ProcNet, bigEndian bool) bool {
	s := procnet.NewScanner(t.Text, bigEndian)
	var row procnet.Row
	for s.Next(&row) {
		if m.matchEither(endAt(row.Local), endAt(row.Remote)) {
			return true
		}
	}
	return false
}

// matchDNS compares the packet's addresses; the names asked for and the addresses
// in the answers count as the receiver's.
func (m *RecordMatcher) matchDNS(d *capture.DNS) bool {
	err := m.packet.Decode(d.Packet)
	e := Edge{endAt(m.packet.Src), endAt(m.packet.Dst)}
	if err == nil && m.dns.Decode(m.packet.Message()) == nil {
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
