package survey

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	sources "github.com/topotape/topotape/reporter/source"
)

// A Survey describes the contents of tapes. The lists of gaps, marks, faults and
// clocks have at most maxListed elements.
type Survey struct {
	Tapes       []Tape
	Records     uint64       // of kinds that this version knows
	Bytes       uint64       // of their payloads
	Duration    int64        // ns from the first to the last record, of all tapes together
	Counts      []tape.Count // by source and kind
	CountsMore  uint64       // records of sources and kinds beyond maxCounts
	Sources     []Opening
	SourcesMore uint64 // openings beyond reporter.MaxSources
	Coverage    []Coverage
	Gaps        []Record[capture.Gap]
	GapsMore    uint64 // beyond maxListed
	Marks       []Record[capture.Mark]
	MarksMore   uint64
	Faults      []capture.Fault
	Clocks      []Record[capture.Clock]
	Host        *capture.Host // the last one, nil if there is none
	Damage      []error       // each wraps a *capture.DamageError
}

// A Tape is one of the tapes.
type Tape struct {
	Name        string
	Header      *capture.Header
	Ending      tape.Ending
	Reading     Reading
	Unknown     uint64 // records of kinds that this version does not know
	Records     uint64
	Bytes       uint64
	First, Last int64  // At of the first and the last record
	Missing     uint64 // record numbers that are not on the tape, between the first and the last
}

// A Reading is how much of a tape was read.
type Reading uint8

const (
	ReadAll    Reading = iota // every record
	ReadFrames                // the index, and the checksum of every frame
	ReadIndex                 // the index only
)

// String returns all, checksums or index.
func (r Reading) String() string { return [...]string{"all", "checksums", "index"}[r] }

// A Record is a record that is listed by itself, with its payload.
type Record[P any] struct {
	Seq    uint64
	At     int64
	Source uint32
	Kind   string // of the source
	Value  P
}

// An Opening is the time during which a source was open. Opened and Closed are -1 if
// there is no record of it.
type Opening struct {
	Number         uint32
	Opened, Closed int64
	capture.Source
}

// Maxima of a Survey.
const (
	maxListed = 100    // elements of each list
	maxCounts = 10_000 // sources and kinds that are counted
)

// Read surveys tapes. With useIndex it reads only the index of a tape that is closed
// and whose input can be read at any offset, and the chunks that have records to list.
// Other tapes it reads completely. Both ways give the same result for an intact tape;
// damage between the chunks that were read is noticed in files of up to 32 MiB, whose
// checksums are compared. Damage is no error.
func Read(inputs []replay.Input, useIndex bool) (*Survey, error) {
	s := &surveyor{counts: map[countKey]tape.Count{}}
	for _, in := range inputs {
		if err := s.input(in, useIndex); err != nil {
			return nil, err
		}
	}
	return s.finish(), nil
}

// input surveys one input. It opens it once: a pipe cannot be opened again.
func (s *surveyor) input(in replay.Input, useIndex bool) error {
	file, err := in.Open()
	if err != nil {
		return err
	}
	if f, ok := file.(randomAccess); ok && useIndex && s.byIndex(in.Name, f) {
		return file.Close()
	}
	in.Open = func() (io.ReadCloser, error) { return file, nil }
	return s.byReading(in)
}

type countKey struct {
	kind   uint8
	source uint32
}

// A surveyor collects a survey from records, or counts of records, in their order.
type surveyor struct {
	survey   Survey
	counts   map[countKey]tape.Count
	coverage coverage

	// of the current tape
	header   *capture.Header
	firstSeq uint64
	lastSeq  uint64
	numbered uint64 // records with a number
}

// byReading reads every record of an input.
func (s *surveyor) byReading(in replay.Input) error {
	tapes, records := replay.Records([]replay.Input{in}, replay.Window{})
	first := len(s.survey.Tapes)
	var header *capture.Header
	for r, err := range records {
		if err != nil {
			var damage *tape.DamageError
			if !errors.As(err, &damage) {
				return err
			}
			s.survey.Damage = append(s.survey.Damage, err)
			continue
		}
		if h := tapes.Header(); h != header {
			header = h
			s.begin(h, r.At)
		}
		s.count(tape.Count{Kind: uint8(r.Kind), Source: r.Source, Records: 1, Bytes: uint64(len(r.Payload))})
		if r.Seq != 0 {
			s.numbers(r.Seq, r.Seq, 1)
		}
		s.tape().Last = r.At
		s.record(&r)
	}
	for _, e := range tapes.Ends() {
		i := first + slices.IndexFunc(s.survey.Tapes[first:], func(t Tape) bool { return t.Header == e.Header })
		if i < first { // it has no records
			s.begin(e.Header, 0)
			i = len(s.survey.Tapes) - 1
		}
		t := &s.survey.Tapes[i]
		t.Name, t.Ending, t.Unknown = e.Name, e.Ending, e.Unknown
		t.Missing -= min(t.Missing, e.Unknown) // records of unknown kinds have numbers too
	}
	for i := range s.survey.Tapes[first:] {
		if t := &s.survey.Tapes[first+i]; t.Ending == tape.Unfinished {
			t.Name, t.Ending = in.Name, tape.Torn
		}
	}
	return nil
}

