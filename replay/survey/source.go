package survey

import (
	"math"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
	sources "github.com/topotape/topotape/reporter/source"
)

// A coverage shows how complete one source of one recording is, as far as records about
// sources show it. Only a reporter knows whether messages could be decoded, and in which
// windows conntrack tracks anything.
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

// maxSpans bounds the memory for sources that are degraded again and again: bytes of the
// reasons of all spans, with spanCost for each span.
const (
	maxSpans = 8 << 20
	spanCost = 80
)

// A source is one source of a recording with the spans of its status.
type source struct {
	coverage // so far; what follows from the status, and the last span, are set at the end
	status   sources.Status
	current  span // follows Spans; To is not set
	netns    uint64
	known    bool // a source record is about it
	spans    *int // bytes of the spans of all sources

	// Since something is missing:
	dumping     bool // a dump or walk has begun
	ticks       int
	firstTickAt int64
}

// change applies a source record.
func (s *source) change(p *capture.Source) {
	s.status.Change(p)
	s.netns = max(s.netns, p.Netns)
	s.restart()
}

// gap applies a gap record.
func (s *source) gap(p *capture.Gap) {
	s.status.Gap(p)
	s.restart()
}

// restart makes dumps, walks and ticks before now repair nothing.
func (s *source) restart() { s.dumping, s.ticks = false, 0 }

// repairedBy reports whether a record of this kind and source helps to repair the
// source. A lost packet or answer concerns one report: the next report after it is
// complete again. Other sources need a complete dump or walk.
func (s *source) repairedBy(k capture.Kind, number uint32) bool {
	switch k {
	case capture.KindTick:
		return s.status.RepairedByReport()
	case capture.KindDumpBegin, capture.KindDumpEnd, capture.KindWalkBegin, capture.KindWalkEnd:
		return s.Number == number && s.status.Kind == k.Source()
	}
	return false
}

// state returns how complete the source is, and why it is not. eventsOff says that
// the kernel sends no conntrack events.
func (s *source) state(eventsOff bool) (report.CoverageState, string) {
	if eventsOff && !s.status.Closed && s.status.Kind == capture.SourceConntrack {
		return s.status.State(sources.NoEvents)
	}
	return s.status.State()
}

// begin begins another span if the state has changed.
func (s *source) begin(at duration, eventsOff bool) {
	state, why := s.state(eventsOff)
	c := &s.current
	switch {
	case c.State == state && c.Why == why:
	case c.From == at:
		c.State, c.Why = state, why
	case *s.spans+spanCost+len(c.Why) <= maxSpans:
		*s.spans += spanCost + len(c.Why)
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
	s.Kind, s.Lost = s.status.Kind, s.status.Lost
	s.State, s.Why = s.state(eventsOff)
	s.current.To = at
	s.Spans = append(s.Spans, s.current)
}

// unseen degrades a conntrack source for all the time in which it is ok, if the kernel opened
// many connections in that time of which the source shows few.
func (s *source) unseen(opened uint64) {
	why := sources.Unseen(opened, s.Records+min(s.Lost, math.MaxUint64-s.Records))
	if why == "" || s.State != report.CoverageOK {
		return
	}
	s.State, s.Why, s.Spans = report.CoverageDegraded, why, slices.Clone(s.Spans)
	for i := range s.Spans {
		if p := &s.Spans[i]; p.State == report.CoverageOK {
			p.State, p.Why = s.State, why
		}
	}
}
