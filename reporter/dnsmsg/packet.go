package dnsmsg

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// The errors of Packet.Decode.
var (
	// ErrFragment: the packet is a fragment, but not the first one of its datagram. It has no ports and no payload.
	ErrFragment = errors.New("dnsmsg: later fragment")
	// ErrTruncated: the packet was not captured in full. The Packet has what was captured.
	ErrTruncated = errors.New("dnsmsg: packet not captured in full")
	// ErrProtocol: the packet is neither UDP nor TCP.
	ErrProtocol = errors.New("dnsmsg: neither UDP nor TCP")
	// ErrPacket: the bytes are not an IPv4 or IPv6 packet, or a header contradicts itself.
	ErrPacket = errors.New("dnsmsg: malformed packet")
)

// IP protocol numbers.
const (
	TCP uint8 = 6
	UDP uint8 = 17

	protoHopByHop    = 0
	protoRouting     = 43
	protoFragment    = 44
	protoNone        = 59
	protoDestination = 60
)

// Bits of Packet.TCPFlags (RFC 9293 section 3.1).
const (
	FIN uint8 = 0x01
	SYN uint8 = 0x02
	rst uint8 = 0x04
	psh uint8 = 0x08
	ACK uint8 = 0x10
)

// Packet is a captured packet, decoded up to its transport payload. Slices point into the bytes that were decoded.
type Packet struct {
	// Src and Dst have port 0 if the ports were not captured. IPv4-mapped addresses are unmapped.
	Src, Dst netip.AddrPort
	// Proto is the transport protocol: TCP, UDP or another number. In a later IPv6 fragment it is the protocol number of
	// the first header in the datagram's body.
	Proto uint8

	// Payload is the captured part of the UDP or TCP payload, PayloadLen the length of the payload by the headers. Payload
	// is shorter in a truncated capture and in a first fragment.
	Payload    []byte
	PayloadLen int

	Seq      uint32 // TCP sequence number of the first byte of Payload, or of the SYN
	Ack      uint32 // TCP acknowledgment number
	TCPFlags uint8  // FIN to ACK

	fragment fragment // zero for a whole packet
}

// fragment is a fragment's place in its datagram. Fragments with equal source, destination, id and, for IPv4, protocol
// belong together.
type fragment struct {
	id     uint32 // 16 bits in IPv4
	offset int    // of body in the datagram's body, bytes
	more   bool   // this is not the last fragment
	next   uint8  // protocol number of the first header in the datagram's body
	body   []byte // everything after the IP header (and the IPv6 fragment header)
}

// IsFragment reports whether the packet is a fragment of a datagram.
func (p *Packet) IsFragment() bool { return p.fragment.more || p.fragment.offset > 0 }

// Decode reads a packet that begins with its IPv4 or IPv6 header, or with VLAN tags (see the package's documentation). It
// ignores bytes after the packet, does not verify checksums and does not allocate.
//
// After ErrPacket p is empty; after any other error p has what could be read.
func (p *Packet) Decode(b []byte) error {
	*p = Packet{}
	b = skipTags(b)
	err := ErrPacket
	if len(b) > 0 && b[0]>>4 == 4 {
		err = p.ipv4(b)
	} else if len(b) > 0 && b[0]>>4 == 6 {
		err = p.ipv6(b)
	}
	if err == ErrPacket {
		*p = Packet{}
	}
	return err
}

// ipv4 reads the header of RFC 791 section 3.1.
func (p *Packet) ipv4(b []byte) error {
	const minLen = 20
	if len(b) < minLen {
		return ErrPacket
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < minLen {
		return ErrPacket
	}
	// Total length 0: segmentation offload of a packet beyond 65,535 bytes. Use the captured length.
	if total == 0 {
		total = len(b)
	}
	if total < header {
		return ErrPacket
	}
	frag := binary.BigEndian.Uint16(b[6:])
	p.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), 0)
	p.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:])), 0)
	p.Proto = b[9]
	if len(b) < header {
		return ErrTruncated
	}
	if frag&0x3fff != 0 {
		p.fragment = fragment{id: uint32(binary.BigEndian.Uint16(b[4:])), offset: int(frag&0x1fff) * 8, more: frag&0x2000 != 0, next: b[9]}
	}
	return p.body(b[9], b[header:min(total, len(b))], total-header)
}

// ipv6 reads the header of RFC 8200 section 3.
func (p *Packet) ipv6(b []byte) error {
	const header = 40
	if len(b) < header {
		return ErrPacket
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	p.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])).Unmap(), 0)
	p.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:])).Unmap(), 0)
	next := b[6]
	b = b[header:]
	// Length 0: a jumbogram, or segmentation offload.
	if length == 0 && next != protoNone {
		length = len(b)
	}
	return p.body(next, b[:min(length, len(b))], length)
}

