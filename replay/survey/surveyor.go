package survey

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	sources "github.com/topotape/topotape/reporter/source"
)

// Maxima of a Survey.
const (
	maxListed = 100    // elements of each list
	maxCounts = 10_000 // sources and kinds that are counted
)

// A surveyor makes a survey from records, or from counts of records, in their order.
type surveyor struct {
	survey    Survey
	counts    map[countKey]kindCount
	heads     replay.Heads
	spans     int       // bytes of the spans of all sources, at most maxSpans
	recording recording // current

	// of the current tape
	header   *capture.Header
	firstSeq uint64       // number of the first record, 0 if it has none
	numbered uint64       // records with a number
	lastKind capture.Kind // of the last record that was read, 0 if there is none
}

type countKey struct {
	kind   capture.Kind
	source uint32
}

func newSurveyor() *surveyor {
	return &surveyor{counts: map[countKey]kindCount{}, survey: Survey{Tapes: []tapeFacts{}, Kinds: []kindCount{}, Sources: []opening{},
		Gaps: []gap{}, Marks: []mark{}, Faults: []fault{}, ClockSteps: []clockStep{}, Stalls: []stall{}, HostEvents: []hostEvent{}, Coverage: []coverage{}}}
}

// byReading reads every record of an input.
func (s *surveyor) byReading(in replay.Input) error {
	v := &s.survey
	tapes, records := replay.Records([]replay.Input{in}, replay.Window{})
	first := len(v.Tapes)
	for r, err := range records {
		if err != nil {
			var damage *tape.DamageError
			if !errors.As(err, &damage) {
				return err
			}
			if v.Damage == "" {
				v.Damage = err.Error()
			} else {
				v.DamageMore++
			}
			continue
		}
		if h := tapes.Header(); h != s.header {
			s.begin(in.Name, h, r.At)
		}
		s.record(&r)
	}
	next, known := first, len(v.Tapes)
	for _, e := range tapes.Ends() {
		if next < known && v.Tapes[next].End.Header == e.Header {
			v.Tapes[next].ended(e)
			next++
			continue
		}
		s.begin(in.Name, e.Header, 0) // it has no records
		s.tape().ended(e)
	}
	return nil
}

// begin begins the next tape, at the time of its first record. Until its end was read,
// it is torn.
func (s *surveyor) begin(name string, h *capture.Header, at int64) {
	follows := h.Continues(s.header)
	s.endTape(follows)
	t := newTape(h)
	t.First, t.Last = duration(at), duration(at)
	t.ended(replay.TapeEnd{Name: name, Header: h, Ending: tape.Torn})
	s.survey.Tapes = append(s.survey.Tapes, t)
	s.header = h
	s.firstSeq, s.numbered, s.lastKind = 0, 0, 0
	if !follows {
		s.recording = recording{tape: len(s.survey.Tapes) - 1, from: t.First, spans: &s.spans}
	}
}

// tape is the current tape.
func (s *surveyor) tape() *tapeFacts { return &s.survey.Tapes[len(s.survey.Tapes)-1] }

// endTape ends the current tape, and its recording unless another segment follows.
func (s *surveyor) endTape(followed bool) {
	if s.header == nil {
		return
	}
	t := s.tape()
	t.Duration = t.Last - t.First
	s.survey.Duration += t.Duration
	s.recording.to = t.Last
	if !followed {
		s.survey.Coverage = append(s.survey.Coverage, s.recording.coverage()...)
		if marks := s.recording.marks; len(marks) > 0 {
			s.survey.HostBars = append(s.survey.HostBars, hostBar{s.recording.tape, marks})
		}
	}
}

// record adds a record.
func (s *surveyor) record(r *capture.Record) {
	n := tape.Count{Kind: uint8(r.Kind), Source: r.Source, Records: 1, Bytes: uint64(len(r.Payload))}
	s.add(&tape.Entry{FirstSeq: r.Seq, LastSeq: r.Seq, FirstAt: r.At, LastAt: r.At, Counts: []tape.Count{n}})
	s.lastKind = r.Kind
	s.payload(r)
}

// add adds the counts of a record, of a chunk, or of several chunks. Records of unknown
// kinds are not counted.
func (s *surveyor) add(e *tape.Entry) {
	t := s.tape()
	for _, n := range e.Counts {
		key := countKey{capture.Kind(n.Kind), n.Source}
		if !key.kind.Known() {
			continue
		}
		if key.kind != capture.KindCarry { // carry records have no number
			s.numbered += n.Records
		}
		c, known := s.counts[key]
		if !known && len(s.counts) >= maxCounts {
			s.survey.KindsMore += n.Records
		} else {
			c.Records += n.Records
			c.Bytes += n.Bytes
			s.counts[key] = c
		}
		t.Records += n.Records
		t.Bytes += n.Bytes
		s.recording.count(n)
	}
	if e.FirstSeq != 0 {
		s.firstSeq = cmp.Or(s.firstSeq, e.FirstSeq)
		if span := e.LastSeq - s.firstSeq + 1; span >= s.numbered {
			t.Missing = span - s.numbered
		}
	}
	t.Last = duration(e.LastAt)
}

