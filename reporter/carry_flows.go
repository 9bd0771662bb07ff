package reporter

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/reporter/carry"
)

// maxCarriedFlows bounds the slots for flows that are taken over: to 1 GiB.
const maxCarriedFlows = 4 << 20

// carry is every slot, in order, with its flow's place in the lists that it is
// in: flows are visited, freed and made in the same order then.
func (t *flows) carry(c *carry.Coder, ss *sources) {
	n := len(t.pages)
	c.Len(&n, flowPage)
	c.Check(n <= maxCarriedFlows/flowPage)
	k := flowCarrier{Coder: c, sources: ss, flows: t, depth: make(map[*flow]uint32)}
	if !c.Reading() {
		t.named.each(func(first int32) {
			for f, depth := t.at(first), uint32(1); f != nil; f, depth = t.after(f), depth+1 {
				k.depth[f] = depth
			}
		})
	}
	k.free.begin(c, &t.free)
	k.live.begin(c, &t.live)
	k.ended.begin(c, &t.ended)
	k.dead.begin(c, &t.dead)
	for i := range n {
		if !c.OK() {
			return
		}
		if c.Reading() {
			t.grow()
		}
		for j := range t.pages[i] {
			k.slot(&t.pages[i][j])
		}
	}
	if c.Reading() {
		c.Check(k.free.whole() && k.live.whole() && k.ended.whole() && k.dead.whole())
		k.link()
	}
}

// A flowCarrier carries the slots for flows.
type flowCarrier struct {
	*carry.Coder
	sources                 *sources
	flows                   *flows
	free, live, ended, dead flowPlaces
	depth                   map[*flow]uint32 // of flows that have a name: from 1, among those of their hash
	behind                  []*flow          // of those that were read, the ones that are not the first
}

func (k *flowCarrier) slot(f *flow) {
	plain, listed := !f.nat, false
	if !k.Reading() && f.ended {
		listed = k.ended.has(f)
	}
	k.Bools(&f.used, &f.edge, &f.ended, &f.gone, &f.hasState, &f.handshake, &f.born, &f.held, &f.heard, &plain, &f.kept, &listed)
	if !f.used {
		k.free.carry(k.Coder, f)
		return
	}
	k.named(f, plain)
	carry.Uint(k.Coder, &f.state)
	carry.Int(k.Coder, &f.first)
	carry.Int(k.Coder, &f.last)
	carry.Uint(k.Coder, &f.touched)
	carry.Uint(k.Coder, &f.shown)
	k.Check(f.ended || !f.gone && !listed && !f.kept)
	if !f.ended {
		f.place = int32(k.live.carry(k.Coder, f))
		return
	}
	f.end.carry(k.Coder)
	carry.Uint(k.Coder, &f.window)
	if listed {
		k.ended.carry(k.Coder, f)
	}
	if f.gone {
		carry.Uint(k.Coder, &f.goneSeq)
		k.dead.carry(k.Coder, f)
	}
	if f.kept {
		kept := k.flows.keep(f)
		kept[0].carry(k.Coder)
		kept[1].carry(k.Coder)
	}
}

// named is what the flow is called. A detached flow is not found by it.
func (k *flowCarrier) named(f *flow, plain bool) {
	c := k.Coder
	carryTCP(c, &f.key.orig)
	carry.Uint(c, &f.key.id)
	carry.Uint(c, &f.key.source)
	carry.Uint(c, &f.key.zone)
	k.Check(k.sources.get(f.key.source) != nil)
	if plain {
		f.reply = f.key.orig.Reversed()
	} else {
		carryTCP(c, &f.reply)
	}
	f.nat = translated(&f.key.orig, &f.reply)
	depth := k.depth[f]
	carry.Uint(c, &depth)
	if !k.Reading() || depth == 0 {
		return
	}
	k.depth[f] = depth
	if h := f.key.hash(); depth == 1 && k.flows.first(h) == nil {
		k.flows.named.set(h, f.number)
	} else {
		k.behind = append(k.behind, f)
	}
}

// link puts the flows of one hash in their order. Who wrote may have had other
// hashes: of flows of different keys it does not matter.
func (k *flowCarrier) link() {
	slices.SortStableFunc(k.behind, func(a, b *flow) int { return cmp.Compare(k.depth[a], k.depth[b]) })
	last := make(map[uint32]*flow)
	for _, f := range k.behind {
		h := f.key.hash()
		before := last[h]
		if before == nil {
			before = k.flows.first(h)
		}
		if before == nil {
			k.flows.named.set(h, f.number)
		} else {
			before.next = f.number + 1
		}
		last[h] = f
	}
}

// flowPlaces tells where flows stand in a list.
type flowPlaces struct {
	list  *[]*flow
	place map[*flow]uint32
}

func (l *flowPlaces) begin(c *carry.Coder, list *[]*flow) {
	l.list = list
	n := len(*list)
	c.Len(&n, 1)
	if c.Reading() {
		*list = make([]*flow, n)
		return
	}
	l.place = make(map[*flow]uint32, n)
	for i, f := range *list {
		l.place[f] = uint32(i)
	}
}

func (l *flowPlaces) has(f *flow) bool {
	_, has := l.place[f]
	return has
}

// carry is a flow's place, which nothing else may have.
func (l *flowPlaces) carry(c *carry.Coder, f *flow) uint32 {
	at := l.place[f]
	carry.Uint(c, &at)
	if c.Reading() {
		free := uint64(at) < uint64(len(*l.list)) && (*l.list)[at] == nil
		if c.Check(free); free {
			(*l.list)[at] = f
		}
	}
	return at
}

// whole reports whether every place has its flow.
func (l *flowPlaces) whole() bool { return !slices.Contains(*l.list, nil) }

// carry is one side of a flow that ended. It has no address where no socket was
// known.
func (s *side) carry(c *carry.Coder) {
	c.AddrPort(&s.addr)
	carry.Uint(c, &s.netns)
	carry.List(c, &s.processes, 2, carryProcess)
	c.String(&s.state)
	carry.Int(c, &s.first)
	carry.Int(c, &s.last)
	c.Check(s.addr.IsValid() || s.state == "")
}
