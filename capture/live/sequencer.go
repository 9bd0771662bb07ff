package live

import (
	"bytes"
	"slices"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
)

const (
	// barrierWait bounds how long a tick or the end of a walk waits for the
	// conntrack socket to be empty.
	barrierWait = 50 * time.Millisecond
	// clockStep is the smallest change of the wall clock against the boot clock
	// that makes a clock record.
	clockStep = int64(100 * time.Millisecond)
)

// A sequencer numbers the records, sets their time, and passes each to the tape
// and to the core. It is used by one goroutine.
type sequencer struct {
	tape    *tape.Writer
	core    guard
	witness capture.Witness // its rules and core version go into every witness
	clock   collect.Clock
	wall    func() int64   // Unix ns
	drain   func(n uint64) // requests a drain of the conntrack socket; nil without conntrack
	tally                  // of the records so far
	saved   tally          // of those that are written, not in the open chunk

	at         int64
	ticks      uint64
	lastTick   int64
	offset     int64  // wall clock at time 0, as the last clock record has it
	host       []byte // payload of the last host record
	waiting    []waiting
	drains     uint64 // number of the last drain request
	namespaces int    // network namespaces that the last complete walk visited
	fault      string // message of the core's panic
	err        error  // of the tape: nothing more can be written
}

// waiting is a tick, or the end of a walk, that waits for a drain.
type waiting struct {
	drain    uint64 // number of the drain request
	deadline time.Time
	source   uint32
	emit     func()
}

func newSequencer(tape *tape.Writer, c Core, clock collect.Clock, wall func() int64, sources int) *sequencer {
	return &sequencer{tape: tape, core: guard{core: c}, clock: clock, wall: wall,
		tally: newTally(sources), saved: newTally(sources), offset: wall() - clock()}
}

// add writes a record to the tape and passes it to the core. It returns true
// when a report may be made.
func (s *sequencer) add(r *capture.Record) (tick bool) {
	if s.err != nil {
		return false
	}
	s.at = max(s.at, r.At)
	r.Seq, r.At = s.records+1, s.at
	s.err = s.tape.Write(r)
	s.count(r)
	if s.save(); s.err != nil {
		return false
	}
	tick = s.core.step(r)
	if s.core.fault != nil {
		s.addFault()
	}
	return tick
}

// put adds a record that the recorder makes itself.
func (s *sequencer) put(kind capture.Kind, source uint32, p capture.Payload) (tick bool) {
	return s.add(&capture.Record{At: s.clock(), Kind: kind, Source: source, Payload: capture.AppendPayload(nil, p)})
}

// addFault records the core's panic. The records that led to it are flushed
// first.
func (s *sequencer) addFault() {
	fault := s.core.fault
	s.core.fault = nil
	s.fault = fault.Message
	s.flush()
	s.put(capture.KindFault, 0, fault)
}

// flush writes the open chunk.
func (s *sequencer) flush() {
	if s.err == nil {
		s.err = s.tape.Flush()
		s.save()
	}
}

// close closes the tape.
func (s *sequencer) close() {
	if s.err == nil {
		s.err = s.tape.Close()
		s.save()
	}
}

// save notes that all records are written, unless some are in the open chunk. A chunk
// that could not be written stays open.
func (s *sequencer) save() {
	if s.tape.Pending() == 0 {
		s.saved.set(&s.tally)
	}
}

// batch adds the records of a collector's batch and releases it.
func (s *sequencer) batch(b *collect.Batch) {
	for i := range b.Records {
		r := &b.Records[i]
		if len(s.waiting) > 0 {
			s.emitSource(r.Source)
		}
		if r.Kind == capture.KindWalkEnd {
			s.countNamespaces(r)
			end := *r
			end.Payload = bytes.Clone(r.Payload)
			s.afterDrain(r.Source, func() { s.add(&end) })
			continue
		}
		s.add(r)
	}
	drained := b.Drained
	b.Release()
	if drained > 0 {
		s.drained(drained)
	}
}

