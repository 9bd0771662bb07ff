package replay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/capture"
)

// resolve returns the place of a time on the tapes. It reads the tapes only for a time
// that counts from their end and for a mark; of a tape with an index it reads only the
// chunks that it needs. Damage is skipped.
func resolve(inputs []Input, t Time) (Time, error) {
	switch t.kind {
	case timeFromEnd:
		end, err := endOf(inputs)
		t.kind, t.ns = timeSteady, AddTime(end, t.ns)
		return t, err
	case timeMark:
		m, err := findMark(inputs, t.mark)
		t.kind, t.tape, t.seq = timePlace, m.tape, m.seq
		return t, err
	}
	return t, nil
}

// endOf returns the time of the last record, in Unix ns without the steps of the wall
// clock, 0 if there is none. It goes back from
// the last input to one that has records.
func endOf(inputs []Input) (last int64, err error) {
	for i := len(inputs) - 1; i >= 0; i-- {
		end, ok := inputs[i].endByIndex()
		if ok {
			return end, nil
		}
		t, records := Records(inputs[i:i+1], Window{})
		found := false
		for r, err := range records {
			if err == nil {
				found, last = true, t.header.Start+r.At
			} else if !isDamage(err) {
				return 0, err
			}
		}
		if found {
			return last, nil
		}
	}
	return 0, nil
}

// findMark returns the first mark with the text, or else the first that contains it.
// An index may lack marks: if its marks do not match, the tapes are read.
func findMark(inputs []Input, text string) (mark, error) {
	for byIndex := true; ; byIndex = false {
		list, err := listMarks(inputs, byIndex)
		if err != nil {
			return mark{}, err
		}
		if m := list.find(text); m != nil {
			return *m, nil
		}
		if !list.byIndex {
			return mark{}, list.missing(text)
		}
	}
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
		t, records := Records(inputs[i:i+1], Window{})
		for r, err := range records {
			if err == nil {
				list.marks = appendMark(list.marks, &r, tapes+len(t.Ends()))
			} else if !isDamage(err) {
				return markList{}, err
			}
		}
		tapes += len(t.Ends())
	}
	return list, nil
}
