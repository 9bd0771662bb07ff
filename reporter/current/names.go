package current

import (
	"container/list"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// Bounds of the caches of names. When there are too many addresses, the one answered
// longest ago is removed; when an address has too many names, the one that expires
// first. Reports do not count as use: the caches must not depend on which reports are
// made.
const (
	maxNames        = 65536 // addresses
	maxNamesPerAddr = 64
	maxNameBytes    = 32 << 20 // of a cache: the texts, and nameCost for each name
	nameCost        = 64
)

// MinTTL, ns, is the shortest time-to-live of a name: an answer with a time-to-live of 0
// is meant for the connection that follows it.
const MinTTL = 1e9

// ReverseTTL, ns, is the time-to-live of an answer to a reverse look-up that has none.
const ReverseTTL = 1800e9

// A nameEntry is a name of an address.
type nameEntry struct {
	name    string
	expires int64 // ns since the recording's start
}

// addrNames is an address and its names.
type addrNames struct {
	addr  netip.Addr
	names []nameEntry
}

// cache maps addresses to their names.
type cache struct {
	byAddr map[netip.Addr]*list.Element // of *addrNames
	order  *list.List                   // the address answered longest ago first
	bytes  int                          // cost of all names
}

// names are the names from DNS answers and from reverse look-ups.
type names struct{ forward, reverse cache }

func (n *names) init() {
	n.forward.init()
	n.reverse.init()
}

// answer adds a DNS answer. It returns how many addresses were removed although a name
// of theirs had not expired.
func (n *names) answer(a *dnsmsg.Answer, at int64) (removed int) {
	return n.forward.add(a.Addr, a.Name, at, max(int64(a.TTL)*1e9, MinTTL))
}

// reverseAnswer replaces the reverse names of an address. If there are too many, the first ones
// in alphabetical order count. A failed look-up changes nothing. It returns what answer
// returns.
func (n *names) reverseAnswer(p *capture.ReverseName, at int64) (removed int) {
	addr, err := netip.ParseAddr(p.Addr)
	if err != nil {
		return 0
	}
	var found []string
	for _, name := range p.Names {
		if name = plainName(name); name != "" {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return 0
	}
	slices.Sort(found)
	found = slices.Compact(found)
	ttl := int64(ReverseTTL)
	if p.TTL > 0 {
		ttl = max(p.TTL, MinTTL)
	}
	addr = addr.Unmap().WithZone("")
	n.reverse.clear(addr)
	for _, name := range found[:min(len(found), maxNamesPerAddr)] {
		removed += n.reverse.add(addr, name, at, ttl)
	}
	return removed
}

func (c *cache) init() { c.byAddr, c.order = make(map[netip.Addr]*list.Element), list.New() }

// get returns an address and its names, nil if the cache lacks it.
func (c *cache) get(addr netip.Addr) *addrNames {
	if e := c.byAddr[addr]; e != nil {
		return e.Value.(*addrNames)
	}
	return nil
}

// clear removes the names of an address. The address keeps its place in the order.
func (c *cache) clear(addr netip.Addr) {
	if e := c.get(addr); e != nil {
		for i := range e.names {
			c.bytes -= e.names[i].cost()
		}
		e.names = e.names[:0]
	}
}

// cost returns the bytes that count for a name.
func (e *nameEntry) cost() int { return len(e.name) + nameCost }

// add adds a name that expires after ttl ns. It removes other addresses if the cache is
// full, and returns how many of them had a name that had not expired.
func (c *cache) add(addr netip.Addr, name string, at, ttl int64) (removed int) {
	el := c.byAddr[addr]
	if el == nil {
		el = c.order.PushBack(&addrNames{addr: addr})
		c.byAddr[addr] = el
	}
	c.order.MoveToBack(el)
	c.addName(el.Value.(*addrNames), name, at+min(ttl, math.MaxInt64-at))
	for c.order.Len() > maxNames || c.bytes > maxNameBytes {
		oldest := c.order.Front().Value.(*addrNames)
		if slices.ContainsFunc(oldest.names, func(e nameEntry) bool { return e.expires > at }) {
			removed++
		}
		c.clear(oldest.addr)
		delete(c.byAddr, oldest.addr)
		c.order.Remove(c.order.Front())
	}
	return removed
}

// addName adds a name to an address. If the address has it, the later expiry counts.
func (c *cache) addName(n *addrNames, name string, expires int64) {
	first := 0
	for i := range n.names {
		if n.names[i].name == name {
			n.names[i].expires = max(n.names[i].expires, expires)
			return
		}
		if n.names[i].expires < n.names[first].expires {
			first = i
		}
	}
	if len(n.names) >= maxNamesPerAddr {
		c.bytes -= n.names[first].cost()
		n.names = slices.Delete(n.names, first, first+1)
	}
	n.names = append(n.names, nameEntry{name, expires})
	c.bytes += n.names[len(n.names)-1].cost()
}

// of returns the names of an address that had not expired at a time, sorted.
func (c *cache) of(addr netip.Addr, at int64) []string {
	e := c.get(addr)
	if e == nil {
		return nil
	}
	var out []string
	for i := range e.names {
		if e.names[i].expires > at {
			out = append(out, e.names[i].name)
		}
	}
	slices.Sort(out)
	return out
}

// learn adds the DNS answers that the record completes.
func (m *Machine) learn(r *capture.Record, answers []dnsmsg.Answer) {
	removed := 0
	for i := range answers {
		removed += m.names.answer(&answers[i], r.At)
	}
	m.namesForgotten(capture.SourceDNS, removed, r)
}

// namesForgotten degrades the source of names for this window if addresses were removed whose
// names had not expired.
func (m *Machine) namesForgotten(kind string, addresses int, r *capture.Record) {
	if s := m.sources.First(kind); s != nil && addresses > 0 {
		s.DegradeWindow("too many names: some were forgotten before their time", r.Seq, m.ticks.Window)
	}
}

// dnsPacket applies a captured packet.
func (m *Machine) dnsPacket(r *capture.Record) {
	var p capture.DNS
	if _, ok := m.sources.Observe(r, &p); ok {
		m.learn(r, m.dns.Packet(r.Source, r.At, p.Packet))
	}
}

// dnsLost drops the incomplete datagrams and streams of a DNS source that was closed or
// lost packets.
func (m *Machine) dnsLost(r *capture.Record, s *source.Source) {
	if s.Kind == capture.SourceDNS {
		m.learn(r, m.dns.Lost(r.Source))
	}
}

// namesOf returns the names of the addresses in the report.
func (m *Machine) namesOf(r *report.Report) []report.Names {
	if len(m.names.forward.byAddr) == 0 && len(m.names.reverse.byAddr) == 0 && len(m.addresses) == 0 {
		return nil
	}
	firstSeen := make(map[netip.Addr]int64) // of the address's oldest connection or attempt
	note := func(a netip.Addr, first int64) {
		if m.names.forward.byAddr[a] == nil && m.names.reverse.byAddr[a] == nil && !m.addresses[a] {
			return
		}
		if oldest, ok := firstSeen[a]; !ok || first < oldest {
			firstSeen[a] = first
		}
	}
	for i := range r.Connections {
		conn := &r.Connections[i]
		note(conn.From.Addr.Addr(), conn.FirstSeen)
		note(conn.To.Addr.Addr(), conn.FirstSeen)
		for _, t := range conn.NAT {
			for _, a := range [...]netip.AddrPort{t.OriginalSrc, t.OriginalDst, t.ReplySrc, t.ReplyDst} {
				note(a.Addr(), conn.FirstSeen)
			}
		}
	}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		note(a.From.Addr.Addr(), a.FirstSeen)
		note(a.To.Addr.Addr(), a.FirstSeen)
	}
	var out []report.Names
	for a, first := range firstSeen { // sorted below
		// A connection keeps the names that had not expired when it was first seen.
		n := report.Names{Addr: a, Forward: m.names.forward.of(a, first), Reverse: m.names.reverse.of(a, first)}
		if m.addresses[a] && a.IsGlobalUnicast() { // other addresses are local to the host or the link
			n.Host = plainName(m.host)
		}
		if len(n.Forward) > 0 || len(n.Reverse) > 0 || n.Host != "" {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b report.Names) int { return a.Addr.Compare(b.Addr) })
	return out
}

// plainName returns a name as the caches store it: lower-case, without the final dot.
func plainName(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".") }
