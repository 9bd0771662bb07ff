package reporter

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A chain is what several namespaces tell of one connection.
type chain struct {
	path      []*flow // translating flows in the order in which the client's packets meet them, or a single other
	onlookers []*flow // that saw it pass
}

func (c chain) each(visit func(*flow)) {
	for _, f := range c.path {
		visit(f)
	}
	for _, f := range c.onlookers {
		visit(f)
	}
}

// single reports whether it is of one flow.
func (c chain) single() bool { return len(c.path)+len(c.onlookers) == 1 }

// told reports whether a report of a window tells of the chain: it lives, or
// the last of its flows ended in that window.
func (c chain) told(window uint64) bool {
	told, last := false, uint64(0)
	c.each(func(f *flow) {
		told = told || !f.ended
		if f.ended {
			last = max(last, f.window)
		}
	})
	return told || last == window
}

// A place is a tuple as packets show it somewhere between the ends.
type place struct {
	ctmsg.Tuple
	zone uint16
}

func (f *flow) enter() place { return place{f.key.orig, f.key.zone} }
func (f *flow) leave() place { return place{f.reply.Reversed(), f.key.zone} }

// hash is the same for what goes and for what comes back.
func (p *place) hash() uint64 { return either(&p.Tuple) ^ uint64(p.zone)*0x9e3779b97f4a7c15 }

// A linker puts the flows of different namespaces together that are parts of
// one connection: one leaves with the tuple with which the next enters. Loopback
// never leaves its namespace, and zones never mix. Its lists are reused.
type linker struct {
	sources         *sources
	flows           []linked // in the order in which they look for each other
	keys            []sortKey
	spare           []sortKey
	meetings        []meeting
	path, onlookers []int32 // of the chain in the making: places among the flows

	chains  []chainAt
	members []*flow // of the chains

	met     []*flow // by some flows
	touched uint64  // by looking ahead
}

// A linked flow, and where its places are those of others: meetings, 0 for none.
type linked struct {
	*flow
	enter, leave          int32
	nat, handshake, taken bool
}

// A meeting is where the keys begin and end of flows that may have a place in
// common. In a crowd they are those of one list of a place, whose lists follow
// each other.
type meeting struct {
	from, to int32
	crowd    bool
}

// A chainAt is where a chain stands among the members.
type chainAt struct{ at, path, onlookers int32 }

// chain is the numbered one.
func (l *linker) chain(number int32) chain {
	k := &l.chains[number]
	m := l.members[k.at : k.at+k.path+k.onlookers]
	return chain{m[:k.path:k.path], m[k.path:]}
}

