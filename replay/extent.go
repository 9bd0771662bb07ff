package replay

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/capture"
)

// Resolve finds the places of times on the tapes. It reads the tapes only if a
// time needs it, and of a tape with an index only the chunks that tell.
func Resolve(inputs []Input, times ...Time) ([]bound, error) {
	bounds := make([]bound, len(times))
	e := extent{inputs: inputs}
	for i, t := range times {
		b := &bounds[i]
		switch t.kind {
		case timeWall:
			*b = bound{kind: boundWall, ns: t.ns}
		case timeFromStart:
			*b = bound{kind: boundStart, ns: t.ns}
		case timeFromEnd:
			end, err := e.end()
			if err != nil {
				return nil, err
			}
			*b = bound{kind: boundSteady, ns: AddTime(end, t.ns)}
		case timeRecord:
			*b = bound{kind: boundSeq, seq: t.seq}
		case timeMark:
			m, err := e.mark(t.mark)
			if err != nil {
				return nil, err
			}
			*b = bound{kind: boundPlace, tape: m.tape, seq: m.seq}
		}
	}
	return bounds, nil
}

// extent is what a reading of the tapes tells of their end and marks. Damage is
// read past.
type extent struct {
	inputs []Input
	last   *int64 // steady time of the last record, once it was asked for
	marks  []mark
	listed bool // marks are
	hidden bool // they are those that indexes tell of
}

type mark struct {
	tape int
	seq  uint64
	text string
}

// end is the time of the last record, 0 if there is none.
func (e *extent) end() (int64, error) {
	if e.last != nil {
		return *e.last, nil
	}
	e.last = new(int64)
	for i := len(e.inputs) - 1; i >= 0; i-- {
		if e.inputs[i].endByIndex(e.last) {
			break
		}
		found := false
		_, err := scan(e.inputs[i:i+1], func(t *Tapes, r *capture.Record) {
			found, *e.last = true, t.Position(r).steady
		})
		if found || err != nil {
			return *e.last, err
		}
	}
	return *e.last, nil
}

// mark finds the first mark of that text, else the first that contains it. That
// there is none is not said before everything was read.
func (e *extent) mark(text string) (mark, error) {
	if !e.listed {
		if err := e.list(true); err != nil {
			return mark{}, err
		}
	}
	at := e.find(text)
	if at < 0 && e.hidden {
		if err := e.list(false); err != nil {
			return mark{}, err
		}
		at = e.find(text)
	}
	switch {
	case at >= 0:
		return e.marks[at], nil
	case len(e.marks) == 0:
		return mark{}, fmt.Errorf("no mark %q: there are no marks on the tape", text)
	}
	var texts []string
	for _, m := range e.marks[:min(len(e.marks), 10)] {
		texts = append(texts, strconv.Quote(m.text))
	}
	return mark{}, fmt.Errorf("no mark %q; the tape has %s", text, strings.Join(texts, ", "))
}

func (e *extent) find(text string) int {
	at := slices.IndexFunc(e.marks, func(m mark) bool { return m.text == text })
	if at < 0 {
		at = slices.IndexFunc(e.marks, func(m mark) bool { return strings.Contains(m.text, text) })
	}
	return at
}

// list lists the marks.
func (e *extent) list(byIndex bool) error {
	e.marks, e.listed, e.hidden = nil, true, false
	tapes := 0
	take := func(tape int, r *capture.Record) {
		var m capture.Mark
		if r.Kind == capture.KindMark && r.Decode(&m) == nil {
			e.marks = append(e.marks, mark{tape: tape, seq: r.Seq, text: m.Text})
		}
	}
	for i := range e.inputs {
		known := len(e.marks)
		if byIndex && e.inputs[i].marksByIndex(func(r *capture.Record) { take(tapes, r) }) {
			e.hidden = true
			tapes++
			continue
		}
		e.marks = e.marks[:known]
		n, err := scan(e.inputs[i:i+1], func(t *Tapes, r *capture.Record) { take(tapes+t.Number(), r) })
		if err != nil {
			return err
		}
		tapes += n
	}
	return nil
}

// scan reads the inputs to their end and returns how many tapes they are.
func scan(inputs []Input, each func(*Tapes, *capture.Record)) (tapes int, err error) {
	t := NewTapes(inputs)
	defer t.Close()
	for {
		r, err := t.Next()
		var damage *capture.DamageError
		switch {
		case err == io.EOF:
			return len(t.Ends()), nil
		case errors.As(err, &damage):
		case err != nil:
			return 0, err
		default:
			each(t, &r)
		}
	}
}
