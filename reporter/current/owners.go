package current

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/reporter/report"
)

// An inodeKey identifies a socket by its namespace and inode.
type inodeKey struct{ netns, inode uint64 }

// owners are the processes that have sockets open, by inode. A process may move to another
// namespace or pass a socket to one there, so the owners from all namespaces count.
type owners struct {
	all map[uint64][]report.Process
	// apart has the owners of inodes that are different sockets in several namespaces. The
	// kernel never numbers sockets so, but hand-written tapes may.
	apart map[inodeKey][]report.Process
}

// listOwners returns the owners of the sockets of current rows and listeners.
func (k *sockets) listOwners() owners {
	all := make(map[uint64][]report.Process, len(k.rows))
	for _, inodes := range k.listen.in { // the order cannot matter: a set
		for _, inode := range inodes {
			all[inode] = nil
		}
	}
	for i := range k.rows {
		if inode := k.rows[i].inode; inode != 0 {
			all[inode] = nil
		}
	}
	from := make(map[uint64]uint64) // namespace of an owner
	several := make(map[uint64]bool)
	for i := range k.lists {
		p := &k.lists[i]
		for j := range p.Processes {
			q := &p.Processes[j]
			for _, inode := range q.Inodes {
				if _, wanted := all[inode]; !wanted {
					continue
				}
				if netns, known := from[inode]; known && netns != p.Netns {
					several[inode] = true
				}
				from[inode] = p.Netns
				all[inode] = addProcess(all[inode], report.Process{PID: q.PID, Comm: q.Comm})
			}
		}
	}
	if len(several) == 0 {
		return owners{all: all}
	}
	return owners{all: all, apart: k.apart(several)}
}

// listenerOwners returns the process whose listening sockets accept connections to an address in
// a namespace. If several processes have them, any of them may have accepted one: it returns
// none.
func (k *sockets) listenerOwners(netns uint64, a netip.AddrPort) []report.Process {
	var owners []report.Process
	for _, inode := range k.listen.accepting(netns, a) {
		list := k.owned.all[inode]
		if len(list) != 1 || owners != nil && !slices.Equal(owners, list) {
			return nil
		}
		owners = list
	}
	return owners
}

// apart returns the owners by namespace of those inodes that rows of several namespaces have.
func (k *sockets) apart(inodes map[uint64]bool) map[inodeKey][]report.Process {
	of := make(map[uint64]uint64) // namespace of a row
	apart := make(map[uint64]bool)
	for i := range k.rows {
		w := &k.rows[i]
		if !inodes[w.inode] {
			continue
		}
		if netns, known := of[w.inode]; known && netns != w.table.key.Netns {
			apart[w.inode] = true
		}
		of[w.inode] = w.table.key.Netns
	}
	out := make(map[inodeKey][]report.Process)
	for i := range k.lists {
		p := &k.lists[i]
		for j := range p.Processes {
			q := &p.Processes[j]
			for _, inode := range q.Inodes {
				if key := (inodeKey{p.Netns, inode}); apart[inode] {
					out[key] = addProcess(out[key], report.Process{PID: q.PID, Comm: q.Comm})
				}
			}
		}
	}
	return out
}

// processes returns the owners of a row's socket.
func (k *sockets) processes(w *socketRow) []report.Process {
	if w.inode == 0 {
		return nil
	}
	if len(k.owned.apart) > 0 {
		if list, ok := k.owned.apart[inodeKey{w.table.key.Netns, w.inode}]; ok {
			return list
		}
	}
	return k.owned.all[w.inode]
}

// maxSocketOwners bounds the processes of one socket.
const maxSocketOwners = 1024

// addProcess adds a process to a sorted list, unless the list has it or is full.
func addProcess(list []report.Process, p report.Process) []report.Process {
	if len(list) == maxSocketOwners {
		return list
	}
	i, found := slices.BinarySearchFunc(list, p, report.Process.Compare)
	if found {
		return list
	}
	return slices.Insert(list, i, p)
}
