package current

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// Carry codes the state, without what is derived from it and what every record sets again.
func (m *Machine) Carry(c *carry.Coder) {
	c.String(&m.hostID)
	c.String(&m.host)
	carry.Int(c, &m.wall)
	carryAddresses(c, &m.addresses)
	carryScopeInput(c, &m.scopeInput)
	m.ticks.Carry(c)
	m.sources.Carry(c)
	m.flows.carry(c, &m.sources)
	m.sockets.carry(c, &m.sources)
	m.events.Carry(c)
	m.names.forward.carry(c)
	m.names.reverse.carry(c)
	m.dns.Carry(c, func(source uint32) bool { return m.sources.Get(source) != nil })
}

// carryScopeInput codes the input of the Scope view.
func carryScopeInput(c *carry.Coder, f *report.ScopeInput) {
	carry.Int(c, &f.Start)
	source.CarryNetworks(c, &f.HostScoped)
	source.CarryTexts(c, &f.LocalNetworks)
}

// maxAddresses bounds the carried addresses of a host.
const maxAddresses = 1 << 20

// carryAddresses codes a set of addresses, in order.
func carryAddresses(c *carry.Coder, set *map[netip.Addr]bool) {
	list := slices.AppendSeq(make([]netip.Addr, 0, len(*set)), maps.Keys(*set))
	slices.SortFunc(list, netip.Addr.Compare)
	carry.List(c, &list, 1, func(c *carry.Coder, a *netip.Addr) {
		c.Check(!c.Reading() || len(list) < maxAddresses)
		c.Addr(a)
	})
	if c.Reading() {
		*set = make(map[netip.Addr]bool, len(list))
		for _, a := range list {
			(*set)[a] = true
		}
	}
}

// carry codes the addresses and their names, the address answered longest ago first.
func (k *cache) carry(c *carry.Coder) {
	n := k.order.Len()
	c.Len(&n, 2)
	c.Check(n <= maxNames)
	e := k.order.Front()
	for i := 0; i < n && c.OK(); i++ {
		a := new(addrNames)
		if !c.Reading() {
			a = e.Value.(*addrNames)
			e = e.Next()
		}
		c.Addr(&a.addr)
		carry.List(c, &a.names, 2, func(c *carry.Coder, n *nameEntry) {
			c.Name(&n.name)
			carry.Int(c, &n.expires)
			c.Check(!c.Reading() || len(a.names) < maxNamesPerAddr)
		})
		if !c.Reading() {
			continue
		}
		c.Check(k.byAddr[a.addr] == nil)
		k.byAddr[a.addr] = k.order.PushBack(a)
		for j := range a.names {
			k.bytes += a.names[j].cost()
		}
		c.Check(k.bytes <= maxNameBytes)
	}
}
