package survey

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
	for i := range t.index.Entries {
		for _, n := range t.index.Entries[i].Counts {
			if total += n.Records; !capture.Kind(n.Kind).Known() {
				unknown += n.Records
			}
		}
	}
	if total != t.index.Records {
		return errNotTheIndex
	}
	known, err := t.known(f)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		s.begin(t.header, 0)
	}
	ending := capture.Cut
	for i := range known {
		e, first, last := &known[i], i == 0, i == len(known)-1
		switch {
		case first || last:
			var list []capture.Record
			if list, err = t.index.ReadChunk(f, e); err != nil {
				return err
			}
			if first {
				s.begin(t.header, list[0].At)
			}
			if last && list[len(list)-1].Kind == capture.KindEnd {
				ending = capture.Closed
			}
			s.chunk(*e, list)
		case !s.needs(e):
			s.entry(e)
		default:
			if err := s.needed(f, t.index, e); err != nil {
				return err
			}
		}
	}
	v := s.tape()
	v.Name, v.Reading, v.Ending, v.Unknown = name, t.reading, ending, unknown
	v.Missing -= min(v.Missing, unknown)
	return nil
}

// known are the entries that have records of kinds that this version knows. The
// first and the last are single chunks: when the tape begins and ends, these say.
func (t *surveyable) known(f io.ReaderAt) ([]capture.Entry, error) {
	list := t.index.Entries
	for {
		list = slices.DeleteFunc(list, func(e capture.Entry) bool { return !known(&e) })
		i := 0
		if len(list) == 0 || !list[i].Run() {
			if i = len(list) - 1; i < 0 || !list[i].Run() {
				return list, nil
			}
		}
		chunks, err := t.index.Chunks(f, &list[i])
		if err != nil {
			return nil, err
		}
		list = slices.Replace(list, i, i+1, chunks...)
	}
}

func known(e *capture.Entry) bool {
	return slices.ContainsFunc(e.Counts, func(n capture.Count) bool { return capture.Kind(n.Kind).Known() })
}

// needed takes in a chunk that holds such records, or the chunks of a run.
func (s *surveyor) needed(f io.ReaderAt, index *capture.Index, e *capture.Entry) error {
	chunks, err := index.Chunks(f, e)
	if err != nil {
		return err
	}
	for i := range chunks {
		c := &chunks[i]
		switch {
		case !known(c):
		case !s.needs(c):
			s.entry(c)
		default:
			list, err := index.ReadChunk(f, c)
			if err != nil {
				return err
			}
			s.chunk(*c, list)
		}
	}
	return nil
}

// chunk takes in a chunk that was read.
func (s *surveyor) chunk(e capture.Entry, list []capture.Record) {
	// What is unknown is not counted in, wherever it stands.
	e.FirstAt, e.LastAt = list[0].At, list[len(list)-1].At
	e.FirstSeq, e.LastSeq = numbersOf(list)
	s.entry(&e)
	for i := range list {
		s.record(&list[i])
	}
}

// needs reports whether a chunk, or one of a run's, holds records that are told of by themselves.
func (s *surveyor) needs(e *capture.Entry) bool {
	return slices.ContainsFunc(e.Counts, func(n capture.Count) bool {
		return capture.Kind(n.Kind).Rare() || s.coverage.waits(capture.Kind(n.Kind), n.Source)
	})
}

// entry counts what is in a chunk, or a run.
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
