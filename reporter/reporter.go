package reporter

import (
	"fmt"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/current"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/scope2016"
)

// CoreVersion changes when reports of the same records change.
const CoreVersion = 6

// The names of the rule sets.
const (
	RulesCurrent   = "current"
	RulesScope2016 = "scope2016"
)

// A Reporter turns records into reports. It is not safe for concurrent use.
type Reporter struct {
	header  *capture.Header
	rules   string // their name
	machine machine
	state   *carry.State // the parts of a state so far, nil for none; see addCarry
	carried bool         // a state was read
}

// A machine is the state machine of one rule set.
type machine interface {
	Step(*capture.Record) (tick bool)
	Report() *report.Report
	Carry(*carry.Coder) // writes the state, or reads it into a new machine
}

// New returns a reporter for a tape with this header. Empty rules mean RulesCurrent; the error
// for unknown rules lists the known ones.
func New(h *capture.Header, rules string) (*Reporter, error) {
	if rules == "" {
		rules = RulesCurrent
	}
	m := newMachine(h, rules)
	if m == nil {
		return nil, fmt.Errorf("rules %q: there are %q and %q", rules, RulesCurrent, RulesScope2016)
	}
	return &Reporter{header: h, rules: rules, machine: m}, nil
}

// newMachine returns a new machine of the rules, nil if there are no such rules.
func newMachine(h *capture.Header, rules string) machine {
	switch rules {
	case RulesCurrent:
		return current.New(h)
	case RulesScope2016:
		return scope2016.New(h)
	}
	return nil
}

// Step applies the next record. It returns true if the record is a tick: Report may be called
// now. It does not keep the record's payload.
func (r *Reporter) Step(rec *capture.Record) (tick bool) {
	if rec.Kind == capture.KindCarry {
		r.addCarry(rec)
		return false
	}
	return r.machine.Step(rec)
}

// Report returns the report of the last tick. It may be called only until the next Step.
func (r *Reporter) Report() *report.Report {
	out := r.machine.Report()
	out.Rules = r.rules
	return out
}
