package events

import (
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// A failure is why a connect failed.
type failure uint8

const (
	noFailure failure = iota
	unanswered
	refused
	gaveUp
	noPort
	failures // number of failures
)

// outcomes are the outcomes of attempts, and why, by failure.
var outcomes = [failures]struct {
	outcome report.Outcome
	why     string
}{
	unanswered: {report.OutcomeUnanswered, ""},
	refused:    {report.OutcomeRefused, ""},
	gaveUp:     {report.OutcomeGaveUp, ""},
	noPort:     {report.OutcomeGaveUp, "no local port"},
}

// Times from the SYN to the socket's end, ns, that show who ended it.
const (
	atOnce = 5e6 // no client gives up that early, but its own context may process the reset of a server on this host
	soon   = 1e9 // the kernel repeats the first SYN after that time, and gives up later
)

// failed notes why a connect failed, by the event of its end.
func (s *Socket) failed(e *sockmsg.Event) {
	took := e.Time - s.syn
	switch {
	case s.Role != Client || s.syn == 0 || s.Established: // its begin is unknown
	case s.late != 0: // reports show it as unanswered
		s.failure = unanswered
	case e.InProcess() && e.Local.Port() == 0:
		s.failure = noPort
	case took <= atOnce:
		s.failure = refused
	case e.InProcess():
		s.failure = gaveUp
	case took <= soon:
		s.failure = refused
	default:
		s.failure = unanswered
	}
}

// waits reports whether the socket's SYN has no answer yet.
func (s *Socket) waits() bool {
	return s.Role == Client && s.State == procnet.SynSent && !s.Established && !s.Ended && !s.unsure
}

// Outcome returns what became of a connect that failed or is unanswered, and why.
func (s *Socket) Outcome() (report.Outcome, string) {
	if !s.Ended {
		return report.OutcomeUnanswered, ""
	}
	o := &outcomes[s.failure]
	return o.outcome, o.why
}

// Earlier reports whether a report of a window before this one shows the connect as unanswered.
func (s *Socket) Earlier(window uint64) bool { return s.late != 0 && s.late <= window }

// Attempts returns the sockets whose connect failed in a window, and those that are unanswered for
// longer than one window, in the order of their first events.
func (k *Sockets) Attempts(window uint64) []*Socket {
	var out []*Socket
	for _, s := range k.all {
		if s.failure != noFailure && s.Window == window || s.late != 0 && s.waits() {
			out = append(out, s)
		}
	}
	return out
}
