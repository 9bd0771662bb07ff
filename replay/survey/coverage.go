package survey

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// SourceCoverage says how well a source saw, as far as the records about sources
// tell: that nothing was decodable, or that conntrack tracks nothing, a reporter
// finds out.
type SourceCoverage struct {
	Tape        int // the first of the tapes that it is about, by index
	Number      uint32
	Kind        string
	State       reporter.CoverageState // at the end
	Why         string
	Records     uint64 // messages, tables, lists or packets; not the marks between them
	Lost        uint64
	Undecodable *uint64 // as the end record says; nil without one
	Spans       []CoverageSpan
}

// CoverageSpan is a time, ns since the recording's start, in which a source's
// state was the same.
type CoverageSpan struct {
	From, To int64
	State    reporter.CoverageState
	Why      string
}

// coverages follows the sources of recordings, one recording after the other.
type coverages struct {
	groups []*coverageGroup
	last   int64 // At of the last record of the tape before
}

// coverageGroup is one recording: a tape, or segments that follow each other.
type coverageGroup struct {
	tape      int
	from, to  int64
	eventsOff bool // net.netfilter.nf_conntrack_events is 0
	sources   []*sourceFollower
}

// sourceFollower is the state of one source.
type sourceFollower struct {
	SourceCoverage
	told    bool // a source record spoke of it
	open    bool
	openWhy string
	gap     string // why it is degraded since a gap, until it is made good
	whole   bool   // what makes a gap good has begun after it
	ticks   int    // since the gap
	tickAt  int64  // the first of them
}

func (c *coverages) begin(tape int, at int64, follows bool) {
	if follows && len(c.groups) > 0 {
		return
	}
	if n := len(c.groups); n > 0 {
		c.groups[n-1].to = c.last
	}
	c.groups = append(c.groups, &coverageGroup{tape: tape, from: at})
}

func (c *coverages) group() *coverageGroup { return c.groups[len(c.groups)-1] }

// seen counts records.
func (c *coverages) seen(n capture.Count) {
	switch k := capture.Kind(n.Kind); k {
	case capture.KindConntrack, capture.KindDumpEntry, capture.KindProcNet, capture.KindProcSockets, capture.KindProcUnchanged,
		capture.KindDNS, capture.KindReverseName:
		c.group().of(n.Source, sourceOf(k)).Records += n.Records
	}
}

// sourceOf is the kind of source that such records come from.
func sourceOf(k capture.Kind) string {
	switch k {
	case capture.KindDNS:
		return capture.SourceDNS
	case capture.KindReverseName:
		return capture.SourceRDNS
	case capture.KindConntrack, capture.KindDumpBegin, capture.KindDumpEntry, capture.KindDumpEnd:
		return capture.SourceConntrack
	}
	return capture.SourceProc
}

// of finds a source. Until a record says otherwise it was there from the start.
func (g *coverageGroup) of(number uint32, kind string) *sourceFollower {
	for _, s := range g.sources {
		if s.Number == number {
			s.Kind = cmp.Or(s.Kind, kind)
			return s
		}
	}
	if kind == "" && int(number) < len(usualSources) {
		kind = usualSources[number]
	}
	if len(g.sources) >= reporter.MaxSources {
		s := &sourceFollower{SourceCoverage: SourceCoverage{Kind: kind}} // nobody looks at it again
		s.change(g, g.from)
		return s
	}
	s := &sourceFollower{open: true, SourceCoverage: SourceCoverage{Tape: g.tape, Number: number, Kind: kind}}
	s.change(g, g.from)
	g.sources = append(g.sources, s)
	return s
}

// waits reports whether a record of the kind and source can change anything.
func (c *coverages) waits(k capture.Kind, source uint32) bool {
	for _, s := range c.group().sources {
		if s.gap == "" {
			continue
		}
		switch k {
		case capture.KindTick:
			if s.Kind == capture.SourceDNS || s.Kind == capture.SourceRDNS || s.Kind == "" {
				return true
			}
		case capture.KindDumpBegin, capture.KindDumpEnd, capture.KindWalkBegin, capture.KindWalkEnd:
			if s.Number == source && (s.Kind == sourceOf(k) || s.Kind == "") {
				return true
			}
		}
	}
	return false
}

func (c *coverages) record(r *capture.Record) {
	g := c.group()
	switch r.Kind {
	case capture.KindSource:
		var p capture.Source
		if r.Decode(&p) == nil {
			g.opened(r, &p)
		}
	case capture.KindGap:
		var p capture.Gap
		if r.Decode(&p) == nil {
			g.lost(r, &p)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			g.host(r, &p)
		}
	case capture.KindEnd:
		var p capture.End
		if r.Decode(&p) == nil {
			g.totals(&p)
		}
	case capture.KindTick:
		for _, s := range g.sources {
			s.tick(g, r.At)
		}
	case capture.KindDumpBegin, capture.KindWalkBegin:
		if s := g.damaged(r); s != nil {
			s.whole = true
		}
	case capture.KindDumpEnd, capture.KindWalkEnd:
		if s := g.damaged(r); s != nil && s.whole && !failed(r) {
			s.gap = ""
			s.change(g, r.At)
		}
	}
}

// damaged is the source of a dump or a walk, if a gap is to be made good by it.
func (g *coverageGroup) damaged(r *capture.Record) *sourceFollower {
	for _, s := range g.sources {
		if s.Number == r.Source && s.Kind == sourceOf(r.Kind) && s.gap != "" {
			return s
		}
	}
	return nil
}