// body reads the extension headers and the transport header of a packet. b is the captured part of the length bytes after
// the IP header. Extension headers are accepted in IPv4 packets too, although nobody sends them.
func (p *Packet) body(next uint8, b []byte, length int) error {
	for {
		p.Proto = next
		if p.IsFragment() && p.fragment.body == nil {
			p.fragment.body = b
			if p.fragment.offset > 0 {
				return truncated(ErrFragment, b, length)
			}
		}
		var header int
		switch next {
		case protoFragment:
			header = 8
		case protoHopByHop, protoRouting, protoDestination:
			if len(b) < 2 {
				return truncated(ErrPacket, b, length)
			}
			header = (int(b[1]) + 1) * 8
		default:
			return p.transport(b, length)
		}
		if length < header {
			return ErrPacket
		}
		if len(b) < header {
			return ErrTruncated
		}
		if next == protoFragment && !p.IsFragment() {
			// An "atomic fragment" (RFC 6946), offset 0 and no more, is a whole packet.
			if frag := binary.BigEndian.Uint16(b[2:]); frag&0xfff9 != 0 {
				p.fragment = fragment{id: binary.BigEndian.Uint32(b[4:]), offset: int(frag &^ 7), more: frag&1 != 0, next: b[0]}
			}
		}
		next, b, length = b[0], b[header:], length-header
	}
}

// truncated returns ErrTruncated if less than length was captured, otherwise err.
func truncated(err error, b []byte, length int) error {
	if len(b) < length {
		return ErrTruncated
	}
	return err
}

// reassembled reads the body of a reassembled datagram into p, which keeps its addresses. next is the protocol number of
// the body's first header.
func (p *Packet) reassembled(next uint8, body []byte) error {
	*p = Packet{Src: netip.AddrPortFrom(p.Src.Addr(), 0), Dst: netip.AddrPortFrom(p.Dst.Addr(), 0)}
	return p.body(next, body, len(body))
}

func (p *Packet) transport(b []byte, length int) error {
	const udpHeader, tcpHeader = 8, 20
	minLen := udpHeader
	switch p.Proto {
	case UDP:
	case TCP:
		minLen = tcpHeader
	default:
		return ErrProtocol
	}
	if length < minLen && !p.fragment.more {
		return ErrPacket
	}
	if len(b) >= 4 {
		p.Src = netip.AddrPortFrom(p.Src.Addr(), binary.BigEndian.Uint16(b))
		p.Dst = netip.AddrPortFrom(p.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	}
	if len(b) < minLen {
		return ErrTruncated
	}
	if p.Proto == UDP {
		return p.udp(b, length)
	}
	header := int(b[12]>>4) * 4
	if header < tcpHeader || header > length {
		return ErrPacket
	}
	p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	p.TCPFlags = b[13] & (FIN | SYN | rst | psh | ACK)
	p.PayloadLen = length - header
	if len(b) < header {
		return ErrTruncated
	}
	p.Payload = b[header:]
	return truncated(nil, b, length)
}

// udp reads the header of RFC 768. Its length field may be shorter than the length by IP, and longer in a first fragment.
func (p *Packet) udp(b []byte, length int) error {
	const header = 8
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n == 0 { // jumbogram (RFC 2675 section 4)
		n = length
	}
	if n < header || n > length && !p.fragment.more {
		return ErrPacket
	}
	p.PayloadLen = n - header
	p.Payload = b[header:min(n, len(b))]
	return truncated(nil, b, min(n, length))
}

// skipTags cuts off VLAN tags before the IP header: tag control information and the ethertype of the next header.
func skipTags(b []byte) []byte {
	const vlan, qinq, ipv4, ipv6 = 0x8100, 0x88a8, 0x0800, 0x86dd
	for len(b) > 4 && !isIP(b) {
		next := b[4] >> 4
		switch etherType := int(b[2])<<8 | int(b[3]); {
		case etherType == vlan, etherType == qinq, etherType == ipv4 && next == 4, etherType == ipv6 && next == 6:
			b = b[4:]
		default:
			return b
		}
	}
	return b
}

// isIP reports whether b certainly begins with an IP header. A tag of priority 2 or 3 has the version nibble 4 or 6 too,
// so a correct header checksum or length decides.
func isIP(b []byte) bool {
	switch b[0] >> 4 {
	case 4:
		header := int(b[0]&0xf) * 4
		return header >= 20 && len(b) >= header && sum(0, b[:header]) == 0xffff
	case 6:
		return len(b) >= 40 && int(binary.BigEndian.Uint16(b[4:])) == len(b)-40
	}
	return false
}

// sum adds b to an Internet checksum (RFC 1071) that is not yet complemented.
func sum(acc uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return acc
}

// Message returns the DNS message in the payload. In a TCP segment the message's length, two bytes, precedes it; this is
// right for a segment that holds exactly one message. An Assembler handles all others.
func (p *Packet) Message() []byte {
	if p.Proto == TCP && len(p.Payload) >= 2 {
		return p.Payload[2:]
	}
	return p.Payload
}
