package edit

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/packed"
	"github.com/topotape/topotape/capture/tape"
)

// A rescue writes one tape of what is left of it.
type rescue struct {
	tape   *brokenTape
	facts  *tapeFacts
	out    *tapeWriter
	say    func(string)
	atMost string // for numbersText

	previous *tapeWriter    // of the tape in the file that this one continues; nil if there is none
	carry    packed.Records // at the head of a tape that continues the previous one, until it is stepped
	clock    wallClock
	open     openSources
	index    lostChunks
	saved    uint64 // records copied to the new tape
	first    string // time of the first of them, as text
	ended    bool   // the last of them is the end of the tape
	lost     losses
	damage   *tape.DamageError // that no record has followed yet; nil if there is none
}

// newRescue writes the head of a new tape. sum is the SHA-256 of the broken file. The
// rescue takes over the state of the previous tape in the file if its tape is the next
// segment of that recording; previous may be nil.
func newRescue(t *brokenTape, facts *tapeFacts, sum [32]byte, previous *rescue, out io.Writer, o Options) (*rescue, error) {
	parent := capture.Parent{TapeID: facts.header.TapeID, SHA256: sum}
	to, err := newTapeWriter(out, deriveHeader(&facts.header, o.Tool, "recover", []capture.Parent{parent}))
	if err != nil {
		return nil, err
	}
	w := &rescue{tape: t, facts: facts, out: to, say: o.Say,
		clock: wallClock{start: facts.header.Start}, index: lostChunks{file: t.file, pages: t.index}}
	if facts.sparse() {
		w.atMost = "at most "
	}
	if previous != nil && to.header.Continues(previous.out.header) {
		w.previous = previous.out
		w.clock.steps = previous.clock.steps
		to.core = previous.out.core
		to.incomplete = previous.out.incomplete
	}
	return w, nil
}

func (w *rescue) save() error {
	if w.facts.headLost {
		w.noteLoss()
		w.say(fmt.Sprintf("the tape's head is lost (file id %016x); %s", w.tape.fileID, strings.Join(w.facts.guesses(), "; ")))
	}
	if err := w.copyRecords(); err != nil {
		return err
	}
	if !w.ended { // after the end record there are only the index and the foot
		w.lost.end = true
		if err := w.addEnd(); err != nil {
			return err
		}
	}
	return w.out.tape.Close()
}

// copyRecords copies the records that are left, with gap records between them.
func (w *rescue) copyRecords() error {
	reader, err := w.tape.open(w.facts.headLost, &w.facts.header)
	if err != nil {
		return err
	}
	return eachRecord(reader, func(r *capture.Record, damage *tape.DamageError) error {
		if damage != nil {
			w.damage = cmp.Or(w.damage, damage)
			return nil
		}
		if w.damage != nil && r.Seq != 0 {
			if err := w.addGaps(r); err != nil {
				return err
			}
		}
		return w.copy(r)
	})
}

func (w *rescue) copy(r *capture.Record) error {
	w.open.update(r)
	w.clock.update(r)
	if w.saved == 0 {
		w.first = w.clock.text(r.At)
	}
	if r.Seq > 1 && w.saved == 0 && w.previous == nil && !w.facts.sparse() {
		w.out.incomplete = true // the records before it are not in the file
	}
	w.saved++
	w.ended = r.Kind == capture.KindEnd
	if r.Seq == 0 && w.out.seq == 0 && w.previous != nil {
		w.carry.Add(r)
		w.out.at = r.At
		return w.out.put(r)
	}
	w.stepCarry(r.Seq)
	return w.out.write(r)
}

// stepCarry is called before a record number is used. The core needs the carry only
// if the tape's first number shows that records are missing.
func (w *rescue) stepCarry(seq uint64) {
	if w.previous != nil && seq != w.previous.seq+1 {
		for part := range w.carry.All() {
			w.out.step(&part)
		}
	}
	w.carry.Clear()
}

// add writes records that Recover adds, with consecutive numbers.
func (w *rescue) add(seq uint64, list []capture.Record) error {
	if len(list) > 0 {
		w.stepCarry(seq)
	}
	for i := range list {
		w.open.update(&list[i])
	}
	return w.out.add(seq, list...)
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
