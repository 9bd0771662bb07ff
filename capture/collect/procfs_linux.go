package collect

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// A procfs is an open mount of procfs. Paths are relative to it, so tests can use
// another tree. It is used by one goroutine.
type procfs struct {
	fd   int
	buf  []byte // for small files
	dirs []byte // for directories
}

func openProcfs(root string) (*procfs, error) {
	fd, err := openat(unix.AT_FDCWD, root, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &procfs{fd: fd, buf: make([]byte, 16<<10), dirs: make([]byte, 16<<10)}, nil
}

func (f *procfs) close() error { return unix.Close(f.fd) }

// gone reports whether the error says that a process has ended. ENXIO says it of a
// file in /proc/PID/net: the namespace of the process is being destroyed.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENXIO)
}

func denied(err error) bool { return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) }

func openat(dir int, path string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, path, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// small reads a whole file that the kernel prints in one piece: a read that does
// not fill the buffer has reached the end. The result is valid until the next
// call.
func (f *procfs) small(dir int, path string) ([]byte, error) {
	fd, err := openat(dir, path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for n := 0; ; {
		if n == len(f.buf) {
			f.buf = append(f.buf, make([]byte, n)...)
		}
		m, err := read(fd, f.buf[n:])
		n += m
		if n < len(f.buf) || err != nil {
			return f.buf[:n], err
		}
	}
}

// list calls each with the names in an open directory.
func (f *procfs) list(fd int, each func(name string)) error {
	var names []string
	for {
		n, err := unix.ReadDirent(fd, f.dirs)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return err
		}
		_, _, names = unix.ParseDirent(f.dirs[:n], -1, names[:0])
		for _, name := range names {
			each(name)
		}
	}
}

// pids lists the processes, in ascending order.
func (f *procfs) pids() ([]uint32, error) {
	if _, err := unix.Seek(f.fd, 0, 0); err != nil {
		return nil, err
	}
	var pids []uint32
	err := f.list(f.fd, func(name string) {
		if pid, err := strconv.ParseUint(name, 10, 32); err == nil {
			pids = append(pids, uint32(pid))
		}
	})
	slices.Sort(pids)
	return pids, err
}

// netns returns the network namespace of a process: the inode of the file that
// its ns/net links to. The link's text, net:[INODE], has it too and costs half as
// much to read.
func (f *procfs) netns(pid uint32) (uint64, error) {
	path := pidPath(pid, "ns/net")
	var link [64]byte
	n, err := unix.Readlinkat(f.fd, path, link[:])
	if err == nil {
		if inode, ok := bracketed(link[:n], "net:["); ok {
			return inode, nil
		}
	} else if gone(err) || denied(err) {
		return 0, err
	}
	var st unix.Stat_t
	err = unix.Fstatat(f.fd, path, &st, 0)
	return st.Ino, err
}

// bracketed reads the number of a link such as socket:[123].
func bracketed(link []byte, prefix string) (uint64, bool) {
	text, ok := bytes.CutPrefix(link, []byte(prefix))
	text, ok2 := bytes.CutSuffix(text, []byte("]"))
	if !ok || !ok2 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(text), 10, 64)
	return v, err == nil
}

func pidPath(pid uint32, name string) string {
	return strconv.FormatUint(uint64(pid), 10) + "/" + name
}

// counters reads the counters of a process's namespace. If the counters of snmp
// equal those in last, it returns last; nil has everything read.
func (f *procfs) counters(pid uint32, last *counters) (c counters, err error) {
	read := func(name string) []byte {
		if err != nil {
			return nil
		}
		var b []byte
		if b, err = f.small(f.fd, pidPath(pid, "net/"+name)); err != nil {
			return nil
		}
		return slices.Clone(b)
	}
	snmp := read("snmp")
	if err == nil && last != nil && last.known && string(tcpLine(snmp)) == last.tcp {
		return *last, nil
	}
	sockstat := read("sockstat")
	if err != nil {
		return c, err
	}
	sockstat6 := read("sockstat6")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return c, err
	}
	c.parse(snmp, sockstat, sockstat6)
	return c, nil
}
