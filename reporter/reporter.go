package reporter

import (
	"fmt"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/current"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/scope2016"
)

// CoreVersion changes only when some output of the corpus changes.
const CoreVersion = 4

// The rule sets.
const (
	RulesCurrent   = "current"
	RulesScope2016 = "scope2016"
)

// A Reporter turns records into reports. It is not safe for concurrent use.
type Reporter struct {
	header  *capture.Header
	rules   string // of the rules
	machine machine
	state   []byte // of a carry record whose last part has not come
	parts   uint32 // that came
	carried bool
}

// machine is one rule set.
type machine interface {
	Step(*capture.Record) (tick bool)
	Report() *report.Report
	Carry(*carry.Coder) // writes the state, or reads it into a new machine
}

// New returns a reporter for the records of a tape with that header. The error names the
// rule sets.
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

func newMachine(h *capture.Header, rules string) machine {
	switch rules {
	case RulesCurrent:
		return current.New(h)
	case RulesScope2016:
		return scope2016.New(h)
	}
	return nil
}

// Step applies the next record. It returns true when the record is a tick: a
// report may be made now. It keeps nothing of the record's payload.
func (r *Reporter) Step(rec *capture.Record) (tick bool) {
	if rec.Kind == capture.KindCarry {
		r.addCarry(rec)
		return false
	}
	return r.machine.Step(rec)
}

// Report makes the report of the last tick. It must be called before the next
// Step, or not at all.
func (r *Reporter) Report() *report.Report {
	out := r.machine.Report()
	out.Rules = r.rules
	return out
}
