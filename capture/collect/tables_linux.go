package collect

import (
	"bytes"
	"errors"
	"os"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// tableNames are the tables of a namespace, in the order of their records.
var tableNames = [...]string{"tcp", "tcp6"}

// maxPart is how much text of a table, or how many processes by their size,
// one record holds at most.
const maxPart = 1 << 20

// The kernel prints rows into a page until the next one does not fit. A read
// that returns less than a page but the longest row has met the table's end.
// To read once more, only to be told so, would make the kernel walk its whole
// hash again: that is half the price of a table without rows.
const (
	shortRead = 4096 - 512
	proofs    = 8 // so many of the first such ends are made sure of, by one more read
)

// A reading is what is remembered of a table that was read.
type reading struct {
	done   bool
	absent bool
	empty  bool // no row
}

// errVanished says that a namespace has no process left to read it through.
var errVanished = errors.New("no process left")

// table reads one table of a namespace through the first of its processes that
// can be used, and hands it on in parts. Another process is tried only while
// nothing was handed on, so that no text is ever there twice. The error is
// errVanished when nothing but the end of processes was in the way.
func (w *walk) table(netns uint64, name string, pids []uint32) (reading, error) {
	failed := errVanished
	for _, pid := range pids {
		r, start := reading{done: true}, w.clock()
		fd, err := openat(w.fs.fd, pidPath(pid, "net/"+name), unix.O_RDONLY)
		if errors.Is(err, os.ErrNotExist) && w.lives(netns, pid) {
			r.absent, r.empty = true, true
			w.add(capture.KindProcNet, &capture.ProcNet{Netns: netns, Table: name, Absent: true, ReadStart: start, ReadEnd: w.clock()})
			return r, nil
		}
		if err != nil {
			if !gone(err) {
				failed = err
			}
			continue
		}
		// What was opened belongs to the namespace that the process was in at
		// that moment, and stays readable when the process ends.
		if now, err := w.fs.netns(pid); err != nil || now != netns {
			unix.Close(fd)
			continue
		}
		handed, err := w.parts(fd, &r, capture.ProcNet{Netns: netns, Table: name, ReadStart: start})
		unix.Close(fd)
		if err == nil || handed {
			return r, err
		}
		failed = err
	}
	return reading{}, failed
}

// lives says whether a process still shows the network files of its namespace:
// a missing table is then really missing.
func (w *walk) lives(netns uint64, pid uint32) bool {
	var st unix.Stat_t
	if unix.Fstatat(w.fs.fd, pidPath(pid, "net/dev"), &st, 0) != nil {
		return false
	}
	now, err := w.fs.netns(pid)
	return err == nil && now == netns
}

// parts reads an open table to its end, cut into records at the ends of lines.
func (w *walk) parts(fd int, r *reading, p capture.ProcNet) (handed bool, err error) {
	n, rows := 0, 0
	short := false // the read before
	for {
		asked := len(w.text) - n
		m, err := read(fd, w.text[n:])
		if err != nil {
			return handed, err
		}
		n += m
		if short {
			w.proved(m == 0)
		}
		short = m > 0 && m < min(asked, shortRead)
		end := m == 0 || short && w.trusts()
		if !end && n < len(w.text) {
			continue
		}
		whole := n
		if !end {
			if i := bytes.LastIndexByte(w.text[:n], '\n'); i >= 0 {
				whole = i + 1
			}
		}
		p.More, p.Text, p.ReadEnd = !end, w.text[:whole], w.clock()
		w.add(capture.KindProcNet, &p)
		handed = true
		rows += bytes.Count(p.Text, []byte{'\n'})
		if end {
			r.empty = rows <= 1 // the header
			return handed, nil
		}
		n = copy(w.text, w.text[whole:n])
		p.Part, p.ReadStart = p.Part+1, p.ReadEnd
	}
}

// trusts says whether a short read has met the end.
func (p *Proc) trusts() bool { return !p.distrust && p.proven >= proofs }

// proved takes note of what came behind a short read. If ever it was more, also
// of a table that had grown meanwhile, short reads are trusted no more.
func (p *Proc) proved(end bool) {
	p.proven++
	p.distrust = p.distrust || !end
}
