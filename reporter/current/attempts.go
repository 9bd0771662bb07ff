package current

import (
	"net/netip"

	"github.com/topotape/topotape/reporter/events"
	"github.com/topotape/topotape/reporter/report"
)

// maxAttempts bounds the attempts of a report. The tries of further ones are only counted.
const maxAttempts = 10_000

// attempts returns the attempts of a window: what was tried and never established.
func (m *Machine) attempts(e *eventMatcher, window uint64) *report.Attempts {
	out := report.NewAttempts(maxAttempts)
	for _, s := range e.Attempts(window) {
		out.Add(e.attempt(s, window))
	}
	return out
}

// attempt returns the attempt that a socket shows.
func (e *eventMatcher) attempt(s *events.Socket, window uint64) *report.Attempt {
	a := &report.Attempt{Proto: "tcp", Count: 1, FirstSeen: s.Begun, LastSeen: s.Last, Seen: report.SeenBy(false, false, true)}
	a.Outcome, a.Why = s.Outcome()
	a.From = report.End{Addr: netip.AddrPortFrom(s.Src().Addr(), 0), Netns: e.namespace(s), Processes: s.Processes}
	a.To.Addr = s.Dst()
	if loopback(&s.Tuple) {
		a.To.Netns = a.From.Netns
	}
	if s.Earlier(window) {
		a.Earlier = 1
	}
	return a
}
