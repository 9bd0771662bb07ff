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

// emptied makes a list empty. Room for many more than there could be is given up.
func emptied[T any](list []T, could int) []T {
	if cap(list) > 8*could+1024 {
		return nil
	}
	return list[:0]
}

// reserve makes room for so many connections, and some.
func (j *join) reserve(n int) {
	if n > cap(j.connections) {
		j.connections = slices.Grow(j.connections, n+n/8)
	}
	if n > cap(j.ties) {
		j.ties = slices.Grow(j.ties, n+n/8)
	}
}

// add makes room for a connection.
func (j *join) add(t tie) *Connection {
	j.ties = append(j.ties, t)
	if len(j.connections) < cap(j.connections) {
		j.connections = j.connections[:len(j.connections)+1]
	} else {
		j.connections = append(j.connections, Connection{})
	}
	return &j.connections[len(j.connections)-1]
}
