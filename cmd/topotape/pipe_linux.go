package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// closedPipe reports whether the file is a pipe that nobody reads any more.
func closedPipe(f *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}
