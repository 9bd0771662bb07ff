package ctmsg

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/topotape/topotape/capture/quote"
)

// AppendText decodes a message and appends it to b as a line of conntrack(8), without the newline: an event as
// `conntrack -E -o id,extended` prints it, a Dump as `conntrack -L -o id,extended` does. Only the name of the process
// that caused an event (progname=) is missing: messages do not have it. at is when the message was received, Unix
// nanoseconds; the age of a flow that has not ended (delta-time=) is counted up to it. After an error, one of Decode's,
// b is returned as it was.
func AppendText(b, message []byte, bigEndian bool, at int64) ([]byte, error) {
	var m Message
	if err := m.Decode(message, bigEndian); err != nil {
		return b, err
	}
	var d details
	d.decode(message, bigEndian)
	switch m.Type {
	case New:
		b = append(b, "    [NEW] "...)
	case Update:
		b = append(b, " [UPDATE] "...)
	case Destroy:
		b = append(b, "[DESTROY] "...)
	}
	family := "ipv4     2"
	if d.family == familyIPv6 {
		family = "ipv6     10"
	}
	b = fmt.Appendf(b, "%s %-8s %d", family, textProto(m.Orig.Proto), m.Orig.Proto)
	if m.HasTimeout {
		b = fmt.Appendf(b, " %d", m.Timeout)
	}
	if m.HasState {
		b = fmt.Appendf(b, " %v", m.State)
	} else if d.state != "" {
		b = fmt.Appendf(b, " %s", d.state)
	}
	b = d.appendTuple(b, &m.Orig, &d.orig)
	if m.ZoneDir == Original {
		b = fmt.Appendf(b, " zone-orig=%d", m.Zone)
	}
	b = appendCounters(b, m.CountersOrig)
	if m.HasStatus && m.Status&SeenReply == 0 {
		b = append(b, " [UNREPLIED]"...)
	}
	b = d.appendTuple(b, &m.Reply, &d.reply)
	if m.ZoneDir == Reply {
		b = fmt.Appendf(b, " zone-reply=%d", m.Zone)
	}
	b = appendCounters(b, m.CountersReply)
	return d.appendRest(b, &m, at), nil
}

// textProto returns the name of a protocol, unknown if ProtoName has only its number.
func textProto(proto uint8) string {
	if name := ProtoName(proto); name[0] > '9' {
		return name
	}
	return "unknown"
}

func (d *details) appendTuple(b []byte, t *Tuple, i *icmp) []byte {
	b = d.appendAddr(append(b, " src="...), t.SrcIP)
	b = d.appendAddr(append(b, " dst="...), t.DstIP)
	switch {
	case t.Proto == protoGRE:
		return fmt.Appendf(b, " srckey=%#x dstkey=%#x", t.SrcPort, t.DstPort)
	case hasPorts(t.Proto):
		return fmt.Appendf(b, " sport=%d dport=%d", t.SrcPort, t.DstPort)
	case i.known && (t.Proto == protoICMP || t.Proto == protoICMPv6):
		return fmt.Appendf(b, " type=%d code=%d id=%d", i.typ, i.code, i.id)
	}
	return b
}

// appendAddr writes an address; an IPv4 address in an IPv6 message as IPv6 maps it.
func (d *details) appendAddr(b []byte, ip IP) []byte {
	a := ip.Addr()
	if d.family == familyIPv6 {
		a = netip.AddrFrom16(a.As16())
	}
	return a.AppendTo(b)
}

func appendCounters(b []byte, c Counters) []byte {
	if !c.Has {
		return b
	}
	return fmt.Appendf(b, " packets=%d bytes=%d", c.Packets, c.Bytes)
}

// appendRest writes what follows the tuples.
func (d *details) appendRest(b []byte, m *Message, at int64) []byte {
	switch {
	case m.Status&HWOffload != 0:
		b = append(b, " [HW_OFFLOAD]"...)
	case m.Status&Offload != 0:
		b = append(b, " [OFFLOAD]"...)
	case m.Status&Assured != 0:
		b = append(b, " [ASSURED]"...)
	}
	if m.HasMark {
		b = fmt.Appendf(b, " mark=%d", m.Mark)
	}
	if d.secmark != 0 {
		b = fmt.Appendf(b, " secmark=%d", d.secmark)
	}
	if d.secctx != "" {
		b = fmt.Appendf(b, " secctx=%s", quote.Text(d.secctx))
	}
	if m.Zone != 0 && m.ZoneDir == Both {
		b = fmt.Appendf(b, " zone=%d", m.Zone)
	}
	if end := cmp.Or(m.Stop, uint64(at)); m.HasTimestamp && end >= m.Start {
		b = fmt.Appendf(b, " delta-time=%d", end/1e9-m.Start/1e9)
	}
	if d.helper != "" {
		b = fmt.Appendf(b, " helper=%s", quote.Text(d.helper))
	}
	if d.use != 0 {
		b = fmt.Appendf(b, " use=%d", d.use)
	}
	b = fmt.Appendf(b, " id=%d", m.ID)
	if d.portID != 0 && m.Type != Dump { // a Dump has the port ID of the socket that asked for it
		b = fmt.Appendf(b, " [USERSPACE] portid=%d", d.portID)
	}
	return b
}
