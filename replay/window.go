package replay

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A Window contains the records from one time on, up to and without another. A
// zero Time leaves that side open.
type Window struct{ From, To Time }

// Check refuses a window that is empty by its two times alone.
func (w Window) Check() error {
	if w.From.kind == w.To.kind && !w.From.IsZero() && (w.From.ns > w.To.ns || w.From.seq > w.To.seq) {
		return fmt.Errorf("the window from %s to %s is empty: from is after to", w.From, w.To)
	}
	return nil
}

// Place is where a record is relative to a window.
type Place uint8

const (
	Before Place = iota
	Within
	After
)

// A placer reports the place of records, which it must be given in order. A record
// after one within the window is within or after it: wall clocks are set back, and a
// window has no holes.
type placer struct {
	from, to Time
	entered  bool
}

// newPlacer returns the placer of a window on the inputs.
func newPlacer(inputs []Input, w Window) (p placer, err error) {
	if p.from, err = resolve(inputs, w.From); err == nil {
		p.to, err = resolve(inputs, w.To)
	}
	return p, err
}

func (w *placer) place(it *Item) Place {
	w.from.settle(it.Header.Start) // changes them at the first record only
	w.to.settle(it.Header.Start)
	if !w.to.IsZero() && w.to.compare(it.position) >= 0 && !(it.Kind == capture.KindCarry && w.to.kind == timeRecord) { // a carry has no number
		return After
	}
	if !w.entered && !w.from.IsZero() && w.from.compare(it.position) < 0 {
		return Before
	}
	w.entered = true
	return Within
}

// Records returns the records within the window, and the error that ends the
// reading, if any. Damage is yielded as an error, and reading goes on after it. The
// header of a record is that of the tapes at that moment. Where the tape has an
// index, records before the window are not read, and the reading ends at the first
// record after the window, so that damage there is not reported: see Unread.
func Records(inputs []Input, w Window) (*Tapes, iter.Seq2[capture.Record, error]) {
	t := &Tapes{inputs: inputs, seek: true}
	return t, func(yield func(capture.Record, error) bool) {
		defer t.Close()
		var err error
		if t.window, err = newPlacer(inputs, w); err != nil {
			yield(capture.Record{}, err)
			return
		}
		var it Item
		for {
			err := t.read(&it)
			switch {
			case err == io.EOF:
				return
			case err == nil && it.Place == After:
				t.unreadAfter = true
				return
			case err != nil:
				if !yield(capture.Record{}, err) || !isDamage(err) {
					return
				}
			case it.Place == Within && !yield(it.Record, nil):
				return
			}
		}
	}
}

// isDamage reports whether reading can go on after the error.
func isDamage(err error) bool {
	var damage *tape.DamageError
	return errors.As(err, &damage)
}
