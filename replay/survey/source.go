package survey

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
)

// usualSources are the kinds of the sources of a tape without source records, by
// number.
var usualSources = [...]string{"recorder", capture.SourceConntrack, capture.SourceProc, capture.SourceDNS, capture.SourceRDNS}

// usualKind returns the kind that a source number usually has, "" if none.
func usualKind(number uint32) string {
	if int(number) < len(usualSources) {
		return usualSources[number]
	}
	return ""
}

// A coverage shows how complete one source of one recording is, as far as records about
// sources show it. Only a reporter knows whether messages could be decoded and whether
// conntrack tracks anything.
type coverage struct {
	Kind        string               `json:"source"`
	State       report.CoverageState `json:"state"` // at the end
	Why         string               `json:"why"`
	Records     uint64               `json:"records"` // messages, tables, lists or packets; not the begin and end of a dump or walk
	Lost        uint64               `json:"lost"`
	Undecodable *uint64              `json:"undecodable"` // null without an end record and a replay
	Ignored     *uint64              `json:"ignored"`     // null without a replay
	Number      uint32               `json:"number"`
	Tape        int                  `json:"tape"` // index of the recording's first tape
	Spans       []span               `json:"spans"`
}

// A span is a time during which the state of a source does not change, since the
// recording's start.
type span struct {
	From  duration             `json:"from"`
	To    duration             `json:"to"`
	State report.CoverageState `json:"state"`
	Why   string               `json:"why,omitempty"`
}

// maxSpans bounds the memory for a source that is degraded again and again.
const maxSpans = 100_000

// A source is open or closed, and degraded while something is missing of it. The
// reporter has the same states, so both must change together.
type source struct {
	coverage        // so far; State, Why and the last span are set at the end
	current  span   // follows Spans; To is not set
	known    bool   // a source record is about it
	closed   bool   // a source record says so
	reason   string // as that record says
	missing  string // why something is missing, "" if nothing is

	// Since something is missing:
	dumping     bool // a dump or walk has begun
	ticks       int
	firstTickAt int64
}

// change applies a source record. What happens while a source is closed is missing
// when it is open again.
func (s *source) change(p *capture.Source) {
	s.Kind = cmp.Or(p.Kind, s.Kind)
	if !p.Open && !s.closed {
		s.degrade("it was closed meanwhile")
	}
	s.closed, s.reason = !p.Open, p.Why
}

// gap applies a gap record.
func (s *source) gap(p *capture.Gap) {
	if s.Lost += p.Lost; s.Lost < p.Lost {
		s.Lost = math.MaxUint64
	}
	lost := "something was lost"
	if p.Lost > 0 {
		lost = fmt.Sprintf("%d lost", p.Lost)
	}
	s.degrade(cmp.Or(p.Why, lost))
}

// degrade notes that something is missing. What began before does not repair it.
func (s *source) degrade(why string) {
	s.missing, s.dumping, s.ticks = why, false, 0
}

// repair ends what degrade began: nothing is missing any more.
func (s *source) repair() { s.missing = "" }

// repairedBy reports whether a record of this kind and source helps to repair the
// source. A lost packet or answer concerns one report: the next report after it is
// complete again. Other sources need a complete dump or walk.
func (s *source) repairedBy(k capture.Kind, number uint32) bool {
	switch k {
	case capture.KindTick:
		return s.Kind == capture.SourceDNS || s.Kind == capture.SourceRDNS
	case capture.KindDumpBegin, capture.KindDumpEnd, capture.KindWalkBegin, capture.KindWalkEnd:
		return s.Number == number && s.Kind == k.Source()
	}
	return false
}

// state returns how complete the source is, and why it is not. eventsOff says that
// the kernel sends no conntrack events.
func (s *source) state(eventsOff bool) (report.CoverageState, string) {
	if s.closed {
		return report.CoverageOff, cmp.Or(s.reason, "closed")
	}
	events := ""
	if eventsOff && s.Kind == capture.SourceConntrack {
		events = "net.netfilter.nf_conntrack_events is 0: the kernel sends no events"
	}
	why := slices.DeleteFunc([]string{s.reason, s.missing, events}, func(reason string) bool { return reason == "" })
	if len(why) == 0 {
		return report.CoverageOK, ""
	}
	return report.CoverageDegraded, strings.Join(why, "; ")
}

// begin begins another span if the state has changed.
func (s *source) begin(at duration, eventsOff bool) {
	state, why := s.state(eventsOff)
	c := &s.current
	switch {
	case c.State == state && c.Why == why:
	case c.From == at:
		c.State, c.Why = state, why
	case len(s.Spans) < maxSpans-1:
		c.To = at
		s.Spans = append(s.Spans, *c)
		*c = span{From: at, State: state, Why: why}
	case c.State == state:
		c.Why = why
	default: // it becomes a span of several states
		c.State, c.Why = report.CoverageDegraded, why
	}
}

// end ends the last span.
func (s *source) end(at duration, eventsOff bool) {
	s.State, s.Why = s.state(eventsOff)
	s.current.To = at
	s.Spans = append(s.Spans, s.current)
}
