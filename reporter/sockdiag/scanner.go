package sockdiag

import (
	"encoding/binary"
	"net/netip"

	"github.com/topotape/topotape/reporter/procnet"
)

// Row is one socket.
type Row struct {
	procnet.Row
	Cookie uint64 // identifies the socket as long as the kernel runs
	Cgroup uint64 // id of the owner's cgroup (v2), 0 if the kernel does not say
}

// Scanner reads the rows of one table, or of a part of a table that was cut between messages. It reads the bytes in place
// and does not allocate.
type Scanner struct {
	rest      []byte
	order     binary.ByteOrder
	malformed int
}

// NewScanner returns a Scanner for netlink messages. bigEndian is the byte order of the host whose kernel sent them. The
// Scanner refers to the messages until the last row is read.
func NewScanner(messages []byte, bigEndian bool) Scanner {
	return Scanner{rest: messages, order: order(bigEndian)}
}

// Next reads the next well-formed row into r and reports whether there was one. It skips all other messages, and counts
// them as malformed unless they are netlink's own, such as the end of a dump. If there is no row, r is undefined.
func (s *Scanner) Next(r *Row) bool {
	for len(s.rest) > 0 {
		kind, body, rest, ok := cut(s.rest, s.order)
		s.rest = rest
		if ok && kind < firstKind {
			continue
		}
		if ok && kind == socketKind {
			if _, ok = r.decode(body, s.order); ok {
				return true
			}
		}
		s.malformed++
	}
	return false
}

// Malformed returns the number of malformed messages that Next has skipped.
func (s *Scanner) Malformed() int { return s.malformed }

// Types of netlink messages (include/uapi/linux/netlink.h and sock_diag.h).
const (
	firstKind  = 16 // lower ones are netlink's own
	socketKind = 20 // SOCK_DIAG_BY_FAMILY
)

const (
	headerLen = 16 // struct nlmsghdr
	fixedLen  = 72 // struct inet_diag_msg
)

// Address families.
const (
	inet  = 2
	inet6 = 10
)

// Attributes (include/uapi/linux/inet_diag.h).
const (
	attrInfo   = 2
	attrCgroup = 21
	attrMask   = 0x3fff // the other bits are flags
)

func order(bigEndian bool) binary.ByteOrder {
	if bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// cut splits off the first message. ok is false if its length is impossible: then there is no rest.
func cut(b []byte, o binary.ByteOrder) (kind uint16, body, rest []byte, ok bool) {
	if len(b) < headerLen {
		return 0, nil, nil, false
	}
	n := uint64(o.Uint32(b))
	if n < headerLen || n > uint64(len(b)) {
		return 0, nil, nil, false
	}
	return o.Uint16(b[4:]), b[headerLen:n], b[min(aligned(n), uint64(len(b))):], true
}

// aligned returns the next multiple of 4.
func aligned(n uint64) uint64 { return (n + 3) &^ 3 }

// decode reads what follows a message's header. info is struct tcp_info, nil if there is none.
func (r *Row) decode(b []byte, o binary.ByteOrder) (info []byte, ok bool) {
	if len(b) < fixedLen {
		return nil, false
	}
	*r = Row{Cookie: uint64(o.Uint32(b[44:])) | uint64(o.Uint32(b[48:]))<<32}
	switch b[0] {
	case inet:
		r.Local, r.Remote = ends(b, netip.AddrFrom4([4]byte(b[8:])), netip.AddrFrom4([4]byte(b[24:])))
	case inet6:
		r.Local, r.Remote = ends(b, netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])))
	default:
		return nil, false
	}
	r.State, r.UID, r.Inode = procnet.State(b[1]), o.Uint32(b[64:]), uint64(o.Uint32(b[68:]))
	for b = b[fixedLen:]; len(b) >= 4; {
		n := uint64(o.Uint16(b))
		if n < 4 || n > uint64(len(b)) {
			return nil, false
		}
		switch value := b[4:n]; o.Uint16(b[2:]) & attrMask {
		case attrInfo:
			info = value
		case attrCgroup:
			if len(value) < 8 {
				return nil, false
			}
			r.Cgroup = o.Uint64(value)
		}
		b = b[min(aligned(n), uint64(len(b))):]
	}
	return info, true
}

// ends adds the ports to both addresses, which it unmaps.
func ends(b []byte, local, remote netip.Addr) (_, _ netip.AddrPort) {
	return netip.AddrPortFrom(local.Unmap(), binary.BigEndian.Uint16(b[4:])), netip.AddrPortFrom(remote.Unmap(), binary.BigEndian.Uint16(b[6:]))
}
