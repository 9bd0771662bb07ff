package ctmsg

import (
	"bytes"
	"encoding/binary"
)

// details are what a line shows beyond a Message. Zero values are not shown.
type details struct {
	family         uint8  // of addresses: familyIPv4 or familyIPv6
	portID         uint32 // netlink port of the process that caused an event; 0 if the kernel did
	orig, reply    icmp
	state          string // of an SCTP or DCCP flow
	secmark, use   uint32
	secctx, helper string
}

// icmp is what an ICMP tuple has in place of ports.
type icmp struct {
	known     bool
	typ, code uint8
	id        uint16
}

var (
	sctpStates = [...]string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
		"SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}
	dccpStates = [...]string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"}
)

// decode reads the details of a message that Decode accepts. It leaves out a value that has the wrong size.
func (d *details) decode(b []byte, big bool) {
	order := binary.ByteOrder(binary.LittleEndian)
	if big {
		order = binary.BigEndian
	}
	d.portID, d.family = order.Uint32(b[12:]), b[nlHeaderLen]
	b = b[headerLen:order.Uint32(b)]
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		switch typ {
		case ctaTupleOrig:
			d.orig.decode(p, big)
		case ctaTupleReply:
			d.reply.decode(p, big)
		case ctaProtoInfo:
			d.protoInfo(p, big)
		case ctaHelp:
			d.helper = nestedName(p, big)
		case ctaUse:
			d.use, _ = be32(p)
		case ctaSecmark:
			d.secmark, _ = be32(p)
		case ctaSecctx:
			d.secctx = nestedName(p, big)
		}
	}
}

// decode reads a tuple.
func (i *icmp) decode(b []byte, big bool) {
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		if typ != ctaTupleProto {
			continue
		}
		for len(p) > 0 {
			typ, v, rest := attr(p, big)
			p = rest
			switch typ {
			case ctaProtoICMPID, ctaProtoICMPv6ID:
				i.id, i.known = be16(v)
			case ctaProtoICMPType, ctaProtoICMPv6Type:
				i.typ, _ = u8(v)
			case ctaProtoICMPCode, ctaProtoICMPv6Code:
				i.code, _ = u8(v)
			}
		}
	}
}

// protoInfo reads the state of an SCTP or DCCP flow.
func (d *details) protoInfo(b []byte, big bool) {
	for len(b) > 0 {
		proto, p, rest := attr(b, big)
		b = rest
		var names []string
		switch proto {
		case ctaProtoInfoDCCP:
			names = dccpStates[:]
		case ctaProtoInfoSCTP:
			names = sctpStates[:]
		}
		for len(p) > 0 {
			typ, v, rest := attr(p, big)
			p = rest
			if state, ok := u8(v); typ == ctaOtherState && ok && int(state) < len(names) {
				d.state = names[state]
			}
		}
	}
}

// nestedName reads the name in CTA_HELP or CTA_SECCTX, up to a zero byte.
func nestedName(b []byte, big bool) (name string) {
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		if typ == ctaName {
			text, _, _ := bytes.Cut(p, []byte{0})
			name = string(text)
		}
	}
	return name
}
