package survey

import (
	"cmp"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter/report"
	sources "github.com/topotape/topotape/reporter/source"
)

// Coverage shows how complete one source of one recording is, as far as records about
// sources show it. Only a reporter knows whether messages could be decoded and whether
// conntrack tracks anything.
type Coverage struct {
	Tape        int // index of the recording's first tape
	Number      uint32
	Kind        string
	State       report.CoverageState // at the end
	Why         string
	Records     uint64 // messages, tables, lists or packets; not the begin and end of a dump or walk
	Lost        uint64
	Undecodable *uint64 // as the end record says; nil without one
	Spans       []Span
}

// A Span is a time during which the state of a source does not change, in ns since the
// recording's start.
type Span struct {
	From, To int64
	State    report.CoverageState
	Why      string
}

// maxSpans bounds the memory for a source that is degraded again and again.
const maxSpans = 100_000

// coverage follows the sources of recordings, one recording after the other.
type coverage struct {
	recordings []*recording
	last       int64 // At of the last record of the previous tape
}

// A recording is one tape, or segments that follow each other.
type recording struct {
	tape      int // index of the first one
	from, to  int64
	eventsOff bool // net.netfilter.nf_conntrack_events is 0
	sources   []*timeline
}

// A timeline has the state of one source over time.
type timeline struct {
	source
	known bool // a source record is about it
	spans []Span

	// Since the last gap:
	dumping     bool // a dump or walk has begun
	ticks       int
	firstTickAt int64
}

// begin begins the next tape, at the time of its first record.
func (c *coverage) begin(tape int, at int64, follows bool) {
	if follows && len(c.recordings) > 0 {
		return
	}
	if len(c.recordings) > 0 {
		c.current().to = c.last
	}
	c.recordings = append(c.recordings, &recording{tape: tape, from: at})
}

func (c *coverage) current() *recording { return c.recordings[len(c.recordings)-1] }

// count counts records of the outside world.
func (c *coverage) count(n tape.Count) {
	switch k := capture.Kind(n.Kind); k {
	case capture.KindConntrack, capture.KindDumpEntry, capture.KindProcNet, capture.KindProcSockets, capture.KindProcUnchanged,
		capture.KindDNS, capture.KindReverseName:
		c.current().of(n.Source, k.Source()).records += n.Records
	}
}

// depends reports whether a record of this kind and source may change a state.
func (c *coverage) depends(k capture.Kind, number uint32) bool {
	for _, s := range c.current().sources {
		if !s.degraded {
			continue
		}
		switch k {
		case capture.KindTick:
			if s.repairedByReport() || s.kind == "" {
				return true
			}
		case capture.KindDumpBegin, capture.KindDumpEnd, capture.KindWalkBegin, capture.KindWalkEnd:
			if s.number == number && (s.kind == k.Source() || s.kind == "") {
				return true
			}
		}
	}
	return false
}

// record applies a record. Payloads that cannot be decoded change nothing.
func (c *coverage) record(r *capture.Record) {
	rec := c.current()
	switch r.Kind {
	case capture.KindSource:
		var p capture.Source
		if r.Decode(&p) == nil {
			rec.change(r, &p)
		}
	case capture.KindGap:
		var p capture.Gap
		if r.Decode(&p) == nil {
			rec.gap(r, &p)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			rec.host(r, &p)
		}
	case capture.KindEnd:
		var p capture.End
		if r.Decode(&p) == nil {
			rec.end(&p)
		}
	case capture.KindTick:
		for _, s := range rec.sources {
			s.tick(rec, r.At)
		}
	case capture.KindDumpBegin, capture.KindWalkBegin:
		if s := rec.degraded(r); s != nil {
			s.dumping = true
		}
	case capture.KindDumpEnd, capture.KindWalkEnd:
		if s := rec.degraded(r); s != nil && s.dumping && !failed(r) {
			s.repair()
			s.update(rec, r.At)
		}
	}
}

// of returns the source with this number. Until a source record says otherwise, it has
// been open since the recording's start.
func (rec *recording) of(number uint32, kind string) *timeline {
	for _, s := range rec.sources {
		if s.number == number {
			s.kind = cmp.Or(s.kind, kind)
			return s
		}
	}
	s := &timeline{source: source{number: number, kind: cmp.Or(kind, usualKind(number))}}
	s.update(rec, rec.from)
	if len(rec.sources) < sources.Max { // else the caller's changes are lost
		rec.sources = append(rec.sources, s)
	}
	return s
}

