package replay

import (
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/topotape/topotape/capture"
)

// surveyable is a tape with its index.
type surveyable struct {
	header  *capture.Header
	index   *capture.Index
	end     int64 // in the file
	reading Reading
}

// byIndex surveys a file whose tapes are all closed and have a sound index. It
// returns false, and changes nothing, where that is not so.
func (s *surveyor) byIndex(name string, f random) bool {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return false // a pipe
	}
	tapes, ok := indexes(f, size)
	if !ok {
		return rewound(f)
	}
	before := s.clone()
	reading := ReadIndex
	if size <= maxChecked {
		reading = ReadFrames
	}
	for i := range tapes {
		tapes[i].reading = reading
		if err := s.indexedTape(f, name, &tapes[i]); err != nil {
			*s = before // reading tells what is wrong
			return rewound(f)
		}
	}
	return true
}

// maxChecked is up to which size, in bytes, a file's checksums are compared: it
// takes a few hundredths of a second.
const maxChecked = 32 << 20

// rewound is false, with the file to be read from its start. What fails then
// fails in reading too.
func rewound(f random) bool {
	f.Seek(0, io.SeekStart)
	return false
}

// clone copies all that a tape changes.
func (s *surveyor) clone() surveyor {
	own := *s
	own.counts, own.coverage = maps.Clone(s.counts), s.coverage.clone()
	v := &own.survey
	v.Tapes, v.Sources, v.Gaps, v.Marks = slices.Clone(v.Tapes), slices.Clone(v.Sources), slices.Clone(v.Gaps), slices.Clone(v.Marks)
	v.Faults, v.Clocks, v.Damage = slices.Clone(v.Faults), slices.Clone(v.Clocks), slices.Clone(v.Damage)
	return own
}

// indexes finds the tapes that stand one behind the other in the file, from its
// end on.
func indexes(f io.ReaderAt, size int64) ([]surveyable, bool) {
	var tapes []surveyable
	for end := size; end > 0; {
		ix, err := capture.ReadIndex(f, end)
		if err != nil || ix.Base >= end {
			return nil, false
		}
		r, err := capture.NewReader(io.NewSectionReader(f, ix.Base, end-ix.Base))
		if err != nil {
			return nil, false
		}
		tapes = append(tapes, surveyable{header: r.Header(), index: ix, end: end})
		end = ix.Base
	}
	slices.Reverse(tapes)
	return tapes, len(tapes) > 0
}

var errNotTheIndex = errors.New("the index contradicts itself")

// indexedTape takes in what the index says and, of the chunks that hold records
// which are told of one by one, what these say.
func (s *surveyor) indexedTape(f io.ReaderAt, name string, t *surveyable) error {
	if t.reading == ReadFrames {
		if err := t.index.CheckFrames(f, t.end); err != nil {
			return err
		}
	}
	var total, unknown uint64
	known := slices.DeleteFunc(t.index.Entries, func(e capture.Entry) bool {
		for _, n := range e.Counts {
			if total += n.Records; !capture.Kind(n.Kind).Known() {
				unknown += n.Records
			}
		}
		return !slices.ContainsFunc(e.Counts, func(n capture.Count) bool { return capture.Kind(n.Kind).Known() })
	})
	if total != t.index.Records {
		return errNotTheIndex
	}
	if len(known) == 0 {
		s.begin(t.header, 0)
	}
	ending := capture.Cut
	for i := range known {
		e, first, last := &known[i], i == 0, i == len(known)-1
		var list []capture.Record
		if first || last || s.needs(e) {
			var err error
			if list, err = t.index.ReadChunk(f, e); err != nil {
				return err
			}
			// What is unknown is not counted in, wherever it stands.
			e.FirstAt, e.LastAt = list[0].At, list[len(list)-1].At
			e.FirstSeq, e.LastSeq = numbersOf(list)
			if last && list[len(list)-1].Kind == capture.KindEnd {
				ending = capture.Closed
			}
		}
		if first {
			s.begin(t.header, e.FirstAt)
		}
		s.entry(e)
		for j := range list {
			s.record(&list[j])
		}
	}
	v := s.tape()
	v.Name, v.Reading, v.Ending, v.Unknown = name, t.reading, ending, unknown
	v.Missing -= min(v.Missing, unknown)
	return nil
}

// needs reports whether a chunk holds records that are told of by themselves.
func (s *surveyor) needs(e *capture.Entry) bool {
	return slices.ContainsFunc(e.Counts, func(n capture.Count) bool {
		return rare(capture.Kind(n.Kind)) || s.coverage.waits(capture.Kind(n.Kind), n.Source)
	})
}

// entry counts what is in a chunk.
func (s *surveyor) entry(e *capture.Entry) {
	numbered := uint64(0)
	for _, n := range e.Counts {
		k := capture.Kind(n.Kind)
		if !k.Known() {
			continue
		}
		if k != capture.KindCarry { // which has no number
			numbered += n.Records
		}
		s.count(n)
	}
	if e.FirstSeq != 0 {
		s.numbers(e.FirstSeq, e.LastSeq, numbered)
	}
	s.tape().Last = e.LastAt
}

// numbersOf are those of the first and the last record that has one.
func numbersOf(list []capture.Record) (first, last uint64) {
	for i := range list {
		if n := list[i].Seq; n != 0 {
			last = n
			if first == 0 {
				first = n
			}
		}
	}
	return first, last
}
