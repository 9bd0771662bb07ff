package current

import (
	"cmp"
	"slices"
)

// gather returns the flows that a report of the window may show: the open ones, and the
// established ones that ended in the window or belong to a pending chain. The order is by zone,
// then by when they were first seen: if several zones have one tuple, the lowest zone gets the
// socket.
func gather(all []*flow, window uint64, pending bool) []*flow {
	out := make([]*flow, 0, len(all))
	for _, f := range all {
		if !f.ended || f.established && (f.window == window || pending && f.pending) {
			out = append(out, f)
		}
	}
	order := func(a, b *flow) int {
		return cmp.Or(cmp.Compare(a.key.zone, b.key.zone), cmp.Compare(a.first, b.first))
	}
	if !slices.IsSortedFunc(out, order) {
		slices.SortStableFunc(out, order)
	}
	return out
}

// A chain is the flows of one connection.
type chain struct {
	path    []*flow // the translating flows in the order in which the client's packets pass them, or one that does not translate
	passive []*flow // other flows, which do not translate, in namespaces that the packets pass
}

// head is the flow nearest to the client, tail the flow nearest to the server.
func (c *chain) head() *flow { return c.path[0] }
func (c *chain) tail() *flow { return c.path[len(c.path)-1] }

// alone returns a chain for each flow.
func alone(flows []*flow) []chain {
	out := make([]chain, len(flows))
	for i := range flows {
		out[i].path = flows[i : i+1 : i+1]
	}
	return out
}

// reported reports whether a report of the window shows the chain: while any flow is
// open, or if the last one closed in this window.
func (c *chain) reported(window uint64) bool {
	for _, list := range [...][]*flow{c.path, c.passive} {
		for _, f := range list {
			if !f.ended || f.window == window {
				return true
			}
		}
	}
	return false
}

// chains returns the chains that a report of the window shows. If conntrack has several
// sources, it links their flows.
func (m *Machine) chains(window uint64) []chain {
	several := m.sources.SeveralConntrack()
	flows := gather(m.flows.all, window, several)
	if !several {
		return alone(flows)
	}
	return slices.DeleteFunc(linkFlows(flows, &m.sources), func(x chain) bool { return !x.reported(window) })
}

// setPending marks the flows of chains that are not reported as closed yet. They are kept even
// if they are gone, because some flows of a connection may end windows before the others.
func (t *flows) setPending(chains []chain) {
	for _, f := range t.all {
		f.pending = false
	}
	for i := range chains {
		for _, list := range [...][]*flow{chains[i].path, chains[i].passive} {
			for _, f := range list {
				f.pending = true
			}
		}
	}
}
