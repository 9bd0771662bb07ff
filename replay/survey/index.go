package survey

import (
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// An indexedTape is a closed tape with its index.
type indexedTape struct {
	header *capture.Header
	index  *tape.Index
	end    int64 // offset in the file
}

// maxChecked is up to which size, in bytes, all checksums of a file are compared.
// That takes a few hundredths of a second.
const maxChecked = 32 << 20

// byIndex surveys a file of closed tapes by their indexes. If a tape lacks a sound
// index, it changes nothing and returns false, and the file is to be read from its
// start.
func (s *surveyor) byIndex(name string, f randomAccess) bool {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return false // a pipe
	}
	before := s.clone()
	if err := s.tapesByIndex(name, f, size); err != nil {
		*s = before
		f.Seek(0, io.SeekStart) // if that fails, reading fails too
		return false
	}
	return true
}

func (s *surveyor) tapesByIndex(name string, f io.ReaderAt, size int64) error {
	tapes, err := findTapes(f, size)
	if err != nil {
		return err
	}
	reading := ReadIndex
	if size <= maxChecked {
		reading = ReadFrames
	}
	for i := range tapes {
		t := &tapes[i]
		if reading == ReadFrames {
			if err := t.index.CheckFrames(f, t.end); err != nil {
				return err
			}
		}
		if err := s.tapeByIndex(f, t); err != nil {
			return err
		}
		s.tape().Name, s.tape().Reading = name, reading
	}
	return nil
}

// clone copies everything that a tape changes.
func (s *surveyor) clone() surveyor {
	own := *s
	own.counts, own.coverage = maps.Clone(s.counts), s.coverage.clone()
	v := &own.survey
	v.Tapes, v.Sources, v.Gaps, v.Marks = slices.Clone(v.Tapes), slices.Clone(v.Sources), slices.Clone(v.Gaps), slices.Clone(v.Marks)
	v.Faults, v.Clocks, v.Damage = slices.Clone(v.Faults), slices.Clone(v.Clocks), slices.Clone(v.Damage)
	return own
}

var (
	errNoTape      = errors.New("the file has no tape")
	errContradicts = errors.New("the index contradicts itself")
)

// findTapes returns the tapes that follow each other in a file. It finds them from
// the end of the file, where the index of the last one is.
func findTapes(f io.ReaderAt, size int64) ([]indexedTape, error) {
	var tapes []indexedTape
	for end := size; end > 0; {
		ix, err := tape.ReadIndex(f, end)
		if err != nil {
			return nil, err
		}
		if ix.Base >= end {
			return nil, errContradicts
		}
		r, err := tape.NewReader(io.NewSectionReader(f, ix.Base, end-ix.Base))
		if err != nil {
			return nil, err
		}
		tapes = append(tapes, indexedTape{header: r.Header(), index: ix, end: end})
		end = ix.Base
	}
	if len(tapes) == 0 {
		return nil, errNoTape
	}
	slices.Reverse(tapes)
	return tapes, nil
}

// tapeByIndex adds a tape: the counts of its index, and the records of those chunks
// that have records to list.
func (s *surveyor) tapeByIndex(f io.ReaderAt, t *indexedTape) error {
	var total, unknown uint64
	for i := range t.index.Entries {
		for _, n := range t.index.Entries[i].Counts {
			if total += n.Records; !capture.Kind(n.Kind).Known() {
				unknown += n.Records
			}
		}
	}
	if total != t.index.Records {
		return errContradicts
	}
	entries, err := t.knownEntries(f)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		s.begin(t.header, 0)
	}
	ending := tape.Cut
	for i := range entries {
		first, last := i == 0, i == len(entries)-1
		if !first && !last {
			if err := s.entry(f, t.index, &entries[i]); err != nil {
				return err
			}
			continue
		}
		records, err := t.index.ReadChunk(f, &entries[i])
		if err != nil {
			return err
		}
		if first {
			s.begin(t.header, records[0].At)
		}
		if last && records[len(records)-1].Kind == capture.KindEnd {
			ending = tape.Closed
		}
		s.chunk(entries[i], records)
	}
	v := s.tape()
	v.Ending, v.Unknown = ending, unknown
	v.Missing -= min(v.Missing, unknown) // records of unknown kinds have numbers too
	return nil
}

// knownEntries returns the entries of the index with records of known kinds. The first
// and the last are single chunks, not runs of chunks: they have the first and the last
// record.
func (t *indexedTape) knownEntries(f io.ReaderAt) ([]tape.Entry, error) {
	list := t.index.Entries
	for {
		list = slices.DeleteFunc(list, func(e tape.Entry) bool { return !hasKnownKind(&e) })
		if len(list) == 0 {
			return list, nil
		}
		i := 0
		if !list[i].Run() {
			i = len(list) - 1
		}
		if !list[i].Run() {
			return list, nil
		}
		chunks, err := t.index.Chunks(f, &list[i])
		if err != nil {
			return nil, err
		}
		list = slices.Replace(list, i, i+1, chunks...)
	}
}

func hasKnownKind(e *tape.Entry) bool {
	return slices.ContainsFunc(e.Counts, func(n tape.Count) bool { return capture.Kind(n.Kind).Known() })
}

// entry adds a chunk or a run of chunks. It reads those with records to list.
func (s *surveyor) entry(f io.ReaderAt, index *tape.Index, e *tape.Entry) error {
	if !s.mustRead(e) {
		s.addCounts(e)
		return nil
	}
	chunks, err := index.Chunks(f, e)
	if err != nil {
		return err
	}
	for i := range chunks {
		c := &chunks[i]
		switch {
		case !hasKnownKind(c):
		case !s.mustRead(c):
			s.addCounts(c)
		default:
			records, err := index.ReadChunk(f, c)
			if err != nil {
				return err
			}
			s.chunk(*c, records)
		}
	}
	return nil
}

// mustRead reports whether a chunk or a run has records that are listed by themselves
// or may change the coverage of a source.
func (s *surveyor) mustRead(e *tape.Entry) bool {
	return slices.ContainsFunc(e.Counts, func(n tape.Count) bool {
		return capture.Kind(n.Kind).Rare() || s.coverage.depends(capture.Kind(n.Kind), n.Source)
	})
}

// chunk adds a chunk whose records of known kinds were read.
func (s *surveyor) chunk(e tape.Entry, records []capture.Record) {
	// The entry's times and numbers include records of unknown kinds.
	e.FirstAt, e.LastAt = records[0].At, records[len(records)-1].At
	e.FirstSeq, e.LastSeq = numbersOf(records)
	s.addCounts(&e)
	for i := range records {
		s.record(&records[i])
	}
}

// addCounts adds the counts of a chunk or a run.
func (s *surveyor) addCounts(e *tape.Entry) {
	numbered := uint64(0)
	for _, n := range e.Counts {
		k := capture.Kind(n.Kind)
		if !k.Known() {
			continue
		}
		if k != capture.KindCarry { // carry records have no number
			numbered += n.Records
		}
		s.count(n)
	}
	if e.FirstSeq != 0 {
		s.numbers(e.FirstSeq, e.LastSeq, numbered)
	}
	s.tape().Last = e.LastAt
}

// numbersOf returns the first and the last number of the records, 0 if none has one.
func numbersOf(records []capture.Record) (first, last uint64) {
	for i := range records {
		if n := records[i].Seq; n != 0 {
			last = n
			if first == 0 {
				first = n
			}
		}
	}
	return first, last
}
