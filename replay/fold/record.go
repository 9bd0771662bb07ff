package fold

import (
	"net/netip"
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
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		if m.conntrack.Decode(r.Payload, bigEndian) != nil {
			return false
		}
		o, p := &m.conntrack.Orig, &m.conntrack.Reply
		return MatchAny(m.Selectors, &Edge{
			From: EdgeEnd{Addrs: []netip.AddrPort{o.Src(), p.Dst()}}, To: EdgeEnd{Addrs: []netip.AddrPort{o.Dst(), p.Src()}}})
	case capture.KindProcNet:
		var t capture.ProcNet
		return r.Decode(&t) == nil && matchTable(&t, bigEndian, m.Selectors)
	case capture.KindProcSockets:
		var s capture.ProcSockets
		if r.Decode(&s) != nil {
			return false
		}
		for _, p := range s.Processes {
			if matchEnd(m.Selectors, EdgeEnd{Processes: []report.Process{{PID: p.PID, Comm: p.Comm}}}) {
				return true
			}
		}
	case capture.KindDNS:
		var d capture.DNS
		return r.Decode(&d) == nil && m.matchDNS(&d)
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
		return matchEnd(m.Selectors, e)
	}
	return false
}

// matchEnd matches a record that shows one end of a connection, either one.
func matchEnd(selectors []*Selector, e EdgeEnd) bool {
	return MatchAny(selectors, &Edge{From: e}) || MatchAny(selectors, &Edge{To: e})
}

// matchTable reports whether a row of a socket table matches. Each row is compared
// in both directions: it does not show which end is the client.
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

// matchDNS compares the packet's addresses; the names asked for and the addresses
// in the answers count as the receiver's.
func (m *RecordMatcher) matchDNS(d *capture.DNS) bool {
	err := m.packet.Decode(d.Packet)
	e := Edge{From: EdgeEnd{Addrs: []netip.AddrPort{m.packet.Src}}, To: EdgeEnd{Addrs: []netip.AddrPort{m.packet.Dst}}}
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
