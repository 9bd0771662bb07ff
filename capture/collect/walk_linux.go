package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/topotape/topotape/capture"
)

// A space is what is remembered of a network namespace from walk to walk.
type space struct {
	netns    uint64
	counters counters // before the tables were last known
	held     []uint64 // sockets that its processes held before that, sorted
	tables   [len(tableNames)]reading
	read     int64 // when its tables were last read, those without a row excepted
}

// A walk is one pass over /proc.
type walk struct {
	*Proc
	ctx  context.Context
	q    *queue
	fs   *procfs
	text []byte // one part of a table

	groups   []group
	due      map[uint64]bool    // namespaces whose tables are read in any case
	met      map[uint32]*holder // the holders of this walk
	unplaced []uint32           // processes whose namespace may not be read
	closed   uint64             // processes whose descriptors may not be read, the unplaced ones among them
	visited  uint64             // the others, and these
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

// run does the walk. A process or namespace that vanishes on the way is simply
// not in it.
func (w *walk) run() {
	w.number++
	w.add(capture.KindWalkBegin, &capture.ProcWalk{Number: w.number})
	end := capture.ProcWalk{Number: w.number}
	if err := w.visit(); err != nil {
		end.Failed = err.Error()
		w.spaces = nil // what a void walk brought can't be asserted anew
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
	w.met = make(map[uint32]*holder, len(w.holders))
	defer func() { w.holders = w.met }()
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
		owners, _ := w.owners(group{pids: w.unplaced})
		w.addOwners(0, owners)
	}
	return nil
}

// locate finds out which process is in which namespace.
func (w *walk) locate() error {
	pids, err := w.fs.pids()
	if err != nil {
		return err
	}
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

// rotate chooses the namespaces that are read although nothing moved: so many
// that all had their turn after the interval for that, the oldest first, but
// no more than there is time for.
func (w *walk) rotate() {
	now := w.clock()
	elapsed := float64(now - w.rotated)
	w.rotated = now
	turns := float64(len(w.spaces)) * elapsed / float64(w.cfg.Full)
	if w.cost > 0 {
		turns = min(turns, turnShare*w.cfg.Share*elapsed/float64(w.cost))
	}
	w.credit = min(w.credit+turns, float64(len(w.spaces)))
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

// space brings one namespace: its tables, or that they are as they were, and
// who holds its sockets. The owners are looked at before the counters and these
// before the tables: whatever happens in between shows at the next walk.
func (w *walk) space(s *space, g group) error {
	owners, held := w.owners(g)
	checked := w.clock()
	var last *counters
	if slices.Equal(held, s.held) && !w.blind() && !w.thorough(s.netns) {
		last = &s.counters
	}
	now, err := w.look(g, last)
	if err != nil {
		return err
	}
	due, start := w.due[s.netns], threadTime()
	moved := !now.known || now != s.counters || w.blind() || !subset(held, s.held)
	for i, name := range tableNames {
		t := &s.tables[i]
		still := t.empty && now.none(i) && !(t.absent && now.v6)
		if t.done && (still || !moved && !due) {
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
	if s.counters, s.held = now, held; moved || due {
		s.read = checked
	}
	if took := threadTime() - start; due && !moved {
		w.cost = (3*w.cost + took) / 4
	}
	w.addOwners(s.netns, owners)
	return nil
}

// look reads the counters through the first process that can be used. That it
// is still in the namespace is not made sure: only counters that are equal
// have an effect, and one walk later nothing is left of it.
func (w *walk) look(g group, last *counters) (counters, error) {
	for _, pid := range g.pids {
		c, err := w.fs.counters(pid, last)
		if err == nil {
			return c, nil
		}
		if w.lives(g.netns, pid) {
			return counters{}, nil // not known: the tables are read
		}
	}
	return counters{}, errVanished
}
