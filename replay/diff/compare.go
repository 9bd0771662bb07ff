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
	"github.com/topotape/topotape/reporter"
)

// A change is one thing that differs between two reports.
type change struct {
	section  Section
	kind     ChangeKind
	id       string
	follows  bool // it comes with a connection that differs
	reversed bool
	fields   fieldList // of what both have
	// whose it is, as far as it is to be grouped by that
	client netip.Addr
	server netip.AddrPort
	own    bool // only things of the same client and server are one cause
	// identity tells it from others of its section
	identity uint64
	a, b     thing // nil where a side lacks it
	as       *reporter.Connection
}

// A thing of a report.
type thing interface{ AppendJSON([]byte) []byte }

// comparer compares pairs of reports.
type comparer struct {
	selectors []*fold.Selector
	times     bool // are comparable
	counts    bool
	rules     bool // the reports' rules should be the same
}

// compare lists what differs.
func (c *comparer) compare(a, b *reporter.Report) []change {
	list := c.connections(a, b)
	others := slices.Concat(endpointChanges(a, b), nameChanges(a, b))
	var mentioned map[netip.AddrPort]bool
	if len(others) > 0 {
		mentioned = mentions(list)
	}
	for _, ch := range others {
		ch.follows = mentioned[ch.server] && (ch.section == Endpoints || ch.kind != Changed)
		if ch.follows || len(c.selectors) == 0 {
			list = append(list, ch)
		}
	}
	if len(c.selectors) > 0 {
		return list
	}
	list = append(list, c.coverage(a, b)...)
	if fields := headFields(a, b, c.times, c.rules); len(fields) > 0 {
		list = append(list, change{section: Head, kind: Changed, fields: fields})
	}
	return list
}

func (c *comparer) connections(a, b *reporter.Report) (list []change) {
	pairs := pairConnections(a.Connections, b.Connections)
	if len(pairs) == 0 {
		return nil
	}
	matches := func(*reporter.Connection, map[netip.Addr]*reporter.Names) bool { return true }
	var namesA, namesB map[netip.Addr]*reporter.Names
	if len(c.selectors) > 0 {
		namesA, namesB = fold.NamesByAddr(a), fold.NamesByAddr(b)
		matches = func(x *reporter.Connection, names map[netip.Addr]*reporter.Names) bool {
			if x == nil {
				return false
			}
			e := fold.EdgeOf(x, names)
			return fold.MatchAny(c.selectors, &e)
		}
	}
	twins := make(map[uint64]uint64, len(pairs)) // connections that nothing tells apart but their number
	for _, p := range pairs {
		if !matches(p.a, namesA) && !matches(p.b, namesB) {
			continue
		}
		ch := c.connection(p)
		if ch.kind == Changed && len(ch.fields) == 0 {
			continue
		}
		twins[ch.identity]++
		ch.identity += twins[ch.identity] - 1
		list = append(list, ch)
	}
	return list
}

// connection is the change that a pair is.
func (c *comparer) connection(p pair) change {
	shown, kind := p.a, kindOf(p.a == nil, p.b == nil)
	if shown == nil {
		shown = p.b
	}
	ch := change{section: Connections, kind: kind, reversed: p.reversed, client: shown.From.Addr.Addr(), server: shown.To.Addr,
		own: kind != Changed || p.reversed, identity: identity(shown), as: p.as}
	if kind == Changed {
		ch.fields = connectionFields(p, c.times)
	}
	if p.a != nil {
		ch.a = p.a
	}
	if p.b != nil {
		ch.b = p.b
	}
	return ch
}

// identity tells a connection from others.
func identity(c *reporter.Connection) uint64 {
	h := fnv.New64a()
	var buf [128]byte
	b := append(buf[:0], c.Proto...)
	for _, e := range [...]*reporter.End{&c.From, &c.To} {
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

// mentions are the addresses that the connections among the changes have.
func mentions(list []change) map[netip.AddrPort]bool {
	m := make(map[netip.AddrPort]bool, len(list))
	for i := range list {
		for _, t := range [...]thing{list[i].a, list[i].b} {
			c, ok := t.(*reporter.Connection)
			if !ok {
				continue
			}
			e := fold.EdgeOf(c, nil)
			for _, a := range slices.Concat(e.From.Addrs, e.To.Addrs) {
				m[a] = true
				m[netip.AddrPortFrom(a.Addr(), 0)] = true
			}
		}
	}
	return m
}

// both walks two lists that have each key once, side by side. It calls each with the
// elements of one key; the side that lacks it has nil.
func both[T any](a, b []T, compare func(x, y *T) int, each func(a, b *T)) {
	sorted := func(list []T) []T {
		less := func(x, y T) int { return compare(&x, &y) }
		if !slices.IsSortedFunc(list, less) {
			list = slices.Clone(list)
			slices.SortStableFunc(list, less)
		}
		return list
	}
	a, b = sorted(a), sorted(b)
	for len(a) > 0 || len(b) > 0 {
		n := -1
		switch {
		case len(a) == 0:
			n = 1
		case len(b) > 0:
			n = compare(&a[0], &b[0])
		}
		switch {
		case n < 0:
			each(&a[0], nil)
			a = a[1:]
		case n > 0:
			each(nil, &b[0])
			b = b[1:]
		default:
			each(&a[0], &b[0])
			a, b = a[1:], b[1:]
		}
	}
}

// things compares two lists whose elements have a key.
func things[T any, P interface {
	*T
	thing
}](section Section, a, b []T, key func(P) (netip.AddrPort, string), fields func(a, b *T) fieldList) (list []change) {
	compare := func(x, y *T) int {
		a, s := key(x)
		b, t := key(y)
		return cmp.Or(strings.Compare(s, t), a.Compare(b))
	}
	both(a, b, compare, func(x, y *T) {
		ch := change{section: section, kind: kindOf(x == nil, y == nil)}
		if ch.kind == Changed {
			if ch.fields = fields(x, y); len(ch.fields) == 0 {
				return
			}
		}
		if y != nil {
			ch.b = P(y)
			ch.server, ch.id = key(y)
		}
		if x != nil {
			ch.a = P(x)
			ch.server, ch.id = key(x)
		}
		h := fnv.New64a()
		fmt.Fprint(h, ch.id, ch.server)
		ch.identity = h.Sum64()
		list = append(list, ch)
	})
	return list
}

func endpointChanges(a, b *reporter.Report) []change {
	return things(Endpoints, a.Endpoints, b.Endpoints, func(e *reporter.Endpoint) (netip.AddrPort, string) { return e.Addr, e.ID() }, endpointFields)
}

func nameChanges(a, b *reporter.Report) []change {
	list := things(NamesSection, a.Names, b.Names, func(n *reporter.Names) (netip.AddrPort, string) {
		return netip.AddrPortFrom(n.Addr, 0), ""
	}, nameFields)
	for i := range list {
		list[i].id = list[i].server.Addr().String()
	}
	return list
}

func (c *comparer) coverage(a, b *reporter.Report) []change {
	return things(CoverageSection, a.Coverage, b.Coverage, func(s *reporter.Coverage) (netip.AddrPort, string) {
		if s.Netns != 0 {
			return netip.AddrPort{}, s.Source + " of namespace " + netnsText(s.Netns)
		}
		return netip.AddrPort{}, s.Source
	}, func(a, b *reporter.Coverage) fieldList { return coverageFields(a, b, c.counts) })
}
