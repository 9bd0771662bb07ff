package reporter

import (
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A place is a tuple with which a client's packets pass a flow.
type place struct {
	tuple ctmsg.Tuple
	zone  uint16
	role  role
}

// A role is what a flow does to packets at a place.
type role uint8

const (
	entering role = iota // a flow that translates them
	leaving              // one that has translated them
	passing              // one that does not translate
)

// enter is where packets enter a translating flow, leave where they leave it, and pass
// where they pass one that does not translate.
func (f *flow) enter() place { return place{f.key.orig, f.key.zone, entering} }
func (f *flow) leave() place { return place{f.reply.Reversed(), f.key.zone, leaving} }
func (f *flow) pass() place  { return place{f.key.orig, f.key.zone, passing} }

// as is the same place for flows of another role.
func (p place) as(r role) place { return place{p.tuple, p.zone, r} }

// reversed is the place for the packets of the other direction.
func (p place) reversed() place { return place{p.tuple.Reversed(), p.zone, p.role} }

// A linker links flows of different namespaces that are parts of one connection: one
// leaves with the tuple with which the next enters.
type linker struct {
	flows   []*flow
	sources *sources
	taken   []bool // flows that are in a chain

	// The candidates at a place are a list: the first one by place, then from one to the
	// next. Number 0 is none. Taken ones leave the list when it is searched.
	first      map[place]int32
	candidates []candidate
}

// A candidate is a flow at a place.
type candidate struct {
	flow int32 // number of the flow
	next int32 // candidate at the same place
}

// linkFlows makes chains of flows, each of which is in one. Translating flows choose first;
// flows that saw no handshake choose last, their direction is not sure.
func linkFlows(flows []*flow, ss *sources) []chain {
	l := &linker{flows: flows, sources: ss, taken: make([]bool, len(flows)),
		first: make(map[place]int32, len(flows)), candidates: make([]candidate, 1, len(flows)+1)}
	for i := len(flows) - 1; i >= 0; i-- { // from the last: a new candidate is put at the front
		if f := flows[i]; f.nat {
			l.add(f.enter(), i)
			l.add(f.leave(), i)
		} else {
			l.add(f.pass(), i)
		}
	}
	chains := make([]chain, 0, len(flows))
	for i, f := range flows {
		if f.nat && !l.taken[i] {
			chains = append(chains, l.along(i))
		}
	}
	for _, sure := range [...]bool{true, false} {
		for i, f := range flows {
			if !l.taken[i] && f.handshake == sure {
				chains = append(chains, l.alone(i))
			}
		}
	}
	return chains
}

// add lists a flow at a place. Loopback never leaves its namespace.
func (l *linker) add(at place, flow int) {
	if loopback(&at.tuple) {
		return
	}
	l.candidates = append(l.candidates, candidate{int32(flow), l.first[at]})
	l.first[at] = int32(len(l.candidates) - 1)
}

// begin returns the chain of one flow.
func (l *linker) begin(i int) chain {
	l.taken[i] = true
	return chain{path: l.flows[i : i+1 : i+1]}
}

// alone makes the chain of a flow that does not translate.
func (l *linker) alone(i int) chain {
	c := l.begin(i)
	l.observers(&c, l.flows[i].pass())
	return c
}

// along follows a translating flow to both sides.
func (l *linker) along(i int) chain {
	c := l.begin(i)
	for f := l.flows[i]; f != nil; {
		if f = l.take(&c, f.enter().as(leaving), f.ended, false); f != nil {
			c.path = append(c.path, f)
		}
	}
	slices.Reverse(c.path)
	for f := l.flows[i]; f != nil; {
		if f = l.take(&c, f.leave().as(entering), c.head().ended, false); f != nil {
			c.path = append(c.path, f)
		}
	}
	l.observers(&c, c.head().enter())
	for _, f := range c.path {
		l.observers(&c, f.leave())
	}
	return c
}

// observers adds the flows that packets pass at a place, also those that took the
// replies for the original direction because they did not see the handshake.
func (l *linker) observers(c *chain, at place) {
	at = at.as(passing)
	for _, back := range [...]bool{false, true} {
		for f := l.take(c, at, c.head().ended, back); f != nil; f = l.take(c, at, c.head().ended, back) {
			c.passive = append(c.passive, f)
		}
		at = at.reversed()
	}
}

// take takes the first flow at a place that belongs to the chain, of several one that has
// ended or not, as the chain's flow has. It returns nil if there is none. Flows that saw
// a handshake do not count if only pickups may.
func (l *linker) take(c *chain, at place, ended, pickups bool) *flow {
	best, before := int32(-1), int32(0)
	for i := l.first[at]; i != 0; {
		k := l.candidates[i]
		if l.taken[k.flow] {
			l.drop(at, before, k.next)
			i = k.next
			continue
		}
		if f := l.flows[k.flow]; (best < 0 || f.ended == ended) && !(pickups && f.handshake) && l.joins(c, f) {
			if best = k.flow; f.ended == ended {
				break
			}
		}
		before, i = i, k.next
	}
	if best < 0 {
		return nil
	}
	l.taken[best] = true
	return l.flows[best]
}

// drop takes the candidate after another one, 0 for the first, from the list.
func (l *linker) drop(at place, before, next int32) {
	if before == 0 {
		l.first[at] = next
	} else {
		l.candidates[before].next = next
	}
}

// joins reports whether g can be another namespace's view of the chain's connection: it
// was open at the same time. One namespace may see the connection twice, at different
// places: on its way out and back. A half-open flow is no view of an ended one.
func (l *linker) joins(c *chain, g *flow) bool {
	netns := l.sources.netnsOf(g.key.source)
	for _, list := range [...][]*flow{c.path, c.passive} {
		for _, f := range list {
			if f.ended && (f.end.at < g.first || !g.ended && !g.edge) || g.ended && (g.end.at < f.first || !f.ended && !f.edge) {
				return false
			}
			if (f.key.source == g.key.source || netns != 0 && netns == l.sources.netnsOf(f.key.source)) && f.sharesTuple(g) {
				return false
			}
		}
	}
	return true
}

// sharesTuple reports whether two flows have a tuple in common, in either direction.
func (f *flow) sharesTuple(g *flow) bool {
	for _, a := range [...]*ctmsg.Tuple{&f.key.orig, &f.reply} {
		for _, b := range [...]*ctmsg.Tuple{&g.key.orig, &g.reply} {
			if *a == *b || *a == b.Reversed() {
				return true
			}
		}
	}
	return false
}
