package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// conntrackText writes a message as conntrack -E -o id,extended does, and one
// of a dump as conntrack -L -o id,extended: byte for byte, so that what was
// written for that tool's lines works on these.
type conntrackText struct {
	message ctmsg.Message
	detail  conntrackDetail
}

// conntrackDetail is what stands in a message that the core has no use for.
type conntrackDetail struct {
	v6          bool
	portID      uint32 // of the process that caused the event; 0 is the kernel
	orig, reply tupleDetail
	zone        uint16
	sctp, dccp  int // state, -1 when the message has none
	secmark     uint32
	secctx      string
	helper      string
	use         uint32
}

type tupleDetail struct {
	icmp              bool // id, type and code are there
	icmpType, icmpArg uint8
	icmpID            uint16
	sport, dport      uint16
	zone              uint16
}

// append writes the line of the message, which came at wall, Unix ns: that tells
// the age of an entry of a dump. An error is that of ctmsg.
func (t *conntrackText) append(b, payload []byte, bigEndian bool, wall int64) ([]byte, error) {
	m, d := &t.message, &t.detail
	if err := m.Decode(payload, bigEndian); err != nil {
		return b, err
	}
	d.decode(payload, bigEndian)
	switch m.Type {
	case ctmsg.New:
		b = append(b, "    [NEW] "...)
	case ctmsg.Update:
		b = append(b, " [UPDATE] "...)
	case ctmsg.Destroy:
		b = append(b, "[DESTROY] "...)
	}
	family := "ipv4     2"
	if d.v6 {
		family = "ipv6     10"
	}
	b = fmt.Appendf(b, "%s %-8s %d", family, protoText(m.Orig.Proto), m.Orig.Proto)
	if m.HasTimeout {
		b = fmt.Appendf(b, " %d", m.Timeout)
	}
	b = d.appendState(b, m)
	b = d.appendTuple(b, &m.Orig, &d.orig)
	if d.orig.zone != 0 {
		b = fmt.Appendf(b, " zone-orig=%d", d.orig.zone)
	}
	b = appendCounters(b, m.CountersOrig)
	if m.HasStatus && m.Status&ctmsg.SeenReply == 0 {
		b = append(b, " [UNREPLIED]"...)
	}
	b = d.appendTuple(b, &m.Reply, &d.reply)
	if d.reply.zone != 0 {
		b = fmt.Appendf(b, " zone-reply=%d", d.reply.zone)
	}
	b = appendCounters(b, m.CountersReply)
	return d.appendRest(b, m, wall), nil
}

// protoText names the protocols that the tool names.
func protoText(proto uint8) string {
	if name := ctmsg.ProtoName(proto); name[0] > '9' {
		return name
	}
	return "unknown"
}

var (
	sctpStates = [...]string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
		"SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}
	dccpStates = [...]string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"}
)

func (d *conntrackDetail) appendState(b []byte, m *ctmsg.Message) []byte {
	switch {
	case m.HasState:
		return append(append(b, ' '), m.State.String()...)
	case d.sctp >= 0 && d.sctp < len(sctpStates):
		return append(append(b, ' '), sctpStates[d.sctp]...)
	case d.dccp >= 0 && d.dccp < len(dccpStates):
		return append(append(b, ' '), dccpStates[d.dccp]...)
	}
	return b
}

func (d *conntrackDetail) appendTuple(b []byte, t *ctmsg.Tuple, more *tupleDetail) []byte {
	address := func(a netip.Addr) netip.Addr {
		if d.v6 {
			return netip.AddrFrom16(a.As16())
		}
		return a
	}
	b = address(t.SrcIP.Addr()).AppendTo(append(b, " src="...))
	b = address(t.DstIP.Addr()).AppendTo(append(b, " dst="...))
	switch protoText(t.Proto) {
	case "icmp", "icmpv6":
		if more.icmp {
			b = fmt.Appendf(b, " type=%d code=%d id=%d", more.icmpType, more.icmpArg, more.icmpID)
		}
	case "gre":
		b = fmt.Appendf(b, " srckey=%#x dstkey=%#x", more.sport, more.dport)
	case "unknown":
	default:
		b = fmt.Appendf(b, " sport=%d dport=%d", t.SrcPort, t.DstPort)
	}
	return b
}

func appendCounters(b []byte, c ctmsg.Counters) []byte {
	if !c.Has {
		return b
	}
	return fmt.Appendf(b, " packets=%d bytes=%d", c.Packets, c.Bytes)
}

