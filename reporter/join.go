package reporter

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// A join makes a report's connections from flows and socket rows: first a draft
// of each, then, in the report's order, the connections themselves. Its lists
// are reused from report to report, those of the report are if it is released.
type join struct {
	c      *current
	all    []*flow
	linker linker // of flows that several sources tell of

	drafts          []draft
	keys, spareKeys []sortKey // of the drafts, and to sort with

	memory
	swapped []bool       // of the report's connections: From is the end that the flow's replies come from
	group   []tied       // of equal ends
	moved   []Connection // the group's
	single  [1]*flow
	ends    [2]side     // the client's and the server's, of the connection in the making
	addrs   [3]lastAddr // of From, To and an alias
	touched uint64      // by looking ahead

	shown        []alias // of all drafts
	translations int     // that show them

	ipv4, ipv6, scoped mentions       // of the connections' ends
	ends6              []end6         // those of IPv6
	noted              [2]noted       // the client's and the server's last mention
	scopes             []string       // of loopback, each with a semicolon behind it
	scopeOf            map[uint64]int // its place, by namespace
	aliased            int            // aliases of ends, not all of them different
	holders            []Process      // of an endpoint that has them from several connections

	// established rows that conntrack should know, and how many it does
	rows, tracked int
	watched       []uint64 // namespaces whose connections conntrack should know, 0 for an unknown one

	spare memory // of a report that was released
}

func (c *current) report() *Report {
	j := &c.join
	j.c = c
	j.begin()
	j.watch()
	for i := range c.sockets.rows {
		c.sockets.rows[i].used = false
	}
	j.flows()
	j.leftRows()
	for i := range c.sockets.closed {
		if e := &c.sockets.closed[i]; e.window == c.reported() {
			j.draftRows(ofClosed, int32(i), -1, -1, &e.conn)
		}
	}
	r := &Report{
		HostID: c.hostID, HostName: c.host, Tick: c.tick.Number, At: c.wall + c.tickAt,
		Window: c.tick.Interval, Rules: RulesCurrent, tape: c.told(),
	}
	if r.Window == 0 {
		r.Window = c.tickAt - c.lastTick
	}
	j.connect()
	r.Connections = j.connections
	r.Endpoints = j.listEndpoints()
	r.Names = c.namesOf(r)
	r.Coverage = c.sources.coverage(c.reported(), j.untracked())
	r.home, r.memory = j, j.memory
	j.memory = memory{}
	return r
}

// untracked says, in words, that conntrack does not see this host's traffic.
func (j *join) untracked() string {
	missing := j.rows - j.tracked
	if missing*2 <= j.rows {
		return ""
	}
	return strconv.Itoa(missing) + " of " + strconv.Itoa(j.rows) +
		" established sockets have no conntrack entry: no rule asks for tracking, or something bypasses it"
}

// flows drafts a connection of every flow that shows one, those of different
// namespaces whose tuples meet together.
func (j *join) flows() {
	window := j.c.reported()
	if j.c.sources.several() {
		j.linked(window)
		return
	}
	zones, edges := false, 0
	j.all = slices.Grow(j.all[:0], len(j.c.flows.live)+len(j.c.flows.ended))
	for _, list := range [...][]*flow{j.c.flows.live, j.c.flows.ended} {
		for _, f := range list {
			if !f.ended || f.edge && f.window == window {
				zones = zones || f.key.zone != 0
				if f.edge {
					edges++
				}
				j.all = append(j.all, f)
			}
		}
	}
	if zones {
		byZone(j.all)
	}
	j.drafts, j.keys = slices.Grow(j.drafts, edges), slices.Grow(j.keys, edges) // of the others few make one
	for list := j.all; len(list) > 0; {
		some := list[:min(len(list), batch)]
		list = list[len(some):]
		hashes := j.lookAhead(some, some)
		for i, f := range some {
			var h heard
			h.hear(f, j.c.sources.get(f.key.source))
			j.draft(&h, some[i:i+1], ofFlow, f.number, hashes[i])
		}
	}
}

