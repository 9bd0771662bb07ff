package fold

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
)

// defaultMax is how many connections a Fold keeps by default. In the worst case,
// where every connection has its own endpoints and names and as many again are left
// out, that takes 4 GiB.
const defaultMax = 1_000_000

// A Fold makes one report of many. It has every connection and attempt that any of them
// shows.
type Fold struct {
	max         int
	last        *report.Report
	reports     int
	window      int64                     // of all reports together, ns
	index       map[connectionKey][]int32 // into connections
	connections []report.Connection
	shownBy     []int                      // by index in connections: the number of the last report that shows it
	leftOut     map[connectionKey]struct{} // at most max
	endpoints   merged[endpointID, report.Endpoint]
	names       merged[netip.Addr, report.Names]
	nodes       merged[string, report.ScopeNode] // of views that rules make themselves
	attempts    *report.Attempts
	hostEvents  []report.HostEvent // at most maxHostEvents
}

// maxHostEvents bounds the events of the host. Further ones are added to the last one of
// their kind.
const maxHostEvents = 1000

// A connectionKey identifies a connection in either direction. Namespaces are not
// part of it: they may be unknown in earlier reports.
type connectionKey struct {
	proto     string
	low, high netip.AddrPort
	firstSeen int64
}

// New returns a Fold that keeps up to max connections, and twice as many endpoints
// and names, and up to max attempts. 0 is defaultMax.
func New(max int) *Fold {
	if max <= 0 {
		max = defaultMax
	}
	return &Fold{max: max, index: map[connectionKey][]int32{}, leftOut: map[connectionKey]struct{}{},
		endpoints: newMerged[endpointID, report.Endpoint](2 * max), names: newMerged[netip.Addr, report.Names](2 * max),
		nodes: newMerged[string, report.ScopeNode](2 * max), attempts: report.NewAttempts(max)}
}

func keyOf(c *report.Connection) connectionKey {
	k := connectionKey{proto: c.Proto, low: c.From.Addr, high: c.To.Addr, firstSeen: c.FirstSeen}
	if k.high.Compare(k.low) < 0 {
		k.low, k.high = k.high, k.low
	}
	return k
}

// Add adds a report. Reports must be added in the order of time: what a later one
// shows of a connection replaces what an earlier one shows.
func (f *Fold) Add(r *report.Report) {
	f.last = r
	f.window += r.Window
	f.reports++
	if hasOwnView(r) {
		for _, n := range r.Scope().Nodes {
			f.nodes.add(n.ID, &n, mergeNodes)
		}
	}
	for i := range r.Connections {
		f.addConnection(&r.Connections[i])
	}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		f.endpoints.add(endpointID{e.Scope, e.Addr}, e, mergeEndpoints)
	}
	for i := range r.Names {
		n := &r.Names[i]
		f.names.add(n.Addr, n, mergeNames)
	}
	for _, a := range r.Attempts {
		f.addAttempt(a)
	}
	for _, e := range r.HostEvents {
		f.addHostEvent(e)
	}
}

// addAttempt adds an attempt without the tries that an earlier report has added.
func (f *Fold) addAttempt(a report.Attempt) {
	if f.attempts.Has(&a) {
		a.Count -= a.Earlier
	}
	a.Earlier = 0
	f.attempts.Add(&a)
}

func (f *Fold) addHostEvent(e report.HostEvent) {
	if len(f.hostEvents) < maxHostEvents {
		f.hostEvents = append(f.hostEvents, e)
		return
	}
	for i := len(f.hostEvents) - 1; i >= 0; i-- {
		if last := &f.hostEvents[i]; last.What == e.What {
			last.At, last.Count = e.At, last.Count+min(e.Count, math.MaxUint64-last.Count)
			return
		}
	}
}

func (f *Fold) addConnection(c *report.Connection) {
	key := keyOf(c)
	at := f.find(key, c)
	switch {
	case at >= 0:
		merge(&f.connections[at], c)
		f.shownBy[at] = f.reports
	case len(f.connections) < f.max:
		f.index[key] = append(f.index[key], int32(len(f.connections)))
		f.connections = append(f.connections, *c)
		f.shownBy = append(f.shownBy, f.reports)
	case len(f.leftOut) < f.max:
		f.leftOut[key] = struct{}{}
	}
}

