package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/render"
)

// RecoverOptions of Recover.
type RecoverOptions struct {
	Tool string            // version, for the headers
	Args []string          // of the command line, for the headers
	Say  func(line string) // told what was lost; nil for nobody
}

// A Recovery says what Recover has done.
type Recovery struct {
	Tapes  int
	Saved  uint64 // records
	Lost   uint64 // record numbers that are missing where the file is damaged
	Whole  bool   // nothing is lost, nor can be
	Sound  bool   // the file is not damaged at all, and closed
	Differ uint64 // witnesses before the first loss that this core does not agree with

	last    string // said of the last tape
	written []content
}

// String is one line.
func (r *Recovery) String() string {
	if r.Tapes == 1 {
		return r.last
	}
	line := fmt.Sprintf("%d tapes, %s saved", r.Tapes, render.Count(r.Saved, "record"))
	if r.Lost > 0 {
		line += fmt.Sprintf("; %d lost", r.Lost)
	}
	return line
}

// ErrNothing says that there is no record to save.
var ErrNothing = errors.New("nothing can be saved")

// Recover saves what can be saved of a damaged file: every record of every
// sound frame, in the order in which the frames were written, onto closed tapes
// with a gap record of every source where records are missing. The input is
// read three times. What was written must be read back with Check.
func Recover(file io.ReaderAt, size int64, out io.Writer, o RecoverOptions) (*Recovery, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	l, err := layOut(file, size, o.Say)
	if err != nil {
		return nil, err
	}
	w := &rescue{layout: l, out: out, options: o}
	w.result.Whole, w.result.Sound = !l.strange, !l.damage
	for _, r := range l.remnants {
		if err := w.tape(r); err != nil {
			return nil, err
		}
	}
	switch {
	case w.result.Tapes > 0:
		return &w.result, nil
	case l.newer != nil && len(l.remnants) == 0:
		return nil, l.newer
	case size == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrNothing)
	case len(l.remnants) == 0:
		return nil, fmt.Errorf("%w: no sound frame of a tape is in it", ErrNothing)
	}
	return nil, fmt.Errorf("%w: no frame that is left holds a record", ErrNothing)
}

// Check reads back what was written.
func (r *Recovery) Check(written io.Reader) error {
	if err := readBack(written, r.written); err != nil {
		return fmt.Errorf("what was written does not read back: %w", err)
	}
	return nil
}

// A rescue writes tapes of what is left of them.
type rescue struct {
	layout  *layout
	out     io.Writer
	options RecoverOptions
	result  Recovery
	d       *deriver
	before  *capture.Header // of the tape before this one

	header  *capture.Header
	index   lostChunks
	orphans []orphan
	fromOne bool             // the tape's first record is known to be number 1
	sparse  bool             // numbers may be missing on it by right
	held    []capture.Record // the carry of a tape that continues the one before
	ahead   uint64           // the last number on that
	open    openSources
	steps   int64 // of the wall clock
	seq     uint64
	at      int64
	ended   bool                 // the last record is the tape's end
	saved   uint64               // records of this tape
	first   string               // when the first was
	lost    uint64               // record numbers of this tape
	counted bool                 // the index told of all that is lost behind the last record
	holed   bool                 // something of this tape is lost
	damage  *capture.DamageError // met, and no numbered record since
}

// tape saves what there is of one tape.
func (w *rescue) tape(r *remnant) error {
	s, guessed, err := w.layout.survey(r)
	if err != nil {
		return err
	}
	if s.records == 0 && !r.head {
		w.result.Whole = false
		return nil
	}
	*w = rescue{layout: w.layout, out: w.out, options: w.options, result: w.result, d: w.d, before: w.before, ahead: w.seq, steps: w.steps, orphans: s.orphans}
	w.index = lostChunks{file: w.layout.file, pages: r.index}
	verb := s.header.Derived.Verb
	w.fromOne = r.head && s.header.Segment == 0 && verb == ""
	w.sparse = verb != "" && verb != "build"
	if err := w.begin(r, s, guessed); err != nil {
		return err
	}
	if err := w.copy(r); err != nil {
		return err
	}
	if err := w.finish(r); err != nil {
		return err
	}
	w.before = w.header
	return nil
}

