package reporter

import (
	"fmt"

	"github.com/topotape/topotape/capture"
)

// CoreVersion changes only when some output of the corpus changes.
const CoreVersion = 2

// The rule sets.
const (
	RulesCurrent   = "current"
	RulesScope2016 = "scope2016"
)

// A Reporter turns records into reports. It is not safe for concurrent use.
type Reporter struct {
	rules machine
}

// machine is one rule set.
type machine interface {
	step(*capture.Record) bool
	report() *Report
}

// New returns a reporter for the records of a tape with that header. The
// error names the rule sets there are.
func New(h *capture.Header, rules string) (*Reporter, error) {
	switch rules {
	case "", RulesCurrent:
		return &Reporter{rules: newCurrent(h)}, nil
	case RulesScope2016:
		return &Reporter{rules: newScope2016(h)}, nil
	}
	return nil, fmt.Errorf("rules %q: there are %q and %q", rules, RulesCurrent, RulesScope2016)
}

// Step takes the next record. It returns true when the record is a tick: a
// report may be made now. It keeps nothing of the record's payload.
func (r *Reporter) Step(rec *capture.Record) (tick bool) { return r.rules.step(rec) }

// Report makes the report of the last tick. It must be called before the next
// Step, or not at all.
func (r *Reporter) Report() *Report { return r.rules.report() }
