package source

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
)

// StandardKinds returns the kinds that every report covers, even if the tape has no such
// source: all but reverse DNS, which is optional.
func StandardKinds() []string { return capture.UsualSources()[:3] }

// A Status shows how completely a source sees the host, as far as records about the
// source show it.
type Status struct {
	Kind    string
	Lost    uint64 // sum of the gaps
	Closed  bool
	Reason  string // as the last source record says
	Missing string // why something is missing; "" if nothing is
}

// Change applies a source record. What happens while the source is closed is missing when
// it is open again.
func (s *Status) Change(p *capture.Source) {
	s.Kind, s.Closed, s.Reason = cmp.Or(p.Kind, s.Kind), !p.Open, p.Why
	if s.Closed {
		s.Missing = "it was closed meanwhile"
	}
}

// Gap applies a gap record.
func (s *Status) Gap(p *capture.Gap) {
	if s.Lost += p.Lost; s.Lost < p.Lost {
		s.Lost = math.MaxUint64
	}
	lost := "something was lost"
	if p.Lost > 0 {
		lost = fmt.Sprintf("%d lost", p.Lost)
	}
	s.Missing = cmp.Or(p.Why, lost)
	if p.Since > 0 {
		s.Missing += ", since +" + rounded(p.Since)
	}
}

// rounded returns a duration in ns as a text, to the millisecond.
func rounded(ns int64) string { return time.Duration(ns).Round(time.Millisecond).String() }

// Stall applies a stall record, and reports whether it concerns the source: what began and ended
// while the recorder stood still is in no walk of /proc. The kernel keeps events and packets.
func (s *Status) Stall(p *capture.Stall) bool {
	if s.Kind != capture.SourceProc || s.Closed {
		return false
	}
	s.Missing = "the recorder stood still for " + rounded(p.Duration)
	return true
}

// EventsOn applies a record that shows that the kernel sends conntrack events again, and reports
// whether it concerns the source.
func (s *Status) EventsOn() bool {
	if s.Kind != capture.SourceConntrack || s.Closed {
		return false
	}
	s.Missing = "net.netfilter.nf_conntrack_events was 0: the kernel sent no events"
	return true
}

// RepairedByReport reports whether a gap concerns one report only: a lost packet, answer
// or event of a socket does. Conntrack and proc need a complete dump or walk after a gap.
func (s *Status) RepairedByReport() bool {
	return s.Kind != capture.SourceConntrack && s.Kind != capture.SourceProc
}

// NoEvents is why conntrack is degraded while the kernel sends no events.
const NoEvents = "net.netfilter.nf_conntrack_events is 0: the kernel sends no events"

// State returns the state of the source, and why it is not ok. more are further reasons;
// empty ones do not count.
func (s *Status) State(more ...string) (report.CoverageState, string) {
	why := []string{s.Reason}
	if !s.Closed {
		why = append(why, s.Missing)
	}
	why = slices.DeleteFunc(append(why, more...), func(reason string) bool { return reason == "" })
	switch text := strings.Join(why, "; "); {
	case s.Closed:
		return report.CoverageOff, cmp.Or(text, "closed")
	case text != "":
		return report.CoverageDegraded, text
	}
	return report.CoverageOK, ""
}

// EventsOff returns whether a host or counters record shows that the kernel sends no conntrack
// events. known is false if it does not show that.
func EventsOff(p capture.Payload) (off, known bool) {
	note := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" && strings.HasSuffix(name, "nf_conntrack_events") {
			off, known = value == "0", true
		}
	}
	switch p := p.(type) {
	case *capture.Host:
		for _, v := range p.Sysctls {
			note(v.Name, v.Value)
		}
	case *capture.Counters:
		for _, f := range p.Files {
			note(f.Name, string(f.Text))
		}
	}
	return off, known
}
