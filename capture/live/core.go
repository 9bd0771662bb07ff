package live

import (
	"fmt"
	"net/netip"
	"runtime/debug"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// core is what the recorder needs of a reporter.
type core interface {
	Step(*capture.Record) bool
	Report() *reporter.Report
}

func newCore(h *capture.Header) (core, error) { return reporter.New(h, reporter.RulesCurrent) }

// maxStack bounds what a fault record tells of the stack.
const maxStack = 16 << 10

// A guard steps the core and survives its panics: after one it does nothing
// more, and fault says what happened.
type guard struct {
	core     core
	fault    *capture.Fault // not written to the tape yet
	coverage []reporter.Coverage
	want     func([]netip.Addr) // is told the addresses of every report, if not nil
	addrs    []netip.Addr       // reused
}

// step gives the record to the core. It returns true when a report may be made.
func (g *guard) step(r *capture.Record) (tick bool) {
	if g.core == nil {
		return false
	}
	defer g.catch(r.Seq)
	return g.core.Step(r)
}

// witness makes the report of the tick that is record seq, and its digests.
func (g *guard) witness(seq uint64) (d capture.Digests, ok bool) {
	if g.core == nil {
		return d, false
	}
	defer g.catch(seq)
	report := g.core.Report()
	d = report.Digests()
	g.coverage = report.Coverage
	if g.want != nil {
		g.addrs = appendAddrs(g.addrs[:0], report)
		g.want(g.addrs)
	}
	return d, true
}

// appendAddrs appends the addresses of the report's endpoints, and what NAT
// shows in their place. Runs of equal ones become one.
func appendAddrs(b []netip.Addr, r *reporter.Report) []netip.Addr {
	add := func(a netip.Addr) {
		if len(b) == 0 || b[len(b)-1] != a {
			b = append(b, a)
		}
	}
	for i := range r.Endpoints {
		add(r.Endpoints[i].Addr.Addr())
		for _, alias := range r.Endpoints[i].Aliases {
			add(alias.Addr())
		}
	}
	return b
}

func (g *guard) catch(seq uint64) {
	v := recover()
	if v == nil {
		return
	}
	stack := debug.Stack()
	if len(stack) > maxStack {
		stack = stack[:maxStack]
	}
	g.core = nil
	g.fault = &capture.Fault{Record: seq, Message: fmt.Sprint(v), Stack: string(stack)}
}

// undecodable is how many records of that kind of source the core could not
// decode, at its last report.
func (g *guard) undecodable(kind string) uint64 {
	for _, c := range g.coverage {
		if c.Source == kind {
			return c.Undecodable
		}
	}
	return 0
}