// linked drafts a connection of every chain that shows one.
func (j *join) linked(window uint64) {
	l := j.c.link(window)
	var first, last [batch]*flow
	for from := 0; from < len(l.chains); from += batch {
		n := min(batch, len(l.chains)-from)
		for i := range n {
			_, path := l.chain(from + i)
			first[i], last[i] = path[0], path[len(path)-1]
		}
		hashes := j.lookAhead(first[:n], last[:n])
		for i := range n {
			h, path := l.chain(from + i)
			kind, at := ofChain, int32(from+i)
			if len(path) == 1 {
				kind, at = ofFlow, path[0].number
			}
			j.draft(h, path, kind, at, hashes[i])
		}
	}
}

// endHashes are those of the tuples that a connection's two sockets have.
type endHashes struct{ client, server uint64 }

func hashesOf(first, last *flow) endHashes {
	h := either(&first.key.orig)
	if !first.nat { // then it is the last, too
		return endHashes{h, h}
	}
	return endHashes{h, either(&last.reply)}
}

// batch is how many connections are looked at ahead of their turn, so that the
// memory of all of them is waited for at once.
const batch = 16

// lookAhead makes the hashes of connections of which those are the first and last
// flows, and touches what they lead to.
func (j *join) lookAhead(first, last []*flow) (hashes [batch]endHashes) {
	x, sum := &j.c.sockets.index, uint64(0)
	for i := range first {
		hashes[i] = hashesOf(first[i], last[i])
		sum += x.touch(hashes[i].client) + x.touch(hashes[i].server)
	}
	k := &j.c.sockets
	for i := range first {
		for _, h := range [...]uint64{hashes[i].client, hashes[i].server} {
			if row := x.likely(h); row >= 0 {
				sum += k.rows[row].inode
			}
		}
	}
	j.touched = sum
	return hashes
}

// byZone sorts flows, for where several zones have a socket's tuple the lowest
// takes it.
func byZone(all []*flow) []*flow {
	slices.SortStableFunc(all, func(a, b *flow) int { return cmp.Compare(a.key.zone, b.key.zone) })
	return all
}

// socket takes the row of a flow's end, -1 if there is none: t is the tuple as
// the socket has it, client first, h its hash.
func (j *join) socket(f *flow, t *ctmsg.Tuple, which int, h uint64) int32 {
	k := &j.c.sockets
	if f.kept && j.c.flows.kept[f.number][which].state != "" || k.firstAt(t, h) < 0 { // as for most
		return -1
	}
	w := k.of(f, j.c.views(f)[which], false)
	if w == nil {
		return -1
	}
	w.used = true
	return k.place(w)
}

// listener looks for the end that listens; swapped means that it is the client.
func (j *join) listener(f *flow, client, server *side) (found, swapped bool) {
	k := &j.c.sockets
	lc, ls := k.listening(client), k.listening(server)
	if client.state == "" && server.state == "" && !lc && !ls {
		netns := k.listen.only(j.c.sources.netnsOf(f.key.source))
		lc, ls = k.listen.at(netns, client.addr), k.listen.at(netns, server.addr)
	}
	return lc != ls, lc && !ls
}

// count notes an established socket that conntrack should know.
func (j *join) count(w *socketRow, tracked bool) {
	if w.state != procnet.Established || !tracked && !j.watches(w) {
		return
	}
	j.rows++
	if tracked {
		j.tracked++
	}
}

// watch notes what namespaces conntrack sees.
func (j *join) watch() {
	j.watched = j.watched[:0]
	for _, s := range j.c.sources.list {
		if s.kind == capture.SourceConntrack && !s.closed {
			j.watched = append(j.watched, s.netns)
		}
	}
	slices.Sort(j.watched)
}

// watches reports whether conntrack sees a socket's namespace. One that sees an
// unknown one may see it; but a flow of loopback belongs to that alone.
func (j *join) watches(w *socketRow) bool {
	if len(j.watched) > 0 && j.watched[0] == 0 && !loopback(&w.Tuple) {
		return true
	}
	_, found := slices.BinarySearch(j.watched, w.table.key.netns)
	return found
}

// leftRows makes connections of the rows that no flow explains.
func (j *join) leftRows() {
	k := &j.c.sockets
	var none stamp
	for i := range k.rows {
		w := &k.rows[i]
		if w.suppressed != none {
			w.used = true // so that it is nobody's mirror either
		}
	}
	k.pairs(func(a, b int32) {
		j.count(&k.rows[a], false)
		if b >= 0 {
			j.count(&k.rows[b], false)
		}
		c := k.connection(a, b)
		j.draftRows(ofRows, 0, a, b, &c)
	})
}
