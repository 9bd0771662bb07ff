package reporter

import (
	"net/netip"
	"slices"
)

// memory is what a report's lists stand in.
type memory struct {
	connections []Connection
	endpoints   []Endpoint
	nat         []NAT
	aliases     []netip.AddrPort
}

// release takes a report's memory back, but not much more than it needed.
func (j *join) release(m memory) {
	n := len(m.connections)
	j.spare = memory{emptied(m.connections, n), emptied(m.endpoints, 2*n), emptied(m.nat, n), emptied(m.aliases, 2*n)}
}

// begin makes ready for the next report.
func (j *join) begin() {
	last := len(j.drafts)
	j.memory, j.spare = j.spare, memory{}
	j.all = emptied(j.all, len(j.all))
	j.drafts = emptied(j.drafts, last)
	j.swapped, j.group, j.moved = emptied(j.swapped, last), emptied(j.group, len(j.group)), emptied(j.moved, len(j.moved))
	j.keys, j.spareKeys = emptied(j.keys, last), emptied(j.spareKeys, 2*last)
	j.ipv4, j.ipv6, j.scoped = emptied(j.ipv4, 2*last), emptied(j.ipv6, 2*last), emptied(j.scoped, 2*last)
	j.noted = [2]noted{}
	j.shown, j.rows, j.tracked = 0, 0, 0
	j.scopes, j.scopeOf = j.scopes[:0], make(map[uint64]int)
}

// emptied makes a list empty. Room for many more than there could be is given up.
func emptied[T any](list []T, could int) []T {
	if cap(list) > 8*could+1024 {
		return nil
	}
	return list[:0]
}

// reserve makes room for so many connections.
func (j *join) reserve(connections int) {
	if connections > cap(j.connections) {
		j.connections = slices.Grow(j.connections, connections+connections/8)
	}
	j.swapped = slices.Grow(j.swapped, connections)
}
