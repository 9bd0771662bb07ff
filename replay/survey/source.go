package survey

import (
	"cmp"
	"fmt"
	"math"
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

// A source is open or closed, and degraded while something is missing of it. The
// reporter has the same states, so both must change together.
type source struct {
	number uint32
	kind   string
	closed bool
	why    string // as its source record says

	records     uint64
	lost        uint64
	undecodable *uint64 // as the end record says; nil without one

	degraded bool
	reason   string
}

// change applies a source record. What happens while a source is closed is missing
// when it is open again.
func (s *source) change(p *capture.Source) {
	s.kind = cmp.Or(p.Kind, s.kind)
	if !p.Open && !s.closed {
		s.degrade("it was closed meanwhile")
	}
	s.closed, s.why = !p.Open, p.Why
}

// gap applies a gap record.
func (s *source) gap(p *capture.Gap) {
	if s.lost += p.Lost; s.lost < p.Lost {
		s.lost = math.MaxUint64
	}
	reason := p.Why
	if reason == "" {
		reason = fmt.Sprintf("%d lost", p.Lost)
		if p.Lost == 0 {
			reason = "something was lost"
		}
	}
	s.degrade(reason)
}

func (s *source) degrade(reason string) { s.degraded, s.reason = true, reason }

// repair ends what degrade began: nothing is missing any more.
func (s *source) repair() { s.degraded, s.reason = false, "" }

// repairedByReport reports whether the next report after a gap is complete again: a
// lost packet or answer concerns one report. Other sources need a complete dump or
// walk.
func (s *source) repairedByReport() bool {
	return s.kind == capture.SourceDNS || s.kind == capture.SourceRDNS
}

// state returns how complete the source is, and why it is not. eventsOff says that
// the kernel sends no conntrack events.
func (s *source) state(eventsOff bool) (report.CoverageState, string) {
	if s.closed {
		return report.CoverageOff, cmp.Or(s.why, "closed")
	}
	var why []string
	if s.why != "" {
		why = append(why, s.why)
	}
	if s.degraded {
		why = append(why, s.reason)
	}
	if eventsOff && s.kind == capture.SourceConntrack {
		why = append(why, "net.netfilter.nf_conntrack_events is 0: the kernel sends no events")
	}
	if len(why) == 0 {
		return report.CoverageOK, ""
	}
	return report.CoverageDegraded, strings.Join(why, "; ")
}
