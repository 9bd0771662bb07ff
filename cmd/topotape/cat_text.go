package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// recordText makes a line of a record, for people to read.
type recordText struct {
	bigEndian bool
	conntrack ctmsg.Message
	packet    dnsmsg.Packet
	dns       dnsmsg.Message
	buf       []byte
}

// append makes the record's line, valid until the next call.
func (t *recordText) append(r *capture.Record) []byte {
	b := fmt.Appendf(t.buf[:0], "#%-7d +%-13s %-15s ", r.Seq, time.Duration(r.At), kindText(r.Kind))
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		b = t.appendConntrack(b, r)
	default:
		b = t.appendOther(b, r)
	}
	t.buf = append(b, '\n')
	return t.buf
}

func kindText(k capture.Kind) string {
	switch k {
	case capture.KindConntrack, capture.KindDumpEntry:
		return "conntrack"
	}
	return strings.TrimPrefix(k.String(), "conntrack_")
}

// appendConntrack writes a message as conntrack -E -o id,extended does.
func (t *recordText) appendConntrack(b []byte, r *capture.Record) []byte {
	m := &t.conntrack
	if err := m.Decode(r.Payload, t.bigEndian); err != nil {
		return fmt.Appendf(b, "%d bytes: %v", len(r.Payload), err)
	}
	family := "ipv4     2"
	if m.Orig.Src.Addr().Is6() {
		family = "ipv6     10"
	}
	b = fmt.Appendf(b, "%9s %s %-8s %d", "["+strings.ToUpper(m.Type.String())+"]", family, ctmsg.ProtoName(m.Orig.Proto), m.Orig.Proto)
	if m.HasTimeout {
		b = fmt.Appendf(b, " %d", m.Timeout)
	}
	if m.HasState {
		b = fmt.Appendf(b, " %s", m.State)
	}
	b = appendTuple(b, &m.Orig, m.CountersOrig)
	if m.HasStatus && m.Status&ctmsg.SeenReply == 0 {
		b = append(b, " [UNREPLIED]"...)
	}
	b = appendTuple(b, &m.Reply, m.CountersReply)
	for _, name := range m.Status.Names() {
		switch name {
		case "SEEN_REPLY", "CONFIRMED", "SRC_NAT_DONE", "DST_NAT_DONE":
		default:
			b = fmt.Appendf(b, " [%s]", name)
		}
	}
	if m.HasFlags {
		b = fmt.Appendf(b, " flags=%#02x,%#02x", m.FlagsOrig, m.FlagsReply)
	}
	if m.HasMark && m.Mark != 0 {
		b = fmt.Appendf(b, " mark=%d", m.Mark)
	}
	if m.Zone != 0 {
		b = fmt.Appendf(b, " zone=%d", m.Zone)
	}
	return fmt.Appendf(b, " id=%d", m.ID)
}

func appendTuple(b []byte, t *ctmsg.Tuple, c ctmsg.Counters) []byte {
	b = append(b, " src="...)
	b = t.Src.Addr().AppendTo(b)
	b = append(b, " dst="...)
	b = t.Dst.Addr().AppendTo(b)
	if t.Src.Port() != 0 || t.Dst.Port() != 0 {
		b = fmt.Appendf(b, " sport=%d dport=%d", t.Src.Port(), t.Dst.Port())
	}
	if c.Has {
		b = fmt.Appendf(b, " packets=%d bytes=%d", c.Packets, c.Bytes)
	}
	return b
}

func (t *recordText) appendOther(b []byte, r *capture.Record) []byte {
	p := r.Kind.New()
	if err := r.Decode(p); err != nil {
		return fmt.Appendf(b, "%d bytes: %v", len(r.Payload), err)
	}
	switch p := p.(type) {
	case *capture.ProcNet:
		return t.appendTable(b, p)
	case *capture.ProcSockets:
		inodes := 0
		for i := range p.Processes {
			inodes += len(p.Processes[i].Inodes)
		}
		return fmt.Appendf(b, "netns %d: %d processes, %d sockets%s", p.Netns, len(p.Processes), inodes, partText(p.Part, p.More))
	case *capture.DNS:
		return t.appendDNS(b, p)
	case *capture.Host:
		return fmt.Appendf(b, "%q (%q), kernel %q, %d interfaces, %d routes, local networks %q", p.Name, p.ID, p.Kernel, len(p.Interfaces), len(p.Routes), p.LocalNetworks)
	case *capture.End:
		return fmt.Appendf(b, "%q", p.Why)
	case *capture.Witness:
		return fmt.Appendf(b, "of tick %d, rules %q, core %d", p.Tick, p.Rules, p.Core)
	}
	return append(b, eventText(r, p)...)
}

