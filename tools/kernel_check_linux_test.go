package tools

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// clockError is how much the clocks of the tape and of the snapshots may differ, ns.
const clockError = 2_000_000

// eventLag is how long after an event its record may be stamped, ns. Up to that the core
// accepts the row of a table that was read in between as the flow's own.
const eventLag = 50_000_000

// Results of comparing an entry of the kernel with the reports before and after it.
const (
	agrees = "the same in the kernel and in the reports before and after"

	openedBefore = "flow: opened between the report before and the reading"
	openedAfter  = "flow: opened between the reading and the report after"
	closedBefore = "flow: closed between the report before and the reading"
	closedAfter  = "flow: closed between the reading and the report after"
	openedClosed = "flow: opened and closed between the two reports"

	walkOlder   = "socket: not in the report's tables, which were read before it was connected or after it was closed"
	ssOlder     = "socket: its process unknown to ss, which reads descriptors before sockets"
	ownersOlder = "socket: its process unknown, because the descriptors were read before it had one"
	eventLater  = "socket: in a table that was read long before the first event of its flow"
	rowOlder    = "socket: closed since the table was read, and not in the next table"
	rowYounger  = "socket: in a table that was read after the snapshot"
	closing     = "socket: in the kernel too, but closing since the table was read"
	otherEnd    = "socket: closed, but its other end is in the table and in the kernel"
	reused      = "socket: a new one, with the addresses of the one in the table"
)

// A checker compares snapshots of the kernel with the reports of a tape.
type checker struct {
	facts       *tapeFacts
	spaces      map[uint64]bool // the lab's namespaces
	counts      map[string]int  // results
	compared    int
	unexplained []string
}

func newChecker(s *tapeFacts, spaces ...uint64) *checker {
	ch := &checker{facts: s, spaces: map[uint64]bool{}, counts: map[string]int{}}
	for _, n := range spaces {
		ch.spaces[n] = true
	}
	return ch
}

func (ch *checker) report(format string, args ...any) {
	ch.unexplained = append(ch.unexplained, fmt.Sprintf(format, args...))
}

// around returns the last report before a snapshot and the first one after it, in the
// order of the tape.
func (ch *checker) around(k *snapshot) (before, after *tickRead) {
	ticks := ch.facts.ticks
	next := func(f marker) int {
		i, _ := slices.BinarySearchFunc(ticks, ch.facts.markers[f], func(t tickRead, seq uint64) int { return cmp.Compare(t.seq, seq) })
		return i
	}
	i, n := next(k.before), next(k.after)
	if i == 0 || n == len(ticks) {
		return nil, nil
	}
	return &ticks[i-1], &ticks[n]
}

// ours reports whether a connection can be the lab's.
func (ch *checker) ours(c *report.Connection) bool {
	for _, n := range []uint64{c.From.Netns, c.To.Netns} {
		if n != 0 && !ch.spaces[n] {
			return false
		}
	}
	return true
}

// nameOf returns the connection's conntrack tuples; swapped is true if From is the end that
// replies.
func nameOf(c *report.Connection) (name flowName, swapped bool) {
	name = flowName{way{c.From.Addr, c.To.Addr}, way{c.To.Addr, c.From.Addr}}
	if len(c.NAT) > 0 {
		n := &c.NAT[0]
		name = flowName{way{n.OriginalSrc, n.OriginalDst}, way{n.ReplySrc, n.ReplyDst}}
		swapped = c.From.Addr == n.ReplySrc && c.From.Addr != n.OriginalSrc
	}
	return name, swapped
}

// connections returns the open connections of a report that conntrack must have.
func (ch *checker) connections(t *tickRead) map[flowName]bool {
	out := map[flowName]bool{}
	for i := range t.conns {
		c := &t.conns[i]
		if !c.Closed && ch.ours(c) && !c.From.Addr.Addr().IsLoopback() {
			name, _ := nameOf(c)
			if out[name] {
				ch.report("reported twice: %v", name)
			}
			out[name] = true
		}
	}
	return out
}

// flows compares conntrack -L with the reports around it.
func (ch *checker) flows(k *snapshot) bool {
	before, after := ch.around(k)
	if before == nil {
		return false
	}
	was, is := ch.connections(before), ch.connections(after)
	all := maps.Clone(k.flows)
	maps.Copy(all, was)
	maps.Copy(all, is)
	for name := range all {
		ch.compared++
		class := ch.flow(name, k, was[name], is[name], before.seq, after.seq)
		if class == "" {
			ch.report("flow %v: kernel %v, report before %v, after %v; read %d to %d, markers at records %d and %d, reports at %d and %d, events %+v",
				name, k.flows[name], was[name], is[name], k.flowsRead.begin, k.flowsRead.end,
				ch.facts.markers[k.before], ch.facts.markers[k.after], before.seq, after.seq, ch.facts.flows[name])
			continue
		}
		ch.counts[class]++
	}
	return true
}

