package replay

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/capture"
)

// resolve returns the bounds of times on the tapes. It reads the tapes only for a
// time that counts from their end and for a mark; of a tape with an index it reads
// only the chunks that it needs.
func resolve(inputs []Input, times ...Time) ([]bound, error) {
	bounds := make([]bound, len(times))
	e := extent{inputs: inputs}
	for i, t := range times {
		var err error
		if bounds[i], err = e.bound(t); err != nil {
			return nil, err
		}
	}
	return bounds, nil
}

// An extent finds the end of the tapes and their marks, each once. Damage is
// skipped.
type extent struct {
	inputs []Input
	last   *int64 // Unix ns of the last record, without steps of the wall clock; nil until it is needed
	marks  *markList
}

func (e *extent) bound(t Time) (bound, error) {
	switch t.kind {
	case timeWall:
		return bound{kind: boundWall, ns: t.ns}, nil
	case timeFromStart:
		return bound{kind: boundStart, ns: t.ns}, nil
	case timeFromEnd:
		end, err := e.end()
		return bound{kind: boundSteady, ns: AddTime(end, t.ns)}, err
	case timeRecord:
		return bound{kind: boundSeq, seq: t.seq}, nil
	case timeMark:
		m, err := e.mark(t.mark)
		return bound{kind: boundPlace, tape: m.tape, seq: m.seq}, err
	}
	return bound{}, nil
}

func (e *extent) end() (int64, error) {
	if e.last == nil {
		last, err := endOf(e.inputs)
		if err != nil {
			return 0, err
		}
		e.last = &last
	}
	return *e.last, nil
}

// endOf returns the time of the last record, 0 if there is none. It goes back from
// the last input to one that has records.
func endOf(inputs []Input) (last int64, err error) {
	for i := len(inputs) - 1; i >= 0; i-- {
		end, ok := inputs[i].endByIndex()
		if ok {
			return end, nil
		}
		found := false
		_, err := scan(inputs[i:i+1], func(it *Item) { found, last = true, it.position.steady })
		if found || err != nil {
			return last, err
		}
	}
	return 0, nil
}

// mark returns the first mark with the text, or else the first that contains it.
// An index may lack marks: if its marks do not match, the tapes are read.
func (e *extent) mark(text string) (mark, error) {
	if e.marks == nil {
		list, err := listMarks(e.inputs, true)
		if err != nil {
			return mark{}, err
		}
		e.marks = &list
	}
	m := e.marks.find(text)
	if m == nil && e.marks.byIndex {
		list, err := listMarks(e.inputs, false)
		if err != nil {
			return mark{}, err
		}
		e.marks = &list
		m = list.find(text)
	}
	if m == nil {
		return mark{}, e.marks.missing(text)
	}
	return *m, nil
}

// A mark is a mark record.
type mark struct {
	tape int // number of its tape
	seq  uint64
	text string
}

// appendMark appends the record to the marks, if it is one.
func appendMark(marks []mark, r *capture.Record, tape int) []mark {
	var m capture.Mark
	if r.Kind == capture.KindMark && r.Decode(&m) == nil {
		marks = append(marks, mark{tape: tape, seq: r.Seq, text: m.Text})
	}
	return marks
}

// A markList is the marks of tapes, in order.
type markList struct {
	marks   []mark
	byIndex bool // some of them were found by an index
}

// find returns the first mark with the text, or else the first that contains it, or
// nil.
func (l *markList) find(text string) *mark {
	at := slices.IndexFunc(l.marks, func(m mark) bool { return m.text == text })
	if at < 0 {
		at = slices.IndexFunc(l.marks, func(m mark) bool { return strings.Contains(m.text, text) })
	}
	if at < 0 {
		return nil
	}
	return &l.marks[at]
}

// missing is the error for a text that no mark contains.
func (l *markList) missing(text string) error {
	if len(l.marks) == 0 {
		return fmt.Errorf("no mark %q: there are no marks on the tape", text)
	}
	var texts []string
	for _, m := range l.marks[:min(len(l.marks), 10)] {
		texts = append(texts, strconv.Quote(m.text))
	}
	return fmt.Errorf("no mark %q; the tape has %s", text, strings.Join(texts, ", "))
}

// listMarks lists the marks of the inputs. An input with an index is one tape.
func listMarks(inputs []Input, byIndex bool) (list markList, err error) {
	tapes := 0
	for i := range inputs {
		if byIndex {
			if marks, ok := inputs[i].marksByIndex(); ok {
				list.byIndex = true
				for _, m := range marks {
					m.tape = tapes
					list.marks = append(list.marks, m)
				}
				tapes++
				continue
			}
		}
		n, err := scan(inputs[i:i+1], func(it *Item) { list.marks = appendMark(list.marks, &it.Record, tapes+it.Tape()) })
		if err != nil {
			return markList{}, err
		}
		tapes += n
	}
	return list, nil
}

// scan calls each with every record of the inputs, past damage. It returns the
// number of tapes.
func scan(inputs []Input, each func(*Item)) (tapes int, err error) {
	t := &Tapes{inputs: inputs}
	defer t.Close()
	var it Item
	for {
		err := t.read(&it)
		switch {
		case err == io.EOF:
			return len(t.Ends()), nil
		case err == nil:
			each(&it)
		case !isDamage(err):
			return 0, err
		}
	}
}