// eventText is for the small kinds.
func eventText(r *capture.Record, p capture.Payload) string {
	switch p := p.(type) {
	case *capture.Source:
		verb := "opened"
		if !p.Open {
			verb = "closed"
		}
		s := fmt.Sprintf("%d %q %s", r.Source, p.Kind, verb)
		for _, f := range []struct {
			name string
			v    any
			show bool
		}{{"netns", p.Netns, p.Netns != 0}, {"interface", p.Interface, p.Interface != ""}, {"buffer", p.Buffer, p.Buffer != 0},
			{"snaplen", p.Snaplen, p.Snaplen != 0}} {
			if f.show {
				s += fmt.Sprintf(", %s %v", f.name, f.v)
			}
		}
		return s + reasonText(p.Why)
	case *capture.Tick:
		return fmt.Sprintf("%d, interval %s", p.Number, time.Duration(p.Interval))
	case *capture.ConntrackDump:
		return fmt.Sprintf("dump %d%s%s", p.Number, countText(r.Kind == capture.KindDumpEnd, "%d entries", p.Entries), reasonText(p.Failed))
	case *capture.ProcWalk:
		return fmt.Sprintf("walk %d%s%s", p.Number, countText(r.Kind == capture.KindWalkEnd, "%d processes, %d namespaces", p.Processes, p.Netns), reasonText(p.Failed))
	case *capture.ProcUnchanged:
		return fmt.Sprintf("%s of netns %d", p.Table, p.Netns)
	case *capture.ReverseName:
		return fmt.Sprintf("%s is %q, for %s%s", p.Addr, p.Names, time.Duration(p.TTL), reasonText(p.Error))
	case *capture.Gap:
		about := "about "
		if p.Exact {
			about = ""
		}
		return fmt.Sprintf("source %d lost %s%d%s", r.Source, about, p.Lost, reasonText(p.Why))
	case *capture.Clock:
		return fmt.Sprintf("stepped by %s to %s", time.Duration(p.Step), time.Unix(0, p.Wall).UTC().Format(time.RFC3339Nano))
	case *capture.Mark:
		return fmt.Sprintf("%q", p.Text)
	case *capture.Fault:
		return fmt.Sprintf("the core panicked on record %d: %q", p.Record, p.Message)
	case *capture.Carry:
		return fmt.Sprintf("%d bytes of core %d, rules %s", len(p.State), p.Core, p.Rules)
	}
	return ""
}

func reasonText(why string) string {
	if why == "" {
		return ""
	}
	return fmt.Sprintf(": %q", why)
}

func countText(there bool, format string, args ...any) string {
	if !there {
		return ""
	}
	return ": " + fmt.Sprintf(format, args...)
}

func partText(part uint32, more bool) string {
	if part == 0 && !more {
		return ""
	}
	return fmt.Sprintf(", part %d", part)
}

func (t *recordText) appendTable(b []byte, p *capture.ProcNet) []byte {
	if p.Absent {
		return fmt.Appendf(b, "%s of netns %d: absent", p.Table, p.Netns)
	}
	s := procnet.NewScanner(p.Text, t.bigEndian)
	var row procnet.Row
	rows, listening := 0, 0
	for s.Next(&row) {
		rows++
		if row.State == procnet.Listen {
			listening++
		}
	}
	b = fmt.Appendf(b, "%s of netns %d: %d rows, %d listening", p.Table, p.Netns, rows, listening)
	if n := s.Malformed(); n > 0 {
		b = fmt.Appendf(b, ", %d malformed", n)
	}
	return append(b, partText(p.Part, p.More)...)
}

// appendDNS writes the message as dig +short would, behind who sent it.
func (t *recordText) appendDNS(b []byte, d *capture.DNS) []byte {
	err := t.packet.Decode(d.Packet)
	if err == dnsmsg.ErrPacket {
		return fmt.Appendf(b, "%d bytes: %v", len(d.Packet), err)
	}
	b = fmt.Appendf(b, "%s > %s", t.packet.Src, t.packet.Dst)
	b = append(b, [...]string{"", " in", " out"}[min(d.Direction, 2)]...)
	if err == nil {
		err = t.dns.Decode(dnsPayload(&t.packet))
	}
	if err != nil {
		return fmt.Appendf(b, " %d bytes: %v", len(d.Packet), err)
	}
	m := &t.dns
	if m.Response {
		b = append(append(b, ' '), dnsmsg.RcodeName(m.Rcode)...)
	}
	for _, q := range m.Questions {
		b = fmt.Appendf(b, " %s? %s", dnsmsg.TypeName(q.Type), m.QuestionName(q))
	}
	for _, rec := range m.Records {
		if rec.Type == dnsmsg.TypeCNAME {
			b = fmt.Appendf(b, " %s", m.Target(rec))
		} else {
			b = fmt.Appendf(b, " %s", rec.Addr)
		}
	}
	return b
}