// flow explains one flow by the events between the two reports, which are the records from
// and to. It returns "" without an explanation. An event after the first marker may be later
// than the reading; an event before it is not.
func (ch *checker) flow(name flowName, k *snapshot, was, is bool, from, to uint64) string {
	listed := k.flows[name]
	if was == listed && is == listed {
		return agrees
	}
	var opened, openedLate, closed, closedLate bool
	for _, c := range ch.facts.flows[name] {
		if c.seq < from || c.seq > to {
			continue
		}
		late := c.seq > ch.facts.markers[k.before]
		if c.opens {
			opened, openedLate = true, openedLate || late
		} else {
			closed, closedLate = true, closedLate || late
		}
	}
	switch {
	case !was && is && listed && opened:
		return openedBefore
	case !was && is && !listed && openedLate:
		return openedAfter
	case was && !is && listed && closedLate:
		return closedAfter
	case was && !is && !listed && closed:
		return closedBefore
	case !was && !is && listed && opened && closedLate,
		was && is && !listed && closed && openedLate:
		return openedClosed
	}
	return ""
}

// A socketEnd is a socket in a report.
type socketEnd struct {
	known bool // from a row of a table
	pids  []uint32
}

// ends returns the sockets in a report; unknown namespaces are 0.
func (ch *checker) ends(t *tickRead) map[socketName]socketEnd {
	out := map[socketName]socketEnd{}
	add := func(e *report.End, w way) {
		s := socketEnd{known: e.Netns != 0}
		if e.Addr.Addr().IsLoopback() && !s.known {
			ch.report("reported in no namespace: %v", w)
		}
		for _, p := range e.Processes {
			s.pids = append(s.pids, p.PID)
		}
		slices.Sort(s.pids)
		out[socketName{e.Netns, w}] = s
	}
	for i := range t.conns {
		c := &t.conns[i]
		if c.Closed || !ch.ours(c) {
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

// row finds a socket in the tables of a walk. It returns the table and the inode.
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

// sockets compares ss with the reports before and after it, in both directions.
func (ch *checker) sockets(k *snapshot) bool {
	before, after := ch.around(k)
	if before == nil {
		return false
	}
	for netns, r := range k.socksRead {
		ends := map[*tickRead]map[socketName]socketEnd{before: ch.ends(before), after: ch.ends(after)}
		for name, s := range k.socks {
			if name.netns == netns && s.open {
				for _, t := range []*tickRead{before, after} {
					end := ends[t][name]
					table, inode, _ := t.walk.row(name)
					ch.count(ch.listed(name, s, r, end, t), "socket %v: in ss of %v %+v, in the report of %d %+v, in the table %+v inode %d of %v",
						name, r, s, t.at, end, table.when(), inode, t.walk.owners[inode])
				}
			}
		}
		for _, t := range []*tickRead{before, after} {
			for name, e := range ends[t] {
				if s := k.socks[name]; name.netns == netns && e.known && !s.open {
					ch.count(ch.unlisted(name, r, k, t), "socket %v of the report of %d in ss at %v", name, t.at, r)
				}
			}
		}
	}
	return true
}

func (ch *checker) count(class, format string, args ...any) {
	ch.compared++
	if class == "" {
		ch.report(format, args...)
		return
	}
	ch.counts[class]++
}

// listed explains the difference between a socket in ss and in a report.
func (ch *checker) listed(name socketName, s kernelSocket, r reading, e socketEnd, t *tickRead) string {
	table, inode, inTable := t.walk.row(name)
	changes := ch.facts.ways[name.way]
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
	case len(s.pids) == 0 && s.inode != 0 && ch.ownersSince(r, inode, e.pids, t):
		return ssOlder
	case len(e.pids) == 0 && (inode == 0 || len(t.walk.owners[inode]) == 0):
		return ownersOlder
	}
	return ""
}

// ownersSince reports whether the processes of a report are those of a walk that ended
// after the reading began.
func (ch *checker) ownersSince(r reading, inode uint64, pids []uint32, t *tickRead) bool {
	return slices.ContainsFunc(ch.facts.walks, func(w *walkRead) bool {
		return w.end >= r.begin-clockError && w.end <= t.walk.end && slices.Equal(w.owners[inode], pids)
	})
}

// when returns the time of a reading, zero if there was none.
func (t *tableRead) when() reading {
	if t == nil {
		return reading{}
	}
	return t.reading
}

// unlisted explains a socket that is in a report, but not open in ss.
func (ch *checker) unlisted(name socketName, r reading, k *snapshot, t *tickRead) string {
	table, inode, ok := t.walk.row(name)
	if !ok && name.from.Addr().IsLoopback() { // both ends are in one namespace
		name.way = way{name.to, name.from}
		if table, inode, ok = t.walk.row(name); ok && k.socks[name].open {
			return otherEnd
		}
	}
	if !ok {
		return "" // in no table
	}
	if table.end >= r.begin-clockError {
		return rowYounger
	}
	if _, ok := k.socks[name]; ok {
		return closing
	}
	for _, w := range ch.facts.walks {
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

// String lists the counts, the greatest first, and the first unexplained differences.
func (ch *checker) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d comparisons, %d not explained\n", ch.compared, len(ch.unexplained))
	classes := slices.SortedFunc(maps.Keys(ch.counts), func(a, b string) int { return ch.counts[b] - ch.counts[a] })
	for _, c := range classes {
		fmt.Fprintf(&b, "%8d  %s\n", ch.counts[c], c)
	}
	for _, r := range ch.unexplained[:min(20, len(ch.unexplained))] {
		fmt.Fprintln(&b, "    not explained:", r)
	}
	return b.String()
}
