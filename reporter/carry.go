package reporter

import (
	"iter"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
)

// carryLayout is the first number of a state. It changes when the carried fields or their
// order change. CoreVersion changes only when reports change.
const carryLayout = 8

// Carry returns the state of the reporter, in parts for carry records. A reporter of the same
// rules and core version that is stepped with them makes the same reports from then on. The
// result is nil if the state is too large for a reporter to read. Carry may be called between
// any two Steps.
func (r *Reporter) Carry() iter.Seq[capture.Carry] {
	c := carry.NewWriter()
	layout := uint32(carryLayout)
	carry.Uint(c, &layout)
	r.machine.Carry(c)
	state := c.State()
	if !c.OK() {
		return nil
	}
	return func(yield func(capture.Carry) bool) {
		n := uint32(0)
		for part := range state.Parts() {
			n++
			if !yield(capture.Carry{Core: CoreVersion, Rules: r.rules, Part: n - 1, More: int(n) < state.Len(), State: part}) {
				return
			}
		}
	}
}

// Carried reports whether the reporter has read a state from carry records.
func (r *Reporter) Carried() bool { return r.carried }

// addCarry adds one part of a state. The last part completes the state, which replaces the
// machine's. A state of another core version or layout, or one that cannot be read, is ignored.
func (r *Reporter) addCarry(rec *capture.Record) {
	var p capture.Carry
	if rec.Decode(&p) != nil || p.Rules != r.rules {
		return
	}
	if p.Part == 0 {
		r.state = new(carry.State)
	}
	if r.state == nil {
		return
	}
	if p.Core != CoreVersion || int64(p.Part) != int64(r.state.Len()) || !r.state.Add(p.State) {
		r.state = nil
		return
	}
	if p.More {
		return
	}
	c := carry.NewReader(r.state)
	r.state = nil
	layout := uint32(0)
	if carry.Uint(c, &layout); layout != carryLayout {
		return
	}
	fresh := newMachine(r.header, r.rules)
	if fresh.Carry(c); c.Err() == nil {
		r.machine, r.carried = fresh, true
	}
}
