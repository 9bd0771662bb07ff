package reporter

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A mention is one end of one connection of the report: the connection's place,
// whether it is the server, and whether it has to be looked at for what it tells
// of the end, in the lowest two bits. Most tell nothing but their address.
type mention uint32

const (
	look mention = 1 << iota
	server
)

// A scoped mention has an ID that numbers do not order.
type scoped struct {
	mention
	length int32
	from   int // where the ID stands in the texts
	scope  string
}

// text is the scoped mention's ID.
func (j *join) text(at uint32) []byte {
	s := &j.scoped[at]
	return j.texts[s.from : s.from+int(s.length)]
}

// listEndpoints lists the ends of the connections, each address once. IPv4 ends
// that are the same everywhere are sorted by numbers, the others by their ids.
func (j *join) listEndpoints() []Endpoint {
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(j.keys))
	j.keys, j.spareKeys = radixSort(j.keys, j.spareKeys)
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(j.otherKeys))
	j.otherKeys, j.spareKeys = sortTexts(j.otherKeys, j.spareKeys, j.text)
	n := 0
	for i := range j.keys {
		if i == 0 || j.keys[i].hi != j.keys[i-1].hi {
			n++
		}
	}
	j.aliases = slices.Grow(j.aliases, j.shown)
	j.endpoints = slices.Grow(j.endpoints, n+len(j.scoped))
	others := j.otherKeys
	var room [64]byte
	for keys := j.keys; len(keys) > 0; {
		key := keys[0].hi
		e := Endpoint{Addr: fromText(key)}
		for len(others) > 0 && bytes.Compare(j.text(others[0].at), e.AppendID(room[:0])) < 0 {
			others = j.endpointOf(others)
		}
		at := j.endpoint("", e.Addr)
		for ; len(keys) > 0 && keys[0].hi == key; keys = keys[1:] {
			if keys[0].lo != 0 {
				at.Aliases = appendNew(at.Aliases, fromNumber(keys[0].lo))
			}
			if m := mention(keys[0].at); m&look != 0 {
				j.tell(at, m)
			}
		}
		j.tidy(at)
	}
	for len(others) > 0 {
		others = j.endpointOf(others)
	}
	return j.endpoints
}

// mentions notes the ends of a connection for sorting.
func (j *join) mentions(i int) {
	c, at := &j.connections[i], mention(i<<2)
	j.shown += j.mention(at, c, &c.From, j.swapped[i]) + j.mention(at|server, c, &c.To, !j.swapped[i])
}

// mention notes an end for sorting. One alias of IPv4 stands in the key. It
// returns how many there are; reply says that the flow's replies come from it.
func (j *join) mention(m mention, c *Connection, e *End, reply bool) (aliases int) {
	a := e.Addr.Addr()
	plain := a.Is4() && !a.IsLoopback()
	k := sortKey{at: uint32(m)}
	if len(e.Processes) > 0 {
		k.at |= uint32(look)
	}
	for i := range c.NAT {
		shown := c.NAT[i].alias(reply)
		if shown == nil {
			continue
		}
		if aliases++; aliases == 1 && plain && shown.Addr().Is4() {
			k.lo = 1<<48 | numeric(*shown)
		} else {
			k.at |= uint32(look)
		}
	}
	if !plain {
		j.mentionScoped(mention(k.at), e)
		return aliases
	}
	k.hi = textual(e.Addr)
	// Neighbours have an end in common often: it needs no second mention.
	last := &j.mentioned[m>>1&1]
	if m = mention(k.at); m&look != 0 || k.lo != last.lo || k.hi != last.hi {
		j.keys = append(j.keys, k)
		*last = k
	}
	return aliases
}

// mentionScoped notes an end that has an ID by itself.
func (j *join) mentionScoped(m mention, e *End) {
	ip, port := ctmsg.IPOf(e.Addr.Addr()), e.Addr.Port()
	last := &j.lastScoped[uint8(ip.Lo)^uint8(ip.Lo>>8)^uint8(port)^uint8(port>>8)]
	if m&look == 0 && e.Addr == last.Addr && e.Netns == last.Netns {
		return
	}
	*last = End{Addr: e.Addr, Netns: e.Netns}
	x := Endpoint{Scope: j.scope(e), Addr: e.Addr}
	from := len(j.texts)
	j.texts = x.AppendID(j.texts)
	j.otherKeys = append(j.otherKeys, sortKey{at: uint32(len(j.scoped))})
	j.scoped = append(j.scoped, scoped{m, int32(len(j.texts) - from), from, x.Scope})
}

func (j *join) end(m mention) *End {
	if c := &j.connections[m>>2]; m&server != 0 {
		return &c.To
	} else {
		return &c.From
	}
}

// endpointOf lists the first endpoint of scoped mentions and returns the others.
func (j *join) endpointOf(keys []sortKey) []sortKey {
	first := &j.scoped[keys[0].at]
	id := j.text(keys[0].at)
	e := j.endpoint(first.scope, j.end(first.mention).Addr)
	for ; len(keys) > 0 && bytes.Equal(j.text(keys[0].at), id); keys = keys[1:] {
		if m := j.scoped[keys[0].at].mention; m&look != 0 {
			j.tell(e, m)
		}
	}
	j.tidy(e)
	return keys
}

func (j *join) endpoint(scope string, addr netip.AddrPort) *Endpoint {
	j.endpoints = append(j.endpoints, Endpoint{Scope: scope, Addr: addr, Aliases: j.aliases[len(j.aliases):]})
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

// scope tells a loopback address apart by host and namespace, any other one is
// the same everywhere.
func (j *join) scope(e *End) string {
	switch {
	case !e.Addr.Addr().IsLoopback():
		return ""
	case e.Netns == 0:
		return j.c.hostID
	}
	scope := j.scopes[e.Netns]
	if scope == "" {
		scope = j.c.hostID + "-" + strconv.FormatUint(e.Netns, 10)
		j.scopes[e.Netns] = scope
	}
	return scope
}

// ID is scope;addr;port, by which the endpoints of a report are sorted.
func (e *Endpoint) ID() string { return string(e.AppendID(nil)) }

// Compare orders endpoints by their IDs.
func (e *Endpoint) Compare(other *Endpoint) int {
	var a, b [128]byte
	return bytes.Compare(e.AppendID(a[:0]), other.AppendID(b[:0]))
}

// AppendID appends the endpoint's ID.
func (e *Endpoint) AppendID(b []byte) []byte {
	b = appendAddr(append(append(b, e.Scope...), ';'), e.Addr.Addr())
	return appendPort(append(b, ';'), e.Addr.Port())
}