// failed reports whether a dump or a walk says at its end that it is void.
func failed(r *capture.Record) bool {
	var dump capture.ConntrackDump
	var walk capture.ProcWalk
	if r.Kind == capture.KindDumpEnd {
		return r.Decode(&dump) != nil || dump.Failed != ""
	}
	return r.Decode(&walk) != nil || walk.Failed != ""
}

func (g *coverageGroup) opened(r *capture.Record, p *capture.Source) {
	s := g.of(r.Source, p.Kind)
	if !s.told && p.Open { // it was not there before
		s.Spans, s.open = nil, false
		s.change(g, g.from)
	}
	s.told, s.Kind = true, cmp.Or(p.Kind, s.Kind)
	if s.open && !p.Open {
		s.hide("it was closed meanwhile")
	}
	s.open, s.openWhy = p.Open, p.Why
	s.change(g, r.At)
}

func (g *coverageGroup) lost(r *capture.Record, p *capture.Gap) {
	s := g.of(r.Source, "")
	if s.Lost += p.Lost; s.Lost < p.Lost {
		s.Lost = math.MaxUint64
	}
	reason := p.Why
	if reason == "" {
		reason = fmt.Sprintf("%d lost", p.Lost)
		if p.Lost == 0 {
			reason = "something was lost"
		}
	}
	s.hide(reason)
	s.change(g, r.At)
}

// hide says that something of the source is missing from here on.
func (s *sourceFollower) hide(reason string) { s.gap, s.whole, s.ticks = reason, false, 0 }

// tick ends what a gap hides of packets and look-ups: one report.
func (s *sourceFollower) tick(g *coverageGroup, at int64) {
	if s.gap == "" || s.Kind != capture.SourceDNS && s.Kind != capture.SourceRDNS {
		return
	}
	if s.ticks++; s.ticks == 1 {
		s.tickAt = at // its report is the one that lacks something
		return
	}
	s.gap = ""
	s.change(g, s.tickAt)
}

func (g *coverageGroup) host(r *capture.Record, p *capture.Host) {
	for _, v := range p.Sysctls {
		if !strings.HasSuffix(v.Name, "nf_conntrack_events") {
			continue
		}
		g.eventsOff = strings.TrimSpace(v.Value) == "0"
		for _, s := range g.sources {
			s.change(g, r.At)
		}
	}
}

func (g *coverageGroup) totals(p *capture.End) {
	for _, total := range p.Totals {
		for _, s := range g.sources {
			if s.Number == total.Source {
				n := total.Undecodable
				s.Undecodable = &n
			}
		}
	}
}

// change begins a span at a time if the state is another one.
func (s *sourceFollower) change(g *coverageGroup, at int64) {
	var why []string
	for _, w := range [...]string{s.openWhy, s.gap} {
		if w != "" && (s.open || w == s.openWhy) {
			why = append(why, w)
		}
	}
	if g.eventsOff && s.open && s.Kind == capture.SourceConntrack {
		why = append(why, "net.netfilter.nf_conntrack_events is 0: the kernel sends no events")
	}
	state := reporter.CoverageOK
	switch {
	case !s.open:
		state = reporter.CoverageOff
		if len(why) == 0 && s.told {
			why = append(why, "closed")
		}
	case len(why) > 0:
		state = reporter.CoverageDegraded
	}
	span := CoverageSpan{From: at, To: at, State: state, Why: strings.Join(why, "; ")}
	n := len(s.Spans)
	if n > 0 {
		last := &s.Spans[n-1]
		if last.State == span.State && last.Why == span.Why {
			return
		}
		last.To = at
		if last.From == at {
			s.Spans = s.Spans[:n-1]
		}
	}
	if len(s.Spans) < maxSpans {
		s.Spans = append(s.Spans, span)
	} else { // what is too much to keep apart counts as degraded
		last := &s.Spans[len(s.Spans)-1]
		last.State, last.Why, last.To = worse(last.State, span.State), span.Why, at
	}
	s.State, s.Why = span.State, span.Why
}

// maxSpans bounds what is kept of a source that is degraded again and again.
const maxSpans = 100_000

func worse(a, b reporter.CoverageState) reporter.CoverageState {
	if a != b {
		return reporter.CoverageDegraded
	}
	return a
}

func (c *coverages) finish(v *Survey) []SourceCoverage {
	var list []SourceCoverage
	for i, g := range c.groups {
		if i == len(c.groups)-1 {
			g.to = c.last
		}
		first := len(list)
		for _, s := range g.sources {
			if s.Number == 0 && s.Kind == usualSources[0] {
				continue
			}
			s.Spans[len(s.Spans)-1].To = g.to
			list = append(list, s.SourceCoverage)
		}
		for _, kind := range usualSources[1:4] {
			if !slices.ContainsFunc(list[first:], func(c SourceCoverage) bool { return c.Kind == kind }) {
				const why = "not on this tape"
				list = append(list, SourceCoverage{Tape: g.tape, Kind: kind, State: reporter.CoverageOff, Why: why,
					Spans: []CoverageSpan{{From: g.from, To: g.to, State: reporter.CoverageOff, Why: why}}})
			}
		}
		slices.SortStableFunc(list[first:], func(a, b SourceCoverage) int {
			return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(a.Number, b.Number))
		})
	}
	return list
}

// clone copies all that changes.
func (c *coverages) clone() coverages {
	own := coverages{last: c.last}
	for _, g := range c.groups {
		h := *g
		h.sources = nil
		for _, s := range g.sources {
			t := *s
			t.Spans = slices.Clone(s.Spans)
			h.sources = append(h.sources, &t)
		}
		own.groups = append(own.groups, &h)
	}
	return own
}
