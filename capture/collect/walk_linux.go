package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/topotape/topotape/capture"
)

// A space is a network namespace, remembered from walk to walk.
type space struct {
	netns    uint64
	counters counters // read before the tables were last known
	inodes   []uint64 // of its processes' sockets, read before that; sorted
	tables   [len(tableNames)]reading
	read     int64 // when its tables were last read, except those without a row
}

// A walk is one pass over /proc.
type walk struct {
	*Proc
	ctx  context.Context
	q    *queue
	fs   *procfs
	text []byte // one part of a table

	pids      []uint32 // all that are listed
	groups    []group
	due       map[uint64]bool   // namespaces whose tables are read in any case
	newOwners map[uint32]*owner // the owners in this walk
	unplaced  []uint32          // processes whose namespace may not be read
	partial   uint64            // processes whose descriptors may not be read, the unplaced included
	visited   uint64            // all processes
	complete  bool
}

// A group is the processes of one namespace, in ascending order.
type group struct {
	netns uint64
	pids  []uint32
}

func (w *walk) clock() int64 { return w.cfg.Clock() }

func (w *walk) add(kind capture.Kind, p capture.Payload) {
	w.q.add(kind, w.cfg.Clock(), p)
	w.q.flushFull()
}

// run does the walk. A process or namespace that vanishes during the walk is not
// in it.
func (w *walk) run() {
	w.number++
	w.add(capture.KindWalkBegin, &capture.ProcWalk{Number: w.number})
	end := capture.ProcWalk{Number: w.number}
	if err := w.visit(); err != nil {
		end.Failed = err.Error()
		w.spaces = nil // the readings of a void walk cannot be called unchanged
	} else {
		w.walked, w.complete = w.clock(), true
	}
	end.Processes, end.Netns = w.visited, uint64(len(w.groups))
	w.add(capture.KindWalkEnd, &end)
	w.q.flush()
}

func (w *walk) visit() error {
	if err := w.locate(); err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	w.rotate()
	w.newOwners = make(map[uint32]*owner, len(w.owners))
	defer func() { w.owners = w.newOwners }()
	spaces := make(map[uint64]*space, len(w.groups))
	kept := w.groups[:0]
	for _, g := range w.groups {
		if w.ctx.Err() != nil {
			return errors.New("the recording was stopped")
		}
		s := w.spaces[g.netns]
		if s == nil {
			s = &space{netns: g.netns}
		}
		switch err := w.space(s, g); {
		case errors.Is(err, errVanished):
		case err != nil:
			return fmt.Errorf("tables of namespace %d: %w", g.netns, err)
		default:
			spaces[g.netns] = s
			kept = append(kept, g)
		}
	}
	w.groups, w.spaces = kept, spaces
	if len(w.unplaced) > 0 {
		owners, _ := w.readOwners(group{pids: w.unplaced})
		w.partial += uint64(len(w.unplaced) - len(owners)) // nothing at all may be read of them
		w.addOwners(0, owners)
	}
	return nil
}

// locate groups the processes by namespace.
func (w *walk) locate() error {
	pids, err := w.fs.pids()
	if err != nil {
		return err
	}
	w.pids = pids
	index := make(map[uint64]int)
	for _, pid := range pids {
		netns, err := w.fs.netns(pid)
		if err != nil {
			if denied(err) {
				w.unplaced = append(w.unplaced, pid)
				w.visited++
			}
			continue
		}
		i, ok := index[netns]
		if !ok {
			i = len(w.groups)
			index[netns] = i
			w.groups = append(w.groups, group{netns: netns})
		}
		w.groups[i].pids = append(w.groups[i].pids, pid)
		w.visited++
	}
	slices.SortFunc(w.groups, func(a, b group) int { return cmp.Compare(a.netns, b.netns) })
	return nil
}

// rotate chooses the namespaces that are due although nothing changed: those read
// longest ago, so many that all are read once in ProcConfig.Full, but no more
// than unchangedShare allows.
func (w *walk) rotate() {
	now := w.clock()
	elapsed := float64(now - w.rotated)
	w.rotated = now
	due := float64(len(w.spaces)) * elapsed / float64(w.cfg.Full)
	if w.cost > 0 {
		due = min(due, unchangedShare*w.cfg.Share*elapsed/float64(w.cost))
	}
	w.credit = min(w.credit+due, float64(len(w.spaces)))
	n := int(w.credit)
	if n == 0 {
		return
	}
	w.credit -= float64(n)
	list := make([]*space, 0, len(w.spaces))
	for _, s := range w.spaces {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *space) int {
		return cmp.Or(cmp.Compare(a.read, b.read), cmp.Compare(a.netns, b.netns))
	})
	w.due = make(map[uint64]bool, n)
	for _, s := range list[:n] {
		w.due[s.netns] = true
	}
}

// space records one namespace: its tables, or that they are unchanged, and the
// owners of its sockets. It reads the owners before the counters, and the
// counters before the tables: a change in between is seen by the next walk.
func (w *walk) space(s *space, g group) error {
	owners, inodes := w.readOwners(g)
	checked := w.clock()
	var last *counters
	if slices.Equal(inodes, s.inodes) && !w.blind() && !w.thorough(s.netns) {
		last = &s.counters
	}
	now, err := w.readCounters(g, last)
	if err != nil {
		return err
	}
	due, start := w.due[s.netns], threadTime()
	changed := !now.known || now != s.counters || w.blind() || !subset(inodes, s.inodes)
	for i, name := range tableNames {
		t := &s.tables[i]
		stillEmpty := t.empty && now.none(i) && !(t.absent && now.v6)
		if t.done && (stillEmpty || !changed && !due) {
			w.add(capture.KindProcUnchanged, &capture.ProcUnchanged{Netns: s.netns, Table: name, Checked: checked})
			w.count(1)
			continue
		}
		*t, err = w.table(s.netns, name, g.pids)
		if err != nil {
			return err
		}
		w.count(1)
	}
	if s.counters, s.inodes = now, inodes; changed || due {
		s.read = checked
	}
	if took := threadTime() - start; due && !changed {
		w.cost = (3*w.cost + took) / 4
	}
	w.addOwners(s.netns, owners)
	return nil
}

// readCounters reads the counters through the first process that works. It does
// not check that the process is still in the namespace: a wrong reading makes the
// tables be read, or, if equal by chance, is corrected by the next walk.
func (w *walk) readCounters(g group, last *counters) (counters, error) {
	for _, pid := range g.pids {
		c, err := w.fs.counters(pid, last)
		if err == nil {
			return c, nil
		}
		if w.alive(g.netns, pid) {
			return counters{}, nil // unknown: the tables are read
		}
	}
	return counters{}, errVanished
}
