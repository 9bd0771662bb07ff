package diff

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter"
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
	as       thing  // of a pair
}

// A thing is an element of one of a report's lists.
type thing interface{ AppendJSON([]byte) []byte }

// changes lists what differs between two reports.
func (c *Comparison) changes(a, b *report.Report) []change {
	list := slices.Concat(c.connectionChanges(a, b), c.attemptChanges(a, b))
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
	list = append(list, c.hostEventChanges(a, b)...)
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
	ch := change{section: Connections, kind: kindOf(p.a == nil, p.b == nil), reversed: p.reversed, fields: p.fields,
		client: shown.From.Addr.Addr(), server: shown.To.Addr, a: thingOf(p.a), b: thingOf(p.b), as: thingOf(p.as)}
	ch.identity = maphash.Comparable(seed, connectionID{endsOf(shown), shown.From.Netns, shown.To.Netns, shown.FirstSeen})
	if c.IgnoreTimes {
		ch.fields = slices.DeleteFunc(ch.fields, Field.isTime)
	}
	ch.perEnds = ch.kind != Changed || p.reversed
	return ch
}

// attemptChanges compares the attempts. The rules of 2016 report none.
func (c *Comparison) attemptChanges(a, b *report.Report) []change {
	if (a.Rules == reporter.RulesScope2016) != (b.Rules == reporter.RulesScope2016) {
		return nil
	}
	compare := func(x, y *report.Attempt) int {
		return cmp.Or(strings.Compare(x.Proto, y.Proto), x.From.Addr.Compare(y.From.Addr), x.To.Addr.Compare(y.To.Addr),
			strings.Compare(string(x.Outcome), string(y.Outcome)))
	}
	idOf := func(x *report.Attempt) thingID {
		return thingID{fmt.Sprintf("%s -> %s %s", x.From.Addr.Addr(), x.To.Addr, x.Outcome), x.To.Addr}
	}
	fields := func(x, y *report.Attempt) fieldList { return attemptFields(x, y, !c.IgnoreTimes, !c.IgnoreCounts) }
	list := listChanges(Attempts, a.Attempts, b.Attempts, compare, idOf, fields)
	if len(list) > 0 && len(c.Selectors) > 0 {
		namesA, namesB := fold.NamesByAddr(a), fold.NamesByAddr(b)
		list = slices.DeleteFunc(list, func(ch change) bool { return !c.attempted(ch.a, namesA) && !c.attempted(ch.b, namesB) })
	}
	for i := range list {
		ch := &list[i]
		ch.client, ch.perEnds = cmp.Or(ch.a, ch.b).(*report.Attempt).From.Addr.Addr(), ch.kind != Changed
	}
	return list
}

// attempted reports whether the comparison includes an attempt, nil for none.
func (c *Comparison) attempted(x thing, names map[netip.Addr]*report.Names) bool {
	a, ok := x.(*report.Attempt)
	if !ok {
		return false
	}
	e := fold.EdgeOfAttempt(a, names)
	return fold.MatchAny(c.Selectors, &e)
}

// thingOf returns a connection as a thing, nil for none.
func thingOf(c *report.Connection) thing {
	if c == nil {
		return nil
	}
	return c
}

// seed is the seed of all identities.
var seed = maphash.MakeSeed()

