package diff

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// A pair is one connection as two reports show it. The side that lacks it is nil.
type pair struct {
	a, b     *report.Connection
	reversed bool // the client of one side is the server of the other
	fields   fieldList
	// as is set if one side lacks the connection: the other side's connection that has
	// the same addresses before or after NAT, or reversed.
	as *report.Connection
}

// pairs are the pairs that were found so far and that differ.
type pairs []pair

// pairConnections returns what differs between two lists of connections. It pairs
// connections, each with at most one, in this order:
//
//  1. both ends are the same
//  2. both ends are the same, reversed
//  3. the ends of one are those of the other before or after NAT
//  4. a client's address and port has one connection left on either side
//
// What remains is on one side only. Swapping the lists swaps the sides of the pairs
// and changes nothing else.
func pairConnections(a, b []report.Connection) []pair {
	a, b = sortedConnections(a), sortedConnections(b)
	var found pairs
	restA, restB := found.sameEnds(a, b)
	restA, restB = found.reversedEnds(restA, restB)
	restA, restB = found.translatedEnds(restA, restB)
	restA, restB = found.sameClient(restA, restB)
	asB, asA := sameTuples(restA, b), sameTuples(restB, a)
	for i, c := range restA {
		found = append(found, pair{a: c, as: asB[i]})
	}
	for i, c := range restB {
		found = append(found, pair{b: c, as: asA[i]})
	}
	return found
}

// sortedConnections returns the list in the order of reports, which it usually has.
// Connections that are equal in that order are sorted by their JSON.
func sortedConnections(list []report.Connection) []report.Connection {
	return sortedBy(list, func(a, b *report.Connection) int {
		if n := a.Compare(b); n != 0 {
			return n
		}
		return bytes.Compare(a.AppendJSON(nil), b.AppendJSON(nil))
	})
}

// add adds a pair unless no field differs.
func (p *pairs) add(a, b *report.Connection, reversed bool) {
	if fields := connectionFields(a, b, reversed); len(fields) > 0 {
		*p = append(*p, pair{a: a, b: b, reversed: reversed, fields: fields})
	}
}

// ends are the protocol and the two ends of a connection.
type ends struct {
	proto    string
	from, to netip.AddrPort
}

func endsOf(c *report.Connection) ends { return ends{c.Proto, c.From.Addr, c.To.Addr} }

func (e ends) reversed() ends { return ends{e.proto, e.to, e.from} }

// ordered returns the ends with the smaller one first.
func (e ends) ordered() ends {
	if e.to.Compare(e.from) < 0 {
		return e.reversed()
	}
	return e
}

func (e ends) compare(o ends) int {
	return cmp.Or(strings.Compare(e.proto, o.proto), e.from.Compare(o.from), e.to.Compare(o.to))
}

// sameEnds pairs connections with the same ends. Both lists are sorted by them.
func (p *pairs) sameEnds(a, b []report.Connection) (restA, restB []*report.Connection) {
	compare := func(x, y *report.Connection) int { return endsOf(x).compare(endsOf(y)) }
	walkBoth(a, b, compare, func(a, b []report.Connection) {
		if len(a) == 1 && len(b) == 1 {
			p.add(&a[0], &b[0], false)
			return
		}
		moreA, moreB := p.equalEnds(pointers(a), pointers(b))
		restA, restB = append(restA, moreA...), append(restB, moreB...)
	})
	return restA, restB
}

func pointers(list []report.Connection) (out []*report.Connection) {
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

// equalEnds pairs several connections with the same ends: first equal ones, then
// those with the same namespaces, zone and first-seen time, then those with the same
// namespaces and zone, then those with the same namespaces, then the others in their
// order.
func (p *pairs) equalEnds(a, b []*report.Connection) (restA, restB []*report.Connection) {
	type key struct {
		json      string
		from, to  uint64 // namespaces
		zone      uint16
		firstSeen int64
	}
	for _, keyOf := range []func(c *report.Connection) key{
		func(c *report.Connection) key { return key{json: string(c.AppendJSON(nil))} },
		func(c *report.Connection) key {
			return key{from: c.From.Netns, to: c.To.Netns, zone: c.Zone, firstSeen: c.FirstSeen}
		},
		func(c *report.Connection) key {
			return key{from: c.From.Netns, to: c.To.Netns, zone: c.Zone}
		},
		func(c *report.Connection) key { return key{from: c.From.Netns, to: c.To.Netns} },
		func(*report.Connection) key { return key{} },
	} {
		a, b = pairByKey(p, a, b, keyOf, keyOf, false)
	}
	return a, b
}

// reversedEnds pairs connections whose client is the server of the other one.
func (p *pairs) reversedEnds(a, b []*report.Connection) (restA, restB []*report.Connection) {
	reversedEnds := func(c *report.Connection) ends { return endsOf(c).reversed() }
	return pairByKey(p, a, b, endsOf, reversedEnds, true)
}

// sameClient pairs connections of a client's address and port that has one left on
// either side: it connects to another server.
func (p *pairs) sameClient(a, b []*report.Connection) (restA, restB []*report.Connection) {
	if len(a) == 0 || len(b) == 0 {
		return a, b
	}
	type client struct {
		proto string
		addr  netip.AddrPort
	}
	clientOf := func(c *report.Connection) client { return client{c.Proto, c.From.Addr} }
	byClient := func(list []*report.Connection) map[client][]*report.Connection {
		m := make(map[client][]*report.Connection, len(list))
		for _, c := range list {
			m[clientOf(c)] = append(m[clientOf(c)], c)
		}
		return m
	}
	ofA, ofB := byClient(a), byClient(b)
	isSingle := func(c *report.Connection) bool { k := clientOf(c); return len(ofA[k]) == 1 && len(ofB[k]) == 1 }
	for _, c := range a {
		if isSingle(c) {
			p.add(c, ofB[clientOf(c)][0], false)
		}
	}
	return slices.DeleteFunc(slices.Clone(a), isSingle), slices.DeleteFunc(slices.Clone(b), isSingle)
}

// pairByKey pairs the first of a with the first of b that has the same key, and so
// on. It returns the rest of both.
func pairByKey[K comparable](p *pairs, a, b []*report.Connection, keyOfA, keyOfB func(*report.Connection) K, reversed bool) (restA, restB []*report.Connection) {
	if len(a) == 0 || len(b) == 0 {
		return a, b
	}
	waiting := make(map[K][]int, len(b)) // indexes in b
	for i, c := range b {
		k := keyOfB(c)
		waiting[k] = append(waiting[k], i)
	}
	paired := make([]bool, len(b))
	for _, c := range a {
		k := keyOfA(c)
		list := waiting[k]
		if len(list) == 0 {
			restA = append(restA, c)
			continue
		}
		p.add(c, b[list[0]], reversed)
		paired[list[0]], waiting[k] = true, list[1:]
	}
	return restA, without(b, paired)
}

// without returns the connections that are not paired.
func without(list []*report.Connection, paired []bool) (rest []*report.Connection) {
	for i, c := range list {
		if !paired[i] {
			rest = append(rest, c)
		}
	}
	return rest
}
