package tools

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// apart is how far the two clocks, of the tape and of the looks, may be: ns.
const apart = 2_000_000

// eventLag is by how much the stamp of an event may be behind the event, ns.
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

// around returns the last report before a reading, and the first after it
// that was asked for when the reading was over: the tick before it was too.
func (j *judge) around(r reading) (before, after *tickRead) {
	ticks := j.story.ticks
	i, _ := slices.BinarySearchFunc(ticks, r.begin-apart, func(t tickRead, at int64) int { return int(min(max(t.at-at, -1), 1)) })
	n, _ := slices.BinarySearchFunc(ticks, r.end+apart, func(t tickRead, at int64) int { return int(min(max(t.at-at, -1), 1)) })
	if i == 0 || n+1 >= len(ticks) {
		return nil, nil
	}
	return &ticks[i-1], &ticks[n+1]
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
	before, after := j.around(k.flowsRead)
	if before == nil {
		return false
	}
	was, is := j.connections(before), j.connections(after)
	all := maps.Clone(k.flows)
	maps.Copy(all, was)
	maps.Copy(all, is)
	for name := range all {
		j.compared++
		class := j.flow(name, k, was[name], is[name], before.at, after.at)
		if class == "" {
			j.residue("flow %v: kernel %v, report before %v, after %v; read %d to %d, reports %d and %d, events %v",
				name, k.flows[name], was[name], is[name], k.flowsRead.begin, k.flowsRead.end, before.at, after.at, j.story.flows[name])
			continue
		}
		j.counts[class]++
	}
	return true
}

// flow explains one flow by the events between the two reports; "" is no
// explanation. A stamp is never earlier than its event.
func (j *judge) flow(name flowName, k *look, was, is bool, from, to int64) string {
	listed := k.flows[name]
	if was == listed && is == listed {
		return agrees
	}
	var opened, openedLate, closed, closedLate bool
	for _, c := range j.story.flows[name] {
		if c.at <= from || c.at > to {
			continue
		}
		late := c.at >= k.flowsRead.begin-apart
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
	for netns, r := range k.socksRead {
		before, after := j.around(r)
		if before == nil {
			return false
		}
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
	opened, closed := j.stamps(name)
	switch {
	case !inTable && !e.known || inTable && len(e.pids) == 0 && within(closed, table.begin, t.at):
		return walkOlder
	case inTable && inode != s.inode && inode != 0:
		return reused
	case inTable && !e.known && within(opened, table.end+eventLag, t.at):
		return eventLater
	case !e.known:
		return ""
	case slices.Equal(e.pids, s.pids):
		return agrees
	case len(s.pids) == 0 && (len(opened) == 0 || within(opened, r.begin-apart, r.end+eventLag)):
		return ssOlder
	case len(e.pids) == 0 && (inode == 0 || len(t.walk.owners[inode]) == 0):
		return ownersOlder
	}
	return ""
}

// stamps are when flows of a socket's addresses were opened and closed.
func (j *judge) stamps(name socketName) (opened, closed []int64) {
	for _, c := range j.story.ways[name.way] {
		if c.opens {
			opened = append(opened, c.at)
		} else {
			closed = append(closed, c.at)
		}
	}
	return opened, closed
}

func within(stamps []int64, from, to int64) bool {
	return slices.ContainsFunc(stamps, func(at int64) bool { return at >= from && at <= to })
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