// find returns the index of the connection if an earlier report shows it, else -1.
// Two connections of the same report are different ones. Of several it prefers one of the same
// zone.
func (f *Fold) find(key connectionKey, c *report.Connection) int32 {
	found := int32(-1)
	for _, at := range f.index[key] {
		switch old := &f.connections[at]; {
		case f.shownBy[at] == f.reports || !agreeOnNetns(old, c):
		case old.Zone == c.Zone:
			return at
		case found < 0:
			found = at
		}
	}
	return found
}

// agreeOnNetns reports whether no end has two different namespaces. 0 is unknown.
func agreeOnNetns(a, b *report.Connection) bool {
	from, to := endsInOrder(b, a)
	agree := func(x, y uint64) bool { return x == y || x == 0 || y == 0 }
	return agree(a.From.Netns, from.Netns) && agree(a.To.Netns, to.Netns)
}

// endsInOrder returns the ends of a connection in the order of another one, whose
// client may be its server.
func endsInOrder(c, of *report.Connection) (from, to report.End) {
	if c.From.Addr != of.From.Addr {
		return c.To, c.From
	}
	return c.From, c.To
}

// merge replaces a connection by that of a later report, and keeps what the later one
// lacks.
func merge(to, c *report.Connection) {
	old := *to
	*to = *c
	to.FirstSeen = min(to.FirstSeen, old.FirstSeen)
	to.LastSeen = max(to.LastSeen, old.LastSeen)
	to.Seen = union(old.Seen, c.Seen, strings.Compare)
	to.Connect = cmp.Or(to.Connect, old.Connect)
	if len(to.NAT) == 0 {
		to.NAT = old.NAT
	}
	to.Zone = cmp.Or(to.Zone, old.Zone)
	oldFrom, oldTo := endsInOrder(&old, c)
	merged := union[report.Process]
	if slices.Contains(to.Seen, capture.SourceSockets) {
		merged = inTurn
	}
	for _, e := range [...][2]*report.End{{&to.From, &oldFrom}, {&to.To, &oldTo}} {
		e[0].Netns = cmp.Or(e[0].Netns, e[1].Netns)
		e[0].Processes = merged(e[1].Processes, e[0].Processes, report.Process.Compare)
	}
}

// inTurn appends to a list what another one has besides, in place of sorting both: the process
// that connected comes first.
func inTurn[T any](a, b []T, compare func(T, T) int) []T {
	out := slices.Clip(a)
	for _, v := range b {
		if !slices.ContainsFunc(a, func(x T) bool { return compare(x, v) == 0 }) {
			out = append(out, v)
		}
	}
	return out
}

// An endpointID has the parts of an endpoint's ID.
type endpointID struct {
	scope string
	addr  netip.AddrPort
}

func mergeEndpoints(to, e *report.Endpoint) {
	to.Aliases = union(to.Aliases, e.Aliases, netip.AddrPort.Compare)
	to.Processes = union(to.Processes, e.Processes, report.Process.Compare)
}

func mergeNames(to, n *report.Names) {
	to.Forward = union(to.Forward, n.Forward, strings.Compare)
	to.Reverse = union(to.Reverse, n.Reverse, strings.Compare)
	to.Host = cmp.Or(n.Host, to.Host)
}

// LeftOut returns how many connections are beyond the maximum. It counts up to the
// maximum, so the number may be larger.
func (f *Fold) LeftOut() uint64 { return uint64(len(f.leftOut)) }

// Finish returns the folded report, or nil if no report was added. Its head and its
// coverage are those of the last report; the window is the sum of all windows.
func (f *Fold) Finish() *report.Report {
	if f.last == nil {
		return nil
	}
	r := *f.last
	r.Window = f.window
	r.Connections = f.connections
	slices.SortStableFunc(r.Connections, func(a, b report.Connection) int { return a.Compare(&b) })
	r.Endpoints = f.endpoints.sorted((*report.Endpoint).Compare)
	r.Names = f.names.sorted(func(a, b *report.Names) int { return a.Addr.Compare(b.Addr) })
	r.Attempts = f.attempts.List()
	r.HostEvents = f.attempts.AppendLeftOut(slices.SortedStableFunc(slices.Values(f.hostEvents), report.HostEvent.Compare), r.At)
	if hasOwnView(&r) {
		view := *r.Scope()
		view.Nodes = f.nodes.sorted(func(a, b *report.ScopeNode) int { return strings.Compare(a.ID, b.ID) })
		r.SetScope(&view)
	}
	return &r
}
