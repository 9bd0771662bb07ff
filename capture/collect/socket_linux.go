package collect

import (
	"os"

	"golang.org/x/sys/unix"
)

// mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// setReceiveBuffer requests a receive buffer and returns the size that the kernel
// granted: twice the requested size or less, see socket(7). Without CAP_NET_ADMIN
// the limit is net.core.rmem_max.
func setReceiveBuffer(fd, bytes int) (granted int, err error) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes); err != nil {
			return 0, os.NewSyscallError("setsockopt SO_RCVBUF", err)
		}
	}
	granted, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return granted, os.NewSyscallError("getsockopt SO_RCVBUF", err)
}

// netnsInode returns the inode of the calling thread's network namespace, 0 if
// /proc does not show it.
func netnsInode() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0
	}
	return st.Ino
}
