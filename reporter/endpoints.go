package reporter

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A mention is one end of one connection of the report: twice the connection's
// place, and one more for its server.
type mention uint32

// A scoped mention has an id that numbers do not order.
type scoped struct {
	id string
	mention
}

// listEndpoints lists the ends of the connections, each address once. IPv4 ends
// that are the same everywhere are sorted by numbers, the others by their ids.
func (j *join) listEndpoints() []Endpoint {
	j.keys, j.scoped = j.keys[:0], j.scoped[:0]
	aliased := 0
	for i := range j.connections {
		c := &j.connections[i]
		j.mention(mention(2*i), &c.From)
		j.mention(mention(2*i+1), &c.To)
		aliased += 2 * len(c.NAT)
	}
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(j.keys))
	j.keys, j.spareKeys = radixSort(j.keys, j.spareKeys)
	slices.SortFunc(j.scoped, func(a, b scoped) int { return strings.Compare(a.id, b.id) })
	n := 0
	for i := range j.keys {
		if i == 0 || j.keys[i].lo != j.keys[i-1].lo {
			n++
		}
	}
	j.aliases = slices.Grow(j.aliases, aliased)
	j.endpoints = slices.Grow(j.endpoints, n+len(j.scoped))
	var ids strings.Builder
	ids.Grow(24 * n)
	for keys, others := j.keys, j.scoped; len(keys) > 0 || len(others) > 0; {
		id := ""
		if len(keys) > 0 {
			id = j.c.id(&ids, j.end(mention(keys[0].at)))
		}
		for len(others) > 0 && (id == "" || others[0].id < id) {
			others = j.endpointOf(others)
		}
		if id == "" {
			break
		}
		e := j.endpoint(id, j.end(mention(keys[0].at)).Addr)
		key := keys[0].lo
		for ; len(keys) > 0 && keys[0].lo == key; keys = keys[1:] {
			j.tell(e, mention(keys[0].at))
		}
		j.tidy(e)
	}
	return j.endpoints
}

// mention notes an end for sorting.
func (j *join) mention(m mention, e *End) {
	if a := e.Addr.Addr(); a.Is4() && !a.IsLoopback() {
		j.keys = append(j.keys, sortKey{lo: textual(e.Addr), at: uint32(m)})
		return
	}
	var id strings.Builder
	j.scoped = append(j.scoped, scoped{j.c.id(&id, e), m})
}

func (j *join) end(m mention) *End {
	if c := &j.connections[m>>1]; m&1 != 0 {
		return &c.To
	} else {
		return &c.From
	}
}

// endpointOf lists the first endpoint of scoped mentions and returns the others.
func (j *join) endpointOf(list []scoped) []scoped {
	id := list[0].id
	e := j.endpoint(id, j.end(list[0].mention).Addr)
	for ; len(list) > 0 && list[0].id == id; list = list[1:] {
		j.tell(e, list[0].mention)
	}
	j.tidy(e)
	return list
}

func (j *join) endpoint(id string, addr netip.AddrPort) *Endpoint {
	j.endpoints = append(j.endpoints, Endpoint{ID: id, Addr: addr, Aliases: j.aliases[len(j.aliases):]})
	return &j.endpoints[len(j.endpoints)-1]
}

// tell adds to an endpoint what one connection tells of it.
func (j *join) tell(e *Endpoint, m mention) {
	if p := j.end(m).Processes; len(p) > 0 {
		e.Processes = union(e.Processes, p)
	}
	if c := &j.connections[m>>1]; len(c.NAT) > 0 {
		e.Aliases = c.appendAliases(e.Aliases, m&1 != 0 != j.swapped[m>>1])
	}
}

// tidy sorts an endpoint's aliases and takes room for them.
func (j *join) tidy(e *Endpoint) {
	if len(e.Aliases) == 0 {
		e.Aliases = nil
		return
	}
	if len(e.Aliases) > 1 {
		slices.SortFunc(e.Aliases, netip.AddrPort.Compare)
		e.Aliases = slices.Compact(e.Aliases)
	}
	j.aliases = j.aliases[:len(j.aliases)+len(e.Aliases)]
	e.Aliases = slices.Clip(e.Aliases)
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

// id is scope;addr;port: a loopback address is told apart by host and
// namespace, any other one is the same everywhere.
func (c *current) id(text *strings.Builder, e *End) string {
	var room [64]byte
	b := room[:0]
	if e.Addr.Addr().IsLoopback() {
		b = append(b, c.hostID...)
		if e.Netns != 0 {
			b = strconv.AppendUint(append(b, '-'), e.Netns, 10)
		}
	}
	b = appendAddr(append(b, ';'), e.Addr.Addr())
	b = appendPort(append(b, ';'), e.Addr.Port())
	at := text.Len()
	text.Write(b)
	return text.String()[at:]
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
