package fold

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// DefaultMaxConnections bounds a fold's memory: to 4 GiB where as many connections
// again are left out and each has ends of its own.
const DefaultMaxConnections = 1_000_000

// Fold makes one report of many: every connection that any of them shows.
type Fold struct {
	max       int
	report    *reporter.Report // the last one
	window    int64
	index     map[flowKey][]int32 // into list
	list      []reporter.Connection
	shown     []int // by index in list: the report that showed it last, counted
	reports   int
	endpoints map[endpointID]*reporter.Endpoint
	names     map[netip.Addr]*reporter.Names
	beyond    map[flowKey]struct{} // connections left out, as many as are kept
	view      viewFold
}

// flowKey names a connection whatever its direction is thought to be. What
// its ends' namespaces are can become known later, so they are compared apart.
type flowKey struct {
	proto     string
	low, high netip.AddrPort
	first     int64
}

func New(most int) *Fold {
	if most <= 0 {
		most = DefaultMaxConnections
	}
	return &Fold{max: most, index: map[flowKey][]int32{}, endpoints: map[endpointID]*reporter.Endpoint{},
		names: map[netip.Addr]*reporter.Names{}, beyond: map[flowKey]struct{}{},
		view: viewFold{most: 2 * most, nodes: map[string]*reporter.ScopeNode{}}}
}

func keyOf(c *reporter.Connection) flowKey {
	k := flowKey{proto: c.Proto, low: c.From.Addr, high: c.To.Addr, first: c.FirstSeen}
	if k.high.Compare(k.low) < 0 {
		k.low, k.high = k.high, k.low
	}
	return k
}

// Add takes the report's connections in. A later report knows more of a
// connection than an earlier one.
func (f *Fold) Add(r *reporter.Report) {
	f.report = r
	f.window += r.Window
	f.reports++
	if ownView(r) {
		f.view.add(r.Scope())
	}
	for i := range r.Connections {
		c := &r.Connections[i]
		key := keyOf(c)
		at := f.find(key, c)
		switch {
		case at >= 0:
			merge(&f.list[at], c)
		case len(f.list) < f.max:
			at = int32(len(f.list))
			f.list, f.shown = append(f.list, *c), append(f.shown, 0)
			f.index[key] = append(f.index[key], at)
		default:
			if len(f.beyond) < f.max {
				f.beyond[key] = struct{}{}
			}
			continue
		}
		f.shown[at] = f.reports
	}
	for i := range r.Endpoints {
		f.endpoint(&r.Endpoints[i])
	}
	for i := range r.Names {
		f.name(&r.Names[i])
	}
}

// find looks for the connection among those known. Two of one report are two.
func (f *Fold) find(key flowKey, c *reporter.Connection) int32 {
	for _, at := range f.index[key] {
		if f.shown[at] != f.reports && sameNetns(&f.list[at], c) {
			return at
		}
	}
	return -1
}

func sameNetns(a, b *reporter.Connection) bool {
	from, to := b.From.Netns, b.To.Netns
	if a.From.Addr != b.From.Addr {
		from, to = to, from
	}
	agree := func(x, y uint64) bool { return x == y || x == 0 || y == 0 }
	return agree(a.From.Netns, from) && agree(a.To.Netns, to)
}

// merge brings a connection up to what a later report says, keeping what that
// no longer knows.
func merge(to, c *reporter.Connection) {
	old := *to
	*to = *c
	to.FirstSeen = min(to.FirstSeen, old.FirstSeen)
	to.LastSeen = max(to.LastSeen, old.LastSeen)
	to.Seen = Union(old.Seen, c.Seen, strings.Compare)
	if len(to.NAT) == 0 {
		to.NAT = old.NAT
	}
	from, server := old.From, old.To
	if from.Addr != c.From.Addr {
		from, server = server, from
	}
	mergeEnd(&to.From, &from)
	mergeEnd(&to.To, &server)
}

func mergeEnd(to, old *reporter.End) {
	if to.Netns == 0 {
		to.Netns = old.Netns
	}
	to.Processes = Union(old.Processes, to.Processes, reporter.Process.Compare)
}

// Union of two sorted lists. It does not change them.
func Union[T any](a, b []T, compare func(T, T) int) []T {
	if len(a) == 0 || slices.EqualFunc(a, b, func(x, y T) bool { return compare(x, y) == 0 }) {
		return b
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, compare)
	return slices.CompactFunc(all, func(x, y T) bool { return compare(x, y) == 0 })
}

// An endpointID is what an endpoint's ID is made of.
type endpointID struct {
	scope string
	addr  netip.AddrPort
}

func (f *Fold) endpoint(e *reporter.Endpoint) {
	id := endpointID{e.Scope, e.Addr}
	old := f.endpoints[id]
	switch {
	case old != nil:
		old.Aliases = Union(old.Aliases, e.Aliases, netip.AddrPort.Compare)
		old.Processes = Union(old.Processes, e.Processes, reporter.Process.Compare)
	case len(f.endpoints) < 2*f.max:
		own := *e
		f.endpoints[id] = &own
	}
}

func (f *Fold) name(n *reporter.Names) {
	old := f.names[n.Addr]
	switch {
	case old != nil:
		old.Forward = Union(old.Forward, n.Forward, strings.Compare)
		old.Reverse = Union(old.Reverse, n.Reverse, strings.Compare)
		old.Host = cmp.Or(n.Host, old.Host)
	case len(f.names) < 2*f.max:
		own := *n
		f.names[n.Addr] = &own
	}
}

// LeftOut counts the connections beyond the bound, up to as many as are kept.
func (f *Fold) LeftOut() uint64 { return uint64(len(f.beyond)) }

// Finish returns the folded report, nil if none was added.
func (f *Fold) Finish() *reporter.Report {
	if f.report == nil {
		return nil
	}
	r := *f.report
	r.Window = f.window
	r.Connections = f.list
	slices.SortStableFunc(r.Connections, func(a, b reporter.Connection) int { return a.Compare(&b) })
	r.Endpoints = make([]reporter.Endpoint, 0, len(f.endpoints))
	for _, e := range f.endpoints {
		r.Endpoints = append(r.Endpoints, *e)
	}
	slices.SortFunc(r.Endpoints, func(a, b reporter.Endpoint) int { return a.Compare(&b) })
	r.Names = make([]reporter.Names, 0, len(f.names))
	for _, n := range f.names {
		r.Names = append(r.Names, *n)
	}
	slices.SortFunc(r.Names, func(a, b reporter.Names) int { return a.Addr.Compare(b.Addr) })
	if ownView(&r) {
		r.SetScope(f.view.view())
	}
	return &r
}
