package collect

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// thoroughWalks is after how many walks things are looked at which are taken
// for unchanged between: of a process that holds the sockets that it held
// before, its name, parent and cgroup; of a namespace see counters. Every one
// has its own turn.
const thoroughWalks = 5

// A holder is what is remembered of a process that holds sockets.
type holder struct {
	dir uint64 // inode of its directory: no successor with its number has the same
	capture.Process
}

// process tells what a process is and which sockets it holds. ok is false
// when it has ended, or when it holds none and that is certain. All of it is
// read through one open directory, so that a successor with its number can't
// lend it anything. While last, of an earlier walk, is of the same process and
// lists the same sockets, the rest of it stands; nil has everything read.
func (f *procfs) process(pid uint32, last *holder) (h holder, ok bool) {
	dir, err := openat(f.fd, strconv.FormatUint(uint64(pid), 10), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return h, false
	}
	defer unix.Close(dir)
	h.PID = pid
	err = f.sockets(dir, &h.Process)
	if gone(err) || err == nil && len(h.Inodes) == 0 && !h.Partial {
		return h, false
	}
	h.Partial = h.Partial || err != nil
	var st unix.Stat_t
	if unix.Fstat(dir, &st) == nil {
		h.dir = st.Ino
	}
	if last != nil && last.dir == h.dir && last.Partial == h.Partial && slices.Equal(last.Inodes, h.Inodes) {
		return *last, true
	}
	stat, err := f.small(dir, "stat")
	if err != nil || !parseStat(stat, &h.Process) {
		return h, false
	}
	cgroup, err := f.small(dir, "cgroup")
	if errors.Is(err, unix.ESRCH) {
		return h, false
	}
	h.Cgroup = slices.Clone(cgroup)
	return h, true
}

// sockets reads which sockets a process holds, sorted and each once.
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
			// A descriptor that was closed meanwhile is no defect.
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
// The name stands in parentheses and may hold any byte, parentheses too.
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

// blind says that so few processes can be looked into that their sockets are
// no evidence: what only a new socket shows would go unnoticed. A few hidden
// ones don't matter: all that is missed is when one of them swaps a listener,
// until the table's turn comes.
func (w *walk) blind() bool { return uint64(len(w.unplaced)) > w.visited/2 }

// thorough says whether it is the turn of a pid or namespace.
func (w *walk) thorough(id uint64) bool { return (w.number+id)%thoroughWalks == 0 }

// owners reads who holds which sockets, and the sockets sorted.
func (w *walk) owners(g group) (list []capture.Process, held []uint64) {
	for _, pid := range g.pids {
		last := w.holders[pid]
		if w.thorough(uint64(pid)) {
			last = nil
		}
		h, ok := w.fs.process(pid, last)
		if !ok {
			continue
		}
		w.met[pid] = &h
		if h.Partial {
			w.closed++
		}
		list = append(list, h.Process)
		held = append(held, h.Inodes...)
	}
	slices.Sort(held)
	return list, slices.Compact(held)
}

// addOwners hands the owners on, in parts.
func (w *walk) addOwners(netns uint64, list []capture.Process) {
	r := capture.ProcSockets{Netns: netns}
	for {
		n, size := 0, 0
		for n < len(list) && (n == 0 || size < maxPart) {
			size += 32 + len(list[n].Comm) + len(list[n].Cgroup) + 9*len(list[n].Inodes)
			n++
		}
		r.Processes, list = list[:n], list[n:]
		r.More = len(list) > 0
		w.add(capture.KindProcSockets, &r)
		if !r.More {
			return
		}
		r.Part++
	}
}

// subset says whether all of a are in b; both are sorted.
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
