package ctmsg

import (
	"encoding/binary"
	"net/netip"
)

// Tuple is one direction of a flow. Ports are zero for protocols without ports, ICMP included: a Tuple does not have its
// id, type and code. The ports of GRE are its two keys. Tuples are equal if they are ==.
type Tuple struct {
	SrcIP, DstIP     IP
	SrcPort, DstPort uint16
	Proto            uint8 // IP protocol number
}

// TupleOf returns the tuple with these ends. It unmaps IPv4-mapped IPv6 addresses and drops IPv6 zones.
func TupleOf(src, dst netip.AddrPort, proto uint8) Tuple {
	return Tuple{IPOf(src.Addr()), IPOf(dst.Addr()), src.Port(), dst.Port(), proto}
}

// Src returns the source's address and port.
func (t *Tuple) Src() netip.AddrPort { return netip.AddrPortFrom(t.SrcIP.Addr(), t.SrcPort) }

// Dst returns the destination's address and port.
func (t *Tuple) Dst() netip.AddrPort { return netip.AddrPortFrom(t.DstIP.Addr(), t.DstPort) }

// Reversed returns the tuple of the other direction.
func (t *Tuple) Reversed() Tuple { return Tuple{t.DstIP, t.SrcIP, t.DstPort, t.SrcPort, t.Proto} }

// IP is an address as the two halves of a 128-bit number. An IPv4 address is IPv4-mapped. The zero IP is ::.
type IP struct{ Hi, Lo uint64 }

// mapped is the prefix of an IPv4 address in the lower half.
const mapped = 0xffff << 32

// IPOf returns the address as numbers, and :: for an invalid address.
func IPOf(a netip.Addr) IP {
	if !a.IsValid() {
		return IP{}
	}
	b := a.As16()
	return ipFrom16(b[:])
}

func ipFrom4(b []byte) IP { return IP{0, mapped | uint64(binary.BigEndian.Uint32(b))} }

func ipFrom16(b []byte) IP { return IP{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])} }

// Is4 reports whether the address is an IPv4 address.
func (a IP) Is4() bool { return a.Hi == 0 && a.Lo>>32 == mapped>>32 }

// IsLoopback reports whether the address is in 127.0.0.0/8 or ::1.
func (a IP) IsLoopback() bool { return a.Hi == 0 && (a.Lo>>24 == (mapped|127<<24)>>24 || a.Lo == 1) }

// Addr returns the address as a netip.Addr, unmapped.
func (a IP) Addr() netip.Addr {
	if a.Is4() {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(a.Lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b)
}
