package survey

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter/report"
	sources "github.com/topotape/topotape/reporter/source"
)

// A recording is one tape, or segments that follow each other, with its sources.
type recording struct {
	tape      int // index of the first one
	from, to  duration
	eventsOff bool // net.netfilter.nf_conntrack_events is 0
	sources   []source
	counters  sources.Counters
	opened    uint64 // TCP connections in the namespace of the only conntrack source, by its counters
	marks     []span // when the host had events, at most maxMarks
	spans     *int   // bytes of the spans of all sources of the survey
}

// A hostBar are the events of one recording's host.
type hostBar struct {
	Tape  int // index of the recording's first tape
	Marks []span
}

// count counts records that a source delivered.
func (rec *recording) count(n tape.Count) {
	switch k := capture.Kind(n.Kind); k {
	case capture.KindDumpBegin, capture.KindDumpEnd, capture.KindWalkBegin, capture.KindWalkEnd:
	default:
		if kind := k.Source(); kind != "" {
			rec.source(n.Source, kind).Records += n.Records
		}
	}
}

// dependsOn reports whether a record of this kind and source may change a state. The
// kind of a source may not be known yet.
func (rec *recording) dependsOn(k capture.Kind, number uint32) bool {
	for i := range rec.sources {
		if s := &rec.sources[i]; s.status.Missing != "" && (s.status.Kind == "" || s.repairedBy(k, number)) {
			return true
		}
	}
	return false
}

// source returns the source with this number. Until a source record says otherwise, it
// has been open since the recording's start.
func (rec *recording) source(number uint32, kind string) *source {
	for i := range rec.sources {
		if s := &rec.sources[i]; s.Number == number {
			s.status.Kind = cmp.Or(s.status.Kind, kind)
			return s
		}
	}
	s := source{coverage: coverage{Number: number, Tape: rec.tape}, status: sources.Status{Kind: cmp.Or(kind, capture.UsualSource(number))}, current: span{From: rec.from}, spans: rec.spans}
	s.begin(rec.from, rec.eventsOff)
	if len(rec.sources) >= sources.Max {
		return &s // the caller's changes are lost
	}
	rec.sources = append(rec.sources, s)
	return &rec.sources[len(rec.sources)-1]
}

// change applies a source record.
func (rec *recording) change(r *capture.Record, p *capture.Source) {
	s := rec.source(r.Source, p.Kind)
	if !s.known && p.Open { // it did not exist before
		s.status.Closed = true
		s.Spans, s.current = nil, span{From: rec.from, State: report.CoverageOff}
	}
	s.known = true
	s.change(p)
	s.begin(duration(r.At), rec.eventsOff)
}

// gap applies a gap record.
func (rec *recording) gap(r *capture.Record, p *capture.Gap) {
	s := rec.source(r.Source, "")
	s.gap(p)
	s.begin(duration(r.At), rec.eventsOff)
}

// settings applies a host or counters record.
func (rec *recording) settings(r *capture.Record, p capture.Payload) {
	off, known := sources.EventsOff(p)
	if !known {
		return
	}
	for i := range rec.sources {
		s := &rec.sources[i]
		if r.Kind == capture.KindCounters && rec.eventsOff && !off && s.status.EventsOn() {
			s.restart()
		}
		s.begin(duration(r.At), off)
	}
	rec.eventsOff = off
}

// countersOf applies a counters record, and returns what happened on the host.
func (rec *recording) countersOf(r *capture.Record, p *capture.Counters) []report.HostEvent {
	rec.settings(r, p)
	events, opened, _ := rec.counters.Add(p, r.At)
	if s := rec.onlyConntrack(); s != nil && (s.netns == p.Netns || s.netns == 0 || p.Netns == 0) {
		rec.opened += min(opened, math.MaxUint64-rec.opened)
	}
	if len(events) > 0 {
		rec.mark(r.At, 0)
	}
	return events
}

// onlyConntrack returns the source of conntrack if there is exactly one.
func (rec *recording) onlyConntrack() (only *source) {
	for i := range rec.sources {
		if s := &rec.sources[i]; s.status.Kind == capture.SourceConntrack {
			if only != nil {
				return nil
			}
			only = s
		}
	}
	return only
}

// stall applies a stall record.
func (rec *recording) stall(r *capture.Record, p *capture.Stall) {
	rec.mark(r.At, p.Duration)
	for i := range rec.sources {
		if s := &rec.sources[i]; s.status.Stall(p) {
			s.restart()
			s.begin(duration(r.At), rec.eventsOff)
		}
	}
}

// maxMarks bounds the marks of a recording.
const maxMarks = 10_000

// mark marks a time that ends at a record.
func (rec *recording) mark(end, ns int64) {
	from := duration(max(int64(rec.from), end-max(0, ns)))
	if len(rec.marks) < maxMarks {
		rec.marks = append(rec.marks, span{From: from, To: duration(end), State: report.CoverageDegraded})
	}
}

// end applies an end record.
func (rec *recording) end(p *capture.End) {
	for _, total := range p.Totals {
		i := slices.IndexFunc(rec.sources, func(s source) bool { return s.Number == total.Source })
		if i >= 0 {
			rec.sources[i].Undecodable = &total.Undecodable
		}
	}
}

// repair applies a tick, or the begin or end of a dump or walk, to the sources that lack
// something.
func (rec *recording) repair(r *capture.Record) {
	for i := range rec.sources {
		s := &rec.sources[i]
		if s.status.Missing == "" || !s.repairedBy(r.Kind, r.Source) {
			continue
		}
		switch r.Kind {
		case capture.KindTick:
			rec.tick(s, r.At)
		case capture.KindDumpBegin, capture.KindWalkBegin:
			s.dumping = true
		default:
			if s.dumping && !failed(r) {
				s.status.Missing = ""
				s.begin(duration(r.At), rec.eventsOff)
			}
		}
	}
}

// tick applies a tick. The report of the first tick after a gap lacks something, the
// next one does not.
func (rec *recording) tick(s *source, at int64) {
	if s.ticks++; s.ticks == 1 {
		s.firstTickAt = at
		return
	}
	s.status.Missing = ""
	s.begin(duration(s.firstTickAt), rec.eventsOff)
}

// failed reports whether the end of a dump or walk says that it is incomplete.
func failed(r *capture.Record) bool {
	var dump capture.ConntrackDump
	var walk capture.ProcWalk
	if r.Kind == capture.KindDumpEnd {
		return r.Decode(&dump) != nil || dump.Failed != ""
	}
	return r.Decode(&walk) != nil || walk.Failed != ""
}

// coverage lists the coverage of all sources, and of the usual ones that the recording
// lacks.
func (rec *recording) coverage() (list []coverage) {
	for _, s := range rec.sources {
		if s.Number == 0 && s.status.Kind == capture.UsualSource(0) {
			continue
		}
		s.end(rec.to, rec.eventsOff)
		if only := rec.onlyConntrack(); only != nil && only.Number == s.Number {
			s.unseen(rec.opened)
		}
		list = append(list, s.coverage)
	}
	for _, kind := range sources.StandardKinds() {
		if !slices.ContainsFunc(list, func(c coverage) bool { return c.Kind == kind }) {
			const why = "not on this tape"
			list = append(list, coverage{Tape: rec.tape, Kind: kind, State: report.CoverageOff, Why: why,
				Spans: []span{{From: rec.from, To: rec.to, State: report.CoverageOff, Why: why}}})
		}
	}
	slices.SortStableFunc(list, func(a, b coverage) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(a.Number, b.Number))
	})
	return list
}