// countNamespaces remembers how many network namespaces a complete walk visited.
func (s *sequencer) countNamespaces(r *capture.Record) {
	var walk capture.ProcWalk
	if r.Decode(&walk) == nil && walk.Failed == "" {
		s.namespaces = int(walk.Netns)
	}
}

// afterDrain calls emit when the conntrack socket was drained, or after
// barrierWait; at once if conntrack is not recorded.
func (s *sequencer) afterDrain(source uint32, emit func()) {
	if s.drain == nil {
		emit()
		return
	}
	s.drains++
	s.waiting = append(s.waiting, waiting{drain: s.drains, deadline: time.Now().Add(barrierWait), source: source, emit: emit})
	s.drain(s.drains)
}

// drained emits what waits for a drain request up to n.
func (s *sequencer) drained(n uint64) {
	s.emitWhile(func(w waiting) bool { return w.drain <= n })
}

// expire emits what has waited until its deadline.
func (s *sequencer) expire(now time.Time) {
	s.emitWhile(func(w waiting) bool { return !w.deadline.After(now) })
}

// emitSource emits what waits of a source, and all before it: the source's next
// record must not overtake it.
func (s *sequencer) emitSource(source uint32) {
	last := -1
	for i, w := range s.waiting {
		if w.source == source && source != 0 {
			last = i
		}
	}
	if last >= 0 {
		s.drained(s.waiting[last].drain)
	}
}

// emitAll emits everything that waits.
func (s *sequencer) emitAll() { s.emitWhile(func(waiting) bool { return true }) }

func (s *sequencer) emitWhile(ready func(waiting) bool) {
	for len(s.waiting) > 0 && ready(s.waiting[0]) {
		w := s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
		w.emit()
	}
}

// deadline returns when expire is next due, the zero time if nothing waits.
func (s *sequencer) deadline() time.Time {
	if len(s.waiting) == 0 {
		return time.Time{}
	}
	return s.waiting[0].deadline
}

// tick adds the counters and a tick after a drain.
func (s *sequencer) tick(c counters) {
	s.afterDrain(0, func() {
		s.putCounters(c)
		s.tickNow()
	})
}

// putCounters adds a record of the host's counters, unless none has changed.
func (s *sequencer) putCounters(c counters) {
	if c.payload != nil {
		s.add(&capture.Record{At: c.at, Kind: capture.KindCounters, Payload: c.payload})
	}
}

// tickNow adds a tick, and the witness of the report that the core makes at it.
func (s *sequencer) tickNow() {
	s.checkClock()
	s.ticks++
	r := capture.Record{At: max(s.at, s.clock()), Kind: capture.KindTick}
	r.Payload = capture.AppendPayload(nil, &capture.Tick{Number: s.ticks, Interval: r.At - s.lastTick})
	s.lastTick = r.At
	if !s.add(&r) {
		return
	}
	digests, ok := s.core.report(r.Seq)
	s.undecodable = s.core.undecodable
	if s.core.fault != nil {
		s.addFault()
	}
	if ok {
		s.witness.Tick, s.witness.Digests = s.ticks, digests
		s.put(capture.KindWitness, 0, &s.witness)
	}
}

// checkClock records a step of the wall clock. The offset between the clocks is
// known only as an interval: the process may be descheduled between two readings.
func (s *sequencer) checkClock() {
	before := s.clock()
	wall := s.wall()
	least, most := wall-s.clock(), wall-before
	switch {
	case least-s.offset > clockStep:
		s.putStep(wall, least)
	case most-s.offset < -clockStep:
		s.putStep(wall, most)
	}
}

func (s *sequencer) putStep(wall, offset int64) {
	step := offset - s.offset
	s.offset = offset
	s.put(capture.KindClock, 0, &capture.Clock{Step: step, Wall: wall})
}

// putHost records the facts about the host, if they changed.
func (s *sequencer) putHost(h *capture.Host) {
	p := capture.AppendPayload(nil, h)
	if bytes.Equal(p, s.host) {
		return
	}
	s.host = p
	s.add(&capture.Record{At: s.clock(), Kind: capture.KindHost, Payload: p})
}
