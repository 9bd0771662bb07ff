package current

import (
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/source"
)

const (
	maxCarriedFlows = 4 << 20 // flows that are read at most: about 1 GiB
	minFlowSize     = 20      // bytes of a flow's state at least
)

// carry codes the flows, in the order in which they were first seen.
func (t *flows) carry(c *carry.Coder, ss *source.Sources) {
	n := len(t.all)
	c.Len(&n, minFlowSize)
	c.Check(n <= maxCarriedFlows)
	for i := 0; i < n && c.OK(); i++ {
		f := new(flow)
		if !c.Reading() {
			f = t.all[i]
		}
		f.carry(c)
		if c.Reading() {
			c.Check(ss.Get(f.key.source) != nil)
			t.restore(c, f)
		}
	}
}

// restore adds a flow that was read.
func (t *flows) restore(c *carry.Coder, f *flow) {
	t.all = append(t.all, f)
	if f.gone {
		t.gone++
	}
	if !f.indexed {
		return
	}
	lives := 1
	for g := t.byEntry[f.key.entry()]; g != nil; g = g.older {
		lives++
		c.Check(g.key.id != f.key.id)
	}
	c.Check(lives <= maxLives)
	t.index(f)
}

// carry codes a flow, without the fields that its flags make unnecessary.
func (f *flow) carry(c *carry.Coder) {
	plain, sides := !f.nat, f.sides != nil
	c.Bools(&plain, &sides, &f.hasState, &f.indexed, &f.established, &f.ended, &f.gone, &f.handshake, &f.sawFirst, &f.pending, &f.observed,
		&f.offloaded, &f.inHardware)
	c.Check((f.indexed || f.gone) && (f.ended || !f.gone && !sides) && (f.offloaded || !f.inHardware))
	f.key.carry(c)
	if plain {
		f.reply = f.key.orig.Reversed()
	} else {
		carryTCP(c, &f.reply)
	}
	f.nat = translated(&f.key.orig, &f.reply)
	carry.Uint(c, &f.state)
	carry.Int(c, &f.first)
	carry.Int(c, &f.last)
	carry.Uint(c, &f.lastSeq)
	carry.Uint(c, &f.stateSeq)
	if f.ended {
		f.end.carry(c)
		carry.Uint(c, &f.window)
	}
	if f.gone {
		carry.Uint(c, &f.goneSeq)
	}
	if !sides {
		return
	}
	if c.Reading() {
		f.sides = new([2]side)
	}
	for i := range f.sides {
		f.sides[i].carry(c)
	}
}

// carry codes the key.
func (k *flowKey) carry(c *carry.Coder) {
	carryTCP(c, &k.orig)
	carry.Uint(c, &k.id)
	carry.Uint(c, &k.source)
	carry.Uint(c, &k.zone)
}

// carry codes one side of an ended flow. A side without a socket has no address.
func (s *side) carry(c *carry.Coder) {
	c.AddrPort(&s.addr)
	carry.Uint(c, &s.netns)
	carryProcesses(c, &s.processes)
	c.String(&s.state)
	carry.Int(c, &s.first)
	carry.Int(c, &s.last)
	c.Check(s.addr.IsValid() || s.state == "")
}
