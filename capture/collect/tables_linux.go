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

// maxPart bounds the text of a table, or the size of a list of processes, in one
// record, in bytes.
const maxPart = 1 << 20

// The kernel prints rows into a page until the next row does not fit. So a read
// that returns less than a page minus the longest row has reached the table's
// end. Another read, which returns 0, would make the kernel walk its whole hash
// again: half the cost of a table without rows.
const (
	shortRead  = 4096 - 512
	endsToTest = 8 // so many of the first short reads are followed by one more read
)

// A reading is what a walk remembers of the last reading of a table.
type reading struct {
	done   bool
	absent bool
	empty  bool // no row
}

// errVanished says that a namespace has no process left through which it can be
// read.
var errVanished = errors.New("no process left")

// table reads one table of a namespace, by sock_diag if that is configured and works,
// else from /proc.
func (w *walk) table(netns uint64, name string, pids []uint32) (reading, error) {
	if w.diag.usable {
		if r, ok, err := w.diagTable(netns, name, pids); ok {
			return r, err
		}
	}
	return w.textTable(netns, name, pids)
}

// textTable reads one table of a namespace through the first of its processes that
// works, and records it in parts. It tries another process only if nothing was
// recorded, so that no text is recorded twice. The error is errVanished if all
// processes have ended.
func (w *walk) textTable(netns uint64, name string, pids []uint32) (reading, error) {
	failed := errVanished
	for _, pid := range pids {
		r, start := reading{done: true}, w.clock()
		fd, err := openat(w.fs.fd, pidPath(pid, "net/"+name), unix.O_RDONLY)
		if errors.Is(err, os.ErrNotExist) && w.alive(netns, pid) {
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
		recorded, err := w.parts(fd, &r, capture.ProcNet{Netns: netns, Table: name, ReadStart: start})
		unix.Close(fd)
		if err == nil || recorded {
			return r, err
		}
		failed = err
	}
	return reading{}, failed
}

// alive reports whether a process still shows the network files of its
// namespace: then a missing table is really missing.
func (w *walk) alive(netns uint64, pid uint32) bool {
	var st unix.Stat_t
	if unix.Fstatat(w.fs.fd, pidPath(pid, "net/dev"), &st, 0) != nil {
		return false
	}
	now, err := w.fs.netns(pid)
	return err == nil && now == netns
}

// parts reads an open table to its end and records it, cut at the ends of lines.
func (w *walk) parts(fd int, r *reading, p capture.ProcNet) (recorded bool, err error) {
	n, rows := 0, 0
	short := false // the previous read
	for {
		asked := len(w.text) - n
		m, err := read(fd, w.text[n:])
		if err != nil {
			return recorded, err
		}
		n += m
		if short {
			w.checkEnd(m == 0)
		}
		short = m > 0 && m < min(asked, shortRead)
		end := m == 0 || short && w.shortIsEnd()
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
		recorded = true
		rows += bytes.Count(p.Text, []byte{'\n'})
		if end {
			r.empty = rows <= 1 // the header
			return recorded, nil
		}
		n = copy(w.text, w.text[whole:n])
		p.Part, p.ReadStart = p.Part+1, p.ReadEnd
	}
}

// shortIsEnd reports whether a short read is taken for the table's end.
func (p *Proc) shortIsEnd() bool { return !p.endsWrong && p.endsChecked >= endsToTest }

// checkEnd notes whether a short read was the table's end. After one that was
// not, even of a table that grew, short reads are never taken for the end.
func (p *Proc) checkEnd(end bool) {
	p.endsChecked++
	p.endsWrong = p.endsWrong || !end
}
