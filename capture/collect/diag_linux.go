package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// diagRoom is the room that one read of a sock_diag answer needs, in bytes: the kernel sends at most 32 KiB at once.
const diagRoom = 64 << 10

// A diag opens sockets for sock_diag. It is used by one goroutine that is locked to its thread: the thread enters another
// namespace for the time of one socket(2).
type diag struct {
	home    *os.File // the thread's own namespace
	own     uint64   // its inode
	usable  bool
	strayed bool // the thread could not return: other goroutines must not use it
}

// openDiag opens the own namespace. Without it, the diag is not usable.
func openDiag() diag {
	home, err := os.Open("/proc/thread-self/ns/net")
	return diag{home: home, own: netnsInode(), usable: err == nil}
}

func (d *diag) close() {
	d.home.Close()
	d.usable = false
}

// socket opens a socket for sock_diag in a namespace, which a process is in. The socket keeps the namespace alive.
func (d *diag) socket(fs *procfs, netns uint64, pid uint32) (fd int, err error) {
	if netns == d.own {
		return diagSocket()
	}
	ns, err := openat(fs.fd, pidPath(pid, "ns/net"), unix.O_RDONLY)
	if err != nil {
		return -1, err
	}
	defer unix.Close(ns)
	var st unix.Stat_t
	if err := unix.Fstat(ns, &st); err != nil || st.Ino != netns {
		return -1, errVanished
	}
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return -1, os.NewSyscallError("setns", err)
	}
	fd, err = diagSocket()
	if back := unix.Setns(int(d.home.Fd()), unix.CLONE_NEWNET); back != nil {
		d.usable, d.strayed = false, true
		if err == nil {
			unix.Close(fd)
		}
		return -1, os.NewSyscallError("setns", back)
	}
	return fd, err
}

func diagSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	return fd, os.NewSyscallError("socket", err)
}

// diagRequest asks for all TCP sockets of a table that have a row in /proc/net.
func diagRequest(table string) []byte {
	const (
		length    = unix.NLMSG_HDRLEN + 56 // struct inet_diag_req_v2
		byFamily  = 20                     // SOCK_DIAG_BY_FAMILY
		allStates = 1<<13 - 1<<1           // ESTABLISHED to NEW_SYN_RECV
	)
	b := make([]byte, length)
	binary.NativeEndian.PutUint32(b, length)
	binary.NativeEndian.PutUint16(b[4:], byFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[16], b[17] = unix.AF_INET, unix.IPPROTO_TCP
	if table == "tcp6" {
		b[16] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(b[20:], allStates)
	return b
}

// diagTable reads one table of a namespace by sock_diag through the first of its processes that works, and records it in
// parts. ok is false if nothing was recorded: then /proc must be read. What shows that sock_diag does not work on this host
// ends its use.
func (w *walk) diagTable(netns uint64, name string, pids []uint32) (r reading, ok bool, err error) {
	for _, pid := range pids {
		var st unix.Stat_t
		if unix.Fstatat(w.fs.fd, pidPath(pid, "net/"+name), &st, 0) != nil {
			continue // the process ended, or the kernel has no such table
		}
		start := w.clock()
		fd, err := w.diag.socket(w.fs, netns, pid)
		if gone(err) || errors.Is(err, errVanished) {
			continue
		}
		if err != nil {
			return r, false, nil // another process has the same namespace
		}
		d := diagDump{walk: w, fd: fd, table: capture.SocketTable{Netns: netns, Table: name, ReadStart: start}}
		err = d.run()
		unix.Close(fd)
		if err != nil && !d.recorded {
			w.diag.usable = false
			return r, false, nil
		}
		return reading{done: true, empty: d.rows == 0}, true, err
	}
	return r, false, nil
}

// A diagDump is the reading of one table.
type diagDump struct {
	*walk
	fd       int
	table    capture.SocketTable // the next part
	rows     int
	recorded bool
}

// run reads the table and records it. A table that changed while the kernel listed it is read once more, unless a part of
// it was recorded; the second reading is recorded as it is.
func (d *diagDump) run() error {
	err := d.read()
	if err == nil && d.table.Interrupted && !d.recorded {
		d.table.Interrupted, d.rows = false, 0
		err = d.read()
	}
	if err == nil {
		d.part(false)
	}
	return err
}

// part records what was read since the last part.
func (d *diagDump) part(more bool) {
	d.table.More, d.table.ReadEnd = more, d.clock()
	d.add(capture.KindSocketTable, &d.table)
	d.recorded = true
	d.table.Part, d.table.ReadStart, d.table.Messages = d.table.Part+1, d.table.ReadEnd, nil
}

// read requests the table and reads the answer. The last part of it stays in table, and is not recorded.
func (d *diagDump) read() error {
	d.table.Messages = nil
	if err := unix.Sendto(d.fd, diagRequest(d.table.Table), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for n := 0; ; {
		if len(d.text)-n < diagRoom {
			d.part(true)
			n = 0
		}
		m, err := read(d.fd, d.text[n:])
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		whole, end, err := d.messages(d.text[n : n+m])
		if err != nil {
			return err
		}
		n += whole
		if d.table.Messages = d.text[:n]; end {
			return nil
		}
	}
}

// messages looks at the headers of the messages of one datagram. It returns how many bytes of it are rows, and whether the
// answer ends after them.
func (d *diagDump) messages(b []byte) (whole int, end bool, err error) {
	for rest := b; len(rest) > 0; {
		var msg []byte
		msg, rest = nextMessage(rest)
		if len(msg) < unix.NLMSG_HDRLEN {
			return 0, false, errors.New("sock_diag: an answer without a header")
		}
		if binary.NativeEndian.Uint16(msg[6:])&unix.NLM_F_DUMP_INTR != 0 {
			d.table.Interrupted = true
		}
		switch binary.NativeEndian.Uint16(msg[4:]) {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(msg) >= unix.NLMSG_HDRLEN+4 {
				if code := int32(binary.NativeEndian.Uint32(msg[unix.NLMSG_HDRLEN:])); code != 0 {
					return 0, false, fmt.Errorf("sock_diag: %w", unix.Errno(-code))
				}
			}
			return whole, true, nil
		}
		d.rows++
		whole = len(b) - len(rest)
	}
	return whole, false, nil
}
