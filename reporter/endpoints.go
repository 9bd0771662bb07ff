package reporter

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
)

// A mention is one end of one connection of the report: the connection's place,
// whether it is the server, and whether it has to be looked at for what it tells
// of the end, in the lowest two bits. Most tell nothing but their address.
type mention uint32

const (
	look mention = 1 << iota
	server
)

// A noted mention is what the next one of a client or a server is compared with.
type noted struct {
	addr  netip.AddrPort
	netns uint64
	alias netip.AddrPort
	key   sortKey
}

// distinct is how many ends sorted keys are of.
func distinct(keys []sortKey, by *sortBy) int {
	n := 0
	for i := range keys {
		if i == 0 || !keys[i].alike(&keys[i-1], by) {
			n++
		}
	}
	return n
}

// mentions notes the ends of a connection for sorting.
func (j *join) mentions(i int) {
	c, at := &j.connections[i], mention(i<<2)
	j.shown += j.mention(at, c, &c.From, j.swapped[i]) + j.mention(at|server, c, &c.To, !j.swapped[i])
}

// mention notes an end for sorting. One alias of IPv4 stands in the key of an end
// of IPv4. It returns how many there are; reply says that the flow's replies come
// from it.
func (j *join) mention(m mention, c *Connection, e *End, reply bool) (aliases int) {
	var alias netip.AddrPort
	for i := range c.NAT {
		if shown := c.NAT[i].alias(reply); shown != nil {
			alias = *shown
			aliases++
		}
	}
	last := &j.noted[m>>1&1]
	if len(e.Processes) > 0 || aliases > 0 {
		m |= look
	}
	// Neighbours have an end in common often: it needs no second mention that tells
	// nothing more.
	if e.Addr == last.addr && e.Netns == last.netns && (m&look == 0 || aliases == 1 && alias == last.alias && len(e.Processes) == 0) {
		return aliases
	}
	a, list, k := e.Addr.Addr(), &j.ipv4, sortKey{}
	switch scope := j.scope(e); {
	case scope >= 0:
		list = &j.scoped
		k[0], k[1] = uint64(scope), loopbackText(e.Addr)
	case !a.Is4():
		list = &j.ipv6
		if k = last.key; a != last.addr.Addr() || a.IsLoopback() {
			k = textual6(a)
		}
		k = k.withPort(e.Addr.Port())
	default:
		k[0] = textual(e.Addr)
		if aliases == 1 && alias.Addr().Is4() {
			k[1] = 1<<48 | numeric(alias)
			if len(e.Processes) == 0 {
				m &^= look
			}
		}
	}
	*last = noted{e.Addr, e.Netns, alias, k}
	k[2] |= uint64(m)
	*list = append(*list, k)
	return aliases
}

// listEndpoints lists the ends of the connections, each address once. Numbers
// order them as their ids do.
func (j *join) listEndpoints() []Endpoint {
	j.sortScopes()
	j.sort(&j.ipv4, &byFirst)
	j.sort(&j.ipv6, &byAll)
	j.sort(&j.scoped, &byAll)
	j.aliases = slices.Grow(j.aliases, j.shown)
	j.endpoints = slices.Grow(j.endpoints, distinct(j.ipv4, &byFirst)+distinct(j.ipv6, &byAll)+distinct(j.scoped, &byAll))
	// All scopes begin alike, the ids of what has none with a semicolon.
	begin := byte(';')
	if len(j.scopes) > 0 {
		begin = j.scopes[0][0]
	}
	if begin < ';' {
		j.listScoped()
	}
	j.listPlain()
	if begin >= ';' {
		j.listScoped()
	}
	if begin == ';' && len(j.scopes) > 0 { // no host is called so
		slices.SortFunc(j.endpoints, func(a, b Endpoint) int { return a.Compare(&b) })
	}
	return j.endpoints
}

