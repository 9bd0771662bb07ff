//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// windowColumns returns the width of the terminal that f is, 0 if f is no
// terminal.
func windowColumns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// closedPipe reports whether f is a pipe whose reader has closed it.
func closedPipe(f *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}
