package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// eventSlots is how many messages one recvmmsg receives at most.
	eventSlots = 256
	// eventSlot is the room of one message, in bytes. Real messages have 100 to
	// 400 bytes; the odd number of cache lines spreads the slots over the cache.
	eventSlot = 1024 + 64
	// eventTruesize is how much of the socket buffer an event takes, in bytes:
	// 768 for the skb's head and 512 for its bookkeeping, measured on 6.18.
	eventTruesize = 1280
)

// eventSocket is the netlink socket that receives events, and the memory that
// recvmmsg needs.
type eventSocket struct {
	fd     int
	opened bool
	buffer int // bytes that the kernel granted
	drops  uint32
	hdrs   [eventSlots]mmsghdr
	iovs   [eventSlots]unix.Iovec
	info   [9]uint32 // SK_MEMINFO_VARS of linux/sock_diag.h
}

func netfilterSocket(flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|flags, unix.NETLINK_NETFILTER)
	if err != nil {
		if errors.Is(err, unix.EPROTONOSUPPORT) {
			return -1, fmt.Errorf("the kernel has no nfnetlink: modprobe nf_conntrack_netlink: %w", err)
		}
		return -1, os.NewSyscallError("socket", err)
	}
	return fd, nil
}

// open takes over a netlink socket that does not wait, and joins it to groups.
func (s *eventSocket) open(fd, buffer int, groups ...int) (err error) {
	s.fd, s.opened = fd, true
	if s.buffer, err = setReceiveBuffer(s.fd, buffer); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1); err != nil {
		return os.NewSyscallError("setsockopt NETLINK_NO_ENOBUFS", err)
	}
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	// The kernel delivers no other process's messages to a socket that is
	// connected to the kernel, so the sender of each message need not be checked.
	// Only a broadcast to the groups remains: it needs CAP_NET_ADMIN, with which a
	// process can make conntrack entries, and close sockets, anyway.
	if err := unix.Connect(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if s.drops, err = s.readDrops(); err != nil {
		return err
	}
	for _, group := range groups {
		err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group)
		if errors.Is(err, unix.EPERM) {
			return errNoPrivilege
		}
		if err != nil {
			return os.NewSyscallError("join the event groups", err)
		}
	}
	s.prepare()
	return nil
}

// prepare sets the arguments of recvmmsg that never change.
func (s *eventSocket) prepare() {
	for i := range s.hdrs {
		h := &s.hdrs[i].hdr
		h.Iov = &s.iovs[i]
		h.SetIovlen(1)
		s.iovs[i].SetLen(eventSlot)
	}
}

var errNoPrivilege = fmt.Errorf("reading events and the table needs CAP_NET_ADMIN: run as root: %w", unix.EPERM)

func (s *eventSocket) close() {
	if s.opened {
		unix.Close(s.fd)
		s.opened = false
	}
}

// receive reads at most eventSlots queued messages into the slots of arena. It
// does not wait: 0 means that the socket is empty. The system calls are raw: they
// are short (0.3 ms for all slots), and other ones wake the runtime's monitor
// thread, which costs more than the call itself.
func (s *eventSocket) receive(arena []byte) (int, error) {
	_ = arena[eventSlots*eventSlot-1]
	if s.iovs[0].Base != &arena[0] { // another arena than in the last call
		for i := range s.iovs {
			s.iovs[i].Base = &arena[i*eventSlot]
		}
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.hdrs[0])), eventSlots, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR, unix.ENOBUFS: // the counter has every loss, so ENOBUFS says nothing new
			continue
		}
		return 0, os.NewSyscallError("recvmmsg", errno)
	}
}

// message returns the i-th datagram of the last receive; cut is true if it was
// longer than its slot.
func (s *eventSocket) message(arena []byte, i int) (b []byte, cut bool) {
	m := &s.hdrs[i]
	at := i * eventSlot
	end := at + int(m.n)
	return arena[at:end:end], m.hdr.Flags&unix.MSG_TRUNC != 0
}

// lost returns how many messages the kernel dropped since the last call.
func (s *eventSocket) lost() (uint32, error) {
	drops, err := s.readDrops()
	delta := drops - s.drops
	s.drops = drops
	return delta, err
}

// readDrops reads the socket's SK_MEMINFO_DROPS.
func (s *eventSocket) readDrops() (uint32, error) {
	size := uint32(unsafe.Sizeof(s.info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&s.info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return s.drops, os.NewSyscallError("getsockopt SO_MEMINFO", errno)
	}
	return s.info[8], nil
}

// nextMessage splits the first netlink message off a datagram. Bytes that are no
// whole message are returned together: they are recorded as they are.
func nextMessage(b []byte) (msg, rest []byte) {
	if len(b) < unix.NLMSG_HDRLEN {
		return b, nil
	}
	n := int(binary.NativeEndian.Uint32(b))
	if n < unix.NLMSG_HDRLEN || n > len(b) {
		return b, nil
	}
	if aligned := (n + 3) &^ 3; aligned < len(b) {
		return b[:n:n], b[aligned:]
	}
	return b[:n:n], nil
}
