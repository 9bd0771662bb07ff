package reporter

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A mention is one end of one connection.
type mention struct {
	addr  netip.AddrPort
	netns uint64 // of loopback addresses only
	conn  int32
	to    bool
}

// endpoints lists the ends of the connections, each address once.
func (c *current) endpoints(conns []Connection, ties []tie) []Endpoint {
	mentions := make([]mention, 0, 2*len(conns))
	for i := range conns {
		for _, to := range [...]bool{false, true} {
			e := &conns[i].From
			if to {
				e = &conns[i].To
			}
			m := mention{addr: e.Addr, conn: int32(i), to: to}
			if e.Addr.Addr().IsLoopback() {
				m.netns = e.Netns
			}
			mentions = append(mentions, m)
		}
	}
	slices.SortFunc(mentions, func(a, b mention) int {
		if n := a.addr.Compare(b.addr); n != 0 {
			return n
		}
		return cmp.Compare(a.netns, b.netns)
	})
	var out []Endpoint
	var aliases []netip.AddrPort
	var ids strings.Builder
	ids.Grow(32 * len(mentions))
	var scratch []byte
	for i := 0; i < len(mentions); {
		m := &mentions[i]
		e := Endpoint{Addr: m.addr}
		from := len(aliases)
		end := i
		for ; end < len(mentions) && mentions[end].addr == m.addr && mentions[end].netns == m.netns; end++ {
			n := &mentions[end]
			conn := &conns[n.conn]
			processes := conn.From.Processes
			if n.to {
				processes = conn.To.Processes
			}
			e.Processes = union(e.Processes, processes)
			server := n.to != ties[n.conn].swapped
			for k := range conn.NAT {
				t := &conn.NAT[k]
				shown, real := t.ReplyDst, t.OriginalSrc
				if server {
					shown, real = t.OriginalDst, t.ReplySrc
				}
				if shown != real {
					aliases = append(aliases, shown)
				}
			}
		}
		i = end
		if len(aliases) > from {
			own := aliases[from:]
			slices.SortFunc(own, netip.AddrPort.Compare)
			own = slices.Compact(own)
			aliases = aliases[:from+len(own)]
			e.Aliases = own[:len(own):len(own)]
		}
		scratch = c.appendID(scratch[:0], m)
		at := ids.Len()
		ids.Write(scratch)
		e.ID = ids.String()[at:]
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Endpoint) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// appendID appends scope;addr;port: a loopback address is told apart by host
// and namespace, any other one is the same everywhere.
func (c *current) appendID(b []byte, m *mention) []byte {
	if m.addr.Addr().IsLoopback() {
		b = append(b, c.hostID...)
		if m.netns != 0 {
			b = strconv.AppendUint(append(b, '-'), m.netns, 10)
		}
	}
	b = m.addr.Addr().AppendTo(append(b, ';'))
	return strconv.AppendUint(append(b, ';'), uint64(m.addr.Port()), 10)
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

// namesOf lists the names of the addresses that occur in the report.
func (c *current) namesOf(r *Report) []Names {
	if len(c.names.forward.byAddr) == 0 && len(c.names.reverse.byAddr) == 0 {
		return nil
	}
	oldest := make(map[netip.Addr]int64)
	note := func(a netip.Addr, first int64) {
		if c.names.forward.byAddr[a] == nil && c.names.reverse.byAddr[a] == nil {
			return
		}
		if have, ok := oldest[a]; !ok || first < have {
			oldest[a] = first
		}
	}
	for i := range r.Connections {
		conn := &r.Connections[i]
		note(conn.From.Addr.Addr(), conn.FirstSeen)
		note(conn.To.Addr.Addr(), conn.FirstSeen)
		for k := range conn.NAT {
			t := &conn.NAT[k]
			for _, a := range [...]netip.AddrPort{t.OriginalSrc, t.OriginalDst, t.ReplySrc, t.ReplyDst} {
				note(a.Addr(), conn.FirstSeen)
			}
		}
	}
	var out []Names
	for a, first := range oldest { // sorted below
		// A name that lived when a connection was first seen stays with it.
		n := Names{Addr: a, Forward: c.names.forward.of(a, first), Reverse: c.names.reverse.of(a, c.tickAt)}
		if len(n.Forward) > 0 || len(n.Reverse) > 0 {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b Names) int { return a.Addr.Compare(b.Addr) })
	return out
}
