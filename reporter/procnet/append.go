package procnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// AppendHeader appends the header line of a TCP table. The header of a UDP table is the same up to the inode; those of
// IPv6 tables differ in spaces only.
func AppendHeader(b []byte) []byte {
	return append(b, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"...)
}

// AppendRow appends r as line number sl of an IPv6 table (tcp6, udp6) or an IPv4 table, as a kernel with that byte order
// prints it. Fields that Row does not have are zero. IPv4 addresses are IPv4-mapped in an IPv6 table; other addresses are
// 0.0.0.0 in an IPv4 table.
func AppendRow(b []byte, sl int, r Row, ipv6, bigEndian bool) []byte {
	b = fmt.Appendf(b, "%4d: ", sl)
	b = appendAddrPort(b, r.Local, ipv6, bigEndian)
	b = append(b, ' ')
	b = appendAddrPort(b, r.Remote, ipv6, bigEndian)
	return fmt.Appendf(b, " %02X 00000000:00000000 00:00000000 00000000 %5d        0 %d 1 0000000000000000 100 0 0 10 0\n",
		uint8(r.State), r.UID, r.Inode)
}

func appendAddrPort(b []byte, a netip.AddrPort, ipv6, bigEndian bool) []byte {
	var raw []byte
	switch addr := a.Addr().Unmap(); {
	case ipv6 && a.Addr().IsValid():
		a16 := addr.As16()
		raw = a16[:]
	case ipv6:
		raw = make([]byte, 16)
	case addr.Is4():
		a4 := addr.As4()
		raw = a4[:]
	default:
		raw = make([]byte, 4)
	}
	for ; len(raw) > 0; raw = raw[4:] {
		v := binary.LittleEndian.Uint32(raw)
		if bigEndian {
			v = binary.BigEndian.Uint32(raw)
		}
		b = fmt.Appendf(b, "%08X", v)
	}
	return fmt.Appendf(b, ":%04X", a.Port())
}