// payload adds what the payload of a record says. One that cannot be decoded is only
// counted.
func (s *surveyor) payload(r *capture.Record) {
	v := &s.survey
	decoded := func(p capture.Payload) bool {
		err := r.Decode(p)
		if err != nil {
			v.Undecodable++
		}
		return err == nil
	}
	switch r.Kind {
	case capture.KindSource:
		var p capture.Source
		if decoded(&p) {
			s.source(r, &p)
			s.recording.change(r, &p)
		}
	case capture.KindHost:
		var p capture.Host
		if decoded(&p) {
			v.Host = &host{p.ID, p.Name, p.Kernel, p.BootID, len(p.Interfaces), append([]string{}, p.LocalNetworks...)}
			s.recording.settings(r, &p)
		}
	case capture.KindGap:
		var p capture.Gap
		if decoded(&p) {
			if !appendListed(&v.Gaps, gap{r.Seq, spell(r.At), r.Source, v.sourceKind(r.Source), p.Lost, p.Exact, p.Why, sinceText(p.Since)}) {
				v.GapsMore++
			}
			s.recording.gap(r, &p)
		}
	case capture.KindMark:
		var p capture.Mark
		if decoded(&p) && !appendListed(&v.Marks, mark{r.Seq, spell(r.At), p.Text}) {
			v.MarksMore++
		}
	case capture.KindClock:
		var p capture.Clock
		if decoded(&p) {
			appendListed(&v.ClockSteps, clockStep{r.Seq, spell(r.At), spell(p.Step), wallText(p.Wall)})
		}
	case capture.KindFault:
		var p capture.Fault
		if decoded(&p) {
			appendListed(&v.Faults, fault{p.Record, p.Message})
		}
	case capture.KindStall:
		var p capture.Stall
		if decoded(&p) {
			appendListed(&v.Stalls, stall{r.Seq, spell(r.At), spell(p.Duration)})
			s.recording.stall(r, &p)
		}
	case capture.KindCounters:
		var p capture.Counters
		if r.Decode(&p) == nil {
			for _, e := range s.recording.countersOf(r, &p) {
				if !appendListed(&v.HostEvents, hostEvent{r.Seq, spell(r.At), e.What, e.Count}) {
					v.HostMore++
				}
			}
		}
	case capture.KindEnd:
		var p capture.End
		if decoded(&p) {
			s.recording.end(&p)
		}
	default:
		s.recording.repair(r)
	}
}

// sinceText returns the last moment at which nothing was lost, "" if it is unknown.
func sinceText(at int64) string {
	if at == 0 {
		return ""
	}
	return spell(at)
}

// appendListed adds an element to a list. It returns false if the list is full.
func appendListed[T any](list *[]T, e T) bool {
	if len(*list) >= maxListed {
		return false
	}
	*list = append(*list, e)
	return true
}

// source adds the opening of a source, or ends it.
func (s *surveyor) source(r *capture.Record, p *capture.Source) {
	v := &s.survey
	if !p.Open {
		for i := len(v.Sources) - 1; i >= 0; i-- {
			if o := &v.Sources[i]; o.Number == r.Source && o.Closed == "" {
				o.Closed, o.Why = spell(r.At), p.Why
				return
			}
		}
	}
	o := opening{Number: r.Source, Kind: p.Kind, Netns: p.Netns, Interface: p.Interface, Buffer: p.Buffer, Snaplen: p.Snaplen, Why: p.Why}
	if p.Open {
		o.Opened = spell(r.At)
	} else {
		o.Closed = spell(r.At)
	}
	if len(v.Sources) < sources.Max {
		v.Sources = append(v.Sources, o)
	} else if p.Open {
		v.SourcesMore++
	}
}

// sourceKind returns the kind of a source as a source record names it, else the kind
// that its number usually has.
func (v *Survey) sourceKind(number uint32) string {
	for i := range v.Sources {
		if v.Sources[i].Number == number {
			return v.Sources[i].Kind
		}
	}
	return cmp.Or(capture.UsualSource(number), "unknown")
}

func (s *surveyor) finish() *Survey {
	s.endTape(false)
	v := &s.survey
	for i := range v.Tapes {
		v.Records += v.Tapes[i].Records
		v.Bytes += v.Tapes[i].Bytes
	}
	v.Rate = perSecond(v.Records, v.Duration)
	for _, key := range slices.SortedFunc(maps.Keys(s.counts), func(a, b countKey) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.kind, b.kind))
	}) {
		n := s.counts[key]
		n.Kind, n.Source, n.Rate = key.kind.String(), key.source, perSecond(n.Records, v.Duration)
		v.Kinds = append(v.Kinds, n)
		switch key.kind {
		case capture.KindTick:
			v.Ticks += n.Records
		case capture.KindWitness:
			v.Witnesses += n.Records
		}
	}
	return v
}
