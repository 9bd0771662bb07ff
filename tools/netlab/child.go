//go:build linux

package netlab

import (
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A child is a forked process that makes or accepts one connection and ends. It is in memory
// that the process shares with the one that forked it: the fields before done are given, the
// others are what the child reports.
//
// A forked process has one thread only, and the state of the Go runtime is that of some moment.
// So it makes system calls without the runtime, needs no stack of its own, and never returns.
type child struct {
	comm     [16]byte
	bind     sockaddr // client: zero for any
	remote   sockaddr // client; the child of a server sets it
	listener int32    // server: what accepts
	enter    int32    // client: an open namespace that the process enters when it has its socket, or -1
	hand     bool     // client: another child closes the connection, when this one has ended
	reset    bool     // client: close with a RST
	greeting [greetingSize]byte
	hold     unix.Timespec // client: how long the connection stays open
	timeout  unix.Timeval  // client: for each system call

	done           bool // the connection is closed
	seen           bool // server: the greeting was read
	local          sockaddr
	opened, closed unix.Timespec
	closer         int32 // the child that closes
	failed         int32 // number of the first system call that failed
	errno          int32
	answer         [greetingSize]byte
}

// newChild returns a child in shared memory. free releases the memory.
func newChild(comm string) (c *child, free func(), err error) {
	mem, err := unix.Mmap(-1, 0, int(unsafe.Sizeof(child{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, nil, fmt.Errorf("share memory with a child: %w", err)
	}
	c = (*child)(unsafe.Pointer(&mem[0]))
	c.enter, c.timeout = -1, unix.NsecToTimeval(int64(exchangeTimeout))
	copy(c.comm[:len(c.comm)-1], comm)
	return c, func() { unix.Munmap(mem) }, nil
}

// start forks the process, which runs connect or, with a listener, accept.
func (c *child) start(server bool) (pid int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, mask := ^uint64(0), uint64(0) // a signal would run the Go runtime in the child
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&mask)), 8, 0, 0)
	pid = c.fork(server)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
	if pid < 0 {
		return 0, c.err()
	}
	return pid, nil
}

//go:nosplit
//go:norace
func (c *child) fork(server bool) int {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		c.failed, c.errno = unix.SYS_CLONE, int32(errno)
		return -1
	}
	if pid == 0 {
		c.call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
		c.call(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&c.comm)), 0)
		if server {
			c.accept()
		} else {
			c.connect()
		}
		exit()
	}
	return int(pid)
}

//go:nosplit
//go:norace
func exit() {
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// call makes a system call, unless an earlier one failed.
//
//go:nosplit
//go:norace
func (c *child) call(trap, a, b, d uintptr) uintptr { return c.call6(trap, a, b, d, 0, 0) }

//go:nosplit
//go:norace
func (c *child) call6(trap, a, b, d, e, f uintptr) uintptr {
	if c.errno != 0 {
		return 0
	}
	r, _, errno := unix.RawSyscall6(trap, a, b, d, e, f, 0)
	if errno != 0 {
		c.failed, c.errno = int32(trap), int32(errno)
	}
	return r
}

// receive reads n bytes, or fewer at the end of the connection.
//
//go:nosplit
//go:norace
func (c *child) receive(fd, n uintptr) uintptr {
	return c.call6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&c.answer)), n, unix.MSG_WAITALL, 0)
}

//go:nosplit
//go:norace
func (c *child) option(fd, level, name uintptr, value unsafe.Pointer, size uintptr) {
	c.call6(unix.SYS_SETSOCKOPT, fd, level, name, uintptr(value), size)
}

