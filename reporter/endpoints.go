package reporter

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A mention is one end of one connection of the report: the connection's place,
// whether it is the server, and whether it has to be looked at for what it tells
// of the end, in the lowest two bits. Most tell nothing but their address.
type mention uint32

const (
	look mention = 1 << iota
	server
)

// A scoped mention has an id that numbers do not order.
type scoped struct {
	id string
	mention
}

// listEndpoints lists the ends of the connections, each address once. IPv4 ends
// that are the same everywhere are sorted by numbers, the others by their ids.
func (j *join) listEndpoints() []Endpoint {
	j.keys, j.scoped, j.mentioned = j.keys[:0], j.scoped[:0], [2]sortKey{}
	aliases := 0
	for i := range j.connections {
		c, at := &j.connections[i], mention(i<<2)
		aliases += j.mention(at, c, &c.From, j.swapped[i]) + j.mention(at|server, c, &c.To, !j.swapped[i])
	}
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(j.keys))
	j.keys, j.spareKeys = radixSort(j.keys, j.spareKeys, false)
	slices.SortFunc(j.scoped, func(a, b scoped) int { return strings.Compare(a.id, b.id) })
	n := 0
	for i := range j.keys {
		if i == 0 || j.keys[i].lo != j.keys[i-1].lo {
			n++
		}
	}
	j.aliases = slices.Grow(j.aliases, aliases)
	j.endpoints = slices.Grow(j.endpoints, n+len(j.scoped))
	var ids strings.Builder
	ids.Grow(24 * n)
	for keys, others := j.keys, j.scoped; len(keys) > 0 || len(others) > 0; {
		id, addr := "", netip.AddrPort{}
		if len(keys) > 0 {
			addr = fromText(keys[0].lo)
			id = j.c.id(&ids, &End{Addr: addr})
		}
		for len(others) > 0 && (id == "" || others[0].id < id) {
			others = j.endpointOf(others)
		}
		if id == "" {
			break
		}
		key := keys[0].lo
		e := j.endpoint(id, addr)
		for ; len(keys) > 0 && keys[0].lo == key; keys = keys[1:] {
			if keys[0].hi != 0 {
				e.Aliases = appendNew(e.Aliases, fromNumber(keys[0].hi))
			}
			if m := mention(keys[0].at); m&look != 0 {
				j.tell(e, m)
			}
		}
		j.tidy(e)
	}
	return j.endpoints
}

// mention notes an end for sorting. One alias of IPv4 stands in the key. It
// returns how many there are; reply says that the flow's replies come from it.
func (j *join) mention(m mention, c *Connection, e *End, reply bool) (aliases int) {
	a := e.Addr.Addr()
	if !a.Is4() || a.IsLoopback() {
		var id strings.Builder
		j.scoped = append(j.scoped, scoped{j.c.id(&id, e), m})
		return len(c.NAT)
	}
	if len(e.Processes) > 0 {
		m |= look
	}
	k := sortKey{lo: textual(e.Addr), at: uint32(m)}
	for i := range c.NAT {
		shown := c.NAT[i].alias(reply)
		if shown == nil {
			continue
		}
		if aliases++; aliases == 1 && shown.Addr().Is4() {
			k.hi = 1<<48 | numeric(*shown)
		} else {
			k.at |= uint32(look)
		}
	}
	// Neighbours have an end in common often: it needs no second mention.
	last := &j.mentioned[m>>1&1]
	if m = mention(k.at); m&look != 0 || k.lo != last.lo || k.hi != last.hi {
		j.keys = append(j.keys, k)
		*last = k
	}
	return aliases
}

func (j *join) end(m mention) *End {
	if c := &j.connections[m>>2]; m&server != 0 {
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
		j.hold(e, p)
	}
	if c := &j.connections[m>>2]; len(c.NAT) > 0 {
		e.Aliases = c.appendAliases(e.Aliases, m&server != 0 != j.swapped[m>>2])
	}
}

// hold adds processes to an endpoint's. Its list is the first connection's, until
// another one adds to it.
func (j *join) hold(e *Endpoint, list []Process) {
	if len(e.Processes) == 0 {
		e.Processes = list
		return
	}
	for _, p := range list {
		if _, found := slices.BinarySearchFunc(e.Processes, p, compareProcess); found {
			continue
		}
		if len(j.holders) == 0 {
			j.holders = append(j.holders, e.Processes...)
		}
		j.holders = addProcess(j.holders, p)
		e.Processes = j.holders
	}
}

// tidy gives an endpoint lists of its own.
func (j *join) tidy(e *Endpoint) {
	if len(j.holders) > 0 {
		e.Processes = slices.Clone(j.holders)
		j.holders = j.holders[:0]
	}
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
		if shown := c.NAT[i].alias(server); shown != nil {
			b = appendNew(b, *shown)
		}
	}
	return b
}

// appendNew appends an alias if it is not that before it: of a busy server most are the same.
func appendNew(b []netip.AddrPort, a netip.AddrPort) []netip.AddrPort {
	if len(b) > 0 && b[len(b)-1] == a {
		return b
	}
	return append(b, a)
}

// alias is what is shown in place of one of the ends, nil if that is itself.
func (n *NAT) alias(server bool) *netip.AddrPort {
	shown, real := &n.ReplyDst, &n.OriginalSrc
	if server {
		shown, real = &n.OriginalDst, &n.ReplySrc
	}
	if *shown == *real {
		return nil
	}
	return shown
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
