package replay

import (
	"iter"
	"runtime/debug"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// A Core is a reporter that returns its panics as values. After a panic its state is
// unknown: it has ended, and does nothing more.
type Core struct {
	stepper stepper // nil after a panic
}

// stepper is the part of a reporter.Reporter that a replay calls.
type stepper interface {
	Step(*capture.Record) (tick bool)
	Report() *report.Report
	Carry() iter.Seq[capture.Carry]
	Carried() bool
}

// NewCore returns a core for the tape with that header. Empty rules are the
// current ones.
func NewCore(h *capture.Header, rules string) (*Core, error) {
	r, err := reporter.New(h, rules)
	if err != nil {
		return nil, err
	}
	return &Core{r}, nil
}

// A Panic of the core in this replay.
type Panic struct {
	Record uint64 // number of the record that was stepped, or of the tick that was reported
	Value  any
	Stack  []byte
	count  uint64 // records read, including that one
}

// Step applies a record. It reports whether the record is a tick, so that a report
// can be made.
func (c *Core) Step(r *capture.Record) (tick bool, p *Panic) {
	if c.Ended() {
		return false, nil
	}
	defer c.catch(&p)
	return c.stepper.Step(r), nil
}

// Report makes the report of the tick that was stepped last.
func (c *Core) Report() (r *report.Report, p *Panic) {
	defer c.catch(&p)
	return c.stepper.Report(), nil
}

func (c *Core) catch(p **Panic) {
	if v := recover(); v != nil {
		*p = &Panic{Value: v, Stack: debug.Stack()}
		c.stepper = nil
	}
}

// Ended reports whether the core has panicked.
func (c *Core) Ended() bool { return c.stepper == nil }

// Carry returns the state of the core in parts for carry records. It is nil if the
// state is too large for a tape. The core must not have ended.
func (c *Core) Carry() iter.Seq[capture.Carry] { return c.stepper.Carry() }
