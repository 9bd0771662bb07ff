package reporter

import (
	"container/list"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// Bounds of what is known of names. Of the addresses the one that was answered
// longest ago goes first; of one address's names the one that runs out first.
// Reports do not count as use: what is kept must not depend on which were made.
const (
	maxNames        = 65536 // addresses
	maxNamesPerAddr = 64
	maxNameBytes    = 32 << 20 // of all names; nameCost each beside the text
	nameCost        = 64
)

// minTTL, ns, is how long a name lives at least: an answer with a time-to-live
// of 0 is meant for the connection that follows it.
const minTTL = 1e9

// reverseTTL, ns, is how long the answer to a reverse look-up holds when it
// does not say.
const reverseTTL = 1800e9

// A nameEntry says that an address had a name until a time.
type nameEntry struct {
	name    string
	expires int64
}

// addrNames is an address and its names.
type addrNames struct {
	addr  netip.Addr
	names []nameEntry
}

// cache maps addresses to their names, the one answered longest ago first.
type cache struct {
	byAddr map[netip.Addr]*list.Element // of *addrNames
	order  *list.List
	bytes  int
}

// names is what DNS answers and reverse look-ups said.
type names struct{ forward, reverse cache }

func (n *names) init() {
	n.forward.init()
	n.reverse.init()
}

// answer takes a DNS answer. It returns how many addresses lost names for it
// that still held.
func (n *names) answer(a *dnsmsg.Answer, at int64) (forgotten int) {
	return n.forward.add(a.Addr, a.Name, at, max(int64(a.TTL)*1e9, minTTL))
}

// reverseAnswer replaces what was known of the address, with the first of its
// names in alphabetical order if there are too many. A failure does not: the
// names that were found before live on.
func (n *names) reverseAnswer(p *capture.ReverseName, at int64) (forgotten int) {
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
	ttl := int64(reverseTTL)
	if p.TTL > 0 {
		ttl = max(p.TTL, minTTL)
	}
	addr = addr.Unmap().WithZone("")
	n.reverse.clear(addr)
	for _, name := range found[:min(len(found), maxNamesPerAddr)] {
		forgotten += n.reverse.add(addr, name, at, ttl)
	}
	return forgotten
}

func (c *cache) init() { c.byAddr, c.order = make(map[netip.Addr]*list.Element), list.New() }

func (c *cache) get(addr netip.Addr) *addrNames {
	if e := c.byAddr[addr]; e != nil {
		return e.Value.(*addrNames)
	}
	return nil
}

// clear forgets an address's names but not its place.
func (c *cache) clear(addr netip.Addr) {
	if e := c.get(addr); e != nil {
		for i := range e.names {
			c.bytes -= e.names[i].cost()
		}
		e.names = e.names[:0]
	}
}

func (e *nameEntry) cost() int { return len(e.name) + nameCost }

// add says that from now on the address has the name for ttl ns. It returns
// how many other addresses had to go although a name of theirs still held.
func (c *cache) add(addr netip.Addr, name string, at, ttl int64) (forgotten int) {
	el := c.byAddr[addr]
	if el == nil {
		el = c.order.PushBack(&addrNames{addr: addr})
		c.byAddr[addr] = el
	}
	c.order.MoveToBack(el)
	c.keep(el.Value.(*addrNames), name, at+min(ttl, math.MaxInt64-at))
	for c.order.Len() > maxNames || c.bytes > maxNameBytes {
		out := c.order.Front().Value.(*addrNames)
		if slices.ContainsFunc(out.names, func(e nameEntry) bool { return e.expires > at }) {
			forgotten++
		}
		c.clear(out.addr)
		delete(c.byAddr, out.addr)
		c.order.Remove(c.order.Front())
	}
	return forgotten
}

// keep adds a name to those of its address, or makes it live longer.
func (c *cache) keep(n *addrNames, name string, expires int64) {
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

// of lists the names of an address, sorted, that live longer than the time at.
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

// learn takes DNS answers that are complete with the record.
func (c *current) learn(r *capture.Record, answers []dnsmsg.Answer) {
	forgotten := 0
	for i := range answers {
		forgotten += c.names.answer(&answers[i], r.At)
	}
	c.forgot(capture.SourceDNS, forgotten, r)
}

// forgot says that names are hidden because there were too many.
func (c *current) forgot(kind string, addresses int, r *capture.Record) {
	if s := c.sources.first(kind); s != nil && addresses > 0 {
		s.hides("too many names: some were forgotten before their time", r.Seq, c.window)
	}
}

func (c *current) dnsPacket(r *capture.Record) {
	var p capture.DNS
	if _, ok := c.evidence(r, &p); ok {
		c.learn(r, c.dns.Packet(r.Source, r.At, p.Packet))
	}
}

// dnsLost drops what was half-read of a source that was closed, or lost packets.
func (c *current) dnsLost(r *capture.Record, s *source) {
	if s.kind == capture.SourceDNS {
		c.learn(r, c.dns.Lost(r.Source))
	}
}

// namesOf lists the names of the addresses that occur in the report.
func (c *current) namesOf(r *Report) []Names {
	if len(c.names.forward.byAddr) == 0 && len(c.names.reverse.byAddr) == 0 && len(c.local) == 0 {
		return nil
	}
	oldest := make(map[netip.Addr]int64)
	var last [6]struct { // by place: the same address often stands in many connections in a row
		addr  netip.Addr
		first int64
	}
	note := func(place int, a netip.Addr, first int64) {
		if l := &last[place]; l.addr == a && l.first <= first {
			return
		}
		last[place].addr, last[place].first = a, first
		if c.names.forward.byAddr[a] == nil && c.names.reverse.byAddr[a] == nil && !c.local[a] {
			return
		}
		if have, ok := oldest[a]; !ok || first < have {
			oldest[a] = first
		}
	}
	for i := range r.Connections {
		conn := &r.Connections[i]
		note(0, conn.From.Addr.Addr(), conn.FirstSeen)
		note(1, conn.To.Addr.Addr(), conn.FirstSeen)
		for k := range conn.NAT {
			t := &conn.NAT[k]
			for place, a := range [...]netip.AddrPort{t.OriginalSrc, t.OriginalDst, t.ReplySrc, t.ReplyDst} {
				note(2+place, a.Addr(), conn.FirstSeen)
			}
		}
	}
	var out []Names
	for a, first := range oldest { // sorted below
		// A name that lived when a connection was first seen stays with it.
		n := Names{Addr: a, Forward: c.names.forward.of(a, first), Reverse: c.names.reverse.of(a, first)}
		if c.local[a] && a.IsGlobalUnicast() { // others mean something on this host only
			n.Host = plainName(c.host)
		}
		if len(n.Forward) > 0 || len(n.Reverse) > 0 || n.Host != "" {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b Names) int { return a.Addr.Compare(b.Addr) })
	return out
}

// plainName is a name as it is stored.
func plainName(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".") }
