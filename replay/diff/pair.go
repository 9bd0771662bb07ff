package diff

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// A pair is one connection as two reports show it; the side that lacks it is
// nil.
type pair struct {
	a, b *reporter.Connection
	// reversed: what is the client in one is the server in the other.
	reversed bool
	// as is, of a connection that one side lacks, the other side's of which it is a
	// view: through NAT, or turned round.
	as *reporter.Connection
}

// pairing finds for each connection of one report the same one of another.
type pairing struct {
	pairs        []pair // those that differ
	restA, restB []*reporter.Connection
}

// pairConnections returns what differs between two lists of connections. A
// connection is the same if its ends are, else if they are turned round, else
// if one side shows an end as NAT shows it on the other, else if one client's
// end has one connection left on either side. Swapping the lists swaps the
// sides of the pairs, nothing else.
func pairConnections(a, b []reporter.Connection) []pair {
	var p pairing
	a, b = sortedConnections(a), sortedConnections(b)
	p.sameEnds(a, b)
	p.restA, p.restB = zip(p.restA, p.restB, func(c *reporter.Connection) ends { return endsOf(c) },
		func(c *reporter.Connection) ends { return endsOf(c).turned() }, func(a, b *reporter.Connection) { p.add(a, b, true) })
	if len(p.restA) > 0 && len(p.restB) > 0 {
		p.aliases()
		p.clients()
	}
	seen := viewed(b, len(p.restA))
	for _, c := range p.restA {
		p.pairs = append(p.pairs, pair{a: c, as: seen[endsOf(c).ordered()]})
	}
	seen = viewed(a, len(p.restB))
	for _, c := range p.restB {
		p.pairs = append(p.pairs, pair{b: c, as: seen[endsOf(c).ordered()]})
	}
	return p.pairs
}

// viewed tells connections by the tuples that they have along their way, if
// any are asked for.
func viewed(list []reporter.Connection, asked int) map[ends]*reporter.Connection {
	if asked == 0 {
		return nil
	}
	m := make(map[ends]*reporter.Connection, len(list))
	var of []view
	for i := range list {
		if list[i].From.Addr.Addr().IsLoopback() { // every namespace has it
			continue
		}
		of = views(of[:0], &list[i], false, i)
		for _, v := range of {
			if m[v.tuple] == nil {
				m[v.tuple] = &list[i]
			}
		}
	}
	return m
}

// sortedConnections is the list in the order of reports, which it most often
// has; those that are equal to that in the order of their text.
func sortedConnections(list []reporter.Connection) []reporter.Connection {
	order := func(a, b reporter.Connection) int {
		n := a.Compare(&b)
		if n == 0 {
			n = bytes.Compare(a.AppendJSON(nil), b.AppendJSON(nil))
		}
		return n
	}
	if slices.IsSortedFunc(list, order) {
		return list
	}
	list = slices.Clone(list)
	slices.SortFunc(list, order)
	return list
}

func (p *pairing) add(a, b *reporter.Connection, reversed bool) {
	if reversed || !sameConnection(a, b) {
		p.pairs = append(p.pairs, pair{a: a, b: b, reversed: reversed})
	}
}

// ends are the protocol and the ends of a connection.
type ends struct {
	proto    string
	from, to netip.AddrPort
}

func endsOf(c *reporter.Connection) ends { return ends{c.Proto, c.From.Addr, c.To.Addr} }

func (e ends) turned() ends { return ends{e.proto, e.to, e.from} }

// ordered has the smaller end first.
func (e ends) ordered() ends {
	if e.to.Compare(e.from) < 0 {
		return e.turned()
	}
	return e
}

func (e ends) compare(o ends) int {
	return cmp.Or(strings.Compare(e.proto, o.proto), e.from.Compare(o.from), e.to.Compare(o.to))
}

// sameEnds walks both lists, which are sorted, side by side.
func (p *pairing) sameEnds(a, b []reporter.Connection) {
	for len(a) > 0 && len(b) > 0 {
		key := endsOf(&a[0])
		switch n := key.compare(endsOf(&b[0])); {
		case n < 0:
			p.restA, a = append(p.restA, &a[0]), a[1:]
		case n > 0:
			p.restB, b = append(p.restB, &b[0]), b[1:]
		default:
			i, j := run(a, key), run(b, key)
			if i == 1 && j == 1 {
				p.add(&a[0], &b[0], false)
			} else {
				p.equalEnds(a[:i], b[:j])
			}
			a, b = a[i:], b[j:]
		}
	}
	p.restA, p.restB = append(p.restA, pointers(a)...), append(p.restB, pointers(b)...)
}

// run is how many connections at the head of the list have these ends.
func run(list []reporter.Connection, key ends) int {
	n := 1
	for n < len(list) && endsOf(&list[n]) == key {
		n++
	}
	return n
}

