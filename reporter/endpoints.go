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

// A noted mention is what the next one of a client or a server is compared with.
type noted struct {
	end   hostPort
	netns uint64
	alias alias
	tells bool // of that alias
	known bool
	text  sortKey // of its address, if that is of IPv6
}

// An end6 is what a mention of IPv6 tells: its end, and the only alias.
type end6 struct {
	ip, alias       ctmsg.IP
	port, aliasPort uint16
	tells           bool // of that alias
	mention         mention
}

// mentions are those of clients' and of servers' ends.
type mentions [2][]sortKey

// next is the key of the end that comes next, nil if there is none.
func (m *mentions) next() *sortKey {
	switch {
	case len(m[0]) == 0 && len(m[1]) == 0:
		return nil
	case len(m[1]) == 0 || len(m[0]) > 0 && m[0][0].before(&m[1][0]):
		return &m[0][0]
	}
	return &m[1][0]
}

// sort sorts mentions and returns how many ends they are of, at most.
func (m *mentions) sort(j *join, by *sortBy) (ends int) {
	for side := range m {
		j.sort(&m[side], by)
		for i := range m[side] {
			if i == 0 || !m[side][i].alike(&m[side][i-1], by) {
				ends++
			}
		}
	}
	return ends
}

// mentions notes the ends of a connection for sorting.
func (j *join) mentions(i int) {
	c, d := &j.connections[i], &j.drafts[j.keys[i].at()]
	at, shown := mention(i<<2), j.shown[d.aliases:][:d.shown]
	j.mention(at, j.keys[i].hostPort(), &c.From, shown, j.swapped[i])
	j.mention(at|server, hostPort{d.to, d.port}, &c.To, shown, !j.swapped[i])
}

// mention notes an end for sorting. One alias of IPv4 stands in the key of an end
// of IPv4. Reply says that the flow's replies come from the end.
func (j *join) mention(at mention, p hostPort, e *End, shown []alias, reply bool) {
	m, last, aliases := at, &j.noted[at>>1&1], 0
	var one alias
	for i := range shown {
		if shown[i].reply == reply {
			one = shown[i]
			aliases++
		}
	}
	j.aliased += aliases
	if len(e.Processes) > 0 || aliases > 1 {
		m |= look
	}
	// Neighbours have an end in common often: it needs no second mention that tells
	// nothing more.
	tells := aliases == 1
	if p == last.end && last.known && e.Netns == last.netns && m&look == 0 && (!tells || last.tells && one == last.alias) {
		return
	}
	side := at >> 1 & 1
	var k *sortKey
	switch scope := j.scope(p.ip, e.Netns); {
	case scope >= 0:
		if tells {
			m |= look
		}
		k = added(&j.scoped[side])
		k[0], k[1], k[2] = uint64(scope), loopbackText(p), uint64(m)
	case !p.ip.Is4():
		if p.ip != last.end.ip || !last.known || p.ip.IsLoopback() { // which may have had a scope
			textual6(&last.text, p.ip)
		}
		k = added(&j.ipv6[side])
		k[0], k[1] = last.text[0], last.text[1]
		k[2] = last.text[2] | portText6(p.port) | uint64(len(j.ends6))
		n := added(&j.ends6)
		n.ip, n.port, n.alias, n.aliasPort, n.tells, n.mention = p.ip, p.port, one.ip, one.port, tells && m&look == 0, m
	default:
		k = added(&j.ipv4[side])
		k[0], k[1] = textual(p), 0
		if tells && m&look == 0 && one.ip.Is4() {
			k[1] = 1<<48 | numeric(one.hostPort)
		} else if tells {
			m |= look
		}
		k[2] = uint64(m)
	}
	last.end, last.netns, last.alias, last.tells, last.known = p, e.Netns, one, tells, true
}

// listEndpoints lists the ends of the connections, each address once. Numbers
// order them as their ids do.
func (j *join) listEndpoints() []Endpoint {
	j.sortScopes()
	ends := j.ipv4.sort(j, &byFirst) + j.ipv6.sort(j, &byAll) + j.scoped.sort(j, &byAll)
	j.aliases = slices.Grow(j.aliases, j.aliased)
	j.endpoints = slices.Grow(j.endpoints, ends)
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
	ends := j.scoped
	for next := ends.next(); next != nil; next = ends.next() {
		key, scope := *next, j.scopes[next[0]]
		e := j.endpoint(scope[:len(scope)-1], j.end(mention(key.at())).Addr)
		for side := range ends {
			keys := ends[side]
			for ; len(keys) > 0 && keys[0].alike(&key, &byAll); keys = keys[1:] {
				j.look(e, mention(keys[0].at()))
			}
			ends[side] = keys
		}
		j.tidy(e)
	}
}