func (w *rescue) begin(r *remnant, s *survey, guessed []string) error {
	w.header = deriveHeader(&s.header, capture.Derived{Verb: "recover", Parent: s.header.TapeID, SHA256: w.layout.sum, Args: w.options.Args}, w.options.Tool)
	d, err := newDeriver(w.out, w.header)
	if err != nil {
		return err
	}
	if w.header.Continues(w.before) {
		d.core, d.lossy = w.d.core, w.d.lossy
	} else {
		w.steps = 0
	}
	w.d = d
	if !r.head {
		w.lose()
		line := fmt.Sprintf("the tape's head is lost (file id %016x)", r.fileID)
		for _, g := range guessed {
			line += "; " + g
		}
		w.options.Say(line)
	}
	return nil
}

// copy writes the records that there are.
func (w *rescue) copy(r *remnant) error {
	var head *capture.Header
	if !r.head {
		head = &capture.Header{TapeID: r.tapeID()}
	}
	reader, err := w.layout.open(r, head)
	if err != nil {
		return err
	}
	for {
		rec, err := reader.Next()
		var damage *capture.DamageError
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
		if w.damage != nil && rec.Seq != 0 {
			if err := w.hole(&rec); err != nil {
				return err
			}
		}
		if err := w.record(&rec); err != nil {
			return err
		}
	}
}

func (w *rescue) record(r *capture.Record) error {
	w.open.record(r)
	if r.Kind == capture.KindClock {
		var c capture.Clock
		if r.Decode(&c) == nil {
			w.steps += c.Step
		}
	}
	w.step(r)
	if w.saved == 0 {
		w.first = w.when(r.At)
	}
	w.saved++
	w.seq, w.at, w.ended = max(w.seq, r.Seq), r.At, r.Kind == capture.KindEnd
	return w.d.write(r)
}

// step shows the core a record as a replay does: what a tape carries that
// continues the one before it is taken only if records are missing between.
func (w *rescue) step(r *capture.Record) {
	follows := w.header.Continues(w.before)
	switch {
	case r.Seq == 0 && w.seq == 0 && follows:
		part := *r
		part.Payload = bytes.Clone(r.Payload)
		w.held = append(w.held, part)
		return
	case r.Seq > 1 && w.saved == 0 && !follows && !w.sparse: // what came before is on no tape here
		w.d.lossy = true
	}
	w.settle(r.Seq)
	w.d.step(r)
}

// settle is called before the number of a record is used.
func (w *rescue) settle(seq uint64) {
	if seq != w.ahead+1 {
		for i := range w.held {
			w.d.step(&w.held[i])
		}
	}
	w.held = nil
}

// finish ends the tape.
func (w *rescue) finish(r *remnant) error {
	unsure := !w.ended // behind the end there are only frames that can be done without
	if unsure {
		if err := w.close(r); err != nil {
			return err
		}
	}
	if err := w.d.out.Close(); err != nil {
		return err
	}
	w.result.Tapes++
	w.result.Sound = w.result.Sound && r.foot && len(r.pieces) == 1 && !w.holed
	w.result.Saved += w.saved
	w.result.Lost += w.lost
	w.result.Differ += w.d.differ
	w.result.Whole = w.result.Whole && !w.holed && !unsure
	w.result.written = append(w.result.written, *w.d.content)
	w.result.last = w.summary(unsure)
	if len(w.layout.remnants) > 1 {
		w.options.Say(fmt.Sprintf("tape %d, file id %016x: %s", w.result.Tapes, r.fileID, w.result.last))
	}
	return nil
}

func (w *rescue) summary(unsure bool) string {
	line := render.Count(w.saved, "record") + " saved"
	if w.saved > 0 {
		line += fmt.Sprintf(", from %s to %s", w.first, w.when(w.at))
	}
	lost := fmt.Sprintf("; %d lost", w.lost)
	if w.sparse {
		lost = fmt.Sprintf("; at most %d lost", w.lost)
	}
	switch {
	case w.lost > 0 && unsure && !w.counted:
		line += lost + ", and what followed"
	case w.lost > 0:
		line += lost
	case unsure:
		line += "; what followed is lost, if there was anything"
	case w.holed:
		line += "; how many are lost is not known"
	default:
		line += "; nothing is lost"
	}
	return line
}

// when is a time for people, since the tape's start where that is lost.
func (w *rescue) when(at int64) string {
	if w.header.Start == 0 {
		return since(at)
	}
	return wallText(w.header.Start + at + w.steps)
}

func wallText(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
