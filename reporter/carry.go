package reporter

import (
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
)

// carryLayout is the first number of a state. It changes when the carried fields or their
// order change. CoreVersion changes only when reports change.
const carryLayout = 5

const (
	carryPart = 1 << 20   // bytes of state in one record at most
	maxCarry  = 512 << 20 // bytes of a whole state at most
)

// Carry returns the state of the reporter, in parts for carry records. A reporter of the same
// rules and core version that is stepped with them makes the same reports from then on. The
// result is nil if the state is too large for a reporter to read. Carry may be called between
// any two Steps.
func (r *Reporter) Carry() []capture.Carry {
	c := carry.NewWriter()
	layout := uint32(carryLayout)
	carry.Uint(c, &layout)
	r.machine.Carry(c)
	state := c.Bytes()
	if len(state) > maxCarry || !c.OK() {
		return nil
	}
	var parts []capture.Carry
	for more := true; more; {
		n := min(len(state), carryPart)
		more = n < len(state)
		parts = append(parts, capture.Carry{Core: CoreVersion, Rules: r.rules, Part: uint32(len(parts)), More: more, State: state[:n]})
		state = state[n:]
	}
	return parts
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
		r.state, r.parts = nil, 0
	}
	if p.Core != CoreVersion || p.Part != r.parts || len(p.State) > maxCarry-len(r.state) {
		r.state, r.parts = nil, 0
		return
	}
	r.state, r.parts = append(r.state, p.State...), p.Part+1
	if p.More {
		return
	}
	c := carry.NewReader(r.state)
	r.state, r.parts = nil, 0
	layout := uint32(0)
	if carry.Uint(c, &layout); layout != carryLayout {
		return
	}
	fresh := newMachine(r.header, r.rules)
	if fresh.Carry(c); c.Err() == nil {
		r.machine, r.carried = fresh, true
	}
}
