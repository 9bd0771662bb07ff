package reporter

import (
	"net/netip"
	"slices"
	"sort"
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
	j.shown, j.ends6 = emptied(j.shown, last), emptied(j.ends6, 2*last)
	for side := range j.noted {
		for _, list := range [...]*mentions{&j.ipv4, &j.ipv6, &j.scoped} {
			list[side] = emptied(list[side], last)
		}
	}
	j.noted = [2]noted{}
	j.aliased, j.translations, j.rows, j.tracked = 0, 0, 0, 0
	j.scopes, j.scopeOf = j.scopes[:0], make(map[uint64]int)
}

// added makes a list longer by one, which is to be written where it stands: what is
// copied just after it was made is waited for.
func added[T any](list *[]T) *T {
	n := len(*list)
	if n == cap(*list) {
		*list = slices.Grow(*list, 1)
	}
	*list = (*list)[:n+1]
	return &(*list)[n]
}

// emptied makes a list empty. Room for many more than there could be is given up.
func emptied[T any](list []T, could int) []T {
	if cap(list) > 8*could+1024 {
		return nil
	}
	return list[:0]
}

// reserve makes room for the connections of sorted drafts, their translations and
// their clients' ends: those of IPv4 go first.
func (j *join) reserve() {
	n := len(j.keys)
	if n > cap(j.connections) {
		j.connections = slices.Grow(j.connections, n+n/8)
	}
	if j.translations > cap(j.nat) {
		j.nat = slices.Grow(j.nat, j.translations+j.translations/8)
	}
	j.swapped = slices.Grow(j.swapped, n)
	ipv4 := sort.Search(n, func(i int) bool { return !j.keys[i].hostPort().ip.Is4() })
	j.ipv4[0], j.ipv6[0] = slices.Grow(j.ipv4[0], ipv4), slices.Grow(j.ipv6[0], n-ipv4)
	j.ends6 = slices.Grow(j.ends6, n-ipv4)
}
