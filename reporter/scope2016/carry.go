package scope2016

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/source"
)

// Carry codes the state, without what every record sets again.
func (m *Machine) Carry(c *carry.Coder) {
	c.String(&m.hostID)
	c.String(&m.host)
	carry.Int(c, &m.wall)
	source.CarryNetworks(c, &m.hostScoped)
	source.CarryTexts(c, &m.localNetworks)
	m.ticks.Carry(c)
	m.sources.Carry(c)
	m.flows.carry(c)
	m.nat.carry(c)
	m.proc.carry(c)
	m.snooped.carry(c)
	m.reversed.carry(c)
}

// carry codes the active flows by id, and the ended ones.
func (w *flows) carry(c *carry.Coder) {
	const least = 16
	ids := w.ids()
	n := len(ids)
	c.Len(&n, least)
	for i := 0; i < n && c.OK(); i++ {
		f := new(flow)
		if !c.Reading() {
			f = w.active[ids[i]]
		}
		f.carry(c)
		if c.Reading() {
			c.Check(w.active[f.id] == nil)
			w.active[f.id] = f
		}
	}
	for _, list := range [...]*[]flow{&w.ended, &w.shown} {
		carry.List(c, list, least, func(c *carry.Coder, f *flow) {
			c.Check(!c.Reading() || len(*list) < maxEnded)
			f.carry(c)
		})
	}
}

// carry codes a flow. A reply tuple that translates nothing is left out.
func (f *flow) carry(c *carry.Coder) {
	plain := f.reply == f.orig.reversed()
	c.Bools(&f.hasState, &plain)
	f.orig.carry(c)
	if plain {
		f.reply = f.orig.reversed()
	} else {
		f.reply.carry(c)
	}
	carry.Uint(c, &f.id)
	carry.Uint(c, &f.source)
	carry.Uint(c, &f.state)
	carry.Int(c, &f.first)
	carry.Int(c, &f.last)
}

// carry codes the tables and lists, and the time at which each row was first read. The rows
// themselves are parsed from the tables again.
func (k *proc) carry(c *carry.Coder) {
	k.carryTables(c, &k.contents, nil)
	carryLists(c, &k.contents)
	carry.Int(c, &k.read)
	c.Bools(&k.walking, &k.implicit)
	c.Check(k.walking || !k.implicit)
	carry.Uint(c, &k.begun)
	carry.Int(c, &k.pendingRead)
	k.carryTables(c, &k.pending, k.tables)
	carryLists(c, &k.pending)
	if c.Reading() && c.OK() {
		k.list()
	}
	n := len(k.rows)
	c.Len(&n, 1)
	c.Check(n == len(k.rows))
	for i := range k.rows {
		carry.Int(c, &k.rows[i].first)
	}
}

func carryLists(c *carry.Coder, w *contents) {
	lists := w.lists
	source.CarryProcesses(c, &lists)
	if !c.Reading() {
		return
	}
	for _, l := range lists {
		c.Check(w.addList(l))
	}
}

// carryTables codes parts of tables, in order. A part that equals one in same is coded as its
// number: the table was unchanged, or was not read again.
func (k *proc) carryTables(c *carry.Coder, w *contents, same []*table) {
	at := make(map[source.TableKey][]int) // indexes in same
	for i := range same {
		at[same[i].key] = append(at[same[i].key], i)
	}
	tables := w.tables
	carry.List(c, &tables, 5, func(c *carry.Coder, p **table) {
		if c.Reading() {
			*p = new(table)
		}
		t := *p
		shared := uint32(0) // 1 + the index of the equal part in same, 0 for none
		if !c.Reading() {
			list := at[t.key]
			if i := slices.IndexFunc(list, func(i int) bool { return t.absent == same[i].absent && t.text.Equal(same[i].text) }); i >= 0 {
				shared = uint32(list[i] + 1)
			}
		}
		carry.Uint(c, &shared)
		inRange := uint64(shared) <= uint64(len(same))
		c.Check(inRange)
		switch {
		case shared == 0:
			t.key.Carry(c)
			c.Bools(&t.absent)
			text := k.packer.Append(nil, t.text)
			if c.Blob(&text); c.Reading() {
				t.text = k.packer.Pack(text)
			}
		case c.Reading() && inRange:
			t = same[shared-1]
		}
		if c.Reading() {
			c.Check(w.addTable(t))
		}
	})
}

// carry codes the addresses, in the order in which they were written, and their names.
func (n *snoopedNames) carry(c *carry.Coder) {
	carryAddrs(c, &n.order, maxSnooped)
	for _, addr := range n.order {
		names := n.of(addr) // sorted, as a report would
		carryNames(c, &names)
		if !c.Reading() {
			continue
		}
		e := &snooped{known: make(map[string]bool, len(names)), names: names}
		for _, name := range names {
			e.known[name] = true
		}
		c.Check(n.byAddr[addr] == nil)
		n.byAddr[addr] = e
		n.bytes += sizeOf(names)
		c.Check(n.bytes <= maxNameBytes)
	}
}

// carry codes the addresses, in the order in which they were written, and their answers.
func (n *reverseNames) carry(c *carry.Coder) {
	carryAddrs(c, &n.order, maxReversed)
	for _, addr := range n.order {
		e := n.byAddr[addr]
		carryNames(c, &e.names)
		carry.Int(c, &e.expires)
		if c.Reading() {
			n.byAddr[addr] = e
			n.bytes += sizeOf(e.names)
			c.Check(n.bytes <= maxNameBytes)
		}
	}
	c.Check(len(n.byAddr) == len(n.order))
}

// carryNames codes the names of an address.
func carryNames(c *carry.Coder, names *[]string) {
	size := 0
	carry.List(c, names, 1, func(c *carry.Coder, p *string) {
		c.Name(p)
		size += len(*p) + nameCost
		c.Check(size <= maxNameBytes)
	})
}

// carryAddrs codes a list of addresses.
func carryAddrs(c *carry.Coder, list *[]netip.Addr, most int) {
	carry.List(c, list, 2, func(c *carry.Coder, a *netip.Addr) {
		c.Check(!c.Reading() || len(*list) < most)
		c.Addr(a)
	})
}

// carry codes the tuple of a flow or a row. It has both addresses.
func (t *tuple) carry(c *carry.Coder) {
	c.AddrPort(&t.src)
	c.AddrPort(&t.dst)
	c.Check(t.src.IsValid() && t.dst.IsValid())
}
