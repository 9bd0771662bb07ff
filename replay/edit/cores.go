package edit

import (
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// cutCores are the cores of both rule sets.
type cutCores struct {
	tape      int    // number of the tape that they have reached; -1 before the first
	segment   uint32 // of that tape
	current   witnessMaker
	scope2016 replay.Core // nil after a panic
	pending   replay.PendingCarry
	stepped   bool // they have seen records before the window
	unwritten bool // they have seen records that the new tape lacks since its last carry
}

// renew replaces the cores by new ones.
func (c *cutCores) renew(h *capture.Header) error {
	current, err := reporter.New(h, reporter.RulesCurrent)
	if err != nil {
		return err
	}
	scope2016, err := reporter.New(h, reporter.RulesScope2016)
	if err != nil {
		return err
	}
	c.current.core, c.scope2016 = current, scope2016
	c.current.incomplete = false
	c.pending = replay.PendingCarry{}
	c.stepped, c.unwritten = false, false
	return nil
}

// stepScope2016 returns false if the core panics.
func (c *cutCores) stepScope2016(r *capture.Record) bool {
	if c.scope2016 == nil {
		return true
	}
	_, ok := stepCore(c.scope2016, r)
	if !ok {
		c.scope2016 = nil
	}
	return ok
}