// link groups the flows; each is in one chain.
func (l *linker) link(all []*flow) {
	l.flows, l.members, l.chains = emptied(l.flows, len(all)), emptied(l.members, len(all)), emptied(l.chains, len(all))
	l.flows = slices.Grow(l.flows, len(all))
	for _, f := range all {
		l.flows = append(l.flows, linked{flow: f, nat: f.nat, handshake: f.handshake})
	}
	l.meet()
	l.each(func(f *linked) bool { return f.nat }, l.along)
	for _, sure := range [...]bool{true, false} { // a pickup does not know the direction
		l.each(func(f *linked) bool { return f.handshake == sure }, func(i int32) {
			f := &l.flows[i]
			l.begin(i)
			l.lookOn(f.enter, f.flow.enter())
			l.end()
		})
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
	var near [2 * batch]meeting
	n := 0
	for i := range some {
		f := &some[i]
		if f.taken || !those(f) {
			continue
		}
		for _, m := range [...]int32{f.enter, f.leave} {
			if m > 0 {
				near[n] = l.meetings[m]
				n++
			}
		}
	}
	met := l.met[:0]
	for _, m := range near[:n] {
		for _, k := range l.keys[m.from:min(m.from+2, m.to)] {
			f, _ := l.of(k)
			met = append(met, f.flow)
		}
	}
	sum := uint64(0)
	for _, f := range met {
		sum += f.touch()
	}
	l.met, l.touched = met, sum
}

// meet finds the places that several flows have in common.
func (l *linker) meet() {
	l.keys = slices.Grow(emptied(l.keys, 2*len(l.flows)), len(l.flows))
	for i := range l.flows {
		f := &l.flows[i]
		at := f.flow.enter()
		l.keys = append(l.keys, sortKey{at.hash(), 0, uint64(i) << 1})
		if f.nat {
			at = f.flow.leave()
			l.keys = append(l.keys, sortKey{at.hash(), 0, uint64(i)<<1 | 1})
		}
	}
	l.spare = slices.Grow(emptied(l.spare, len(l.keys)), len(l.keys))
	l.keys, l.spare = sortKeys(l.keys, l.spare, &byFirst)
	l.meetings = append(emptied(l.meetings, len(l.flows)), meeting{})
	for from := 0; from < len(l.keys); {
		to := from + 1
		for to < len(l.keys) && l.keys[to][0] == l.keys[from][0] {
			to++
		}
		l.meetAt(from, to)
		from = to
	}
}

// crowd is how many keys of one hash are looked through at every look; more are
// told apart first. Who sends packets can choose tuples of one hash, and use one
// again and again.
const crowd = 16

// meetAt notes meetings of the flows whose keys have one hash.
func (l *linker) meetAt(from, to int) {
	if to-from <= crowd {
		if to-from > 1 {
			l.introduce(from, to)
			l.meetings = append(l.meetings, meeting{int32(from), int32(to), false})
		}
		return
	}
	slices.SortStableFunc(l.keys[from:to], func(a, b sortKey) int {
		return cmp.Or(l.comparePlaces(a, b), cmp.Compare(l.listOf(a), l.listOf(b)))
	})
	for from < to {
		first := from
		for from++; from < to && l.comparePlaces(l.keys[first], l.keys[from]) == 0; from++ {
		}
		if from-first < 2 {
			continue
		}
		l.introduce(first, from)
		for list := range lists {
			begin := first
			for first < from && l.listOf(l.keys[first]) == list {
				first++
			}
			l.meetings = append(l.meetings, meeting{int32(begin), int32(first), true})
		}
	}
}

// introduce tells flows of the meeting that comes next.
func (l *linker) introduce(from, to int) {
	for _, k := range l.keys[from:to] {
		if f, leaves := l.of(k); leaves {
			f.leave = int32(len(l.meetings))
		} else {
			f.enter = int32(len(l.meetings))
		}
	}
}

// comparePlaces orders keys by their places, whichever way they are passed.
func (l *linker) comparePlaces(a, b sortKey) int {
	p, q := l.place(a), l.place(b)
	if p.back() {
		p.Tuple = p.Reversed()
	}
	if q.back() {
		q.Tuple = q.Reversed()
	}
	from, to := p.ends()
	fromOther, toOther := q.ends()
	return cmp.Or(byAll.compare(&from, &fromOther), byAll.compare(&to, &toOther), cmp.Compare(p.zone, q.zone))
}

// ends order places.
func (p *place) ends() (from, to sortKey) {
	return hostPort{p.SrcIP, p.SrcPort}.key(0), hostPort{p.DstIP, p.DstPort}.key(0)
}

// back reports whether the place is passed from its greater end to the lesser.
func (p *place) back() bool {
	from, to := p.ends()
	return byAll.compare(&from, &to) > 0
}

// lists is how many a place has: of flows that have it in one way and direction.
const lists = 6

// list is that of flows that have a place so.
func (p *place) list(as way) int {
	list := 2 * int(min(as, passing))
	if p.back() {
		list++
	}
	return list
}

// listOf is a key's list, place its place.
func (l *linker) listOf(k sortKey) int {
	p, as := l.place(k), passing
	if f, leaves := l.of(k); leaves {
		as = leaving
	} else if f.nat {
		as = entering
	}
	return p.list(as)
}

func (l *linker) place(k sortKey) place {
	f, leaves := l.of(k)
	if leaves {
		return f.flow.leave()
	}
	return f.flow.enter()
}

// of is the flow of a key, and whether the place is that where it leaves.
func (l *linker) of(k sortKey) (f *linked, leaves bool) {
	return &l.flows[k.at()>>1], k.at()&1 != 0
}

// begin begins a chain with a flow, end ends it.
func (l *linker) begin(first int32) {
	l.path, l.onlookers = append(l.path[:0], first), l.onlookers[:0]
	l.flows[first].taken = true
}

func (l *linker) end() {
	l.chains = append(l.chains, chainAt{int32(len(l.members)), int32(len(l.path)), int32(len(l.onlookers))})
	for _, list := range [...][]int32{l.path, l.onlookers} {
		for _, i := range list {
			l.members = append(l.members, l.flows[i].flow)
		}
	}
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
	f := &l.flows[l.path[0]]
	l.lookOn(f.enter, f.flow.enter())
	for _, i := range l.path {
		f := &l.flows[i]
		l.lookOn(f.leave, f.flow.leave())
	}
	l.end()
}

// lookOn adds the flows that saw the connection pass at a place, if they saw it
// from its start or not.
func (l *linker) lookOn(meeting int32, at place) {
	fate := l.flows[l.path[0]].ended
	for _, way := range [...]way{passing, passingBack} {
		for i := l.partner(meeting, at, way, fate); i >= 0; i = l.partner(meeting, at, way, fate) {
			l.onlookers = append(l.onlookers, i)
		}
		at.Tuple = at.Reversed()
	}
}

// A way is how a flow has a place.
type way uint8

const (
	entering way = iota // translating flows
	leaving
	passing     // others
	passingBack // and may have been picked up, so that the direction is not sure
)

// at is the place that a flow has in a way.
func (f *flow) at(as way) place {
	if as == leaving {
		return f.leave()
	}
	return f.enter()
}

// partner takes the flow at a place that belongs to the chain: alive at the
// same time, best with the same fate. It is -1 if there is none.
func (l *linker) partner(meeting int32, at place, as way, ended bool) int32 {
	m := &l.meetings[meeting]
	if m.crowd {
		m = &l.meetings[int(meeting)+at.list(as)]
	}
	for ; m.from < m.to; m.from++ {
		if f, _ := l.of(l.keys[m.from]); !f.taken {
			break
		}
	}
	if m.from == m.to || loopback(&at.Tuple) {
		return -1
	}
	best := int32(-1)
	for _, k := range l.keys[m.from:m.to] {
		f, leaves := l.of(k)
		if f.taken || f.nat != (as < passing) || leaves != (as == leaving) || as == passingBack && f.handshake {
			continue
		}
		if f.at(as) != at || !l.joins(f.flow) {
			continue
		}
		i := int32(k.at() >> 1)
		if f.ended == ended {
			best = i
			break
		}
		if best < 0 {
			best = i
		}
	}
	if best >= 0 {
		l.flows[best].taken = true
	}
	return best
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

// link links all flows that may be told of.
func (c *current) link() *linker {
	j := &c.join
	zones := false
	j.all = emptied(j.all, len(c.flows.live)+len(c.flows.ended))
	c.flows.each(func(f *flow) {
		if !f.ended || f.edge {
			zones = zones || f.key.zone != 0
			j.all = append(j.all, f)
		}
	})
	if zones {
		byZone(j.all)
	}
	j.linker.sources = &c.sources
	j.linker.link(j.all)
	return &j.linker
}

// hold keeps the flows of chains that are still to be told of.
func (c *current) hold() {
	if c.holding {
		c.flows.each(func(f *flow) { f.held = false })
	}
	c.holding = c.sources.several()
	if !c.holding {
		c.join.linker = linker{}
		return
	}
	l := c.link()
	for i := range l.chains {
		if chain := l.chain(int32(i)); chain.told(c.window) {
			chain.each(func(f *flow) { f.held = true })
		}
	}
}
