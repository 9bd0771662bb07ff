package tools

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// apart is how far the two clocks, of the tape and of the looks, may be: ns.
const apart = 2_000_000

// eventLag is by how much an event's stamp may be behind the event for the core to
// take the row of a table that was read in between for the flow's own, ns.
const eventLag = 50_000_000

// How an entry of the kernel and the reports around it compare.
const (
	agrees = "the same in the kernel and in the reports before and after"

	openedMeanwhile = "flow: opened between the report before and the reading"
	openedAfter     = "flow: opened between the reading and the report after"
	closedMeanwhile = "flow: closed between the report before and the reading"
	closedAfter     = "flow: closed between the reading and the report after"
	cameAndWent     = "flow: opened and closed between the two reports"

	walkOlder   = "socket: not in the tables that the report knows, read before it was connected or after it was closed"
	ssOlder     = "socket: its process unknown to ss, which looks at descriptors before it looks at sockets"
	ownersOlder = "socket: its process unknown, the descriptors were read before it had one"
	eventLater  = "socket: in a table that was read well before its flow's first event was"
	rowOlder    = "socket: gone since the table was read, and not in the next one"
	rowYounger  = "socket: in a table that was read after the look"
	closing     = "socket: in the kernel too, closing since the table was read"
	otherEnd    = "socket: gone, with its other end in the table and in the kernel"
	reused      = "socket: another one with the same addresses than in the table"
)

// A judge holds looks at the kernel against the reports of a tape.
type judge struct {
	story    *tapeStory
	spaces   map[uint64]bool // the lab's namespaces
	counts   map[string]int
	compared int
	residues []string
}

func newJudge(s *tapeStory, spaces ...uint64) *judge {
	j := &judge{story: s, spaces: map[uint64]bool{}, counts: map[string]int{}}
	for _, n := range spaces {
		j.spaces[n] = true
	}
	return j
}

func (j *judge) residue(format string, args ...any) {
	j.residues = append(j.residues, fmt.Sprintf(format, args...))
}

// around returns the last report before a look and the first after it, by the
// order of the tape.
func (j *judge) around(k *look) (before, after *tickRead) {
	ticks := j.story.ticks
	next := func(f fence) int {
		i, _ := slices.BinarySearchFunc(ticks, j.story.fences[f], func(t tickRead, seq uint64) int { return cmp.Compare(t.seq, seq) })
		return i
	}
	i, n := next(k.before), next(k.after)
	if i == 0 || n == len(ticks) {
		return nil, nil
	}
	return &ticks[i-1], &ticks[n]
}

// ours reports whether a connection can be the lab's.
func (j *judge) ours(c *reporter.Connection) bool {
	for _, n := range []uint64{c.From.Netns, c.To.Netns} {
		if n != 0 && !j.spaces[n] {
			return false
		}
	}
	return true
}

// nameOf is the connection as conntrack names it; swapped if its From is the
// end that answers.
func nameOf(c *reporter.Connection) (name flowName, swapped bool) {
	name = flowName{way{c.From.Addr, c.To.Addr}, way{c.To.Addr, c.From.Addr}}
	if len(c.NAT) > 0 {
		n := &c.NAT[0]
		name = flowName{way{n.OriginalSrc, n.OriginalDst}, way{n.ReplySrc, n.ReplyDst}}
		swapped = c.From.Addr == n.ReplySrc && c.From.Addr != n.OriginalSrc
	}
	return name, swapped
}

// connections are the open ones of a report that conntrack must have.
func (j *judge) connections(t *tickRead) map[flowName]bool {
	out := map[flowName]bool{}
	for i := range t.conns {
		c := &t.conns[i]
		if !c.Closed && j.ours(c) && !c.From.Addr.Addr().IsLoopback() {
			name, _ := nameOf(c)
			if out[name] {
				j.residue("reported twice: %v", name)
			}
			out[name] = true
		}
	}
	return out
}

