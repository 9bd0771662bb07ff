package diff

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topotape/topotape/reporter"
)

// A Field of a thing that differs, with its value on either side. In a Group
// whose members do not agree on the values these are empty.
type Field struct {
	Name string `json:"field"`
	A    string `json:"a"`
	B    string `json:"b"`
	// How says in words what became of it, as far as it is the same for all of a
	// group.
	How string `json:"how"`
	// Some: not all of the group have it.
	Some bool `json:"some"`
}

// rank is 0 for what makes another edge of a connection, 2 for what comes with
// other changes.
func (f *Field) rank() int {
	switch f.Name {
	case "from", "to":
		return 0
	case "from.netns", "to.netns", "first_seen", "last_seen", "seen", "closed", "may_have_closed":
		return 2
	}
	return 1
}

// fieldList collects the fields that differ.
type fieldList []Field

// add notes the field if its values differ. how is what all of one cause have in
// common; empty, it is the values themselves.
func (l *fieldList) add(name, a, b, how string) {
	if a, b = reporter.ValidText(a), reporter.ValidText(b); a == b {
		return
	}
	if how == "" {
		how = orNone(a) + " became " + orNone(b)
	}
	*l = append(*l, Field{Name: name, A: a, B: b, How: how})
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// times adds a field whose value is different for each member of a group.
func (l *fieldList) times(name string, a, b int64) {
	if a == b {
		return
	}
	how := "later"
	if b < a {
		how = "earlier"
	}
	l.add(name, time.Duration(a).String(), time.Duration(b).String(), how)
}

func (l *fieldList) counts(name string, a, b uint64) {
	if a == b {
		return
	}
	how := "more"
	if b < a {
		how = "fewer"
	}
	l.add(name, strconv.FormatUint(a, 10), strconv.FormatUint(b, 10), how)
}

// connectionFields compares field by field. Times are left out where they count
// from different recordings, evidence and NAT where the rules of one side do
// not tell them.
func connectionFields(p pair, times bool) (l fieldList) {
	a, b := p.a, p.b
	from, to := &b.From, &b.To
	switch {
	case p.reversed:
		from, to = to, from
		how := fmt.Sprintf("%s -> %s became %s -> %s", a.From.Addr.Addr(), a.To.Addr, b.From.Addr, b.To.Addr.Addr())
		l.add("from", a.From.Addr.String(), b.From.Addr.String(), how)
		l.add("to", a.To.Addr.String(), b.To.Addr.String(), how)
	case endsOf(a) != endsOf(b):
		how := ""
		if x, y := a.From.Addr.Addr(), b.From.Addr.Addr(); x != y {
			how = x.String() + " became " + y.String()
		} else {
			how = "another port of " + x.String()
		}
		l.add("from", a.From.Addr.String(), b.From.Addr.String(), how)
		l.add("to", a.To.Addr.String(), b.To.Addr.String(), "")
	}
	end := func(name string, a, b *reporter.End) {
		if a.Netns != b.Netns {
			l.add(name+".netns", netnsText(a.Netns), netnsText(b.Netns), "")
		}
		l.processes(name+".processes", a.Processes, b.Processes)
	}
	end("from", &a.From, from)
	end("to", &a.To, to)
	l.add("state", a.State, b.State, "")
	told := (a.Direction == reporter.DirectionScope) == (b.Direction == reporter.DirectionScope)
	if told {
		l.add("direction", string(a.Direction), string(b.Direction), "")
	}
	if told && !slices.Equal(a.NAT, b.NAT) {
		l.add("nat", natTuples(a.NAT), natTuples(b.NAT), natKind(a.NAT)+" became "+natKind(b.NAT))
	}
	if times {
		l.times("first_seen", a.FirstSeen, b.FirstSeen)
		l.times("last_seen", a.LastSeen, b.LastSeen)
	}
	l.add("closed", strconv.FormatBool(a.Closed), strconv.FormatBool(b.Closed), "")
	if told && !slices.Equal(a.Seen, b.Seen) {
		l.add("seen", strings.Join(a.Seen, "+"), strings.Join(b.Seen, "+"), "")
	}
	l.add("may_have_closed", strconv.FormatBool(a.MayHaveClosed), strconv.FormatBool(b.MayHaveClosed), "")
	return l
}

func netnsText(netns uint64) string {
	if netns == 0 {
		return "unknown"
	}
	return strconv.FormatUint(netns, 10)
}

// processes tells other processes of the same programs from other programs.
func (l *fieldList) processes(name string, a, b []reporter.Process) {
	if slices.Equal(a, b) {
		return
	}
	how := ""
	if x, y := programs(a), programs(b); x != y {
		how = orNone(x) + " became " + orNone(y)
	} else {
		how = "other processes of " + x
	}
	l.add(name, processesText(a), processesText(b), how)
}

func processesText(list []reporter.Process) string {
	var parts []string
	for _, p := range list {
		name := reporter.ValidText(p.Comm)
		if strings.ContainsAny(name, `,[]"`) { // it must not read as two
			name = strconv.Quote(name)
		}
		parts = append(parts, fmt.Sprintf("%s[%d]", name, p.PID))
	}
	return strings.Join(parts, ",")
}

func programs(list []reporter.Process) string {
	var names []string
	for _, p := range list {
		if !slices.Contains(names, p.Comm) {
			names = append(names, p.Comm)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func natTuples(list []reporter.NAT) string {
	var parts []string
	for _, n := range list {
		parts = append(parts, fmt.Sprintf("%s>%s|%s>%s", n.OriginalSrc, n.OriginalDst, n.ReplySrc, n.ReplyDst))
	}
	return strings.Join(parts, " ")
}

// natKind is what NAT does, without what each connection has for itself.
func natKind(list []reporter.NAT) string {
	var parts []string
	for i := range list {
		n := &list[i]
		if n.OriginalDst != n.ReplySrc {
			parts = append(parts, fmt.Sprintf("%s to %s", n.OriginalDst, n.ReplySrc))
		}
		if x, y := n.OriginalSrc, n.ReplyDst; x.Addr() != y.Addr() {
			parts = append(parts, fmt.Sprintf("%s as %s", x.Addr(), y.Addr()))
		} else if x != y {
			parts = append(parts, fmt.Sprintf("%s as another port", x.Addr()))
		}
	}
	return orNone(strings.Join(parts, ", "))
}

func endpointFields(a, b *reporter.Endpoint) (l fieldList) {
	l.add("id", a.ID(), b.ID(), "")
	l.add("aliases", addrsText(a.Aliases), addrsText(b.Aliases), "")
	l.processes("processes", a.Processes, b.Processes)
	return l
}

func addrsText(list []netip.AddrPort) string {
	var parts []string
	for _, a := range list {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, ",")
}

func nameFields(a, b *reporter.Names) (l fieldList) {
	l.add("forward", strings.Join(a.Forward, ","), strings.Join(b.Forward, ","), "")
	l.add("reverse", strings.Join(a.Reverse, ","), strings.Join(b.Reverse, ","), "")
	return l
}

// coverageFields compares what sources say. Counts are left out where they are
// of different recordings.
func coverageFields(a, b *reporter.Coverage, counts bool) (l fieldList) {
	l.add("state", string(a.State), string(b.State), "")
	l.add("why", a.Why, b.Why, "")
	if counts {
		l.counts("records", a.Records, b.Records)
	}
	l.counts("lost", a.Lost, b.Lost)
	if counts {
		l.counts("undecodable", a.Undecodable, b.Undecodable)
		l.counts("ignored", a.Ignored, b.Ignored)
	}
	return l
}

// headFields compares what stands before a report's lists.
func headFields(a, b *reporter.Report, times, rules bool) (l fieldList) {
	l.add("host.id", a.HostID, b.HostID, "")
	l.add("host.name", a.HostName, b.HostName, "")
	if times {
		l.add("tick", strconv.FormatUint(a.Tick, 10), strconv.FormatUint(b.Tick, 10), "another number")
		l.times("at", a.At, b.At)
		l.times("window", a.Window, b.Window)
	}
	if rules {
		l.add("rules", a.Rules, b.Rules, "")
	}
	return l
}