// A connectionID is what distinguishes connections.
type connectionID struct {
	ends
	fromNetns, toNetns uint64
	firstSeen          int64
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

// addrsOf returns the addresses of the connections and attempts among the changes,
// with their port and with port 0.
func addrsOf(list []change) map[netip.AddrPort]bool {
	addrs := make(map[netip.AddrPort]bool, len(list))
	for i := range list {
		for _, t := range [...]thing{list[i].a, list[i].b} {
			var e fold.Edge
			switch t := t.(type) {
			case *report.Connection:
				e = fold.EdgeOf(t, nil)
			case *report.Attempt:
				e = fold.EdgeOfAttempt(t, nil)
			}
			for _, a := range slices.Concat(e.From.Addrs, e.To.Addrs) {
				addrs[a] = true
				addrs[netip.AddrPortFrom(a.Addr(), 0)] = true
			}
		}
	}
	return addrs
}

// A thingID identifies an element of a list of attempts, endpoints, names or coverage.
type thingID struct {
	text string // for people
	addr netip.AddrPort
}

func endpointChanges(a, b *report.Report) []change {
	idOf := func(e *report.Endpoint) thingID { return thingID{e.ID(), e.Addr} }
	return listChanges(Endpoints, a.Endpoints, b.Endpoints, (*report.Endpoint).Compare, idOf, endpointFields)
}

func nameChanges(a, b *report.Report) []change {
	compare := func(x, y *report.Names) int { return x.Addr.Compare(y.Addr) }
	idOf := func(n *report.Names) thingID { return thingID{n.Addr.String(), netip.AddrPortFrom(n.Addr, 0)} }
	return listChanges(Names, a.Names, b.Names, compare, idOf, nameFields)
}

func (c *Comparison) coverageChanges(a, b *report.Report) []change {
	idOf := func(s *report.Coverage) thingID {
		if s.Netns == 0 {
			return thingID{text: s.Source}
		}
		return thingID{text: s.Source + " of namespace " + netnsText(s.Netns)}
	}
	compare := func(x, y *report.Coverage) int { return strings.Compare(idOf(x).text, idOf(y).text) }
	fields := func(a, b *report.Coverage) fieldList { return coverageFields(a, b, !c.IgnoreCounts) }
	return listChanges(Coverage, a.Coverage, b.Coverage, compare, idOf, fields)
}

// hostEventChanges compares the events of the host, in the section of the coverage, whose digest
// covers them.
func (c *Comparison) hostEventChanges(a, b *report.Report) []change {
	idOf := func(e *report.HostEvent) thingID { return thingID{text: "host: " + e.What} }
	compare := func(x, y *report.HostEvent) int { return strings.Compare(x.What, y.What) }
	fields := func(a, b *report.HostEvent) fieldList { return hostEventFields(a, b, !c.IgnoreTimes, !c.IgnoreCounts) }
	return listChanges(Coverage, a.HostEvents, b.HostEvents, compare, idOf, fields)
}

// listChanges compares two lists element by element.
func listChanges[T any, P interface {
	*T
	thing
}](section Section, a, b []T, compare func(x, y *T) int, idOf func(*T) thingID, fields func(a, b *T) fieldList) (list []change) {
	walkBoth(sortedBy(a, compare), sortedBy(b, compare), compare, func(a, b []T) {
		for i := range max(len(a), len(b)) {
			ch := change{section: section, kind: kindOf(i >= len(a), i >= len(b))}
			if ch.kind == Changed {
				if ch.fields = fields(&a[i], &b[i]); len(ch.fields) == 0 {
					continue
				}
			}
			var id thingID
			if i < len(a) {
				ch.a, id = P(&a[i]), idOf(&a[i])
			}
			if i < len(b) {
				ch.b, id = P(&b[i]), idOf(&b[i])
			}
			ch.id, ch.server, ch.identity = id.text, id.addr, maphash.Comparable(seed, id)
			list = append(list, ch)
		}
	})
	return list
}

// walkBoth walks two sorted lists side by side. It calls each with the elements of
// both that are equal in their order. One of the two may be empty.
func walkBoth[T any](a, b []T, compare func(x, y *T) int, each func(a, b []T)) {
	for len(a) > 0 || len(b) > 0 {
		order := 0
		switch {
		case len(b) == 0:
			order = -1
		case len(a) == 0:
			order = 1
		default:
			order = compare(&a[0], &b[0])
		}
		i, j := 0, 0
		for order <= 0 && i < len(a) && (i == 0 || compare(&a[0], &a[i]) == 0) {
			i++
		}
		for order >= 0 && j < len(b) && (j == 0 || compare(&b[0], &b[j]) == 0) {
			j++
		}
		each(a[:i], b[:j])
		a, b = a[i:], b[j:]
	}
}

// sortedBy returns the list sorted, which the lists of a report usually are.
func sortedBy[T any](list []T, compare func(x, y *T) int) []T {
	sorted := true
	for i := 1; i < len(list); i++ {
		sorted = sorted && compare(&list[i-1], &list[i]) <= 0
	}
	if sorted {
		return list
	}
	return slices.SortedStableFunc(slices.Values(list), func(x, y T) int { return compare(&x, &y) })
}
