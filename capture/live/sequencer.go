package live

import (
	"bytes"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
)

// clockStep is the smallest change of the wall clock against the boot clock that makes a
// clock record.
const clockStep = int64(100 * time.Millisecond)

// A sequencer numbers the records, sets their time, and passes each to the tape
// and to the core. It is used by one goroutine.
type sequencer struct {
	tape    *tape.Writer
	core    guard
	witness capture.Witness // its rules and core version go into every witness
	clock   collect.Clock
	wall    func() int64 // Unix ns
	drains  []drain      // in the order in which a tick waits for them
	tally                // of the records so far
	saved   tally        // of those that are written, not in the open chunk

	at         int64
	ticks      uint64
	lastTick   int64
	offset     int64  // wall clock at time 0, as the last clock record has it
	host       []byte // payload of the last host record
	waiting    []waiting
	requests   uint64 // number of the last drain request
	namespaces int    // network namespaces that the last complete walk visited
	fault      string // message of the core's panic
	err        error  // of the tape: nothing more can be written
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
	drained, source := b.Drained, b.Source
	b.Release()
	if drained > 0 {
		s.advance(func(w *waiting) bool { return s.drains[w.drain].source == source && w.request <= drained })
	}
}

// countNamespaces remembers how many network namespaces a complete walk visited.
func (s *sequencer) countNamespaces(r *capture.Record) {
	var walk capture.ProcWalk
	if r.Decode(&walk) == nil && walk.Failed == "" {
		s.namespaces = int(walk.Netns)
	}
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
