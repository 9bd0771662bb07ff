package survey

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
	sources "github.com/topotape/topotape/reporter/source"
)

// The state of a source follows from whether it is open, from its reason, and from
// what is missing of it.
func TestSourceState(t *testing.T) {
	const eventsOff = sources.NoEvents
	open := func(why string) func(*source) {
		return func(s *source) { s.change(&capture.Source{Open: true, Why: why}) }
	}
	closed := func(why string) func(*source) {
		return func(s *source) { s.change(&capture.Source{Why: why}) }
	}
	gap := func(lost uint64, why string) func(*source) {
		return func(s *source) { s.gap(&capture.Gap{Lost: lost, Why: why}) }
	}
	for name, c := range map[string]struct {
		events    []func(*source)
		eventsOff bool
		state     report.CoverageState
		why       string
	}{
		"new":                   {nil, false, report.CoverageOK, ""},
		"no events":             {nil, true, report.CoverageDegraded, eventsOff},
		"opened in part":        {[]func(*source){open("no permission")}, false, report.CoverageDegraded, "no permission"},
		"closed":                {[]func(*source){closed("")}, true, report.CoverageOff, "closed"},
		"closed with a reason":  {[]func(*source){gap(3, ""), closed("netns is gone")}, false, report.CoverageOff, "netns is gone"},
		"the same reason twice": {[]func(*source){closed("full"), gap(1, "full")}, false, report.CoverageOff, "full"},
		"gap":                   {[]func(*source){gap(3, "")}, false, report.CoverageDegraded, "3 lost"},
		"gap without a number":  {[]func(*source){gap(0, "")}, true, report.CoverageDegraded, "something was lost; " + eventsOff},
		"repaired":              {[]func(*source){gap(3, "full"), func(s *source) { s.status.Missing = "" }}, false, report.CoverageOK, ""},
		"open again":            {[]func(*source){closed("x"), open("")}, false, report.CoverageDegraded, "it was closed meanwhile"},
	} {
		s := &source{status: sources.Status{Kind: capture.SourceConntrack}}
		for _, event := range c.events {
			event(s)
		}
		if state, why := s.state(c.eventsOff); state != c.state || why != c.why {
			t.Errorf("%s: %s %q, want %s %q", name, state, why, c.state, c.why)
		}
	}
}

// Lost counts do not wrap around.
func TestLostCountEndsAtMaximum(t *testing.T) {
	var s source
	s.gap(&capture.Gap{Lost: 1<<64 - 2})
	s.gap(&capture.Gap{Lost: 5})
	if s.status.Lost != 1<<64-1 {
		t.Error(s.status.Lost)
	}
}