func (j *join) listScoped() {
	for keys := j.scoped; len(keys) > 0; {
		scope := j.scopes[keys[0][0]]
		keys = j.endpointOf(keys, scope[:len(scope)-1])
	}
}

// listPlain lists the ends that are the same everywhere.
func (j *join) listPlain() {
	six, start, behind := j.ipv6, uint64(0), uint64(0)
	for keys := j.ipv4; len(keys) > 0; {
		for len(six) > 0 {
			if s := six[0][0] >> startShift; s != start {
				start, behind = s, behindStart(s)
			}
			if behind > keys[0][0] {
				break
			}
			six = j.endpointOf(six, "")
		}
		keys = j.endpointOf4(keys)
	}
	for len(six) > 0 {
		six = j.endpointOf(six, "")
	}
}

func (j *join) end(m mention) *End {
	if c := &j.connections[m>>2]; m&server != 0 {
		return &c.To
	} else {
		return &c.From
	}
}

// endpointOf lists the first endpoint of sorted mentions and returns the others.
func (j *join) endpointOf(keys []sortKey, scope string) []sortKey {
	j.lookAtNext(keys)
	key := keys[0].number()
	e := j.endpoint(scope, j.end(mention(keys[0].at())).Addr)
	for len(keys) > 0 && keys[0].number() == key {
		if m := mention(keys[0].at()); m&look != 0 {
			j.tell(e, m)
		}
		keys = keys[1:]
		j.lookAtNext(keys)
	}
	j.tidy(e)
	return keys
}

// lookAtNext touches, now and then, what the next mentions have to tell.
func (j *join) lookAtNext(keys []sortKey) {
	if len(keys)%batch != 0 {
		return
	}
	var some [batch]*Connection
	n, sum := 0, uint64(0)
	for i := range keys[:min(batch, len(keys))] {
		if m := mention(keys[i].at()); m&look != 0 {
			some[n] = &j.connections[m>>2]
			sum += uint64(j.end(m).Addr.Port()) + uint64(len(some[n].NAT))
			n++
		}
	}
	for _, c := range some[:n] {
		if len(c.NAT) > 0 {
			sum += uint64(c.NAT[0].OriginalSrc.Port()) + uint64(c.NAT[0].ReplyDst.Port())
		}
	}
	j.touched = sum
}

// endpointOf4 is endpointOf one of IPv4.
func (j *join) endpointOf4(keys []sortKey) []sortKey {
	key := keys[0][0]
	e := j.endpoint("", fromText(key))
	for ; len(keys) > 0 && keys[0][0] == key; keys = keys[1:] {
		if alias := keys[0][1]; alias != 0 {
			e.Aliases = appendNew(e.Aliases, fromNumber(alias))
		}
		if m := mention(keys[0].at()); m&look != 0 {
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

// scope tells a loopback address apart by host and namespace: the place of its
// scope, -1 of any other address, which is the same everywhere.
func (j *join) scope(e *End) int {
	if !e.Addr.Addr().IsLoopback() {
		return -1
	}
	at, found := j.scopeOf[e.Netns]
	if !found {
		name := j.c.hostID
		if e.Netns != 0 {
			name += "-" + strconv.FormatUint(e.Netns, 10)
		}
		at = -1
		if name != "" {
			at = len(j.scopes)
			j.scopes = append(j.scopes, name+";")
		}
		j.scopeOf[e.Netns] = at
	}
	return at
}

// sortScopes sorts the scopes with the semicolon behind them, and makes the keys
// of what is mentioned with them follow.
func (j *join) sortScopes() {
	sorted := slices.Clone(j.scopes)
	slices.Sort(sorted)
	place := make([]uint64, len(sorted))
	for i, scope := range j.scopes {
		at, _ := slices.BinarySearch(sorted, scope)
		place[i] = uint64(at)
	}
	for i := range j.scoped {
		k := &j.scoped[i]
		k[0] = place[k[0]]
	}
	j.scopes = sorted
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
