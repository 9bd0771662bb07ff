package live

import (
	"cmp"
	"slices"
	"time"
)

// barrierWait bounds how long a tick or the end of a walk waits for each drain.
const barrierWait = 50 * time.Millisecond

// A drain is how a collector is asked for all that its source had delivered before.
type drain struct {
	source  uint32
	request func(n uint64)
}

// waiting is a tick, or the end of a walk, that waits for the drains: for one after the
// other, so that no source is drained up to a later time than the next one.
type waiting struct {
	drain    int    // index of the drain
	request  uint64 // its number
	deadline time.Time
	source   uint32
	emit     func()
}

// addDrain adds a drain. Ticks wait for drains in the order of the sources' numbers.
func (s *sequencer) addDrain(d drain) {
	s.drains = append(s.drains, d)
	slices.SortFunc(s.drains, func(a, b drain) int { return cmp.Compare(a.source, b.source) })
}

// removeDrain removes the drain of a source that has ended, if it had one. Nothing waits
// after that.
func (s *sequencer) removeDrain(source uint32) {
	i := slices.IndexFunc(s.drains, func(d drain) bool { return d.source == source })
	if i < 0 {
		return
	}
	s.emitAll()
	s.drains = slices.Delete(s.drains, i, i+1)
}

// afterDrain calls emit when all drains were done, or have not been within barrierWait;
// at once if there are none.
func (s *sequencer) afterDrain(source uint32, emit func()) {
	if len(s.drains) == 0 {
		emit()
		return
	}
	s.waiting = append(s.waiting, waiting{drain: -1, source: source, emit: emit})
	s.advance(func(w *waiting) bool { return w.drain < 0 })
}

// advance requests the next drain for all whose drain is done, and emits those that were
// waiting for the last one. None is emitted before one that came earlier.
func (s *sequencer) advance(done func(*waiting) bool) {
	last := len(s.drains) - 1
	requested := make([]uint64, len(s.drains))
	for i := range s.waiting {
		w := &s.waiting[i]
		if w.drain > last || !done(w) {
			continue
		}
		if w.drain++; w.drain > last {
			continue
		}
		if requested[w.drain] == 0 {
			s.requests++
			requested[w.drain] = s.requests
		}
		w.request, w.deadline = requested[w.drain], time.Now().Add(barrierWait)
	}
	for i, n := range requested {
		if n > 0 {
			s.drains[i].request(n)
		}
	}
	ready := 0
	for ready < len(s.waiting) && s.waiting[ready].drain > last {
		ready++
	}
	s.emit(ready)
}

// expire goes on with what has waited until its deadline.
func (s *sequencer) expire(now time.Time) {
	s.advance(func(w *waiting) bool { return !w.deadline.After(now) })
}

// emitSource emits what waits of a source, and all before it: the source's next
// record must not overtake it.
func (s *sequencer) emitSource(source uint32) {
	first := 0
	for i, w := range s.waiting {
		if w.source == source && source != 0 {
			first = i + 1
		}
	}
	s.emit(first)
}

// emitAll emits everything that waits.
func (s *sequencer) emitAll() { s.emit(len(s.waiting)) }

// emit emits the first n that wait.
func (s *sequencer) emit(n int) {
	ready := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	for _, w := range ready {
		w.emit()
	}
}

// deadline returns when expire is next due, the zero time if nothing waits.
func (s *sequencer) deadline() (at time.Time) {
	for _, w := range s.waiting {
		if at.IsZero() || w.deadline.Before(at) {
			at = w.deadline
		}
	}
	return at
}
