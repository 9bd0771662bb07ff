package reporter

import "github.com/topotape/topotape/reporter/ctmsg"

// A place is a tuple as packets show it somewhere between the ends.
type place struct {
	ctmsg.Tuple
	zone uint16
}

func (f *flow) enter() place { return place{f.key.orig, f.key.zone} }
func (f *flow) leave() place { return place{f.reply.Reversed(), f.key.zone} }

// A chain is what several namespaces tell of one connection.
type chain struct {
	path      []*flow // translating flows in the order in which the client's packets meet them, or a single other
	onlookers []*flow // that saw it pass
}

func (c *chain) each(visit func(*flow)) {
	for _, f := range c.path {
		visit(f)
	}
	for _, f := range c.onlookers {
		visit(f)
	}
}

// A linker puts the flows of different namespaces together that are parts of
// one connection: one leaves with the tuple with which the next enters. Loopback
// never leaves its namespace, and zones never mix.
type linker struct {
	netnsOf               func(source uint32) uint64
	enters, leaves, plain map[place][]*flow
	taken                 map[*flow]bool
}

// chains groups the flows; each is in one chain.
func chains(all []*flow, netnsOf func(uint32) uint64) []chain {
	l := linker{netnsOf, map[place][]*flow{}, map[place][]*flow{}, map[place][]*flow{}, make(map[*flow]bool, len(all))}
	for _, f := range all {
		if f.nat {
			l.enters[f.enter()] = append(l.enters[f.enter()], f)
			l.leaves[f.leave()] = append(l.leaves[f.leave()], f)
		} else {
			l.plain[f.enter()] = append(l.plain[f.enter()], f)
		}
	}
	var out []chain
	for _, f := range all {
		if f.nat && !l.taken[f] {
			out = append(out, l.along(f))
		}
	}
	for _, sure := range [...]bool{true, false} { // a pickup does not know the direction
		for _, f := range all {
			if l.taken[f] || f.handshake != sure {
				continue
			}
			c := chain{path: []*flow{f}}
			l.taken[f] = true
			l.lookOn(&c, f.enter())
			out = append(out, c)
		}
	}
	return out
}

// along follows a translating flow to both sides.
func (l *linker) along(f *flow) chain {
	c := chain{path: []*flow{f}}
	l.taken[f] = true
	for g := l.partner(&c, f.enter(), l.leaves, false); g != nil; g = l.partner(&c, g.enter(), l.leaves, false) {
		c.path = append([]*flow{g}, c.path...)
	}
	for g := l.partner(&c, f.leave(), l.enters, false); g != nil; g = l.partner(&c, g.leave(), l.enters, false) {
		c.path = append(c.path, g)
	}
	l.lookOn(&c, c.path[0].enter())
	for _, g := range c.path {
		l.lookOn(&c, g.leave())
	}
	return c
}

// lookOn adds the flows that saw the connection pass at a place, if they saw it
// from its start or not.
func (l *linker) lookOn(c *chain, at place) {
	for g := l.partner(c, at, l.plain, false); g != nil; g = l.partner(c, at, l.plain, false) {
		c.onlookers = append(c.onlookers, g)
	}
	back := place{at.Reversed(), at.zone}
	for g := l.partner(c, back, l.plain, true); g != nil; g = l.partner(c, back, l.plain, true) {
		c.onlookers = append(c.onlookers, g)
	}
}

// partner takes the flow at a place that belongs to the chain: alive at the
// same time, best with the same fate.
func (l *linker) partner(c *chain, at place, among map[place][]*flow, pickup bool) *flow {
	list := among[at]
	if len(list) == 0 || loopback(&at.Tuple) {
		return nil
	}
	for len(list) > 0 && l.taken[list[0]] {
		list = list[1:]
	}
	among[at] = list
	var best *flow
	for _, g := range list {
		if l.taken[g] || pickup && g.handshake || !l.joins(c, g) {
			continue
		}
		if g.ended == c.path[0].ended {
			best = g
			break
		}
		if best == nil {
			best = g
		}
	}
	if best != nil {
		l.taken[best] = true
	}
	return best
}

// joins reports whether g can be another namespace's view of the chain's
// connection. One namespace may see it twice, at different places: what goes
// out and comes back. A flow that is half open is no view of one that has ended.
func (l *linker) joins(c *chain, g *flow) bool {
	ok := true
	c.each(func(f *flow) {
		netns := l.netnsOf(f.key.source)
		same := f.key.source == g.key.source || netns != 0 && netns == l.netnsOf(g.key.source)
		apart := f.ended && f.end.at < g.first || g.ended && g.end.at < f.first ||
			f.ended && !g.ended && !g.edge || g.ended && !f.ended && !f.edge
		if same && f.meets(g) || apart {
			ok = false
		}
	})
	return ok
}

// meets reports whether two flows have a tuple in common, in either direction.
func (f *flow) meets(g *flow) bool {
	for _, a := range [...]ctmsg.Tuple{f.key.orig, f.reply} {
		for _, b := range [...]ctmsg.Tuple{g.key.orig, g.reply} {
			if a == b || a == b.Reversed() {
				return true
			}
		}
	}
	return false
}

// told reports whether a report of a window tells of the chain: it lives, or
// the last of its flows ended in that window.
func (c *chain) told(window uint64) bool {
	told, last := false, uint64(0)
	c.each(func(f *flow) {
		told = told || !f.ended
		if f.ended {
			last = max(last, f.window)
		}
	})
	return told || last == window
}

// linked is all that may be told of connections that several namespaces see.
func (c *current) linked() []*flow {
	var all []*flow
	c.flows.each(func(f *flow) {
		if !f.ended || f.edge {
			all = append(all, f)
		}
	})
	return all
}

// hold keeps the flows of chains that are still to be told of.
func (c *current) hold() {
	if c.holding {
		c.flows.each(func(f *flow) { f.held = false })
	}
	c.holding = c.sources.several()
	if !c.holding {
		return
	}
	for _, l := range chains(c.linked(), c.sources.netnsOf) {
		if l.told(c.window) {
			l.each(func(f *flow) { f.held = true })
		}
	}
}
