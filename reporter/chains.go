package reporter

import (
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// heard is what flows of one connection tell together.
type heard struct {
	first, last int64
	gap         uint64 // record of the last gap of their sources
	state       ctmsg.State
	hasState    bool
	rank        uint8 // of the flow that told the state, 0 before any was heard
	edge        bool
	handshake   bool // a SYN was seen
	closed      bool // all have ended
	hidden      bool // as the ends of all would be
}

// hear adds what one more flow tells.
func (h *heard) hear(f *flow, s *source) {
	if h.rank == 0 {
		h.first, h.last, h.closed, h.hidden = f.first, f.last, true, true
	}
	if rank := f.tells(); rank > h.rank {
		h.rank, h.state, h.hasState = rank, f.state, f.hasState
	}
	h.first, h.last, h.gap = min(h.first, f.first), max(h.last, f.last), max(h.gap, s.gapSeq)
	h.edge, h.handshake = h.edge || f.edge, h.handshake || f.handshake
	h.closed, h.hidden = h.closed && f.ended, h.hidden && s.hidden(f.shown)
}

// tells ranks flows of one connection by what their state is worth.
func (f *flow) tells() uint8 {
	switch {
	case f.edge && !f.ended:
		return 4
	case !f.ended:
		return 3
	case f.edge:
		return 2
	}
	return 1
}

// A chain is what several namespaces tell of one connection. Its path stands among
// the linker's members: translating flows in the order in which the client's packets
// meet them, or a single other.
type chain struct {
	heard
	at, path int32
}

// chain is the numbered one.
func (l *linker) chain(number int) (h *heard, path []*flow) {
	c := &l.chains[number]
	return &c.heard, l.members[c.at:][:c.path:c.path]
}

// link makes chains of the flows, each of which is in one, and keeps those of which
// a report of the window tells. It holds their flows.
func (l *linker) link(flows *flows, window uint64) {
	l.window = window
	l.gather(flows)
	l.meet()
	l.members, l.chains = emptied(l.members, len(l.flows)), emptied(l.chains, len(l.flows))
	l.each(func(f *linked) bool { return f.nat }, l.along)
	for _, sure := range [...]bool{true, false} { // a pickup does not know the direction
		l.each(func(f *linked) bool { return f.handshake == sure }, l.alone)
	}
}

// each begins a chain with each of those flows that are in none yet.
func (l *linker) each(those func(*linked) bool, begin func(int32)) {
	for from := 0; from < len(l.flows); from += batch {
		some := l.flows[from:min(from+batch, len(l.flows))]
		l.lookAhead(some, those)
		for i := range some {
			if f := &some[i]; !f.taken && those(f) {
				begin(int32(from + i))
			}
		}
	}
}

// lookAhead touches what flows may meet.
func (l *linker) lookAhead(some []linked, those func(*linked) bool) {
	var near [4 * batch]uint64
	var met [4 * batch]*flow
	n, sum := 0, uint64(0)
	for i := range some {
		f := &some[i]
		if f.taken || !those(f) {
			continue
		}
		for _, at := range [...]meetingAt{f.enter, f.leave} {
			if at.pair() {
				near[n] = at.other()
				n++
			} else {
				m := &l.meetings[at]
				n += copy(near[n:], l.keys[m.from:min(m.from+2, m.to)])
			}
		}
	}
	for i, k := range near[:n] {
		f, _ := l.of(k)
		met[i] = f.flow
	}
	for _, f := range met[:n] {
		sum += f.touch()
	}
	l.touched = sum
}

// begin begins a chain with a flow.
func (l *linker) begin(first int32) {
	l.path, l.onlookers = append(l.path[:0], first), l.onlookers[:0]
	l.flows[first].taken = true
}

// end ends a chain. It is told of if it lives, or if the last of its flows ended in
// the window.
func (l *linker) end() {
	c, last := added(&l.chains), uint64(0)
	c.heard = heard{}
	for _, list := range [...][]int32{l.path, l.onlookers} {
		for _, i := range list {
			f := l.flows[i].flow
			c.hear(f, l.sources.get(f.key.source))
			last = max(last, f.window)
		}
	}
	told := !c.closed || last == l.window
	for _, list := range [...][]int32{l.path, l.onlookers} {
		for _, i := range list {
			l.flows[i].hold(told)
		}
	}
	if !told {
		l.chains = l.chains[:len(l.chains)-1]
		return
	}
	c.at, c.path = int32(len(l.members)), int32(len(l.path))
	for _, i := range l.path {
		l.members = append(l.members, l.flows[i].flow)
	}
}

// hold says whether a flow is held. Most often it is known: that is no reason to write
// to memory.
func (f *flow) hold(held bool) {
	if f.held != held {
		f.held = held
	}
}

// alone makes the chain of a flow that does not translate.
func (l *linker) alone(first int32) {
	l.begin(first)
	l.enter(first)
	l.end()
}

// along follows a translating flow to both sides.
func (l *linker) along(first int32) {
	l.begin(first)
	for i := first; i >= 0; {
		f := &l.flows[i]
		if i = l.partner(f.enter, f.flow.enter(), leaving, f.ended); i >= 0 {
			l.path = append(l.path, i)
		}
	}
	slices.Reverse(l.path)
	fate := l.flows[l.path[0]].ended
	for i := first; i >= 0; {
		f := &l.flows[i]
		if i = l.partner(f.leave, f.flow.leave(), entering, fate); i >= 0 {
			l.path = append(l.path, i)
		}
	}
	l.enter(l.path[0])
	for _, i := range l.path {
		if f := &l.flows[i]; f.leave != 0 {
			l.lookOn(f.leave, f.flow.leave())
		}
	}
	l.end()
}

// enter looks where the first flow is entered.
func (l *linker) enter(first int32) {
	if f := &l.flows[first]; f.enter != 0 {
		l.lookOn(f.enter, f.flow.enter())
	}
}

// lookOn adds the flows that saw the connection pass at a place, if they saw it
// from its start or not.
func (l *linker) lookOn(meeting meetingAt, at place) {
	fate := l.flows[l.path[0]].ended
	for _, way := range [...]way{passing, passingBack} {
		for i := l.partner(meeting, at, way, fate); i >= 0; i = l.partner(meeting, at, way, fate) {
			l.onlookers = append(l.onlookers, i)
		}
		at = at.reversed()
	}
}

// joins reports whether g can be another namespace's view of the chain's
// connection. One namespace may see it twice, at different places: what goes
// out and comes back. A flow that is half open is no view of one that has ended.
func (l *linker) joins(g *flow) bool {
	netns := l.sources.netnsOf(g.key.source)
	for _, list := range [...][]int32{l.path, l.onlookers} {
		for _, i := range list {
			f := l.flows[i].flow
			if f.ended && (f.end.at < g.first || !g.ended && !g.edge) || g.ended && (g.end.at < f.first || !f.ended && !f.edge) {
				return false
			}
			if (f.key.source == g.key.source || netns != 0 && netns == l.sources.netnsOf(f.key.source)) && f.meets(g) {
				return false
			}
		}
	}
	return true
}

// meets reports whether two flows have a tuple in common, in either direction.
func (f *flow) meets(g *flow) bool {
	for _, a := range [...]*ctmsg.Tuple{&f.key.orig, &f.reply} {
		for _, b := range [...]*ctmsg.Tuple{&g.key.orig, &g.reply} {
			if *a == *b || *a == b.Reversed() {
				return true
			}
		}
	}
	return false
}

// link links the flows for a report of a window, unless nothing has come since they
// were linked for that.
func (c *current) link(window uint64) *linker {
	l := &c.join.linker
	if !l.fresh {
		l.sources, c.holding = &c.sources, true
		l.link(&c.flows, window)
		l.fresh = true
	}
	return l
}

// hold keeps the flows of chains that are still to be told of.
func (c *current) hold() {
	had := c.holding
	if c.holding = c.sources.several(); c.holding {
		c.link(c.window)
		return
	}
	c.join.linker = linker{}
	if had {
		c.flows.each(func(f *flow) { f.hold(false) })
	}
}