// flows compares conntrack -L with the reports around it.
func (j *judge) flows(k *look) bool {
	before, after := j.around(k)
	if before == nil {
		return false
	}
	was, is := j.connections(before), j.connections(after)
	all := maps.Clone(k.flows)
	maps.Copy(all, was)
	maps.Copy(all, is)
	for name := range all {
		j.compared++
		class := j.flow(name, k, was[name], is[name], before.seq, after.seq)
		if class == "" {
			j.residue("flow %v: kernel %v, report before %v, after %v; read %d to %d, fences at records %d and %d, reports at %d and %d, events %+v",
				name, k.flows[name], was[name], is[name], k.flowsRead.begin, k.flowsRead.end,
				j.story.fences[k.before], j.story.fences[k.after], before.seq, after.seq, j.story.flows[name])
			continue
		}
		j.counts[class]++
	}
	return true
}

// flow explains one flow by the events between the two reports, records from and
// to; "" is no explanation. An event behind the first fence may be later than the
// reading; one before it is not.
func (j *judge) flow(name flowName, k *look, was, is bool, from, to uint64) string {
	listed := k.flows[name]
	if was == listed && is == listed {
		return agrees
	}
	var opened, openedLate, closed, closedLate bool
	for _, c := range j.story.flows[name] {
		if c.seq < from || c.seq > to {
			continue
		}
		late := c.seq > j.story.fences[k.before]
		if c.opens {
			opened, openedLate = true, openedLate || late
		} else {
			closed, closedLate = true, closedLate || late
		}
	}
	switch {
	case !was && is && listed && opened:
		return openedMeanwhile
	case !was && is && !listed && openedLate:
		return openedAfter
	case was && !is && listed && closedLate:
		return closedAfter
	case was && !is && !listed && closed:
		return closedMeanwhile
	case !was && !is && listed && opened && closedLate,
		was && is && !listed && closed && openedLate:
		return cameAndWent
	}
	return ""
}

// A socketEnd is what a report says of a socket.
type socketEnd struct {
	known bool // by a row of a table
	pids  []uint32
}

// ends are the sockets that a report speaks of, those of unknown namespaces
// under 0.
func (j *judge) ends(t *tickRead) map[socketName]socketEnd {
	out := map[socketName]socketEnd{}
	add := func(e *reporter.End, w way) {
		s := socketEnd{known: e.Netns != 0}
		if e.Addr.Addr().IsLoopback() && !s.known {
			j.residue("reported in no namespace: %v", w)
		}
		for _, p := range e.Processes {
			s.pids = append(s.pids, p.PID)
		}
		slices.Sort(s.pids)
		out[socketName{e.Netns, w}] = s
	}
	for i := range t.conns {
		c := &t.conns[i]
		if c.Closed || !j.ours(c) {
			continue
		}
		name, swapped := nameOf(c)
		client, server := &c.From, &c.To
		if swapped {
			client, server = server, client
		}
		add(client, name.orig)
		add(server, name.reply)
	}
	return out
}

// row finds a socket in the tables of a walk: which table, and its inode there.
func (w *walkRead) row(s socketName) (t *tableRead, inode uint64, ok bool) {
	if w == nil {
		return nil, 0, false
	}
	for _, name := range []string{"tcp", "tcp6"} {
		if t := w.tables[tableName{s.netns, name}]; t != nil {
			if inode, ok := t.inodes[s.way]; ok {
				return t, inode, true
			}
		}
	}
	return nil, 0, false
}

