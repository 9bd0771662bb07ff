package reporter

import (
	"cmp"
	"slices"
)

type inodeKey struct{ netns, inode uint64 }

// owners are the processes that hold sockets, by inode. A process keeps its sockets
// when it moves to another namespace, and hands them on: all that hold an inode
// count, from whatever namespace.
type owners struct {
	all map[uint64][]Process
	// Of inodes that processes of several namespaces hold and that are another
	// socket in each, as the kernel never numbers them but people do.
	apart map[inodeKey][]Process
}

// listHolders lists the processes of the current lists.
func (k *sockets) listHolders() owners {
	all := make(map[uint64][]Process)
	from := make(map[uint64]uint64) // namespace of a holder
	several := make(map[uint64]bool)
	for i := range k.lists {
		p := &k.lists[i]
		for j := range p.Processes {
			q := &p.Processes[j]
			for _, inode := range q.Inodes {
				if netns, known := from[inode]; known && netns != p.Netns {
					several[inode] = true
				}
				from[inode] = p.Netns
				all[inode] = addProcess(all[inode], Process{q.PID, q.Comm})
			}
		}
	}
	if len(several) == 0 {
		return owners{all: all}
	}
	return owners{all: all, apart: k.apart(several)}
}

// apart lists the holders by namespace where rows of several namespaces have
// one of the inodes.
func (k *sockets) apart(inodes map[uint64]bool) map[inodeKey][]Process {
	of := make(map[uint64]uint64) // namespace of a row
	apart := make(map[uint64]bool)
	for i := range k.rows {
		w := &k.rows[i]
		if !inodes[w.inode] {
			continue
		}
		if netns, known := of[w.inode]; known && netns != w.table.key.netns {
			apart[w.inode] = true
		}
		of[w.inode] = w.table.key.netns
	}
	out := make(map[inodeKey][]Process)
	for i := range k.lists {
		p := &k.lists[i]
		for j := range p.Processes {
			q := &p.Processes[j]
			for _, inode := range q.Inodes {
				if key := (inodeKey{p.Netns, inode}); apart[inode] {
					out[key] = addProcess(out[key], Process{q.PID, q.Comm})
				}
			}
		}
	}
	return out
}

// processes lists who holds a row's socket.
func (k *sockets) processes(w *socketRow) []Process {
	if w.inode == 0 {
		return nil
	}
	if len(k.holders.apart) > 0 {
		if list, ok := k.holders.apart[inodeKey{w.table.key.netns, w.inode}]; ok {
			return list
		}
	}
	return k.holders.all[w.inode]
}

func addProcess(list []Process, p Process) []Process {
	i, found := slices.BinarySearchFunc(list, p, compareProcess)
	if found {
		return list
	}
	return slices.Insert(list, i, p)
}

func compareProcess(a, b Process) int {
	return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Comm, b.Comm))
}