// change applies a source record.
func (rec *recording) change(r *capture.Record, p *capture.Source) {
	s := rec.of(r.Source, p.Kind)
	if !s.known && p.Open { // it did not exist before
		s.closed = true
		s.spans = []Span{{From: rec.from, To: rec.from, State: report.CoverageOff}}
	}
	s.known = true
	if !s.closed && !p.Open {
		s.forgetRepair()
	}
	s.source.change(p)
	s.update(rec, r.At)
}

// gap applies a gap record.
func (rec *recording) gap(r *capture.Record, p *capture.Gap) {
	s := rec.of(r.Source, "")
	s.forgetRepair()
	s.source.gap(p)
	s.update(rec, r.At)
}

// host applies a host record.
func (rec *recording) host(r *capture.Record, p *capture.Host) {
	for _, v := range p.Sysctls {
		if !strings.HasSuffix(v.Name, "nf_conntrack_events") {
			continue
		}
		rec.eventsOff = strings.TrimSpace(v.Value) == "0"
		for _, s := range rec.sources {
			s.update(rec, r.At)
		}
	}
}

// end applies an end record.
func (rec *recording) end(p *capture.End) {
	for _, total := range p.Totals {
		for _, s := range rec.sources {
			if s.number == total.Source {
				n := total.Undecodable
				s.undecodable = &n
			}
		}
	}
}

// degraded returns the source of a dump or walk if it is degraded, else nil.
func (rec *recording) degraded(r *capture.Record) *timeline {
	for _, s := range rec.sources {
		if s.number == r.Source && s.kind == r.Kind.Source() && s.degraded {
			return s
		}
	}
	return nil
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

// forgetRepair drops what began before a gap: it does not repair it.
func (s *timeline) forgetRepair() { s.dumping, s.ticks = false, 0 }

// tick applies a tick. The report of the first tick after a gap lacks something, the
// next one does not.
func (s *timeline) tick(rec *recording, at int64) {
	if !s.degraded || !s.repairedByReport() {
		return
	}
	s.ticks++
	if s.ticks == 1 {
		s.firstTickAt = at
		return
	}
	s.repair()
	s.update(rec, s.firstTickAt)
}

// update begins another span if the state has changed.
func (s *timeline) update(rec *recording, at int64) {
	state, why := s.state(rec.eventsOff)
	if n := len(s.spans); n > 0 {
		last := &s.spans[n-1]
		if last.State == state && last.Why == why {
			return
		}
		last.To = at
		if last.From == at {
			s.spans = s.spans[:n-1]
		}
	}
	if len(s.spans) < maxSpans {
		s.spans = append(s.spans, Span{From: at, To: at, State: state, Why: why})
		return
	}
	last := &s.spans[len(s.spans)-1] // becomes a span of several states
	if last.State != state {
		last.State = report.CoverageDegraded
	}
	last.Why, last.To = why, at
}

// finish lists the coverage of all sources, and of the usual ones that a recording
// lacks.
func (c *coverage) finish() []Coverage {
	var list []Coverage
	for i, rec := range c.recordings {
		if i == len(c.recordings)-1 {
			rec.to = c.last
		}
		list = append(list, rec.coverage()...)
	}
	return list
}

func (rec *recording) coverage() (list []Coverage) {
	for _, s := range rec.sources {
		if s.number == 0 && s.kind == usualSources[0] {
			continue
		}
		s.spans[len(s.spans)-1].To = rec.to
		state, why := s.state(rec.eventsOff)
		list = append(list, Coverage{Tape: rec.tape, Number: s.number, Kind: s.kind, State: state, Why: why,
			Records: s.records, Lost: s.lost, Undecodable: s.undecodable, Spans: s.spans})
	}
	for _, kind := range usualSources[1:4] { // reverse DNS is optional
		if !slices.ContainsFunc(list, func(c Coverage) bool { return c.Kind == kind }) {
			const why = "not on this tape"
			list = append(list, Coverage{Tape: rec.tape, Kind: kind, State: report.CoverageOff, Why: why,
				Spans: []Span{{From: rec.from, To: rec.to, State: report.CoverageOff, Why: why}}})
		}
	}
	slices.SortStableFunc(list, func(a, b Coverage) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(a.Number, b.Number))
	})
	return list
}

// clone copies everything that later records change.
func (c *coverage) clone() coverage {
	own := coverage{last: c.last}
	for _, rec := range c.recordings {
		r := *rec
		r.sources = nil
		for _, s := range rec.sources {
			t := *s
			t.spans = slices.Clone(s.spans)
			r.sources = append(r.sources, &t)
		}
		own.recordings = append(own.recordings, &r)
	}
	return own
}