// listPlain lists the ends that are the same everywhere.
func (j *join) listPlain() {
	ends4, ends6, start, behind := j.ipv4, j.ipv6, uint64(0), uint64(0)
	next6 := ends6.next()
	for next := ends4.next(); next != nil; next = ends4.next() {
		for next6 != nil {
			if s := next6[0] >> startShift; s != start {
				start, behind = s, behindStart(s)
			}
			if behind > next[0] {
				break
			}
			j.endpointOf6(&ends6, *next6)
			next6 = ends6.next()
		}
		j.endpointOf4(&ends4, next[0])
	}
	for ; next6 != nil; next6 = ends6.next() {
		j.endpointOf6(&ends6, *next6)
	}
}

func (j *join) end(m mention) *End {
	if c := &j.connections[m>>2]; m&server != 0 {
		return &c.To
	} else {
		return &c.From
	}
}

// endpointOf6 lists one end of IPv6, which is the next.
func (j *join) endpointOf6(ends *mentions, key sortKey) {
	first := &j.ends6[key.at()]
	e := j.endpoint("", j.addrs[0].of(hostPort{first.ip, first.port}))
	var last *end6 // that told of an alias
	for side := range ends {
		keys := ends[side]
		for ; len(keys) > 0 && keys[0].alike(&key, &byAll); keys = keys[1:] {
			if len(keys)%batch == 0 {
				j.lookAtNext(keys[:batch])
			}
			m := &j.ends6[keys[0].at()]
			if m.tells && (last == nil || m.alias != last.alias || m.aliasPort != last.aliasPort) {
				last = m
				e.Aliases = append(e.Aliases, j.addrs[2].of(hostPort{m.alias, m.aliasPort}))
			}
			j.look(e, m.mention)
		}
		ends[side] = keys
	}
	j.tidy(e)
}

// lookAtNext touches what the next mentions of IPv6 have to tell.
func (j *join) lookAtNext(keys []sortKey) {
	sum := uint64(0)
	for i := range keys {
		sum += uint64(j.ends6[keys[i].at()].mention)
	}
	j.touched = sum
}

// endpointOf4 lists one end of IPv4, which is the next.
func (j *join) endpointOf4(ends *mentions, key uint64) {
	e := j.endpoint("", fromText(key))
	for side := range ends {
		keys := ends[side]
		for ; len(keys) > 0 && keys[0][0] == key; keys = keys[1:] {
			if alias := keys[0][1]; alias != 0 {
				e.Aliases = appendNew(e.Aliases, fromNumber(alias))
			}
			j.look(e, mention(keys[0].at()))
		}
		ends[side] = keys
	}
	j.tidy(e)
}

func (j *join) endpoint(scope string, addr netip.AddrPort) *Endpoint {
	e := added(&j.endpoints)
	e.Scope, e.Addr, e.Aliases, e.Processes = scope, addr, j.aliases[len(j.aliases):], nil
	return e
}

// look adds to an endpoint what one connection tells of it, if that has to be
// looked at.
func (j *join) look(e *Endpoint, m mention) {
	if m&look != 0 {
		j.tell(e, m)
	}
}

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
		if _, found := slices.BinarySearchFunc(e.Processes, p, Process.Compare); found {
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
func (j *join) scope(ip ctmsg.IP, netns uint64) int {
	if !ip.IsLoopback() {
		return -1
	}
	at, found := j.scopeOf[netns]
	if !found {
		name := j.c.hostID
		if netns != 0 {
			name += "-" + strconv.FormatUint(netns, 10)
		}
		at = -1
		if name != "" {
			at = len(j.scopes)
			j.scopes = append(j.scopes, name+";")
		}
		j.scopeOf[netns] = at
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
	for _, keys := range j.scoped {
		for i := range keys {
			keys[i][0] = place[keys[i][0]]
		}
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
