package sockdiag

import (
	"encoding/binary"
	"net/netip"
)

// Append appends r as a message about an IPv6 socket or an IPv4 one, as a kernel with that byte order sends it. IPv4
// addresses are IPv4-mapped in a message about an IPv6 socket; other addresses are 0.0.0.0 in one about an IPv4 socket.
func (r *Row) Append(b []byte, ipv6, bigEndian bool) []byte {
	return r.appendTo(b, ipv6, bigEndian, nil)
}

// ipv6 reports whether only an IPv6 socket can have the row's addresses.
func (r *Row) ipv6() bool { return !r.Local.Addr().Is4() || !r.Remote.Addr().Is4() }

// appendTo appends a message, with a struct tcp_info unless it is nil.
func (r *Row) appendTo(b []byte, ipv6, bigEndian bool, info []byte) []byte {
	o, start := order(bigEndian), len(b)
	b = append(b, make([]byte, headerLen+fixedLen)...)
	o.PutUint16(b[start+4:], socketKind)
	m := b[start+headerLen:]
	m[0], m[1] = inet, uint8(r.State)
	if ipv6 {
		m[0] = inet6
	}
	binary.BigEndian.PutUint16(m[4:], r.Local.Port())
	binary.BigEndian.PutUint16(m[6:], r.Remote.Port())
	putAddr(m[8:24], r.Local.Addr(), ipv6)
	putAddr(m[24:40], r.Remote.Addr(), ipv6)
	o.PutUint32(m[44:], uint32(r.Cookie))
	o.PutUint32(m[48:], uint32(r.Cookie>>32))
	o.PutUint32(m[64:], r.UID)
	o.PutUint32(m[68:], uint32(r.Inode))
	if r.Cgroup != 0 {
		var id [8]byte
		o.PutUint64(id[:], r.Cgroup)
		b = appendAttribute(b, attrCgroup, id[:], o)
	}
	if info != nil {
		b = appendAttribute(b, attrInfo, info, o)
	}
	o.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// appendAttribute appends an attribute whose length is a multiple of 4.
func appendAttribute(b []byte, kind uint16, value []byte, o binary.ByteOrder) []byte {
	var head [4]byte
	o.PutUint16(head[:], uint16(4+len(value)))
	o.PutUint16(head[2:], kind)
	return append(append(b, head[:]...), value...)
}

func putAddr(b []byte, a netip.Addr, ipv6 bool) {
	switch a = a.Unmap(); {
	case ipv6 && a.IsValid():
		a16 := a.As16()
		copy(b, a16[:])
	case !ipv6 && a.Is4():
		a4 := a.As4()
		copy(b, a4[:])
	}
}
