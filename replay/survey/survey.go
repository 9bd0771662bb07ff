package survey

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// A Survey is what tapes say of themselves, without a reporter: what is on them,
// from when to when, what was lost and how well each source saw.
type Survey struct {
	Tapes       []SurveyedTape
	Records     uint64          // of kinds that this version knows
	Bytes       uint64          // of their payloads
	Duration    int64           // ns from the first record to the last of every tape, together
	Counts      []capture.Count // by source and kind
	CountsMore  uint64          // records of sources and kinds beyond maxCounts
	Sources     []SourceState   // as the source records opened them
	SourcesMore uint64          // openings beyond reporter.MaxSources
	Coverage    []SourceCoverage
	Gaps        []SurveyedRecord[capture.Gap]
	GapsMore    uint64 // beyond MaxSurveyed
	Marks       []SurveyedRecord[capture.Mark]
	MarksMore   uint64
	Faults      []capture.Fault
	Clocks      []SurveyedRecord[capture.Clock]
	Host        *capture.Host // the last one, nil if there is none
	Damage      []error       // each wraps a *capture.DamageError
}

// SurveyedTape is one of the tapes.
type SurveyedTape struct {
	Name        string
	Header      *capture.Header
	Ending      capture.Ending
	Reading     Reading
	Unknown     uint64 // records of kinds that this version does not know
	Records     uint64
	Bytes       uint64
	First, Last int64  // At of the first and the last record
	Missing     uint64 // numbers between the first record's and the last's that no record has
}

// Reading says how much of a tape was looked at.
type Reading uint8

const (
	ReadAll    Reading = iota // every record
	ReadFrames                // the index, and the checksums of all that is there
	ReadIndex                 // the index only
)

func (r Reading) String() string { return [...]string{"all", "checksums", "index"}[r] }

// SurveyedRecord is a record that is told of by itself.
type SurveyedRecord[P any] struct {
	Seq    uint64
	At     int64
	Source uint32
	Kind   string // of the source
	Value  P
}

// SourceState is one opening of a source. Opened and Closed are -1 where no
// record says so.
type SourceState struct {
	Number         uint32
	Opened, Closed int64
	capture.Source
}

// MaxSurveyed bounds each of a survey's lists.
const MaxSurveyed = 100

// Look surveys tapes: with index set a closed one by its index, where its input
// can be read at any place, and all others from end to end. Damage is no error.
// Both ways say the same of a tape that is whole; whether it is, its checksums tell
// if it is small enough for them.
func Look(inputs []replay.Input, index bool) (*Survey, error) {
	s := &surveyor{counts: map[countKey]capture.Count{}}
	for _, in := range inputs {
		if err := s.input(in, index); err != nil {
			return nil, err
		}
	}
	return s.finish(), nil
}

// input opens the input once: a pipe cannot be opened again.
func (s *surveyor) input(in replay.Input, index bool) error {
	file, err := in.Open()
	if err != nil {
		return err
	}
	if f, ok := file.(random); ok && index && s.byIndex(in.Name, f) {
		return file.Close()
	}
	in.Open = func() (io.ReadCloser, error) { return file, nil }
	return s.byReading(in)
}

type countKey struct {
	kind   uint8
	source uint32
}

// surveyor makes a survey, of records in order.
type surveyor struct {
	survey   Survey
	counts   map[countKey]capture.Count
	header   *capture.Header
	firstSeq uint64
	lastSeq  uint64
	numbered uint64
	coverage coverages
}

