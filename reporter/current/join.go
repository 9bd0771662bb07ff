package current

import (
	"slices"
	"strconv"

	"github.com/topotape/topotape/reporter/events"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// A joined is a chain and its client's and server's sockets: their rows, nil if no table has
// them, and what events show of them, nil if none does.
type joined struct {
	*chain
	observed
	client, server           *socketRow
	clientEvent, serverEvent *events.Socket
}

// join finds the sockets of chains, and marks them as used. It drops the chains that are
// half open: no flow was established, and there is no socket.
func join(chains []chain, k *sockets, e *eventMatcher, ss *source.Sources, used rowSet) []joined {
	out := make([]joined, 0, len(chains))
	for i := range chains {
		c := &chains[i]
		j := joined{chain: c, observed: observe(c, ss)}
		j.client = k.matchRow(c.head(), 0, ss, used)
		j.server = k.matchRow(c.tail(), 1, ss, used)
		head, tail := views(ss, c.head()), views(ss, c.tail())
		j.clientEvent, j.serverEvent = e.match(c.head(), head[0]), e.match(c.tail(), tail[1])
		if j.established || j.client != nil || j.server != nil || j.clientEvent != nil || j.serverEvent != nil {
			out = append(out, j)
		}
	}
	return out
}

// matchRow returns the row of a flow's client, 0, or server, 1, and marks it as used. It
// returns nil if there is none, or if the flow has the socket from older tables in its sides.
func (k *sockets) matchRow(f *flow, end int, ss *source.Sources, used rowSet) *socketRow {
	if len(k.rows) == 0 || f.sides != nil && f.sides[end].state != "" {
		return nil
	}
	w := k.match(f, views(ss, f)[end], used)
	if w != nil {
		used[w.number] = true
	}
	return w
}

// ends returns the client's and the server's sides.
func (j *joined) ends(k *sockets, e *eventMatcher, ss *source.Sources) (client, server side) {
	first, last := j.head(), j.tail()
	client, server = k.side(j.client, first.key.orig.Src()), k.side(j.server, last.reply.Src())
	if j.client == nil {
		client.keep(first, 0)
	}
	if j.server == nil {
		server.keep(last, 1)
	}
	e.add(&client, j.clientEvent)
	e.add(&server, j.serverEvent)
	if client.state == "" && client.addr.Addr().IsLoopback() && client.netns == 0 {
		client.netns = ss.NetnsOf(first.key.source)
	}
	if server.state == "" && server.addr.Addr().IsLoopback() && server.netns == 0 {
		server.netns = ss.NetnsOf(last.key.source)
	}
	sameHost(&client, &server)
	return client, server
}

// keep replaces a side without a socket by the flow's side from older tables, if it has one.
func (s *side) keep(f *flow, end int) {
	if f.sides != nil && f.sides[end].state != "" {
		addr := s.addr
		*s = f.sides[end]
		s.addr = addr
	}
}

// connection returns the connection of a joined chain. swapped reports that the client is the
// end that sends the flow's replies.
func (j *joined) connection(k *sockets, e *eventMatcher, ss *source.Sources) (c report.Connection, swapped bool) {
	client, server := j.ends(k, e, ss)
	c = report.Connection{Proto: "tcp", State: j.state, NAT: j.translations(), FirstSeen: j.first, LastSeen: j.last,
		Closed: j.closed, MayHaveClosed: j.hidden && !j.closed}
	rows, shown, unclear := false, false, !j.settled
	for _, s := range [...]*side{&client, &server} {
		if s.event != nil {
			shown = true
			addTimes(&c, s.event)
			if unclear {
				c.State, unclear = s.event.State.String(), false
			}
		}
		if s.state == "" {
			continue
		}
		rows = true
		c.FirstSeen = min(c.FirstSeen, s.first)
		if !j.closed {
			c.LastSeen = max(c.LastSeen, s.last)
		}
		if unclear {
			c.State, unclear = s.state, false
		}
		if s.row != nil && s.row.table.at.seq >= j.gap { // read since the gap
			c.MayHaveClosed = false
		}
	}
	c.Seen = report.SeenBy(true, rows, shown)
	c.Direction, swapped = k.flowDirection(j.handshake, ss.NetnsOf(j.head().key.source), &client, &server)
	c.Zone = j.head().key.zone
	if swapped {
		client, server = server, client
		c.Zone = j.tail().key.zone
	}
	c.From, c.To = client.end(), server.end()
	return c, swapped
}

// translations returns the NAT of a chain.
func (j *joined) translations() []report.NAT {
	if !j.head().nat {
		return nil
	}
	out := make([]report.NAT, len(j.path))
	for i, f := range j.path {
		out[i] = report.NAT{OriginalSrc: f.key.orig.Src(), OriginalDst: f.key.orig.Dst(), ReplySrc: f.reply.Src(), ReplyDst: f.reply.Dst(), Zone: f.key.zone}
	}
	return out
}

// A tally counts the established sockets in namespaces that conntrack sees, and those of them
// that have a conntrack entry.
type tally struct{ rows, tracked int }

// tallyOf counts the sockets of chains, and those of other rows.
func tallyOf(flows []joined, rest []pair, ss *source.Sources) (t tally) {
	for i := range flows {
		for _, w := range [...]*socketRow{flows[i].client, flows[i].server} {
			if w != nil && !flows[i].closed && w.state == procnet.Established {
				t.rows++
				t.tracked++
			}
		}
	}
	watched := ss.ConntrackNamespaces()
	for _, p := range rest {
		for _, w := range [...]*socketRow{p.row, p.peer} {
			if w != nil && w.state == procnet.Established && watches(watched, w) {
				t.rows++
			}
		}
	}
	return t
}

// watches reports whether conntrack sees a socket's namespace. A source of an unknown
// namespace may see it, but not its loopback.
func watches(watched []uint64, w *socketRow) bool {
	if len(watched) > 0 && watched[0] == 0 && !loopback(&w.Tuple) {
		return true
	}
	_, found := slices.BinarySearch(watched, w.table.key.Netns)
	return found
}

// untracked returns a reason for the coverage if most of the sockets have no conntrack entry,
// else an empty text.
func (t tally) untracked() string {
	missing := t.rows - t.tracked
	if missing*2 <= t.rows {
		return ""
	}
	return strconv.Itoa(missing) + " of " + strconv.Itoa(t.rows) +
		" established sockets have no conntrack entry: no rule asks for tracking, or something bypasses it"
}

// elsewhere describes the connections in namespaces that no conntrack source sees. It returns an
// empty text if there are none, or if the namespace of a source is unknown.
func (k *sockets) elsewhere(watched []uint64) string {
	if len(watched) == 0 || watched[0] == 0 {
		return ""
	}
	others := make(map[uint64]bool)
	for i := range k.rows {
		w := &k.rows[i]
		if w.state == procnet.Established && w.suppressed == (stamp{}) && w.table.key.Netns != 0 && !watches(watched, w) {
			others[w.table.key.Netns] = true
		}
	}
	switch n := len(others); n {
	case 0:
		return ""
	case 1:
		return "1 other network namespace has connections and is not recorded by conntrack"
	default:
		return strconv.Itoa(n) + " other network namespaces have connections and are not recorded by conntrack"
	}
}
