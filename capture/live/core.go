package live

import (
	"fmt"
	"net/netip"
	"runtime/debug"

	"github.com/topotape/topotape/capture"
)

// A Core processes the records of a recording and makes a report at each tick.
// The recorder writes the report's digests to the tape, in a witness record.
type Core interface {
	// Step processes the next record. It returns true when the record is a
	// tick: a report may be made now.
	Step(*capture.Record) (tick bool)
	// Report makes the report of the last tick. Addrs asks for the addresses.
	Report(addrs bool) Report
}

// A Report is the part of a core's report that the recorder uses.
type Report struct {
	Digests     capture.Digests
	Undecodable map[string]uint64 // records by kind of source, since the start
	Degraded    map[string]string // why its coverage is degraded, by kind of source
	Addrs       []netip.Addr      // of the endpoints and their NAT aliases; valid until the next report
}

// maxStack bounds the stack trace and the message in a fault record, in bytes each.
const maxStack = 16 << 10

// A guard calls the core and recovers from its panics. After a panic the core
// is not called again.
type guard struct {
	core        Core              // nil after a panic, or if there is none
	fault       *capture.Fault    // of the panic, until it is written to the tape
	undecodable map[string]uint64 // as in the last report, like degraded
	degraded    map[string]string
	lookUp      func([]netip.Addr) // gets the addresses of every report; may be nil
}

// step passes the record to the core. It returns true when a report may be made.
func (g *guard) step(r *capture.Record) (tick bool) {
	if g.core == nil {
		return false
	}
	defer g.catch(r.Seq)
	return g.core.Step(r)
}

// report makes the report of the tick that is record seq and returns its
// digests; ok is false without a core.
func (g *guard) report(seq uint64) (d capture.Digests, ok bool) {
	if g.core == nil {
		return d, false
	}
	defer g.catch(seq)
	r := g.core.Report(g.lookUp != nil)
	g.undecodable, g.degraded = r.Undecodable, r.Degraded
	if g.lookUp != nil {
		g.lookUp(r.Addrs)
	}
	return r.Digests, true
}

// catch turns a panic of the core at record seq into a fault.
func (g *guard) catch(seq uint64) {
	v := recover()
	if v == nil {
		return
	}
	stack, message := debug.Stack(), fmt.Sprint(v)
	g.core = nil
	g.fault = &capture.Fault{Record: seq, Message: message[:min(len(message), maxStack)], Stack: string(stack[:min(len(stack), maxStack)])}
}
