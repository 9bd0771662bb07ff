package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A rescue writes one tape of what is left of it.
type rescue struct {
	tape  *brokenTape
	facts *tapeFacts
	out   *tapeWriter
	say   func(string)

	carry  headCarry
	clock  wallClock
	open   openSources
	index  lostChunks
	saved  savedRecords
	lost   losses
	damage *tape.DamageError // that no record has followed yet; nil if there is none
	seq    uint64            // highest number on the new tape
	at     int64             // time of its last record
}

// savedRecords describes the records that are copied to the new tape.
type savedRecords struct {
	records uint64
	first   string // time of the first one, as text
	ended   bool   // the last one is the end of the tape
}

// A headCarry keeps the carry of a tape that continues the previous one. The core
// needs it only if records are missing between the two.
type headCarry struct {
	continues bool   // the tape continues the previous one
	previous  uint64 // last number on the previous tape
	parts     []capture.Record
}

// take returns the parts if the tape's first number shows that records are missing.
func (c *headCarry) take(first uint64) (parts []capture.Record) {
	if first != c.previous+1 {
		parts = c.parts
	}
	c.parts = nil
	return parts
}

// newRescue writes the head of a new tape. sum is the SHA-256 of the broken file.
func newRescue(t *brokenTape, facts *tapeFacts, sum [32]byte, out io.Writer, o RecoverOptions) (*rescue, error) {
	derived := capture.Derived{Verb: "recover", Parent: facts.header.TapeID, SHA256: sum, Args: o.Args}
	w, err := newTapeWriter(out, deriveHeader(&facts.header, derived, o.Tool))
	if err != nil {
		return nil, err
	}
	return &rescue{tape: t, facts: facts, out: w, say: o.Say,
		clock: wallClock{start: facts.header.Start}, index: lostChunks{file: t.file, pages: t.index}}, nil
}

// follow takes over the state of the previous tape in the file if this tape is the
// next segment of its recording. previous may be nil.
func (w *rescue) follow(previous *rescue) {
	if previous == nil || !w.out.header.Continues(previous.out.header) {
		return
	}
	w.carry = headCarry{continues: true, previous: previous.seq}
	w.clock.steps = previous.clock.steps
	w.out.witnesses.core = previous.out.witnesses.core
	w.out.witnesses.incomplete = previous.out.witnesses.incomplete
}

func (w *rescue) save() error {
	if w.facts.headLost {
		w.noteLoss()
		line := fmt.Sprintf("the tape's head is lost (file id %016x)", w.tape.fileID)
		for _, g := range w.facts.guesses {
			line += "; " + g
		}
		w.say(line)
	}
	if err := w.copyRecords(); err != nil {
		return err
	}
	if !w.saved.ended { // after the end record there are only the index and the foot
		w.lost.end = true
		if err := w.addEnd(); err != nil {
			return err
		}
	}
	return w.out.tape.Close()
}

// copyRecords copies the records that are left, with gap records between them.
func (w *rescue) copyRecords() error {
	var head *capture.Header
	if w.facts.headLost {
		head = &capture.Header{TapeID: w.tape.tapeID()}
	}
	reader, err := w.tape.open(head)
	if err != nil {
		return err
	}
	for {
		r, err := reader.Next()
		var damage *tape.DamageError
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &damage):
			if w.damage == nil {
				w.damage = damage
			}
			continue
		case err != nil:
			return err
		}
		if w.damage != nil && r.Seq != 0 {
			if err := w.addGaps(&r); err != nil {
				return err
			}
		}
		if err := w.copy(&r); err != nil {
			return err
		}
	}
}

func (w *rescue) copy(r *capture.Record) error {
	w.open.update(r)
	w.clock.update(r)
	w.step(r)
	if w.saved.records == 0 {
		w.saved.first = w.clock.text(r.At)
	}
	w.saved.records++
	w.saved.ended = r.Kind == capture.KindEnd
	w.seq, w.at = max(w.seq, r.Seq), r.At
	return w.out.write(r)
}

// step steps the core through a record, as a replay does.
func (w *rescue) step(r *capture.Record) {
	if r.Seq == 0 && w.seq == 0 && w.carry.continues {
		part := *r
		part.Payload = bytes.Clone(r.Payload)
		w.carry.parts = append(w.carry.parts, part)
		return
	}
	if r.Seq > 1 && w.saved.records == 0 && !w.carry.continues && !w.facts.sparse() {
		w.out.witnesses.incomplete = true // the records before it are not in the file
	}
	w.stepCarry(r.Seq)
	w.out.witnesses.stepReporting(r)
}

// stepCarry is called before a record number is used.
func (w *rescue) stepCarry(seq uint64) {
	for _, part := range w.carry.take(seq) {
		w.out.witnesses.stepReporting(&part)
	}
}

// add writes records that Recover adds, with consecutive numbers.
func (w *rescue) add(list []addition, seq uint64, at int64) error {
	for i := range list {
		w.open.updateAdded(&list[i])
		w.stepCarry(seq)
		if err := w.out.add(seq, at, &list[i]); err != nil {
			return err
		}
		w.seq, w.at = seq, at
		seq++
	}
	return nil
}

// A wallClock is the wall clock of a recording at a place of a tape.
type wallClock struct {
	start int64 // Unix ns; 0 if it is lost
	steps int64 // ns, the sum of all steps so far
}

func (c *wallClock) update(r *capture.Record) {
	var p capture.Clock
	if r.Kind == capture.KindClock && r.Decode(&p) == nil {
		c.steps += p.Step
	}
}

// text returns the wall time of a record's time, or the record's time itself if the
// start is lost.
func (c *wallClock) text(at int64) string {
	if c.start == 0 {
		return sinceStart(at)
	}
	return wallText(c.start + at + c.steps)
}

func wallText(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// sinceStart returns a record's time as text.
func sinceStart(at int64) string { return "+" + time.Duration(at).String() }