func (s *surveyor) byReading(in replay.Input) error {
	tapes, records := replay.Records([]replay.Input{in}, replay.Window{})
	first := len(s.survey.Tapes)
	var header *capture.Header
	for r, err := range records {
		if err != nil {
			var damage *capture.DamageError
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
		s.count(capture.Count{Kind: uint8(r.Kind), Source: r.Source, Records: 1, Bytes: uint64(len(r.Payload))})
		if r.Seq != 0 {
			s.numbers(r.Seq, r.Seq, 1)
		}
		s.tape().Last = r.At
		s.record(&r)
	}
	for _, e := range tapes.Ends() {
		i := first + slices.IndexFunc(s.survey.Tapes[first:], func(t SurveyedTape) bool { return t.Header == e.Header })
		if i < first { // it has no records
			s.begin(e.Header, 0)
			i = len(s.survey.Tapes) - 1
		}
		t := &s.survey.Tapes[i]
		t.Name, t.Ending, t.Unknown = e.Name, e.Ending, e.Unknown
		t.Missing -= min(t.Missing, e.Unknown) // they have numbers
	}
	for i := range s.survey.Tapes[first:] {
		if t := &s.survey.Tapes[first+i]; t.Ending == capture.Unfinished {
			t.Name, t.Ending = in.Name, capture.Torn
		}
	}
	return nil
}

// begin opens the next tape, whose first record is at a time.
func (s *surveyor) begin(h *capture.Header, at int64) {
	follows := h.Continues(s.header)
	s.endTape()
	s.survey.Tapes = append(s.survey.Tapes, SurveyedTape{Header: h, First: at, Last: at})
	s.header = h
	s.firstSeq, s.lastSeq, s.numbered = 0, 0, 0
	s.coverage.begin(len(s.survey.Tapes)-1, at, follows)
}

// tape is the open one.
func (s *surveyor) tape() *SurveyedTape { return &s.survey.Tapes[len(s.survey.Tapes)-1] }

func (s *surveyor) endTape() {
	if len(s.survey.Tapes) > 0 {
		t := s.tape()
		s.survey.Duration += t.Last - t.First
		s.coverage.last = t.Last
	}
}

func (s *surveyor) count(n capture.Count) {
	key := countKey{n.Kind, n.Source}
	c, known := s.counts[key]
	if !known && len(s.counts) >= maxCounts {
		s.survey.CountsMore += n.Records
	} else {
		s.counts[key] = capture.Count{Kind: n.Kind, Source: n.Source, Records: c.Records + n.Records, Bytes: c.Bytes + n.Bytes}
	}
	s.tape().Records += n.Records
	s.tape().Bytes += n.Bytes
	s.coverage.seen(n)
}

// numbers takes account of records whose numbers lie between two.
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

// maxCounts bounds what is counted of tapes with more sources than any host has.
const maxCounts = 10_000

// record takes in what a record says by itself.
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
		keep(&v.Gaps, &v.GapsMore, r, s.kindOf(r.Source), func(p *capture.Gap) capture.Payload { return p })
	case capture.KindMark:
		keep(&v.Marks, &v.MarksMore, r, "", func(p *capture.Mark) capture.Payload { return p })
	case capture.KindClock:
		keep(&v.Clocks, nil, r, "", func(p *capture.Clock) capture.Payload { return p })
	case capture.KindFault:
		var p capture.Fault
		if r.Decode(&p) == nil && len(v.Faults) < MaxSurveyed {
			v.Faults = append(v.Faults, p)
		}
	}
}

// keep appends the record to a list that is not full.
func keep[P any](list *[]SurveyedRecord[P], more *uint64, r *capture.Record, kind string, payload func(*P) capture.Payload) {
	if len(*list) >= MaxSurveyed {
		if more != nil {
			*more++
		}
		return
	}
	k := SurveyedRecord[P]{Seq: r.Seq, At: r.At, Source: r.Source, Kind: kind}
	if r.Decode(payload(&k.Value)) == nil {
		*list = append(*list, k)
	}
}

func (s *surveyor) source(r *capture.Record, p *capture.Source) {
	list := &s.survey.Sources
	if p.Open && len(*list) >= reporter.MaxSources {
		s.survey.SourcesMore++
		return
	}
	if p.Open {
		*list = append(*list, SourceState{Number: r.Source, Opened: r.At, Closed: -1, Source: *p})
		return
	}
	for i := len(*list) - 1; i >= 0; i-- {
		if o := &(*list)[i]; o.Number == r.Source && o.Closed < 0 {
			o.Closed, o.Why = r.At, p.Why
			return
		}
	}
	if len(*list) >= reporter.MaxSources {
		return
	}
	*list = append(*list, SourceState{Number: r.Source, Opened: -1, Closed: r.At, Source: *p})
}

// kindOf names a source by what opened it, else by convention.
func (s *surveyor) kindOf(number uint32) string { return s.survey.SourceKind(number) }

// SourceKind names a source by what opened it, else by convention.
func (v *Survey) SourceKind(number uint32) string {
	for i := range v.Sources {
		if v.Sources[i].Number == number {
			return v.Sources[i].Kind
		}
	}
	if int(number) < len(usualSources) {
		return usualSources[number]
	}
	return "unknown"
}

// usualSources are the kinds of the sources of a tape that opens none.
var usualSources = [...]string{"recorder", capture.SourceConntrack, capture.SourceProc, capture.SourceDNS, capture.SourceRDNS}

// CountOf is how many records of a kind there are.
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
	slices.SortFunc(v.Counts, func(a, b capture.Count) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Kind, b.Kind))
	})
	v.Coverage = s.coverage.finish(v)
	return v
}

// random is an input that can be read at any place.
type random interface {
	io.ReaderAt
	io.Seeker
}
