package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// tableDatagram is the longest datagram of a dump, in bytes: the kernel makes
	// them as long as the reader's buffer, up to 32 KiB.
	tableDatagram = 32 << 10
	// tableTimeout ends a dump if no datagram comes for so many seconds.
	tableTimeout = 5

	ctnetlink   = unix.NFNL_SUBSYS_CTNETLINK << 8
	ctGet       = 1 // IPCTNL_MSG_CT_GET of linux/netfilter/nfnetlink_conntrack.h
	ctGetStats  = 5 // IPCTNL_MSG_CT_GET_STATS
	nfgenmsgLen = 4
)

// tableSocket is the netlink socket that requests dumps.
type tableSocket struct {
	fd      int
	seq     uint32
	changed bool // a message of the current dump has NLM_F_DUMP_INTR
}

// openTable makes the socket and sends a small request, to check that the kernel
// tracks connections and that we may read them.
func openTable() (*tableSocket, error) {
	t := &tableSocket{fd: -1}
	err := t.open()
	if err == nil {
		err = t.probe()
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tableSocket) open() (err error) {
	if t.fd, err = netfilterSocket(0); err != nil {
		return err
	}
	timeout := unix.Timeval{Sec: tableTimeout}
	return os.NewSyscallError("setsockopt SO_RCVTIMEO", unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
}

// discard reads the rest of a dump, so that another one can begin.
func (t *tableSocket) discard(buf []byte) {
	for {
		_, _, _, _, err := unix.Recvmsg(t.fd, buf, nil, unix.MSG_DONTWAIT)
		if err != nil && err != unix.EINTR {
			return
		}
	}
}

func (t *tableSocket) probe() error {
	if err := t.request(ctGetStats, 0); err != nil {
		return err
	}
	_, err := t.read(make([]byte, tableDatagram), func([]byte) {})
	switch {
	case errors.Is(err, unix.EPERM):
		return errNoPrivilege
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the kernel does not track connections: modprobe nf_conntrack_netlink: %w", err)
	case err == errDumpDone, errors.Is(err, unix.EAGAIN):
		return nil
	}
	return err
}

func (t *tableSocket) close() {
	if t != nil && t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
	}
}

// request sends one message about the tables of all address families.
func (t *tableSocket) request(message uint16, flags uint16) error {
	t.seq++
	t.changed = false
	var b [unix.NLMSG_HDRLEN + nfgenmsgLen]byte
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], ctnetlink|message)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	binary.NativeEndian.PutUint32(b[8:], t.seq)
	b[16] = unix.AF_UNSPEC
	if err := unix.Sendto(t.fd, b[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("send", err)
	}
	return nil
}

var (
	errDumpDone    = errors.New("dump is complete")
	errDumpChanged = errors.New("the table was rebuilt meanwhile (NLM_F_DUMP_INTR)")
)

// read reads one datagram into buf and calls entry with each message in it. It
// returns how many bytes it read, and errDumpDone at the end of a dump.
func (t *tableSocket) read(buf []byte, entry func([]byte)) (int, error) {
	n, _, flags, from, err := unix.Recvmsg(t.fd, buf, nil, 0)
	for err == unix.EINTR {
		n, _, flags, from, err = unix.Recvmsg(t.fd, buf, nil, 0)
	}
	if err != nil {
		return 0, os.NewSyscallError("recvmsg", err)
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return 0, nil
	}
	if flags&unix.MSG_TRUNC != 0 {
		return 0, fmt.Errorf("a datagram of more than %d bytes", len(buf))
	}
	return n, t.split(buf[:n], entry)
}

// split calls entry with each message of a datagram that answers the request.
func (t *tableSocket) split(rest []byte, entry func([]byte)) error {
	for len(rest) > 0 {
		var msg []byte
		msg, rest = nextMessage(rest)
		if len(msg) < unix.NLMSG_HDRLEN || binary.NativeEndian.Uint32(msg[8:]) != t.seq {
			continue
		}
		t.changed = t.changed || binary.NativeEndian.Uint16(msg[6:])&unix.NLM_F_DUMP_INTR != 0
		switch kind := binary.NativeEndian.Uint16(msg[4:]); {
		case kind == unix.NLMSG_ERROR, kind == unix.NLMSG_DONE:
			if err := status(msg); err != nil {
				return err
			}
			if t.changed {
				return errDumpChanged
			}
			return errDumpDone
		case kind>>8 == unix.NFNL_SUBSYS_CTNETLINK:
			entry(msg)
		}
	}
	return nil
}

// status returns the error in an NLMSG_ERROR or NLMSG_DONE.
func status(msg []byte) error {
	if len(msg) < unix.NLMSG_HDRLEN+4 {
		return nil
	}
	if code := int32(binary.NativeEndian.Uint32(msg[unix.NLMSG_HDRLEN:])); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}
