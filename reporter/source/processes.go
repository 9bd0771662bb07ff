package source

import "github.com/topotape/topotape/capture"

// MaxOwners bounds the lists of processes of a walk of /proc, in bytes, as SizeOf counts
// them: of 50,000 processes with a million sockets they take 15 MB.
const MaxOwners = 18 << 20

const (
	listCost    = 128
	processCost = 128 // and the bytes of its name, and 8 for each inode
)

// Owners returns the list with only those processes that have sockets, without their
// cgroups, which point into the record.
func Owners(p *capture.ProcSockets) capture.ProcSockets {
	out := *p
	out.Processes = nil
	n := 0
	for i := range p.Processes {
		if len(p.Processes[i].Inodes) > 0 {
			n++
		}
	}
	if n == 0 {
		return out
	}
	out.Processes = make([]capture.Process, 0, n)
	for _, q := range p.Processes {
		if len(q.Inodes) > 0 {
			q.Cgroup = nil
			out.Processes = append(out.Processes, q)
		}
	}
	return out
}

// SizeOf returns the bytes that count for a list of Owners.
func SizeOf(p *capture.ProcSockets) int {
	n := listCost
	for i := range p.Processes {
		n += processCost + len(p.Processes[i].Comm) + 8*len(p.Processes[i].Inodes)
	}
	return n
}

// LeaveOut counts a record that is left out, at least in part, because a walk of /proc is
// too large, and marks the source as incomplete.
func (s *Source) LeaveOut(seq uint64) {
	s.Undecodable++
	s.Degrade("a walk of /proc is too large: a part of it was left out", seq)
}

// TableChanged marks the source as incomplete, because a table of sockets changed while the kernel listed it.
func (s *Source) TableChanged(seq uint64) {
	s.Degrade("a table of sockets changed while it was read: rows may be missing", seq)
}
