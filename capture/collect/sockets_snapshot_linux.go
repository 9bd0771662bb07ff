package collect

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// snapshotEvery bounds how often the processes are listed again.
const snapshotEvery = 30 * time.Second

// maxCgroups bounds the directories of the cgroup file system that are listed.
const maxCgroups = 1 << 16

// snapshots lists the processes again when records of them were lost, in a goroutine of
// their own: that takes time, and the rings fill up.
type snapshots struct {
	every   time.Duration // not more often
	wanted  bool
	next    int64          // not before
	taken   chan *snapshot // of the goroutine that is running; nil if none is
	running sync.WaitGroup
}

// A snapshot has every process and every directory of the cgroup file system.
type snapshot struct {
	groups  []processGroup
	cgroups []capture.Cgroup
}

// A processGroup is the processes of a network namespace; 0 is an unknown one.
type processGroup struct {
	netns     uint64
	processes []capture.Process
}

// snapshot starts a snapshot if one is wanted and due, and records one that was taken.
func (s *Sockets) snapshot(ctx context.Context, w *roundWriter) {
	if ctx.Err() != nil {
		return // what was taken may be cut short
	}
	select {
	case taken := <-s.snap.taken:
		s.snap.taken = nil
		s.addSnapshot(w, taken)
	default:
	}
	now := s.cfg.Clock()
	if !s.snap.wanted || s.snap.taken != nil || now < s.snap.next || s.shed.processes.active {
		return
	}
	taken := make(chan *snapshot, 1)
	s.snap.wanted, s.snap.taken = false, taken
	s.snap.running.Go(func() { taken <- takeSnapshot(ctx, s.procfs) })
}

// takeSnapshot reads all processes, and the directories of the cgroup file system.
func takeSnapshot(ctx context.Context, root string) *snapshot {
	return &snapshot{groups: listProcesses(ctx, root), cgroups: listCgroups(ctx, cgroupMount(mounts()))}
}

// listProcesses lists the processes by namespace.
func listProcesses(ctx context.Context, root string) (groups []processGroup) {
	f, err := openProcfs(root)
	if err != nil {
		return nil
	}
	defer f.close()
	pids, _ := f.pids()
	index := map[uint64]int{}
	for _, pid := range pids {
		if ctx.Err() != nil {
			return nil
		}
		netns, err := f.netns(pid)
		p := capture.Process{PID: pid}
		if err != nil && !denied(err) || !f.identify(&p) {
			continue
		}
		if err != nil {
			netns = 0
		}
		i, ok := index[netns]
		if !ok {
			i = len(groups)
			index[netns] = i
			groups = append(groups, processGroup{netns: netns})
		}
		groups[i].processes = append(groups[i].processes, p)
	}
	slices.SortFunc(groups, func(a, b processGroup) int { return cmp.Compare(a.netns, b.netns) })
	return groups
}

// identify reads a process's name, parent, start time and cgroup. It returns false if the
// process has ended.
func (f *procfs) identify(p *capture.Process) bool {
	dir, err := openat(f.fd, strconv.FormatUint(uint64(p.PID), 10), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	return f.describe(dir, p)
}

// cgroupMount returns where the hierarchy is mounted whose directories samples name: that
// of the controller perf_event, which is in version 2 unless version 1 has it. It is ""
// if none is.
func cgroupMount(list []mount) string {
	m := lastMount(list, func(m *mount) bool { return m.kind == "cgroup" && m.has("perf_event") })
	if m == nil {
		m = lastMount(list, func(m *mount) bool { return m.kind == "cgroup2" })
	}
	if m == nil {
		return ""
	}
	return m.point
}

// listCgroups lists the directories below a mount, at most maxCgroups.
func listCgroups(ctx context.Context, root string) (list []capture.Cgroup) {
	if root == "" {
		return nil
	}
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil || len(list) == maxCgroups:
			return fs.SkipAll
		case err != nil || !d.IsDir():
			return nil // one that was removed since
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				below := "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
				list = append(list, capture.Cgroup{Inode: st.Ino, Path: below})
			}
		}
		return nil
	})
	return list
}

// addSnapshot records a snapshot in parts.
func (s *Sockets) addSnapshot(w *roundWriter, taken *snapshot) {
	bytes := 0
	add := func(kind capture.Kind, p capture.Payload) {
		s.add(w, kind, p)
		bytes += len(w.b.Records[len(w.b.Records)-1].Payload) + recordOverhead
		w.send()
	}
	for part, rest := uint32(0), taken.cgroups; len(rest) > 0; part++ {
		n, size := 0, 0
		for n < len(rest) && size < maxPart {
			size += 16 + len(rest[n].Path)
			n++
		}
		add(capture.KindCgroups, &capture.Cgroups{Part: part, More: n < len(rest), Dirs: rest[:n]})
		rest = rest[n:]
	}
	for _, g := range taken.groups {
		eachPart(g.netns, g.processes, func(p *capture.ProcSockets) { add(capture.KindProcesses, p) })
	}
	s.cfg.Allowance.spend(bytes, s.cfg.Clock())
	s.snap.next = s.cfg.Clock() + int64(s.snap.every)
}

// readLink returns what a link points to, "" if it cannot be read.
func readLink(path string) string {
	target, _ := os.Readlink(path)
	return target
}
