package reporter

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A mention is one end of one connection.
type mention struct {
	hi, lo uint64 // the address, for sorting: in any order that brings equals together
	netns  uint64 // of loopback addresses only
	port   uint16
	to     bool
	conn   int32
}

func (m *mention) end(conns []Connection) *End {
	if m.to {
		return &conns[m.conn].To
	}
	return &conns[m.conn].From
}

func (a *mention) compare(b *mention) int {
	switch {
	case a.lo != b.lo:
		return cmp.Compare(a.lo, b.lo)
	case a.port != b.port:
		return cmp.Compare(a.port, b.port)
	case a.hi != b.hi:
		return cmp.Compare(a.hi, b.hi)
	}
	return cmp.Compare(a.netns, b.netns)
}

// A named is an endpoint's place among the mentions, by its id.
type named struct {
	id         string
	first, end int32
}

// endpoints lists the ends of the connections, each address once.
func (j *join) endpoints() []Endpoint {
	aliased := 0
	for i := range j.conns {
		for _, to := range [...]bool{false, true} {
			m := mention{conn: int32(i), to: to}
			e := m.end(j.conns)
			addr := e.Addr.Addr().As16()
			m.hi, m.lo, m.port = binary.BigEndian.Uint64(addr[:8]), binary.BigEndian.Uint64(addr[8:]), e.Addr.Port()
			if e.Addr.Addr().IsLoopback() {
				m.netns = e.Netns
			}
			j.mentions = append(j.mentions, m)
		}
		aliased += 2 * len(j.conns[i].NAT)
	}
	slices.SortFunc(j.mentions, func(a, b mention) int { return a.compare(&b) })
	var ids strings.Builder
	ids.Grow(24 * len(j.mentions))
	var id []byte
	for i := 0; i < len(j.mentions); {
		m := &j.mentions[i]
		end := i + 1
		for end < len(j.mentions) && m.compare(&j.mentions[end]) == 0 {
			end++
		}
		id = j.c.appendID(id[:0], m.end(j.conns).Addr, m.netns)
		at := ids.Len()
		ids.Write(id)
		j.sorted = append(j.sorted, named{ids.String()[at:], int32(i), int32(end)})
		i = end
	}
	slices.SortFunc(j.sorted, func(a, b named) int { return strings.Compare(a.id, b.id) })
	out := make([]Endpoint, len(j.sorted))
	aliases := make([]netip.AddrPort, 0, aliased)
	for i := range out {
		n := &j.sorted[i]
		e := &out[i]
		e.ID, e.Addr = n.id, j.mentions[n.first].end(j.conns).Addr
		from := len(aliases)
		for _, m := range j.mentions[n.first:n.end] {
			e.Processes = union(e.Processes, m.end(j.conns).Processes)
			aliases = j.conns[m.conn].appendAliases(aliases, m.to != j.ties[m.conn].swapped)
		}
		if len(aliases) > from {
			slices.SortFunc(aliases[from:], netip.AddrPort.Compare)
			e.Aliases = slices.Compact(aliases[from:])
			aliases = aliases[:from+len(e.Aliases)]
			e.Aliases = slices.Clip(e.Aliases)
		}
	}
	return out
}

// appendAliases appends what NAT shows in place of one of the ends.
func (c *Connection) appendAliases(b []netip.AddrPort, server bool) []netip.AddrPort {
	for i := range c.NAT {
		n := &c.NAT[i]
		shown, real := n.ReplyDst, n.OriginalSrc
		if server {
			shown, real = n.OriginalDst, n.ReplySrc
		}
		if shown != real {
			b = append(b, shown)
		}
	}
	return b
}

// appendID appends scope;addr;port: a loopback address is told apart by host
// and namespace, any other one is the same everywhere.
func (c *current) appendID(b []byte, addr netip.AddrPort, netns uint64) []byte {
	if addr.Addr().IsLoopback() {
		b = append(b, c.hostID...)
		if netns != 0 {
			b = strconv.AppendUint(append(b, '-'), netns, 10)
		}
	}
	b = addr.Addr().AppendTo(append(b, ';'))
	return strconv.AppendUint(append(b, ';'), uint64(addr.Port()), 10)
}

// union merges two sorted lists; it copies only if that adds something.
func union(a, b []Process) []Process {
	if len(a) == 0 {
		return b
	}
	for i := range b {
		if _, found := slices.BinarySearchFunc(a, b[i], compareProcess); !found {
			a = addProcess(slices.Clone(a), b[i])
		}
	}
	return a
}
