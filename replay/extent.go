package replay

import (
	"fmt"
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
		s := markSearch{text: text}
		if err := s.search(inputs, byIndex); err != nil {
			return mark{}, err
		}
		if s.found != nil {
			return *s.found, nil
		}
		if !s.byIndex {
			return mark{}, s.missing()
		}
	}
}

// A mark is the place of a mark record.
type mark struct {
	tape int // number of its tape
	seq  uint64
}

// A markSearch looks for a text in the marks of tapes, in order.
type markSearch struct {
	text    string
	found   *mark    // the first with that text, or else the first that contains it
	exact   bool     // found has that text
	others  []string // the first maxOthers marks, quoted
	byIndex bool     // some of the marks were found by an index
}

const (
	maxOthers    = 10
	maxOtherText = 100 // bytes of another mark
)

// add looks at a record, which may be a mark.
func (s *markSearch) add(r *capture.Record, tape int) {
	var m capture.Mark
	if r.Kind != capture.KindMark || r.Decode(&m) != nil {
		return
	}
	if exact := m.Text == s.text; !s.exact && exact || s.found == nil && strings.Contains(m.Text, s.text) {
		s.found, s.exact = &mark{tape, r.Seq}, exact
	}
	if len(s.others) < maxOthers {
		s.others = append(s.others, strconv.Quote(m.Text[:min(len(m.Text), maxOtherText)]))
	}
}

// missing is the error for a text that no mark contains.
func (s *markSearch) missing() error {
	if len(s.others) == 0 {
		return fmt.Errorf("no mark %q: there are no marks on the tape", s.text)
	}
	return fmt.Errorf("no mark %q; the tape has %s", s.text, strings.Join(s.others, ", "))
}

// search looks at the marks of the inputs. An input with an index is one tape.
func (s *markSearch) search(inputs []Input, byIndex bool) error {
	tapes := 0
	for i := range inputs {
		if byIndex {
			of := *s
			if inputs[i].marksByIndex(func(r *capture.Record) { of.add(r, tapes) }) {
				*s, s.byIndex = of, true
				tapes++
				continue
			}
		}
		t, records := Records(inputs[i:i+1], Window{})
		for r, err := range records {
			if err == nil {
				s.add(&r, tapes+len(t.Ends()))
			} else if !isDamage(err) {
				return err
			}
		}
		tapes += len(t.Ends())
	}
	return nil
}
