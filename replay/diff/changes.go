package diff

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/report"
)

// A change is one thing that differs between the two reports of a tick.
type change struct {
	section  Section
	kind     ChangeKind
	id       string // for people; connections have none
	follows  bool   // it belongs to a connection that differs
	reversed bool
	fields   fieldList // of Changed
	// Ends of a connection; of endpoints and names server is their address.
	client   netip.Addr
	server   netip.AddrPort
	perEnds  bool   // things of other ends have another cause
	identity uint64 // differs from that of other things of its section
	a, b     thing  // nil where a side lacks it
	as       *report.Connection
}

// A thing is an element of one of a report's lists.
type thing interface{ AppendJSON([]byte) []byte }

// changes lists what differs between two reports.
func (c *Comparison) changes(a, b *report.Report) []change {
	list := c.connectionChanges(a, b)
	others := slices.Concat(endpointChanges(a, b), nameChanges(a, b))
	if len(others) > 0 {
		addrs := addrsOf(list)
		for _, ch := range others {
			ch.follows = addrs[ch.server] && (ch.section == Endpoints || ch.kind != Changed)
			if ch.follows || len(c.Selectors) == 0 {
				list = append(list, ch)
			}
		}
	}
	if len(c.Selectors) > 0 {
		return list
	}
	list = append(list, c.coverageChanges(a, b)...)
	if fields := headFields(a, b, !c.IgnoreTimes, !c.IgnoreRules); len(fields) > 0 {
		list = append(list, change{section: Head, kind: Changed, fields: fields})
	}
	return list
}

func (c *Comparison) connectionChanges(a, b *report.Report) (list []change) {
	pairs := pairConnections(a.Connections, b.Connections)
	var namesA, namesB map[netip.Addr]*report.Names
	if len(pairs) > 0 && len(c.Selectors) > 0 {
		namesA, namesB = fold.NamesByAddr(a), fold.NamesByAddr(b)
	}
	twins := make(map[uint64]uint64, len(pairs)) // how many have the same identity
	for _, p := range pairs {
		if !c.selected(p.a, namesA) && !c.selected(p.b, namesB) {
			continue
		}
		ch := c.connectionChange(p)
		if ch.kind == Changed && len(ch.fields) == 0 {
			continue
		}
		twin := twins[ch.identity]
		twins[ch.identity]++
		ch.identity += twin
		list = append(list, ch)
	}
	return list
}

// selected reports whether the comparison includes a connection, nil for none.
func (c *Comparison) selected(x *report.Connection, names map[netip.Addr]*report.Names) bool {
	if x == nil || len(c.Selectors) == 0 {
		return x != nil
	}
	e := fold.EdgeOf(x, names)
	return fold.MatchAny(c.Selectors, &e)
}

func (c *Comparison) connectionChange(p pair) change {
	shown := cmp.Or(p.a, p.b)
	ch := change{section: Connections, kind: kindOf(p.a == nil, p.b == nil), reversed: p.reversed,
		client: shown.From.Addr.Addr(), server: shown.To.Addr, identity: identityOf(shown), as: p.as}
	if ch.kind == Changed {
		ch.fields = connectionFields(p, !c.IgnoreTimes)
	}
	ch.perEnds = ch.kind != Changed || p.reversed
	if p.a != nil {
		ch.a = p.a
	}
	if p.b != nil {
		ch.b = p.b
	}
	return ch
}

// identityOf is a hash of what distinguishes connections.
func identityOf(c *report.Connection) uint64 {
	h := fnv.New64a()
	var buf [128]byte
	b := append(buf[:0], c.Proto...)
	for _, e := range [...]*report.End{&c.From, &c.To} {
		a := e.Addr.Addr().As16()
		b = binary.BigEndian.AppendUint16(append(b, a[:]...), e.Addr.Port())
		b = binary.BigEndian.AppendUint64(b, e.Netns)
	}
	h.Write(binary.BigEndian.AppendUint64(b, uint64(c.FirstSeen)))
	return h.Sum64()
}

func kindOf(lackedByA, lackedByB bool) ChangeKind {
	switch {
	case lackedByA:
		return Added
	case lackedByB:
		return Removed
	}
	return Changed
}

