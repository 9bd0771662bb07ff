package current

import (
	"math"
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/events"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// An eventMatcher finds the sockets that events show for the connections of one report.
type eventMatcher struct {
	*events.Sockets
	tables  *sockets
	ticks   *source.Ticks
	source  *source.Source // of the events, nil for none
	tracked bool           // conntrack shows connections, too
	used    map[*events.Socket]bool
	own     uint64              // namespace of the recorder, which conntrack sees; 0 if unknown
	host    map[netip.Addr]bool // addresses there
	homes   homes               // see addresses
}

func newEventMatcher(m *Machine) *eventMatcher {
	e := &eventMatcher{Sockets: m.events, tables: &m.sockets, ticks: &m.ticks, used: map[*events.Socket]bool{}, host: m.addresses}
	e.source = m.sources.First(capture.SourceSockets)
	if own := m.sources.ConntrackNamespaces(); len(own) > 0 {
		e.tracked, e.own = true, own[0]
	}
	return e
}

// match returns an unused socket of a flow's end, nil if there is none, and marks it as used.
// It prefers the one that began when the flow did.
func (e *eventMatcher) match(f *flow, v view) *events.Socket {
	last := int64(math.MaxInt64)
	if f.ended {
		last = f.end.at
	}
	var best *events.Socket
	for _, s := range e.Of(v.own) {
		apart := loopback(v.own) && v.netns != 0 && s.Netns != 0 && v.netns != s.Netns
		if e.used[s] || apart || !s.Overlaps(f.first, last) {
			continue
		}
		if best == nil || distance(s, f) < distance(best, f) {
			best = s
		}
	}
	if best != nil {
		e.used[best] = true
	}
	return best
}

// distance returns how far apart the begins of a socket and of a flow are, in ns.
func distance(s *events.Socket, f *flow) int64 { return max(s.First-f.first, f.first-s.First) }

// spend marks the sockets of flows as used that ended before the window: the connections were
// reported with the flows.
func (e *eventMatcher) spend(flows []*flow, window uint64) {
	if !e.Shown() {
		return
	}
	for _, f := range flows {
		if f.ended && f.window != window {
			e.match(f, view{&f.key.orig, &f.reply, 0})
			e.match(f, view{&f.reply, &f.key.orig, 0})
		}
	}
}

// An eventPair is a connection that events show and conntrack does not: a socket, and the one
// at the other end, nil if events do not show it, and the rows of both, nil if no table has
// them.
type eventPair struct {
	a, b       *events.Socket
	rowA, rowB *socketRow
}

// others returns the connections of unused sockets, and marks the sockets and their rows as
// used.
func (e *eventMatcher) others(window uint64, used rowSet) (out []eventPair) {
	for _, s := range e.All() {
		if !s.Established || e.used[s] {
			continue
		}
		e.used[s] = true
		p := eventPair{a: s, b: e.peer(s)}
		if p.b != nil {
			e.used[p.b] = true
		}
		if !e.due(&p, window) {
			continue
		}
		netns := s.Netns
		if netns == 0 && p.b != nil {
			netns = p.b.Netns
		}
		p.rowA = e.row(s.Tuple, s, netns, used)
		p.rowB = e.row(s.Reversed(), p.b, netns, used)
		out = append(out, p)
	}
	return out
}

// peer returns the unused socket at the other end of a connection, nil if events show none. Of
// several it is the one that began closest.
func (e *eventMatcher) peer(s *events.Socket) *events.Socket {
	t := s.Reversed()
	if t == s.Tuple {
		return nil // it is connected to itself
	}
	last := int64(math.MaxInt64)
	if s.Ended {
		last = s.End
	}
	var best *events.Socket
	for _, o := range e.Of(&t) {
		elsewhere := loopback(&t) && s.Netns != 0 && o.Netns != 0 && s.Netns != o.Netns
		if !e.used[o] && !elsewhere && o.Overlaps(s.Begun, last) && (best == nil || between(o, s) < between(best, s)) {
			best = o
		}
	}
	return best
}

// between returns how far apart the begins of two sockets are, in ns.
func between(a, b *events.Socket) int64 { return max(a.First-b.First, b.First-a.First) }

// due reports whether a report of the window shows the connection: while it is open, or if it
// ended in the window. If conntrack is recorded, a connection waits until its flow would be
// known.
func (e *eventMatcher) due(p *eventPair, window uint64) bool {
	begun, ended, last := p.a.Begun, p.a.Ended, p.a.Window
	if p.b != nil {
		begun, ended, last = max(begun, p.b.Begun), ended && p.b.Ended, max(last, p.b.Window)
	}
	settled := func(tick int64) bool { return !e.tracked || begun+events.Tolerance <= tick }
	switch {
	case !settled(e.ticks.At):
		return false
	case !ended:
		return true
	}
	return last == window || last+1 == window && !settled(e.ticks.Before())
}

// row returns the unused row of a tuple, nil if there is none, and marks it as used. It
// prefers one in the namespace of the socket that events show; a loopback row must be in the
// connection's.
func (e *eventMatcher) row(t ctmsg.Tuple, s *events.Socket, netns uint64, used rowSet) *socketRow {
	back := t.Reversed()
	v := view{own: &t, back: &back}
	switch {
	case s != nil && s.Netns != 0:
		v.netns = s.Netns
	case loopback(&t):
		v.netns = netns
	}
	var best *socketRow
	for w := e.tables.firstOf(v); w != nil; w = following(w, v) {
		stale := w.suppressed != (stamp{}) && (s == nil || !s.Ended || w.suppressed != endStamp(s))
		if !used[w.number] && !stale && (best == nil || w.table.key.Netns == v.netns) {
			best = w
		}
	}
	if best != nil {
		used[best.number] = true
	}
	return best
}

// connection returns the connection of a pair.
func (e *eventMatcher) connection(p *eventPair) report.Connection {
	x, y := e.tables.side(p.rowA, p.a.Src()), e.tables.side(p.rowB, p.a.Dst())
	e.add(&x, p.a)
	e.add(&y, p.b)
	if x.addr == y.addr {
		y = x
	}
	sameHost(&x, &y)
	how, swapped := e.tables.rowDirection(&x, &y)
	if swapped {
		x, y = y, x
	}
	c := report.Connection{Proto: "tcp", Direction: how, From: x.end(), To: y.end(), FirstSeen: p.a.Begun, LastSeen: p.a.Last,
		Closed: p.a.Ended && (p.b == nil || p.b.Ended), Seen: report.SeenBy(false, p.rowA != nil || p.rowB != nil, true)}
	for _, s := range [...]*events.Socket{p.a, p.b} {
		if s != nil {
			addTimes(&c, s)
			c.LastSeen = max(c.LastSeen, s.Last)
		}
	}
	for _, w := range [...]*socketRow{p.rowA, p.rowB} {
		if w != nil {
			c.FirstSeen = min(c.FirstSeen, w.first)
			if !c.Closed {
				c.LastSeen = max(c.LastSeen, w.table.at.at)
			}
		}
	}
	state := p.a
	if x.event != nil { // the client's state is reported
		state = x.event
	}
	c.State = state.State.String()
	if c.Closed {
		c.State = "CLOSE"
	}
	c.MayHaveClosed = !c.Closed && e.source.Hidden(max(p.a.LastSeq, lastSeq(p.b)))
	return c
}

func lastSeq(s *events.Socket) uint64 {
	if s == nil {
		return 0
	}
	return s.LastSeq
}

// addTimes adds the times that a socket's events show.
func addTimes(c *report.Connection, s *events.Socket) {
	c.FirstSeen = min(c.FirstSeen, s.Begun)
	if s.Connect != 0 {
		c.Connect = s.Connect
	}
}

// add adds what events show of a side's socket: its processes and its namespace.
func (e *eventMatcher) add(side *side, s *events.Socket) {
	if s == nil {
		return
	}
	side.event = s
	if side.state == "" {
		side.netns = e.namespace(s)
	}
	listed := side.processes
	side.processes = s.Processes
	for _, p := range listed {
		side.processes = events.AddProcess(side.processes, p)
	}
	if len(side.processes) == 0 && s.Role == events.Accepted {
		side.netns, side.processes = e.acceptedBy(side, s)
	}
}

// namespace returns the namespace of a socket that no row shows, 0 if it is unknown: that of
// the thread that events show, unless something contradicts it.
func (e *eventMatcher) namespace(s *events.Socket) uint64 {
	netns := s.Netns
	if netns == 0 || s.Src().Addr().IsLoopback() {
		return netns
	}
	for _, name := range [...]string{"tcp", "tcp6"} {
		t := e.tables.tables[source.TableKey{Netns: netns, Name: name}]
		if t != nil && s.Open() && t.readStart > s.Begun+events.Tolerance {
			return 0 // the table would show the socket
		}
	}
	local := s.Src().Addr()
	if !e.addresses().may(local, netns) || netns == e.own && len(e.host) > 0 && !e.host[local] {
		return 0
	}
	return netns
}

// addresses returns the namespaces of addresses: of the local ends of rows, of the host, and of
// other sockets that events show.
func (e *eventMatcher) addresses() homes {
	if e.homes != nil {
		return e.homes
	}
	e.homes = make(homes)
	for i := range e.tables.rows {
		w := &e.tables.rows[i]
		e.homes.have(w.Src().Addr(), w.table.key.Netns)
	}
	for a := range e.host { // the order cannot matter: a set
		e.homes.have(a, e.own)
	}
	for _, s := range e.All() {
		if s.Established {
			e.homes.hint(s.Src().Addr(), s.Netns)
		}
	}
	return e.homes
}

// acceptedBy returns the namespace and the processes of the listening sockets that may have
// accepted a connection, if all of them are in one namespace.
func (e *eventMatcher) acceptedBy(side *side, s *events.Socket) (netns uint64, out []report.Process) {
	netns = side.netns
	if netns == 0 {
		netns = e.addresses().only(side.addr.Addr())
	}
	for i, l := range s.Listeners {
		switch {
		case netns != 0 && l.Netns != 0 && l.Netns != netns:
			continue
		case netns == 0 && i > 0 && l.Netns != s.Listeners[0].Netns:
			return side.netns, nil
		case l.Named:
			out = addProcess(out, l.Process)
		}
	}
	if len(out) == 0 {
		return netns, e.tables.listenerOwners(netns, side.addr)
	}
	if netns == 0 {
		netns = s.Listeners[0].Netns
	}
	return netns, out
}
