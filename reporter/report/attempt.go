package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// An Attempt is one or several tries of a client to connect to a server that were never
// established. Tries that differ only in the client's port are one attempt.
type Attempt struct {
	Proto   string
	From    End   // the client; its port is 0
	To      End   // the server
	NAT     []NAT // of the last try that shows any
	Outcome Outcome
	Why     string // what else is known of the last try of which more than the outcome is known
	Count   uint64 // tries
	// Earlier is how many of Count an earlier report has, too: they were unanswered then.
	Earlier   uint64
	FirstSeen int64    // ns since the recording's start
	LastSeen  int64    // ns since the recording's start
	Seen      []string // sources that show it, sorted
}

// Outcome is what became of a try.
type Outcome string

const (
	OutcomeUnanswered Outcome = "unanswered" // it has waited for longer than one window, or until the kernel gave up
	OutcomeRefused    Outcome = "refused"    // it was answered, with a reset or an error
	OutcomeGaveUp     Outcome = "gave-up"    // the client closed its socket before there was an answer
)

// Compare orders attempts as a report lists them: by protocol, ends, namespaces, outcome, and
// when they were first seen.
func (a *Attempt) Compare(o *Attempt) int {
	return cmp.Or(strings.Compare(a.Proto, o.Proto),
		a.From.Addr.Compare(o.From.Addr), a.To.Addr.Compare(o.To.Addr),
		cmp.Compare(a.From.Netns, o.From.Netns), cmp.Compare(a.To.Netns, o.To.Netns),
		strings.Compare(string(a.Outcome), string(o.Outcome)), cmp.Compare(a.FirstSeen, o.FirstSeen))
}

// AppendJSON appends the attempt's canonical JSON, as in its report.
func (a *Attempt) AppendJSON(b []byte) []byte { return appendAttempt(b, a) }

// Attempts makes one attempt of those with equal ends and outcomes.
type Attempts struct {
	max     int
	byKey   map[attemptKey]*Attempt
	leftOut uint64 // tries that are in no attempt, because there are too many attempts
}

type attemptKey struct {
	proto    string
	client   netip.Addr
	server   netip.AddrPort
	from, to uint64 // namespaces
	outcome  Outcome
}

func keyOf(a *Attempt) attemptKey {
	return attemptKey{a.Proto, a.From.Addr.Addr(), a.To.Addr, a.From.Netns, a.To.Netns, a.Outcome}
}

// NewAttempts returns Attempts that keep up to max.
func NewAttempts(max int) *Attempts { return &Attempts{max: max, byKey: map[attemptKey]*Attempt{}} }

// Has reports whether there is an attempt with the same ends and outcome.
func (s *Attempts) Has(a *Attempt) bool { return s.byKey[keyOf(a)] != nil }

// Add adds tries, which must not change afterwards. Later ones must be added later.
func (s *Attempts) Add(a *Attempt) {
	key := keyOf(a)
	old := s.byKey[key]
	switch {
	case old != nil:
		old.add(a)
	case len(s.byKey) < s.max:
		own := *a
		own.From.Processes, own.To.Processes = unite(nil, a.From.Processes), unite(nil, a.To.Processes)
		s.byKey[key] = &own
	default:
		s.leftOut += a.Count
	}
}

// List returns the attempts in the order of a report.
func (s *Attempts) List() []Attempt {
	list := make([]Attempt, 0, len(s.byKey))
	for _, a := range s.byKey { // sorted below
		list = append(list, *a)
	}
	slices.SortFunc(list, func(a, b Attempt) int { return a.Compare(&b) })
	return list
}

// attemptsLeftOut is the event of the host in a report that has too many attempts.
const attemptsLeftOut = "attempts left out"

// AppendLeftOut appends to the events of a report, which was made at a Unix time in ns, how many
// tries are in none of its attempts, if there are any.
func (s *Attempts) AppendLeftOut(list []HostEvent, at int64) []HostEvent {
	if s.leftOut > 0 {
		list = append(list, HostEvent{At: at, What: attemptsLeftOut, Count: s.leftOut})
		slices.SortFunc(list, HostEvent.Compare)
	}
	return list
}

// add adds later tries to an attempt.
func (a *Attempt) add(o *Attempt) {
	a.Count += o.Count
	a.Earlier += o.Earlier
	a.FirstSeen, a.LastSeen = min(a.FirstSeen, o.FirstSeen), max(a.LastSeen, o.LastSeen)
	a.Why = cmp.Or(o.Why, a.Why)
	if len(o.NAT) > 0 {
		a.NAT = o.NAT
	}
	a.From.Processes, a.To.Processes = unite(a.From.Processes, o.From.Processes), unite(a.To.Processes, o.To.Processes)
	if !slices.Equal(a.Seen, o.Seen) {
		seen := slices.Concat(a.Seen, o.Seen)
		slices.Sort(seen)
		a.Seen = slices.Compact(seen)
	}
}

// maxAttemptProcesses bounds the processes of each end of an attempt. Further ones are left out.
const maxAttemptProcesses = 64

// unite adds processes to a sorted list, as far as there is room. A process whose name was unknown
// gets its name.
func unite(list, more []Process) []Process {
	for _, p := range more {
		at, _ := slices.BinarySearchFunc(list, Process{PID: p.PID}, Process.Compare)
		samePID := at < len(list) && list[at].PID == p.PID
		switch {
		case samePID && list[at].Comm == "":
			list[at].Comm = p.Comm
		case samePID && p.Comm == "" || slices.Contains(list, p) || len(list) >= maxAttemptProcesses:
		default:
			list = append(list, p)
			slices.SortFunc(list, Process.Compare)
		}
	}
	return list
}