// addrsOf returns the addresses of the connections among the changes, with their
// port and with port 0.
func addrsOf(list []change) map[netip.AddrPort]bool {
	addrs := make(map[netip.AddrPort]bool, len(list))
	for i := range list {
		for _, t := range [...]thing{list[i].a, list[i].b} {
			c, ok := t.(*report.Connection)
			if !ok {
				continue
			}
			e := fold.EdgeOf(c, nil)
			for _, a := range slices.Concat(e.From.Addrs, e.To.Addrs) {
				addrs[a] = true
				addrs[netip.AddrPortFrom(a.Addr(), 0)] = true
			}
		}
	}
	return addrs
}

// An element is one thing of a list with its id and address, which identify it.
type element struct {
	id   string
	addr netip.AddrPort
	thing
}

func (e *element) compare(o *element) int {
	return cmp.Or(strings.Compare(e.id, o.id), e.addr.Compare(o.addr))
}

func endpointChanges(a, b *report.Report) []change {
	describe := func(e *report.Endpoint) element {
		return element{id: e.ID(), addr: e.Addr, thing: e}
	}
	return listChanges(Endpoints, a.Endpoints, b.Endpoints, describe, endpointFields)
}

func nameChanges(a, b *report.Report) []change {
	describe := func(n *report.Names) element {
		return element{addr: netip.AddrPortFrom(n.Addr, 0), thing: n}
	}
	list := listChanges(Names, a.Names, b.Names, describe, nameFields)
	for i := range list {
		list[i].id = list[i].server.Addr().String()
	}
	return list
}

func (c *Comparison) coverageChanges(a, b *report.Report) []change {
	describe := func(s *report.Coverage) element {
		id := s.Source
		if s.Netns != 0 {
			id += " of namespace " + netnsText(s.Netns)
		}
		return element{id: id, thing: s}
	}
	fields := func(a, b *report.Coverage) fieldList { return coverageFields(a, b, !c.IgnoreCounts) }
	return listChanges(Coverage, a.Coverage, b.Coverage, describe, fields)
}

// listChanges compares two lists element by element.
func listChanges[T any](section Section, a, b []T, describe func(*T) element, fields func(a, b *T) fieldList) (list []change) {
	compare := func(x, y *T) int {
		ex, ey := describe(x), describe(y)
		return ex.compare(&ey)
	}
	walkBoth(a, b, compare, func(x, y *T) {
		ch := change{section: section, kind: kindOf(x == nil, y == nil)}
		if ch.kind == Changed {
			if ch.fields = fields(x, y); len(ch.fields) == 0 {
				return
			}
		}
		if x != nil {
			e := describe(x)
			ch.a, ch.id, ch.server = e.thing, e.id, e.addr
		}
		if y != nil {
			e := describe(y)
			ch.b, ch.id, ch.server = e.thing, e.id, e.addr
		}
		h := fnv.New64a()
		fmt.Fprint(h, ch.id, ch.server)
		ch.identity = h.Sum64()
		list = append(list, ch)
	})
	return list
}

// walkBoth walks two lists side by side, each of which has an element once. It calls
// each with the two equal elements; nil where a list lacks it.
func walkBoth[T any](a, b []T, compare func(x, y *T) int, each func(a, b *T)) {
	a, b = sortedBy(a, compare), sortedBy(b, compare)
	for len(a) > 0 && len(b) > 0 {
		switch order := compare(&a[0], &b[0]); {
		case order < 0:
			each(&a[0], nil)
			a = a[1:]
		case order > 0:
			each(nil, &b[0])
			b = b[1:]
		default:
			each(&a[0], &b[0])
			a, b = a[1:], b[1:]
		}
	}
	for i := range a {
		each(&a[i], nil)
	}
	for i := range b {
		each(nil, &b[i])
	}
}

// sortedBy returns the list sorted, which the lists of a report usually are.
func sortedBy[T any](list []T, compare func(x, y *T) int) []T {
	order := func(x, y T) int { return compare(&x, &y) }
	if slices.IsSortedFunc(list, order) {
		return list
	}
	return slices.SortedStableFunc(slices.Values(list), order)
}