// begin begins the next tape, at the time of its first record.
func (s *surveyor) begin(h *capture.Header, at int64) {
	follows := h.Continues(s.header)
	s.endTape()
	s.survey.Tapes = append(s.survey.Tapes, Tape{Header: h, First: at, Last: at})
	s.header = h
	s.firstSeq, s.lastSeq, s.numbered = 0, 0, 0
	s.coverage.begin(len(s.survey.Tapes)-1, at, follows)
}

// tape is the current tape.
func (s *surveyor) tape() *Tape { return &s.survey.Tapes[len(s.survey.Tapes)-1] }

func (s *surveyor) endTape() {
	if len(s.survey.Tapes) > 0 {
		t := s.tape()
		s.survey.Duration += t.Last - t.First
		s.coverage.last = t.Last
	}
}

// count adds records of one source and kind.
func (s *surveyor) count(n tape.Count) {
	key := countKey{n.Kind, n.Source}
	c, known := s.counts[key]
	if !known && len(s.counts) >= maxCounts {
		s.survey.CountsMore += n.Records
	} else {
		s.counts[key] = tape.Count{Kind: n.Kind, Source: n.Source, Records: c.Records + n.Records, Bytes: c.Bytes + n.Bytes}
	}
	s.tape().Records += n.Records
	s.tape().Bytes += n.Bytes
	s.coverage.count(n)
}

// numbers adds records with numbers from first to last, and updates how many numbers
// are missing.
func (s *surveyor) numbers(first, last, records uint64) {
	if s.firstSeq == 0 {
		s.firstSeq = first
	}
	s.lastSeq = last
	s.numbered += records
	if span := s.lastSeq - s.firstSeq + 1; span >= s.numbered {
		s.tape().Missing = span - s.numbered
	}
}

// record adds what the payload of a record says.
func (s *surveyor) record(r *capture.Record) {
	v := &s.survey
	s.coverage.record(r)
	switch r.Kind {
	case capture.KindSource:
		var p capture.Source
		if r.Decode(&p) == nil {
			s.source(r, &p)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			v.Host = &p
		}
	case capture.KindGap:
		var p capture.Gap
		if len(v.Gaps) >= maxListed {
			v.GapsMore++
		} else if r.Decode(&p) == nil {
			v.Gaps = append(v.Gaps, listed(r, v.SourceKind(r.Source), p))
		}
	case capture.KindMark:
		var p capture.Mark
		if len(v.Marks) >= maxListed {
			v.MarksMore++
		} else if r.Decode(&p) == nil {
			v.Marks = append(v.Marks, listed(r, "", p))
		}
	case capture.KindClock:
		var p capture.Clock
		if len(v.Clocks) < maxListed && r.Decode(&p) == nil {
			v.Clocks = append(v.Clocks, listed(r, "", p))
		}
	case capture.KindFault:
		var p capture.Fault
		if r.Decode(&p) == nil && len(v.Faults) < maxListed {
			v.Faults = append(v.Faults, p)
		}
	}
}

func listed[P any](r *capture.Record, kind string, payload P) Record[P] {
	return Record[P]{Seq: r.Seq, At: r.At, Source: r.Source, Kind: kind, Value: payload}
}

// source adds the opening of a source, or ends it.
func (s *surveyor) source(r *capture.Record, p *capture.Source) {
	v := &s.survey
	full := len(v.Sources) >= sources.Max
	if p.Open {
		if full {
			v.SourcesMore++
		} else {
			v.Sources = append(v.Sources, Opening{Number: r.Source, Opened: r.At, Closed: -1, Source: *p})
		}
		return
	}
	for i := len(v.Sources) - 1; i >= 0; i-- {
		if o := &v.Sources[i]; o.Number == r.Source && o.Closed < 0 {
			o.Closed, o.Why = r.At, p.Why
			return
		}
	}
	if !full {
		v.Sources = append(v.Sources, Opening{Number: r.Source, Opened: -1, Closed: r.At, Source: *p})
	}
}

// SourceKind returns the kind of a source as a source record names it, else the kind
// that its number usually has.
func (v *Survey) SourceKind(number uint32) string {
	for i := range v.Sources {
		if v.Sources[i].Number == number {
			return v.Sources[i].Kind
		}
	}
	return cmp.Or(usualKind(number), "unknown")
}

// CountOf returns how many records of a kind there are.
func (v *Survey) CountOf(k capture.Kind) (n uint64) {
	for _, c := range v.Counts {
		if c.Kind == uint8(k) {
			n += c.Records
		}
	}
	return n
}

func (s *surveyor) finish() *Survey {
	s.endTape()
	v := &s.survey
	for _, c := range s.counts {
		v.Counts = append(v.Counts, c)
	}
	for i := range v.Tapes {
		v.Records += v.Tapes[i].Records
		v.Bytes += v.Tapes[i].Bytes
	}
	slices.SortFunc(v.Counts, func(a, b tape.Count) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Kind, b.Kind))
	})
	v.Coverage = s.coverage.finish()
	return v
}

// randomAccess is an input that can be read at any offset.
type randomAccess interface {
	io.ReaderAt
	io.Seeker
}
