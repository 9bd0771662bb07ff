package collect

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// thoroughWalks is the number of walks after which a walk reads everything about
// a process or namespace. The walks between skip the name, parent and cgroup of a
// process whose sockets are unchanged, and sockstat of a namespace (see
// counters). Not all are due in the same walk.
const thoroughWalks = 5

// An owner is a process that owns sockets, remembered from walk to walk.
type owner struct {
	dir uint64 // inode of its directory: a later process with the same pid has another
	capture.Process
}

// process reads a process and the sockets that it owns. ok is false if it has
// ended, or if it certainly owns none. Everything is read through one open
// directory, so that nothing can come from a later process with the same pid.
//
// last is the process in an earlier walk. If it is the same process with the same
// sockets, the rest of it is not read again; nil has everything read.
func (f *procfs) process(pid uint32, last *owner) (o owner, ok bool) {
	dir, err := openat(f.fd, strconv.FormatUint(uint64(pid), 10), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return o, false
	}
	defer unix.Close(dir)
	o.PID = pid
	err = f.sockets(dir, &o.Process)
	if gone(err) || err == nil && len(o.Inodes) == 0 && !o.Partial {
		return o, false
	}
	o.Partial = o.Partial || err != nil
	var st unix.Stat_t
	if unix.Fstat(dir, &st) == nil {
		o.dir = st.Ino
	}
	if last != nil && last.dir == o.dir && last.Partial == o.Partial && slices.Equal(last.Inodes, o.Inodes) {
		return *last, true
	}
	ok = f.describe(dir, &o.Process)
	return o, ok
}

// describe reads the name, parent, start time and cgroup of a process from its
// directory. It returns false if the process has ended.
func (f *procfs) describe(dir int, p *capture.Process) bool {
	stat, err := f.small(dir, "stat")
	if err != nil || !parseStat(stat, p) {
		return false
	}
	cgroup, err := f.small(dir, "cgroup")
	p.Cgroup = slices.Clone(cgroup)
	return !errors.Is(err, unix.ESRCH)
}

// sockets reads which sockets a process owns, sorted, without duplicates.
func (f *procfs) sockets(dir int, p *capture.Process) error {
	fd, err := openat(dir, "fd", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var link [64]byte
	err = f.list(fd, func(name string) {
		n, err := unix.Readlinkat(fd, name, link[:])
		if err != nil {
			// A descriptor that was closed since is not a missing one.
			p.Partial = p.Partial || denied(err)
			return
		}
		if inode, ok := bracketed(link[:n], "socket:["); ok {
			p.Inodes = append(p.Inodes, inode)
		}
	})
	slices.Sort(p.Inodes)
	p.Inodes = slices.Compact(p.Inodes)
	return err
}

// parseStat reads name, parent and start time from /proc/PID/stat (proc(5)).
// The name is in parentheses and may contain any byte, also parentheses.
func parseStat(stat []byte, p *capture.Process) bool {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return false
	}
	fields := bytes.Fields(stat[end+1:]) // from field 3 on
	if len(fields) < 20 {
		return false
	}
	ppid, err := strconv.ParseUint(string(fields[4-3]), 10, 32)
	if err != nil {
		return false
	}
	p.PPID = uint32(ppid)
	p.Start, err = strconv.ParseUint(string(fields[22-3]), 10, 64)
	p.Comm = string(stat[open+1 : end])
	return err == nil
}

// blind reports whether so few processes can be read that their sockets do not
// show which tables changed. A few hidden processes do not matter: the walk only
// misses that one of them replaces a listener, until the table is due.
func (w *walk) blind() bool { return uint64(len(w.unplaced)) > w.visited/2 }

// thorough reports whether everything about a pid or namespace is due to be read.
func (w *walk) thorough(id uint64) bool { return (w.number+id)%thoroughWalks == 0 }

// readOwners reads the owners of sockets among a group's processes, and returns
// the sockets' inodes sorted.
func (w *walk) readOwners(g group) (list []capture.Process, inodes []uint64) {
	for _, pid := range g.pids {
		last := w.owners[pid]
		if w.thorough(uint64(pid)) {
			last = nil
		}
		o, ok := w.fs.process(pid, last)
		if !ok {
			continue
		}
		w.newOwners[pid] = &o
		if o.Partial {
			w.partial++
		}
		list = append(list, o.Process)
		inodes = append(inodes, o.Inodes...)
	}
	slices.Sort(inodes)
	return list, slices.Compact(inodes)
}

// addOwners records the owners, in parts.
func (w *walk) addOwners(netns uint64, list []capture.Process) {
	eachPart(netns, list, func(p *capture.ProcSockets) { w.add(capture.KindProcSockets, p) })
}

// eachPart calls add with the list in parts of at most maxPart bytes and a process. An
// empty list is one part.
func eachPart(netns uint64, list []capture.Process, add func(*capture.ProcSockets)) {
	r := capture.ProcSockets{Netns: netns}
	for {
		n, size := 0, 0
		for n < len(list) && (n == 0 || size < maxPart) {
			size += 32 + len(list[n].Comm) + len(list[n].Cgroup) + 9*len(list[n].Inodes)
			n++
		}
		r.Processes, list = list[:n], list[n:]
		r.More = len(list) > 0
		add(&r)
		if !r.More {
			return
		}
		r.Part++
	}
}

// subset reports whether all of a are in b; both are sorted.
func subset(a, b []uint64) bool {
	for _, v := range a {
		for len(b) > 0 && b[0] < v {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != v {
			return false
		}
	}
	return true
}
