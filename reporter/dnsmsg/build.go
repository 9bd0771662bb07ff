package dnsmsg

import (
	"encoding/binary"
	"net/netip"
)

// AppendUDPPacket appends a packet to b, with IPv4 or IPv6 header, UDP header and payload, and with correct lengths and
// checksums. It is IPv4 if both addresses are (IPv4-mapped ones count as IPv4). An address that is not valid is written as
// the unspecified address. A payload that is too long for UDP, over 65,507 bytes in IPv4 or 65,527 in IPv6, is an error,
// and b is returned unchanged.
func AppendUDPPacket(b []byte, src, dst netip.AddrPort, payload []byte) ([]byte, error) {
	const udpHeader = 8
	length := udpHeader + len(payload)
	from, to := src.Addr().Unmap(), dst.Addr().Unmap()
	is4 := (from.Is4() || !from.IsValid()) && (to.Is4() || !to.IsValid())
	ip, pseudo := len(b), uint32(0)
	switch {
	case is4 && length > 0xffff-20, length > 0xffff:
		return b, errLong
	case is4:
		b = append(b, 0x45, 0) // version 4, header of 5 words, no DSCP
		b = binary.BigEndian.AppendUint16(b, uint16(20+length))
		b = append(b, 0, 0, 0x40, 0, 64, UDP, 0, 0) // id 0, do not fragment, 64 hops, checksum set below
		b = append(b, as4(from)...)
		b = append(b, as4(to)...)
		binary.BigEndian.PutUint16(b[ip+10:], ^uint16(sum(0, b[ip:])))
		pseudo = sum(uint32(UDP)+uint32(length), b[ip+12:])
	default:
		b = append(b, 0x60, 0, 0, 0) // version 6, no traffic class, no flow label
		b = binary.BigEndian.AppendUint16(b, uint16(length))
		b = append(b, UDP, 64)
		b = append(b, as16(from)...)
		b = append(b, as16(to)...)
		pseudo = sum(uint32(UDP)+uint32(length), b[ip+8:])
	}
	udp := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	b = append(b, payload...)
	check := ^uint16(sum(pseudo, b[udp:]))
	if check == 0 { // 0 means no checksum
		check = 0xffff
	}
	binary.BigEndian.PutUint16(b[udp+6:], check)
	return b, nil
}

func as4(a netip.Addr) []byte {
	if !a.IsValid() {
		return make([]byte, 4)
	}
	return a.AsSlice()
}

func as16(a netip.Addr) []byte {
	if !a.IsValid() {
		return make([]byte, 16)
	}
	a16 := a.As16()
	return a16[:]
}