// sockets compares ss with the reports around it, both ways.
func (j *judge) sockets(k *look) bool {
	before, after := j.around(k)
	if before == nil {
		return false
	}
	for netns, r := range k.socksRead {
		ends := map[*tickRead]map[socketName]socketEnd{before: j.ends(before), after: j.ends(after)}
		for name, s := range k.socks {
			if name.netns == netns && s.open {
				for _, t := range []*tickRead{before, after} {
					end := ends[t][name]
					table, inode, _ := t.walk.row(name)
					j.count(j.listed(name, s, r, end, t), "socket %v: in ss of %v %+v, in the report of %d %+v, in the table %+v inode %d of %v",
						name, r, s, t.at, end, table.when(), inode, t.walk.owners[inode])
				}
			}
		}
		for _, t := range []*tickRead{before, after} {
			for name, e := range ends[t] {
				if s := k.socks[name]; name.netns == netns && e.known && !s.open {
					j.count(j.unlisted(name, r, k, t), "socket %v of the report of %d in ss at %v", name, t.at, r)
				}
			}
		}
	}
	return true
}

func (j *judge) count(class, format string, args ...any) {
	j.compared++
	if class == "" {
		j.residue(format, args...)
		return
	}
	j.counts[class]++
}

// listed explains a socket of ss by what a report says of it.
func (j *judge) listed(name socketName, s kernelSocket, r reading, e socketEnd, t *tickRead) string {
	table, inode, inTable := t.walk.row(name)
	changes := j.story.ways[name.way]
	switch {
	case !inTable && !e.known,
		inTable && len(e.pids) == 0 && slices.ContainsFunc(changes, func(c change) bool { return !c.opens && c.at >= table.begin && c.seq < t.seq }):
		return walkOlder
	case inTable && inode != s.inode && inode != 0:
		return reused
	case inTable && !e.known && slices.ContainsFunc(changes, func(c change) bool { return c.opens && c.begun >= table.end+eventLag && c.begun <= t.at }):
		return eventLater
	case !e.known:
		return ""
	case slices.Equal(e.pids, s.pids):
		return agrees
	case len(s.pids) == 0 && s.inode != 0 && j.ownersSince(r, inode, e.pids, t):
		return ssOlder
	case len(e.pids) == 0 && (inode == 0 || len(t.walk.owners[inode]) == 0):
		return ownersOlder
	}
	return ""
}

// ownersSince reports whether the processes of a report are the ones that a walk
// found which was not over when a reading began.
func (j *judge) ownersSince(r reading, inode uint64, pids []uint32, t *tickRead) bool {
	return slices.ContainsFunc(j.story.walks, func(w *walkRead) bool {
		return w.end >= r.begin-apart && w.end <= t.walk.end && slices.Equal(w.owners[inode], pids)
	})
}

// when is the time of a reading, zero where there was none.
func (t *tableRead) when() reading {
	if t == nil {
		return reading{}
	}
	return t.reading
}

// unlisted explains a socket that a report knows and ss does not show as open.
func (j *judge) unlisted(name socketName, r reading, k *look, t *tickRead) string {
	table, inode, ok := t.walk.row(name)
	if !ok && name.from.Addr().IsLoopback() { // both ends are in one namespace
		name.way = way{name.to, name.from}
		if table, inode, ok = t.walk.row(name); ok && k.socks[name].open {
			return otherEnd
		}
	}
	if !ok {
		return "" // the report knows it from nowhere
	}
	if table.end >= r.begin-apart {
		return rowYounger
	}
	if _, ok := k.socks[name]; ok {
		return closing
	}
	for _, w := range j.story.walks {
		next := w.tables[table.name]
		if next == nil || next.begin < r.end {
			continue
		}
		if again, ok := next.inodes[name.way]; ok && again == inode {
			return ""
		}
		return rowOlder
	}
	return ""
}

// String is the counts, most first.
func (j *judge) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d comparisons, %d not explained\n", j.compared, len(j.residues))
	classes := slices.SortedFunc(maps.Keys(j.counts), func(a, b string) int { return j.counts[b] - j.counts[a] })
	for _, c := range classes {
		fmt.Fprintf(&b, "%8d  %s\n", j.counts[c], c)
	}
	for _, r := range j.residues[:min(20, len(j.residues))] {
		fmt.Fprintln(&b, "    left:", r)
	}
	return b.String()
}
