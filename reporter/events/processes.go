package events

import (
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// A process is what is known about a process.
type process struct {
	comm   string // of its leading thread
	netns  uint64 // in which it began, or in which a snapshot found it; 0 if unknown
	placed bool   // netns is not inherited from its parent
	kernel bool   // it is a kernel thread
	exited bool   // its leading thread has ended
}

// processes are the names and namespaces of processes.
type processes struct {
	byPID map[uint32]*process
	// threads has the namespaces of threads that are not in that of their process.
	threads map[uint32]uint64
	exits   []uint32 // numbers of the processes that ended, the oldest first
}

func newProcesses() processes {
	return processes{byPID: map[uint32]*process{}, threads: map[uint32]uint64{}}
}

// Bounds of what is known: processes, threads in other namespaces, and processes that have ended. Other threads of a
// process may go on when its leading thread has ended.
const (
	maxKnown  = 256 << 10
	maxExited = 16 << 10
)

// maxComm bounds a name, in bytes. The kernel has 16.
const maxComm = 64

// kthreadd is the process that makes all kernel threads.
const kthreadd = 2

// apply applies an event. It returns false if there is no room.
func (k *processes) apply(p *sockmsg.Process) (fits bool) {
	switch p.Kind {
	case sockmsg.Fork:
		return !p.Leader() || k.fork(p)
	case sockmsg.Comm:
		if q := k.byPID[p.PID]; q != nil && p.Leader() {
			q.comm, q.kernel = p.Comm, q.kernel && !p.Exec
		} else if p.Leader() {
			return k.add(p.PID, &process{comm: p.Comm})
		}
	case sockmsg.Namespaces:
		return k.entered(p)
	case sockmsg.Exit:
		delete(k.threads, p.TID)
		if q := k.byPID[p.PID]; q != nil && p.Leader() && !q.exited {
			q.exited = true
			k.exits = append(k.exits, p.PID)
			k.forget(maxExited)
		}
	}
	return true
}

// forget drops the processes that ended first, if more than so many have ended.
func (k *processes) forget(most int) {
	for len(k.exits) > most {
		pid := k.exits[0]
		k.exits = k.exits[1:]
		if q := k.byPID[pid]; q != nil && q.exited { // else the number is in use again
			delete(k.byPID, pid)
		}
	}
}

// add adds a process, in place of an earlier one with its number.
func (k *processes) add(pid uint32, p *process) bool {
	delete(k.threads, pid)
	if k.byPID[pid] == nil && len(k.byPID) >= maxKnown {
		if k.forget(0); len(k.byPID) >= maxKnown {
			return false
		}
	}
	k.byPID[pid] = p
	return true
}

// fork adds a process that has its parent's name and the namespace of the thread that made it.
func (k *processes) fork(p *sockmsg.Process) bool {
	child := &process{netns: k.netns(p.PPID, p.PTID)}
	if parent := k.byPID[p.PPID]; parent != nil {
		child.comm, child.kernel = parent.comm, k.isKernel(p.PPID)
	}
	return k.add(p.PID, child)
}

// isKernel reports whether a process is the one that makes all kernel threads.
func (k *processes) isKernel(pid uint32) bool {
	p := k.byPID[pid]
	return pid == kthreadd && p != nil && p.comm == "kthreadd"
}

// entered applies that a thread is in a namespace. The first such event of a process comes with its fork.
func (k *processes) entered(p *sockmsg.Process) bool {
	q := k.byPID[p.PID]
	if q == nil {
		q = &process{}
		if !k.add(p.PID, q) {
			return false
		}
	}
	if p.Leader() && !q.placed {
		q.netns, q.placed = p.Netns, true
	}
	if p.Netns == q.netns {
		delete(k.threads, p.TID)
		return true
	}
	if _, known := k.threads[p.TID]; !known && len(k.threads) >= maxKnown {
		return false
	}
	k.threads[p.TID] = p.Netns
	return true
}

// snapshot adds what a list says about processes that are not known otherwise: what events showed is newer.
func (k *processes) snapshot(list *capture.ProcSockets) (fits bool) {
	fits = true
	for i := range list.Processes {
		p := &list.Processes[i]
		q := k.byPID[p.PID]
		if q == nil || q.exited {
			q = &process{}
			if !k.add(p.PID, q) {
				fits = false
				continue
			}
			q.kernel = p.PPID == kthreadd && k.isKernel(kthreadd)
		}
		if q.comm == "" && len(p.Comm) <= maxComm {
			q.comm = p.Comm
		}
		if q.netns == 0 {
			q.netns, q.placed = list.Netns, true
		}
	}
	return fits
}

// netns returns the namespace of a thread, 0 if it is unknown.
func (k *processes) netns(pid, tid uint32) uint64 {
	if n, apart := k.threads[tid]; apart {
		return n
	}
	if p := k.byPID[pid]; p != nil {
		return p.netns
	}
	return 0
}

// kernelProcess is what a report shows of kernel threads.
var kernelProcess = report.Process{Comm: "kernel"}
