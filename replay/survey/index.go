package survey

import (
	"io"
	"maps"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
)

// maxChecked is up to which size, in bytes, all checksums of a file are compared.
// That takes a few hundredths of a second.
const maxChecked = 32 << 20

// randomAccess is an input that can be read at any offset.
type randomAccess interface {
	io.ReaderAt
	io.Seeker
}

// An indexedTape is a closed tape with its index.
type indexedTape struct {
	file   io.ReaderAt
	name   string
	header *capture.Header
	index  *tape.Index
	end    int64 // offset in the file
}

// byIndex surveys a file of closed tapes by their indexes. If a tape lacks a sound
// index, it changes nothing and returns false, and the file is to be read from its
// start.
func (s *surveyor) byIndex(name string, f randomAccess) bool {
	before := *s
	before.counts = maps.Clone(s.counts)
	before.survey.Sources = slices.Clone(s.survey.Sources) // the elements of other lists do not change
	before.recording.sources = slices.Clone(s.recording.sources)
	before.recording.counters = slices.Clone(s.recording.counters)
	if err := s.tapesByIndex(name, f); err != nil {
		*s = before
		f.Seek(0, io.SeekStart) // if that fails, reading fails too
		return false
	}
	return true
}

func (s *surveyor) tapesByIndex(name string, f randomAccess) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err // a pipe
	}
	tapes, err := findTapes(name, f, size, &s.heads)
	if err != nil {
		return err
	}
	reading := readIndex
	if size <= maxChecked {
		reading = readFrames
	}
	for i := range tapes {
		t := &tapes[i]
		if reading == readFrames {
			if err := t.index.CheckFrames(f, t.end); err != nil {
				return err
			}
		}
		if err := s.tapeByIndex(t); err != nil {
			return err
		}
		s.tape().Reading = reading
	}
	return nil
}

// findTapes returns the tapes that follow each other in a file. It finds them from
// the end of the file, where the index of the last one is. An empty file is an error.
func findTapes(name string, f io.ReaderAt, size int64, heads *replay.Heads) ([]indexedTape, error) {
	var tapes []indexedTape
	for end := size; end > 0 || tapes == nil; {
		ix, err := tape.ReadIndex(f, end)
		if err != nil {
			return nil, err
		}
		r, err := tape.NewReader(io.NewSectionReader(f, ix.Base, end-ix.Base))
		if err != nil {
			return nil, err
		}
		tapes = append(tapes, indexedTape{file: f, name: name, header: heads.Keep(r.Header()), index: ix, end: end})
		end = ix.Base
	}
	slices.Reverse(tapes)
	return tapes, nil
}

// tapeByIndex adds a tape: the counts of its index, and the records of those chunks
// that have records to list.
func (s *surveyor) tapeByIndex(t *indexedTape) error {
	e := replay.TapeEnd{Name: t.name, Header: t.header, Ending: tape.Cut}
	for i := range t.index.Entries {
		for _, n := range t.index.Entries[i].Counts {
			if !capture.Kind(n.Kind).Known() {
				e.Unknown += n.Records
			}
		}
	}
	if err := s.entries(t, t.index.Entries, true); err != nil {
		return err
	}
	if s.header != t.header { // it has no records
		s.begin(t.name, t.header, 0)
	}
	if s.lastKind == capture.KindEnd {
		e.Ending = tape.Closed
	}
	s.tape().ended(e)
	return nil
}

// entries adds the chunks that consecutive entries of an index describe. It reads the
// chunks with records to list, the tape's first one, and the last one of the list if
// the tape ends with it.
func (s *surveyor) entries(t *indexedTape, list []tape.Entry, ends bool) error {
	list = slices.DeleteFunc(list, func(e tape.Entry) bool { return !hasKnownKind(&e) })
	for i := range list {
		e := &list[i]
		ends := ends && i == len(list)-1
		var err error
		switch {
		case s.header == t.header && !ends && !s.mustRead(e):
			s.add(e)
		case e.Run():
			var chunks []tape.Entry
			if chunks, err = t.index.Chunks(t.file, e); err == nil {
				err = s.entries(t, chunks, ends)
			}
		default:
			err = s.chunk(t, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func hasKnownKind(e *tape.Entry) bool {
	return slices.ContainsFunc(e.Counts, func(n tape.Count) bool { return capture.Kind(n.Kind).Known() })
}

// mustRead reports whether a chunk or a run has records that are listed by themselves,
// show events of the host, or may change the coverage of a source.
func (s *surveyor) mustRead(e *tape.Entry) bool {
	return slices.ContainsFunc(e.Counts, func(n tape.Count) bool {
		k := capture.Kind(n.Kind)
		return k.Rare() || k == capture.KindCounters || s.recording.dependsOn(k, n.Source)
	})
}

// chunk reads a chunk and adds its records.
func (s *surveyor) chunk(t *indexedTape, e *tape.Entry) error {
	records, err := t.index.ReadChunk(t.file, e)
	if err != nil {
		return err
	}
	if s.header != t.header {
		s.begin(t.name, t.header, records[0].At)
	}
	for i := range records {
		s.record(&records[i])
	}
	return nil
}
