package fold

import (
	"net/netip"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// RecordMatcher holds records against selectors.
type RecordMatcher struct {
	conntrack ctmsg.Message
	packet    dnsmsg.Packet
	dns       dnsmsg.Message
	answers   []dnsmsg.Answer
}

func (m *RecordMatcher) Match(r *capture.Record, bigEndian bool, selectors []*Selector) bool {
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		if m.conntrack.Decode(r.Payload, bigEndian) != nil {
			return false
		}
		o, p := &m.conntrack.Orig, &m.conntrack.Reply
		return MatchAny(selectors, &Edge{
			From: EdgeEnd{Addrs: []netip.AddrPort{o.Src(), p.Dst()}}, To: EdgeEnd{Addrs: []netip.AddrPort{o.Dst(), p.Src()}}})
	case capture.KindProcNet:
		var t capture.ProcNet
		return r.Decode(&t) == nil && matchTable(&t, bigEndian, selectors)
	case capture.KindProcSockets:
		var s capture.ProcSockets
		if r.Decode(&s) != nil {
			return false
		}
		for _, p := range s.Processes {
			if matchEnd(selectors, EdgeEnd{Processes: []reporter.Process{{PID: p.PID, Comm: p.Comm}}}) {
				return true
			}
		}
	case capture.KindDNS:
		var d capture.DNS
		return r.Decode(&d) == nil && m.matchDNS(&d, selectors)
	case capture.KindReverseName:
		var n capture.ReverseName
		if r.Decode(&n) != nil {
			return false
		}
		e := EdgeEnd{}
		if a, err := netip.ParseAddr(n.Addr); err == nil {
			e.Addrs = append(e.Addrs, netip.AddrPortFrom(a.Unmap(), 0))
		}
		for _, name := range n.Names {
			e.Names = append(e.Names, strings.TrimSuffix(strings.ToLower(name), "."))
		}
		return matchEnd(selectors, e)
	}
	return false
}

// matchEnd is for records that tell of one end only.
func matchEnd(selectors []*Selector, e EdgeEnd) bool {
	return MatchAny(selectors, &Edge{From: e}) || MatchAny(selectors, &Edge{To: e})
}

// matchTable looks for a row; which end is the client it does not tell.
func matchTable(t *capture.ProcNet, bigEndian bool, selectors []*Selector) bool {
	s := procnet.NewScanner(t.Text, bigEndian)
	var row procnet.Row
	for s.Next(&row) {
		local, remote := EdgeEnd{Addrs: []netip.AddrPort{row.Local}}, EdgeEnd{Addrs: []netip.AddrPort{row.Remote}}
		if MatchAny(selectors, &Edge{From: local, To: remote}) || MatchAny(selectors, &Edge{From: remote, To: local}) {
			return true
		}
	}
	return false
}

func (m *RecordMatcher) matchDNS(d *capture.DNS, selectors []*Selector) bool {
	err := m.packet.Decode(d.Packet)
	e := Edge{From: EdgeEnd{Addrs: []netip.AddrPort{m.packet.Src}}, To: EdgeEnd{Addrs: []netip.AddrPort{m.packet.Dst}}}
	if err == nil && m.dns.Decode(DnsPayload(&m.packet)) == nil {
		for _, q := range m.dns.Questions {
			e.To.Names = append(e.To.Names, strings.ToLower(m.dns.QuestionName(q)))
		}
		m.answers = m.dns.Answers(m.answers[:0])
		for _, a := range m.answers {
			e.To.Addrs = append(e.To.Addrs, netip.AddrPortFrom(a.Addr, 0))
		}
	}
	return MatchAny(selectors, &e)
}

// DnsPayload is the message of a packet. Of a TCP segment it is what stands
// behind a length, if one message fills the segment.
func DnsPayload(p *dnsmsg.Packet) []byte {
	if p.Proto == dnsmsg.TCP && len(p.Payload) >= 2 {
		return p.Payload[2:]
	}
	return p.Payload
}