func pointers(list []reporter.Connection) (out []*reporter.Connection) {
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

// equalEnds pairs connections that have the same ends: those that are equal,
// of the same namespaces and age, of the same namespaces, the others in their
// order.
func (p *pairing) equalEnds(a, b []reporter.Connection) {
	type place struct {
		from, to uint64
		first    int64
	}
	add := func(a, b *reporter.Connection) { p.add(a, b, false) }
	whole := func(c *reporter.Connection) string { return string(c.AppendJSON(nil)) }
	aged := func(c *reporter.Connection) place { return place{c.From.Netns, c.To.Netns, c.FirstSeen} }
	placed := func(c *reporter.Connection) place { return place{c.From.Netns, c.To.Netns, 0} }
	any := func(c *reporter.Connection) place { return place{} }
	restA, restB := zip(pointers(a), pointers(b), whole, whole, add)
	restA, restB = zip(restA, restB, aged, aged, add)
	restA, restB = zip(restA, restB, placed, placed, add)
	restA, restB = zip(restA, restB, any, any, add)
	p.restA, p.restB = append(p.restA, restA...), append(p.restB, restB...)
}

// zip pairs the first of a with the first of b that has the same key, and so
// on, and returns what is left of both.
func zip[K comparable](a, b []*reporter.Connection, ofA, ofB func(*reporter.Connection) K, pair func(a, b *reporter.Connection)) (restA, restB []*reporter.Connection) {
	if len(a) == 0 || len(b) == 0 {
		return a, b
	}
	queues := make(map[K][]int, len(b))
	for i, c := range b {
		k := ofB(c)
		queues[k] = append(queues[k], i)
	}
	taken := make([]bool, len(b))
	for _, c := range a {
		k := ofA(c)
		q := queues[k]
		if len(q) == 0 {
			restA = append(restA, c)
			continue
		}
		queues[k], taken[q[0]] = q[1:], true
		pair(c, b[q[0]])
	}
	for i, c := range b {
		if !taken[i] {
			restB = append(restB, c)
		}
	}
	return restA, restB
}

// A view is a connection as one of its tuples shows it.
type view struct {
	tuple  ends // the smaller end first
	turned bool // the server's
	ofB    bool
	at     int // in its rest
}

// views lists the tuples that a connection has along its way.
func views(list []view, c *reporter.Connection, ofB bool, at int) []view {
	add := func(e ends) {
		t := e.ordered()
		list = append(list, view{tuple: t, turned: t != e, ofB: ofB, at: at})
	}
	add(endsOf(c))
	for i := range c.NAT {
		n := &c.NAT[i]
		add(ends{c.Proto, n.OriginalSrc, n.OriginalDst})
		add(ends{c.Proto, n.ReplyDst, n.ReplySrc})
	}
	return list
}

// aliases pairs what is left by any tuple that NAT shows of it.
func (p *pairing) aliases() {
	var all []view
	for i, c := range p.restA {
		all = views(all, c, false, i)
	}
	for i, c := range p.restB {
		all = views(all, c, true, i)
	}
	slices.SortFunc(all, func(x, y view) int {
		return cmp.Or(x.tuple.compare(y.tuple), cmp.Compare(x.at, y.at), compareBool(x.turned, y.turned))
	})
	takenA, takenB := make([]bool, len(p.restA)), make([]bool, len(p.restB))
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].tuple == all[0].tuple {
			n++
		}
		var a, b []view
		for _, v := range all[:n] {
			switch {
			case v.ofB && !takenB[v.at] && (len(b) == 0 || b[len(b)-1].at != v.at):
				b = append(b, v)
			case !v.ofB && !takenA[v.at] && (len(a) == 0 || a[len(a)-1].at != v.at):
				a = append(a, v)
			}
		}
		for i := range min(len(a), len(b)) {
			takenA[a[i].at], takenB[b[i].at] = true, true
			p.add(p.restA[a[i].at], p.restB[b[i].at], a[i].turned != b[i].turned)
		}
		all = all[n:]
	}
	p.restA, p.restB = untaken(p.restA, takenA), untaken(p.restB, takenB)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func untaken(list []*reporter.Connection, taken []bool) (rest []*reporter.Connection) {
	for i, c := range list {
		if !taken[i] {
			rest = append(rest, c)
		}
	}
	return rest
}

// clients pairs connections of one client's end, where there is one left on
// either side: it goes to another server.
func (p *pairing) clients() {
	type client struct {
		proto string
		addr  netip.AddrPort
	}
	key := func(c *reporter.Connection) client { return client{c.Proto, c.From.Addr} }
	count := func(list []*reporter.Connection) map[client]int {
		m := make(map[client]int, len(list))
		for _, c := range list {
			m[key(c)]++
		}
		return m
	}
	inA, inB := count(p.restA), count(p.restB)
	single := func(c *reporter.Connection) bool { k := key(c); return inA[k] == 1 && inB[k] == 1 }
	var a, b, restA, restB []*reporter.Connection
	for _, c := range p.restA {
		if single(c) {
			a = append(a, c)
		} else {
			restA = append(restA, c)
		}
	}
	for _, c := range p.restB {
		if single(c) {
			b = append(b, c)
		} else {
			restB = append(restB, c)
		}
	}
	zip(a, b, key, key, func(a, b *reporter.Connection) { p.add(a, b, false) })
	p.restA, p.restB = restA, restB
}

func sameConnection(a, b *reporter.Connection) bool {
	return a.State == b.State && a.Direction == b.Direction && a.FirstSeen == b.FirstSeen && a.LastSeen == b.LastSeen &&
		a.Closed == b.Closed && a.MayHaveClosed == b.MayHaveClosed && endsOf(a) == endsOf(b) &&
		a.From.Netns == b.From.Netns && a.To.Netns == b.To.Netns && slices.EqualFunc(a.From.Processes, b.From.Processes, sameProcess) &&
		slices.EqualFunc(a.To.Processes, b.To.Processes, sameProcess) && slices.Equal(a.NAT, b.NAT) && slices.Equal(a.Seen, b.Seen)
}

func sameProcess(a, b reporter.Process) bool {
	return a.PID == b.PID && (a.Comm == b.Comm || reporter.ValidText(a.Comm) == reporter.ValidText(b.Comm))
}