// connect makes a connection.
//
//go:nosplit
//go:norace
func (c *child) connect() {
	fd := c.call(unix.SYS_SOCKET, uintptr(c.remote.family()), unix.SOCK_STREAM, 0)
	c.option(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, unsafe.Pointer(&c.timeout), unsafe.Sizeof(c.timeout))
	c.option(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, unsafe.Pointer(&c.timeout), unsafe.Sizeof(c.timeout))
	if c.bind.size > 0 {
		one := int32(1)
		c.option(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, unsafe.Pointer(&one), 4)
		c.call(unix.SYS_BIND, fd, uintptr(unsafe.Pointer(&c.bind)), uintptr(c.bind.size))
	}
	if c.enter >= 0 {
		c.call(unix.SYS_SETNS, uintptr(c.enter), unix.CLONE_NEWNET, 0)
	}
	c.call(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&c.remote)), uintptr(c.remote.size))
	c.now(&c.opened)
	c.local.size = uint32(len(c.local.raw))
	c.call(unix.SYS_GETSOCKNAME, fd, uintptr(unsafe.Pointer(&c.local)), uintptr(unsafe.Pointer(&c.local.size)))
	c.call(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&c.greeting)), greetingSize)
	c.receive(fd, uintptr(len(connID{})))
	if c.hand {
		// A sibling, so that the process that forked this one waits for both.
		if pid := c.call(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0); pid != 0 || c.errno != 0 {
			c.closer = int32(pid)
			return
		}
	}
	if c.greeting[flagsAt]&flagServerClose != 0 {
		c.call6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&c.greeting)), 1, 0, 0)
	}
	c.call(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&c.hold)), 0, 0)
	if c.reset {
		linger := unix.Linger{Onoff: 1}
		c.option(fd, unix.SOL_SOCKET, unix.SO_LINGER, unsafe.Pointer(&linger), unsafe.Sizeof(linger))
	}
	c.call(unix.SYS_CLOSE, fd, 0, 0)
	c.now(&c.closed)
	c.done = c.errno == 0
}

// accept accepts a connection, answers, and waits for the client's close.
//
//go:nosplit
//go:norace
func (c *child) accept() {
	c.remote.size, c.local.size = uint32(len(c.remote.raw)), uint32(len(c.local.raw))
	fd := c.call6(unix.SYS_ACCEPT4, uintptr(c.listener), uintptr(unsafe.Pointer(&c.remote)), uintptr(unsafe.Pointer(&c.remote.size)), 0, 0)
	c.call(unix.SYS_GETSOCKNAME, fd, uintptr(unsafe.Pointer(&c.local)), uintptr(unsafe.Pointer(&c.local.size)))
	c.receive(fd, greetingSize)
	c.seen = c.errno == 0
	c.call(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&c.answer)), uintptr(len(connID{})))
	if c.answer[flagsAt]&flagServerClose == 0 {
		c.call6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&c.greeting)), 1, 0, 0)
	}
	c.errno = 0 // a client may reset
	c.call(unix.SYS_CLOSE, fd, 0, 0)
	c.done = true
}

//go:nosplit
//go:norace
func (c *child) now(t *unix.Timespec) {
	c.call(unix.SYS_CLOCK_GETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(t)), 0)
}

// err returns the error of the first system call that failed, nil if none did.
func (c *child) err() error {
	if c.errno == 0 {
		return nil
	}
	calls := map[int32]string{unix.SYS_CLONE: "fork", unix.SYS_CONNECT: "connect", unix.SYS_RECVFROM: "read answer", unix.SYS_BIND: "bind", unix.SYS_SETNS: "setns"}
	name, ok := calls[c.failed]
	if !ok {
		name = fmt.Sprintf("system call %d", c.failed)
	}
	return fmt.Errorf("%s: %w", name, unix.Errno(c.errno))
}

// reap waits for a child's end.
func reap(pid int) error {
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err == nil {
			return nil
		} else if err != unix.EINTR {
			return fmt.Errorf("wait for a child: %w", err)
		}
	}
}

// A sockaddr is a struct sockaddr_in or sockaddr_in6 with its size.
type sockaddr struct {
	raw  [unix.SizeofSockaddrInet6]byte
	size uint32
}

//go:nosplit
//go:norace
func (s *sockaddr) family() uint16 { return *(*uint16)(unsafe.Pointer(&s.raw)) }

func newSockaddr(a netip.AddrPort) (s sockaddr) {
	family, at := uint16(unix.AF_INET6), 8
	s.size = unix.SizeofSockaddrInet6
	if a.Addr().Is4() {
		family, at = unix.AF_INET, 4
		s.size = unix.SizeofSockaddrInet4
	}
	*(*uint16)(unsafe.Pointer(&s.raw)) = family
	s.raw[2], s.raw[3] = byte(a.Port()>>8), byte(a.Port())
	copy(s.raw[at:], a.Addr().AsSlice())
	return s
}

func (s *sockaddr) addrPort() netip.AddrPort {
	port := uint16(s.raw[2])<<8 | uint16(s.raw[3])
	switch s.family() {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s.raw[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(s.raw[8:24])).Unmap(), port)
	}
	return netip.AddrPort{}
}
