package current

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/source"
)

// A place is a zone and a tuple, the lesser end first: packets of both directions of a
// connection have the same place.
type place struct {
	tuple ctmsg.Tuple
	zone  uint16
}

// A spot is a place and the direction of the client's packets there.
type spot struct {
	place int  // its number
	back  bool // from the greater end to the lesser one
}

func (s spot) reversed() spot { return spot{s.place, !s.back} }

// nowhere is the place of loopback packets: they never leave their namespace, so that no flows
// are linked there.
const nowhere = -1

// A role is what a flow does with packets at a spot.
type role int

const (
	entering role = iota // they enter a flow that translates them
	leaving              // they leave a flow that has translated them
	passing              // they pass a flow that does not translate
	roles
)

// A linker links flows of different namespaces that are parts of one connection: one
// leaves with the tuple with which the next enters.
type linker struct {
	all     []*flow
	flows   []linked // the same flows
	sources *source.Sources
	numbers map[place]int
	// candidates has a linked list for each role at each spot; first has the index of its
	// first candidate, 0 for none. match removes used candidates from the list.
	first      []int32
	candidates []candidate
}

// A linked flow, and where a client's packets enter and leave it.
type linked struct {
	*flow
	enter, leave spot
	used         bool // a chain has it
}

// A candidate is a flow at a spot.
type candidate struct {
	flow int32 // number of the flow
	next int32 // index of the next candidate in the list, 0 for none
}

// linkFlows links flows to chains. Every flow is in one chain. Translating flows come first;
// flows that saw no handshake come last, because their direction is not certain.
func linkFlows(flows []*flow, ss *source.Sources) []chain {
	l := newLinker(flows, ss)
	chains := make([]chain, 0, len(flows))
	for i, f := range flows {
		if f.nat && !l.flows[i].used {
			chains = append(chains, l.along(i))
		}
	}
	for _, sure := range [...]bool{true, false} {
		for i, f := range flows {
			if f.handshake == sure && !l.flows[i].used {
				chains = append(chains, l.alone(i))
			}
		}
	}
	return chains
}

// newLinker returns a linker with all flows as candidates.
func newLinker(flows []*flow, ss *source.Sources) *linker {
	l := &linker{all: flows, flows: make([]linked, len(flows)), sources: ss,
		numbers: make(map[place]int, len(flows)), candidates: make([]candidate, 1, len(flows)+1)}
	for i := len(flows) - 1; i >= 0; i-- { // from the last: a candidate is put at the front of its list
		f := &l.flows[i]
		f.flow = flows[i]
		if f.enter = l.spot(f.key.orig, f.key.zone); !f.nat {
			l.add(f.enter, passing, i)
			continue
		}
		f.leave = l.spot(f.reply.Reversed(), f.key.zone)
		l.add(f.enter, entering, i)
		l.add(f.leave, leaving, i)
	}
	return l
}

// spot returns the spot of packets with a tuple.
func (l *linker) spot(t ctmsg.Tuple, zone uint16) spot {
	if loopback(&t) {
		return spot{place: nowhere}
	}
	back := cmp.Or(cmp.Compare(t.SrcIP.Hi, t.DstIP.Hi), cmp.Compare(t.SrcIP.Lo, t.DstIP.Lo), cmp.Compare(t.SrcPort, t.DstPort)) > 0
	if back {
		t = t.Reversed()
	}
	p := place{t, zone}
	number, known := l.numbers[p]
	if !known {
		number = len(l.numbers)
		l.numbers[p] = number
		l.first = append(l.first, make([]int32, 2*roles)...)
	}
	return spot{number, back}
}

// list returns where first has the first candidate of a role at a spot.
func (l *linker) list(at spot, r role) *int32 {
	i := 2 * (at.place*int(roles) + int(r))
	if at.back {
		i++
	}
	return &l.first[i]
}

// add puts a candidate at the front of its list.
func (l *linker) add(at spot, r role, flow int) {
	if at.place == nowhere {
		return
	}
	first := l.list(at, r)
	l.candidates = append(l.candidates, candidate{int32(flow), *first})
	*first = int32(len(l.candidates) - 1)
}

// begin returns a chain with one flow.
func (l *linker) begin(i int) chain {
	l.flows[i].used = true
	return chain{path: l.all[i : i+1 : i+1]}
}

// alone returns the chain of a flow that does not translate.
func (l *linker) alone(i int) chain {
	c := l.begin(i)
	l.observers(&c, l.flows[i].enter)
	return c
}

// along returns the chain of a translating flow. It follows the packets in both directions.
func (l *linker) along(i int) chain {
	c := l.begin(i)
	path := []*linked{&l.flows[i]}
	for f := path[0]; f != nil; {
		if f = l.match(&c, f.enter, leaving, f.ended, false); f != nil {
			c.path, path = append(c.path, f.flow), append(path, f)
		}
	}
	slices.Reverse(c.path)
	slices.Reverse(path)
	for f := &l.flows[i]; f != nil; {
		if f = l.match(&c, f.leave, entering, c.head().ended, false); f != nil {
			c.path, path = append(c.path, f.flow), append(path, f)
		}
	}
	l.observers(&c, path[0].enter)
	for _, f := range path {
		l.observers(&c, f.leave)
	}
	return c
}

// observers adds the passive flows at a spot. Those that saw no handshake may have the reply
// direction as their original one.
func (l *linker) observers(c *chain, at spot) {
	for _, pickups := range [...]bool{false, true} {
		for f := l.match(c, at, passing, c.head().ended, pickups); f != nil; f = l.match(c, at, passing, c.head().ended, pickups) {
			c.passive = append(c.passive, f.flow)
		}
		at = at.reversed()
	}
}

// match returns the first candidate that belongs to the chain, nil if there is none, and marks
// it as used. It prefers a flow that has ended, or is open, as ended says. With pickups, flows
// that saw a handshake do not count.
func (l *linker) match(c *chain, at spot, r role, ended, pickups bool) *linked {
	if at.place == nowhere {
		return nil
	}
	var best *linked
	for next := l.list(at, r); *next != 0; {
		k := &l.candidates[*next]
		f := &l.flows[k.flow]
		if f.used {
			*next = k.next
			continue
		}
		if head := c.head(); head.ended && head.end.at < f.first {
			break // it began after the chain ended, and so did all later candidates
		}
		if (best == nil || f.ended == ended) && !(pickups && f.handshake) && l.joins(c, f.flow) {
			if best = f; f.ended == ended {
				break
			}
		}
		next = &k.next
	}
	if best != nil {
		best.used = true
	}
	return best
}

// joins reports whether g can be another flow of the chain's connection: it was open at the
// same time. One namespace may see the packets twice, on their way out and back, but with
// different tuples. A half-open flow does not belong to an ended connection.
func (l *linker) joins(c *chain, g *flow) bool {
	netns := l.sources.NetnsOf(g.key.source)
	for _, list := range [...][]*flow{c.path, c.passive} {
		for _, f := range list {
			if f.ended && (f.end.at < g.first || !g.ended && !g.established) || g.ended && (g.end.at < f.first || !f.ended && !f.established) {
				return false
			}
			if (f.key.source == g.key.source || netns != 0 && netns == l.sources.NetnsOf(f.key.source)) && f.sharesTuple(g) {
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
