package live

import (
	"bytes"
	"slices"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/reporter"
)

const (
	// barrierWait is how long a tick or a walk's end waits for the conntrack
	// socket to be empty.
	barrierWait = 50 * time.Millisecond
	// clockStep is the least change of the wall clock against the boot clock
	// that makes a clock record.
	clockStep = int64(100 * time.Millisecond)
)

// A sequencer gives records their number and their time, and hands each to the
// tape and to the core. Only one goroutine uses it.
type sequencer struct {
	tape   *capture.Writer
	core   guard
	clock  collect.Clock
	wall   func() int64 // Unix ns
	drain  func(n uint64)
	totals []capture.Total // by source number
	gaps   []uint64

	seq      uint64
	at       int64
	ticks    uint64
	lastTick int64
	offset   int64 // wall clock at At 0, as the last clock record has it
	host     []byte
	held     []held
	drains   uint64
	fault    string
	err      error // of the tape: nothing more can be written
}

// held is a tick or a walk's end that waits for the barrier.
type held struct {
	need     uint64 // the drain request that lets it go
	deadline time.Time
	source   uint32
	emit     func()
}

func newSequencer(tape *capture.Writer, c core, clock collect.Clock, wall func() int64, sources int) *sequencer {
	s := &sequencer{tape: tape, core: guard{core: c}, clock: clock, wall: wall,
		totals: make([]capture.Total, sources+1), gaps: make([]uint64, sources+1)}
	for i := range s.totals {
		s.totals[i].Source = uint32(i)
	}
	s.offset = wall() - clock()
	return s
}

// add puts a record next on the tape and in front of the core. It returns true
// when the core says that a report may be made.
func (s *sequencer) add(r *capture.Record) (tick bool) {
	if s.err != nil {
		return false
	}
	s.seq++
	s.at = max(s.at, r.At)
	r.Seq, r.At = s.seq, s.at
	if s.err = s.tape.Write(r); s.err != nil {
		return false
	}
	tick = s.core.step(r)
	if s.core.fault != nil {
		s.addFault()
	}
	return tick
}

// put adds a record of the recorder's own making.
func (s *sequencer) put(kind capture.Kind, source uint32, p capture.Payload) (tick bool) {
	return s.add(&capture.Record{At: s.clock(), Kind: kind, Source: source, Payload: capture.AppendPayload(nil, p)})
}

// addFault writes out what led to the core's panic before it says so.
func (s *sequencer) addFault() {
	fault := s.core.fault
	s.core.fault = nil
	s.fault = fault.Message
	if s.err == nil {
		s.err = s.tape.Flush()
	}
	s.put(capture.KindFault, 0, fault)
}

// batch takes a collector's records and gives the batch back.
func (s *sequencer) batch(b *collect.Batch) {
	for i := range b.Records {
		r := &b.Records[i]
		if len(s.held) > 0 {
			s.releaseSource(r.Source)
		}
		switch r.Kind {
		case capture.KindWalkEnd:
			end := *r
			end.Payload = bytes.Clone(r.Payload)
			s.hold(r.Source, func() { s.add(&end) })
			continue
		case capture.KindGap:
			s.countGap(r)
		}
		t := &s.totals[r.Source]
		t.Bytes += uint64(len(r.Payload))
		if counts(r) {
			t.Recorded++
		}
		s.add(r)
	}
	drained := b.Drained
	b.Release()
	if drained > 0 {
		s.drained(drained)
	}
}

// counts reports whether the record is one of what a collector counts: a
// message, a packet, or the end of a table's reading.
func counts(r *capture.Record) bool {
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry, capture.KindDNS, capture.KindReverseName, capture.KindProcUnchanged:
		return true
	case capture.KindProcNet:
		var table capture.ProcNet
		return r.Decode(&table) == nil && !table.More
	}
	return false
}

func (s *sequencer) countGap(r *capture.Record) {
	var gap capture.Gap
	if r.Decode(&gap) == nil {
		s.totals[r.Source].Lost += gap.Lost
	}
	s.gaps[r.Source]++
}

// hold emits when the conntrack socket was seen empty, or at the deadline.
func (s *sequencer) hold(source uint32, emit func()) {
	if s.drain == nil {
		emit()
		return
	}
	s.drains++
	s.held = append(s.held, held{need: s.drains, deadline: time.Now().Add(barrierWait), source: source, emit: emit})
	s.drain(s.drains)
}

// drained lets go what waited for a drain request up to n.
func (s *sequencer) drained(n uint64) {
	s.releaseWhile(func(h held) bool { return h.need <= n })
}

// expire lets go what has waited long enough.
func (s *sequencer) expire(now time.Time) {
	s.releaseWhile(func(h held) bool { return !h.deadline.After(now) })
}

// releaseSource lets go what the source's next record must not overtake.
func (s *sequencer) releaseSource(source uint32) {
	last := -1
	for i, h := range s.held {
		if h.source == source && source != 0 {
			last = i
		}
	}
	if last >= 0 {
		need := s.held[last].need
		s.releaseWhile(func(h held) bool { return h.need <= need })
	}
}

// release lets go whatever is held.
func (s *sequencer) release() { s.releaseWhile(func(held) bool { return true }) }

func (s *sequencer) releaseWhile(ready func(held) bool) {
	for len(s.held) > 0 && ready(s.held[0]) {
		h := s.held[0]
		s.held = slices.Delete(s.held, 0, 1)
		h.emit()
	}
}

// deadline is when expire has something to do; zero when nothing is held.
func (s *sequencer) deadline() time.Time {
	if len(s.held) == 0 {
		return time.Time{}
	}
	return s.held[0].deadline
}

// tick makes a tick behind the barrier.
func (s *sequencer) tick() { s.hold(0, s.tickNow) }

// tickNow closes the interval: a tick, and the witness of the report that the
// core makes at it.
func (s *sequencer) tickNow() {
	s.checkClock()
	s.ticks++
	r := capture.Record{At: max(s.at, s.clock()), Kind: capture.KindTick}
	r.Payload = capture.AppendPayload(nil, &capture.Tick{Number: s.ticks, Interval: r.At - s.lastTick})
	s.lastTick = r.At
	if !s.add(&r) {
		return
	}
	digests, ok := s.core.witness(r.Seq)
	if s.core.fault != nil {
		s.addFault()
	}
	if ok {
		s.put(capture.KindWitness, 0, &capture.Witness{Tick: s.ticks, Rules: reporter.RulesCurrent, Core: reporter.CoreVersion, Digests: digests})
	}
}

// checkClock says on the tape when the wall clock was stepped. Of the offset it
// knows a least and a most: the processor may be gone between two readings.
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

// putHost records the host's facts, if they changed.
func (s *sequencer) putHost(h *capture.Host) {
	p := capture.AppendPayload(nil, h)
	if bytes.Equal(p, s.host) {
		return
	}
	s.host = p
	s.add(&capture.Record{At: s.clock(), Kind: capture.KindHost, Payload: p})
}
