package edit

import (
	"errors"
	"fmt"
	"io"

	"github.com/topotape/topotape/replay/render"
)

// A Recovery describes the result of Recover.
type Recovery struct {
	Tapes  int
	Saved  uint64 // records
	Lost   uint64 // record numbers that are missing where the file is damaged
	Whole  bool   // certainly nothing is lost
	Sound  bool   // the file has no damage at all and is closed
	Differ uint64 // witnesses before the first loss that this core does not reproduce

	lastTape string // summary of the last tape
	written  []checksum
}

// String returns a summary of one line.
func (r *Recovery) String() string {
	if r.Tapes == 1 {
		return r.lastTape
	}
	line := fmt.Sprintf("%d tapes, %s saved", r.Tapes, render.Count(r.Saved, "record"))
	if r.Lost > 0 {
		line += fmt.Sprintf("; %d lost", r.Lost)
	}
	return line
}

// Check reads the new tapes back.
func (r *Recovery) Check(written io.Reader) error { return readBack(written, r.written...) }

var errNothing = errors.New("nothing can be saved")

// Recover saves every record of every intact frame of a damaged file, wherever
// the frame is. For each tape in the file it writes a closed tape, with the records
// in the order in which they were written, and with a gap record of each source
// where records are missing. The input is read three times. The caller must read
// the new tapes back with Check.
func Recover(file io.ReaderAt, size int64, out io.Writer, o Options) (*Recovery, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	l, err := scanLayout(file, size, o.Say)
	if err != nil {
		return nil, err
	}
	result := &Recovery{Whole: !l.foreign, Sound: !l.damaged}
	var previous *rescue
	for _, t := range l.tapes {
		facts, err := t.readFacts()
		if err != nil {
			return nil, err
		}
		if facts.records == 0 && facts.headLost {
			result.Whole = false
			continue
		}
		w, err := newRescue(t, facts, l.sum, previous, out, o)
		if err != nil {
			return nil, err
		}
		if err := w.save(); err != nil {
			return nil, err
		}
		result.add(w)
		if len(l.tapes) > 1 {
			o.Say(fmt.Sprintf("tape %d, file id %016x: %s", result.Tapes, t.fileID, result.lastTape))
		}
		previous = w
	}
	if result.Tapes == 0 {
		return nil, l.nothing(size)
	}
	return result, nil
}

func (r *Recovery) add(w *rescue) {
	r.Tapes++
	r.Saved += w.saved
	r.Lost += w.lost.records
	r.Differ += w.out.differ
	r.Whole = r.Whole && !w.lost.any && !w.lost.end
	r.Sound = r.Sound && w.tape.foot && len(w.tape.runs) == 1 && !w.lost.any
	r.lastTape = w.summary()
	r.written = append(r.written, w.out.written)
}

// nothing returns the error for a file without a record.
func (l *layout) nothing(size int64) error {
	switch {
	case l.newer != nil && len(l.tapes) == 0:
		return l.newer
	case size == 0:
		return fmt.Errorf("%w: it is empty", errNothing)
	case len(l.tapes) == 0:
		return fmt.Errorf("%w: it has no intact frame of a tape", errNothing)
	}
	return fmt.Errorf("%w: none of its intact frames has a record", errNothing)
}
