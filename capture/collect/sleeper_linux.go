package collect

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sleeper sleeps on a timerfd with raw system calls. The runtime's own timers
// and system calls also wake its monitor thread, which costs as much as the
// messages.
type sleeper struct {
	file  *os.File
	fd    uintptr
	conn  syscall.RawConn
	slept func(fd uintptr) bool

	length unix.ItimerSpec // argument of the system call
}

func newSleeper() (*sleeper, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	s := &sleeper{file: os.NewFile(uintptr(fd), "timerfd"), fd: uintptr(fd)}
	var expirations [8]byte
	s.slept = func(fd uintptr) bool {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&expirations)), unsafe.Sizeof(expirations))
		return errno != unix.EAGAIN && errno != unix.EINTR
	}
	s.conn, err = s.file.SyscallConn()
	return s, err
}

// pause sleeps.
func (s *sleeper) pause(length time.Duration) error {
	if err := s.set(length); err != nil {
		return err
	}
	return s.wait()
}

// set sets when wait returns, also while another goroutine waits.
func (s *sleeper) set(length time.Duration) error {
	s.length.Value = unix.NsecToTimespec(length.Nanoseconds())
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, s.fd, 0, uintptr(unsafe.Pointer(&s.length)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("timerfd_settime", errno)
	}
	return nil
}

// wait waits for the time that was set last.
func (s *sleeper) wait() error { return s.conn.Read(s.slept) }