func (d *conntrackDetail) appendRest(b []byte, m *ctmsg.Message, wall int64) []byte {
	switch {
	case m.Status&ctmsg.HWOffload != 0:
		b = append(b, " [HW_OFFLOAD]"...)
	case m.Status&ctmsg.Offload != 0:
		b = append(b, " [OFFLOAD]"...)
	case m.Status&ctmsg.Assured != 0:
		b = append(b, " [ASSURED]"...)
	}
	if m.HasMark {
		b = fmt.Appendf(b, " mark=%d", m.Mark)
	}
	if d.secmark != 0 {
		b = fmt.Appendf(b, " secmark=%d", d.secmark)
	}
	if d.secctx != "" {
		b = fmt.Appendf(b, " secctx=%s", plainText(d.secctx))
	}
	if d.zone != 0 {
		b = fmt.Appendf(b, " zone=%d", d.zone)
	}
	if end := cmp.Or(m.Stop, uint64(wall)); m.HasTimestamp && end >= m.Start {
		b = fmt.Appendf(b, " delta-time=%d", end/1e9-m.Start/1e9)
	}
	if d.helper != "" {
		b = fmt.Appendf(b, " helper=%s", plainText(d.helper))
	}
	if d.use != 0 {
		b = fmt.Appendf(b, " use=%d", d.use)
	}
	b = fmt.Appendf(b, " id=%d", m.ID)
	if d.portID != 0 && m.Type != ctmsg.Dump { // of a dump it is who asked for it
		b = fmt.Appendf(b, " [USERSPACE] portid=%d", d.portID)
	}
	return b
}

// plainText is a text of the kernel that is to stand unquoted on a line.
func plainText(s string) string {
	q := fmt.Sprintf("%q", s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}

// Attributes that ctmsg skips (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
const (
	ctaTupleOrig = 1
	ctaTupleRepl = 2
	ctaProtoInfo = 4
	ctaHelp      = 5
	ctaUse       = 11
	ctaSecmark   = 17
	ctaZone      = 18
	ctaSecctx    = 19
)

// decode walks a message that ctmsg has found sound.
func (d *conntrackDetail) decode(b []byte, big bool) {
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	*d = conntrackDetail{sctp: -1, dccp: -1, portID: order.Uint32(b[12:]), v6: b[16] == 10}
	attributes(b[20:min(len(b), int(order.Uint32(b)))], order, func(typ int, v []byte) {
		switch typ {
		case ctaTupleOrig:
			d.orig.decode(v, order)
		case ctaTupleRepl:
			d.reply.decode(v, order)
		case ctaProtoInfo:
			attributes(v, order, func(proto int, v []byte) {
				attributes(v, order, func(typ int, v []byte) {
					switch {
					case typ != 1 || len(v) == 0: // CTA_PROTOINFO_*_STATE
					case proto == 2:
						d.dccp = int(v[0])
					case proto == 3:
						d.sctp = int(v[0])
					}
				})
			})
		case ctaHelp:
			attributes(v, order, func(typ int, v []byte) {
				if typ == 1 { // CTA_HELP_NAME
					d.helper = cString(v)
				}
			})
		case ctaUse:
			d.use = uint32(number(v))
		case ctaSecmark:
			d.secmark = uint32(number(v))
		case ctaZone:
			d.zone = uint16(number(v))
		case ctaSecctx:
			attributes(v, order, func(typ int, v []byte) {
				if typ == 1 { // CTA_SECCTX_NAME
					d.secctx = cString(v)
				}
			})
		}
	})
}

func (t *tupleDetail) decode(b []byte, order binary.ByteOrder) {
	attributes(b, order, func(typ int, v []byte) {
		switch typ {
		case 2: // CTA_TUPLE_PROTO
			attributes(v, order, func(typ int, v []byte) {
				n := number(v)
				switch typ {
				case 2: // CTA_PROTO_SRC_PORT, which of GRE is a key
					t.sport = uint16(n)
				case 3:
					t.dport = uint16(n)
				case 4, 7: // CTA_PROTO_ICMP_ID, CTA_PROTO_ICMPV6_ID, then type and code
					t.icmp, t.icmpID = true, uint16(n)
				case 5, 8:
					t.icmpType = uint8(n)
				case 6, 9:
					t.icmpArg = uint8(n)
				}
			})
		case 3: // CTA_TUPLE_ZONE
			t.zone = uint16(number(v))
		}
	})
}

// attributes calls each with the type and the payload of every attribute of b,
// up to the first that is malformed.
func attributes(b []byte, order binary.ByteOrder, each func(typ int, v []byte)) {
	for len(b) >= 4 {
		n := int(order.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		each(int(order.Uint16(b[2:])&0x3fff), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// number reads a number of up to eight bytes in network order.
func number(v []byte) (n uint64) {
	for _, c := range v[:min(len(v), 8)] {
		n = n<<8 | uint64(c)
	}
	return n
}

func cString(v []byte) string {
	for i, c := range v {
		if c == 0 {
			return string(v[:i])
		}
	}
	return string(v)
}
