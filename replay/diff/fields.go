package diff

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topotape/topotape/reporter/report"
)

// A Field is a field that differs, with its value on either side. Both are empty in a
// Group whose things have different values.
type Field struct {
	Name string `json:"field"`
	A    string `json:"a"`
	B    string `json:"b"`
	How  string `json:"how"`  // the change in words, which all things of a group have in common
	Some bool   `json:"some"` // not all things of the group have the field
}

// Ranks of fields.
const (
	mostImportant  = iota // it makes another edge in the topology
	important             // it changes what an edge is
	leastImportant        // it often changes together with others
)

func (f *Field) rank() int {
	switch f.Name {
	case "from", "to":
		return mostImportant
	case "from.netns", "to.netns", "first_seen", "last_seen", "seen", "closed", "may_have_closed":
		return leastImportant
	}
	return important
}

func (f Field) isTime() bool { return f.Name == "first_seen" || f.Name == "last_seen" }

// A fieldList collects the fields that differ.
type fieldList []Field

// add adds the field if its values differ. how describes the change without what is
// different for each thing; "" is both values.
func (l *fieldList) add(name, a, b, how string) {
	if a, b = report.ValidText(a), report.ValidText(b); a == b {
		return
	}
	if how == "" {
		how = orNone(a) + " became " + orNone(b)
	}
	*l = append(*l, Field{Name: name, A: a, B: b, How: how})
}

func orNone(s string) string { return cmp.Or(s, "none") }

// addTime adds a time in ns if the values differ.
func (l *fieldList) addTime(name string, a, b int64) {
	if a != b {
		l.add(name, time.Duration(a).String(), time.Duration(b).String(), ordered(a < b, "later", "earlier"))
	}
}

// addCount adds a count if the values differ.
func (l *fieldList) addCount(name string, a, b uint64) {
	l.add(name, strconv.FormatUint(a, 10), strconv.FormatUint(b, 10), ordered(a < b, "more", "fewer"))
}

// addZone adds a conntrack zone if the values differ.
func (l *fieldList) addZone(a, b uint16) {
	l.add("zone", strconv.Itoa(int(a)), strconv.Itoa(int(b)), "")
}

func ordered(rises bool, up, down string) string {
	if rises {
		return up
	}
	return down
}

// connectionFields compares two connections. If one side follows the rules of 2016,
// it leaves out evidence, NAT, zones and sources, which those rules do not report.
func connectionFields(a, b *report.Connection, reversed bool) (l fieldList) {
	from, to := &b.From, &b.To
	if reversed {
		from, to = to, from
	}
	l.addAddresses(a, b, reversed)
	l.addEnd("from", &a.From, from)
	l.addEnd("to", &a.To, to)
	l.add("state", a.State, b.State, "")
	sameEvidence := (a.Direction == report.DirectionScope) == (b.Direction == report.DirectionScope)
	if sameEvidence {
		l.add("direction", string(a.Direction), string(b.Direction), "")
	}
	if sameEvidence && !slices.Equal(a.NAT, b.NAT) {
		l.add("nat", natTuples(a.NAT), natTuples(b.NAT), natKind(a.NAT)+" became "+natKind(b.NAT))
	}
	if sameEvidence {
		l.addZone(a.Zone, b.Zone)
	}
	l.addTime("first_seen", a.FirstSeen, b.FirstSeen)
	l.addTime("last_seen", a.LastSeen, b.LastSeen)
	l.add("closed", strconv.FormatBool(a.Closed), strconv.FormatBool(b.Closed), "")
	if sameEvidence && !slices.Equal(a.Seen, b.Seen) {
		l.add("seen", strings.Join(a.Seen, "+"), strings.Join(b.Seen, "+"), "")
	}
	l.add("may_have_closed", strconv.FormatBool(a.MayHaveClosed), strconv.FormatBool(b.MayHaveClosed), "")
	return l
}

// addAddresses adds the ends of a pair that is reversed or has other addresses.
func (l *fieldList) addAddresses(a, b *report.Connection, reversed bool) {
	if !reversed && endsOf(a) == endsOf(b) {
		return
	}
	from, to := "", "" // how they changed
	switch x, y := a.From.Addr.Addr(), b.From.Addr.Addr(); {
	case reversed:
		from = fmt.Sprintf("%s -> %s became %s -> %s", x, a.To.Addr, b.From.Addr, b.To.Addr.Addr())
		to = from
	case x != y:
		from = x.String() + " became " + y.String()
	default:
		from = "another port of " + x.String()
	}
	l.add("from", a.From.Addr.String(), b.From.Addr.String(), from)
	l.add("to", a.To.Addr.String(), b.To.Addr.String(), to)
}

// addEnd adds the namespace and the processes of one end.
func (l *fieldList) addEnd(name string, a, b *report.End) {
	if a.Netns != b.Netns {
		l.add(name+".netns", netnsText(a.Netns), netnsText(b.Netns), "")
	}
	l.addProcesses(name+".processes", a.Processes, b.Processes)
}

func netnsText(netns uint64) string {
	if netns == 0 {
		return "unknown"
	}
	return strconv.FormatUint(netns, 10)
}

// addProcesses adds lists of processes that differ. It distinguishes other processes
// of the same programs from other programs.
func (l *fieldList) addProcesses(name string, a, b []report.Process) {
	if slices.Equal(a, b) {
		return
	}
	how := "other processes of " + programs(a)
	if x, y := programs(a), programs(b); x != y {
		how = orNone(x) + " became " + orNone(y)
	}
	l.add(name, processesText(a), processesText(b), how)
}

func processesText(list []report.Process) string {
	return strings.Join(texts(list, func(p report.Process) string {
		name := report.ValidText(p.Comm)
		if strings.ContainsAny(name, `,[]"`) { // else it could read as two processes
			name = strconv.Quote(name)
		}
		return fmt.Sprintf("%s[%d]", name, p.PID)
	}), ",")
}

func programs(list []report.Process) string {
	names := texts(list, func(p report.Process) string { return p.Comm })
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

func natTuples(list []report.NAT) string {
	return strings.Join(texts(list, func(n report.NAT) string {
		return fmt.Sprintf("%s>%s|%s>%s%s", n.OriginalSrc, n.OriginalDst, n.ReplySrc, n.ReplyDst, inZone(n.Zone))
	}), " ")
}

func texts[T any](list []T, text func(T) string) (out []string) {
	for _, v := range list {
		out = append(out, text(v))
	}
	return out
}

// natKind describes translations without the ports of clients, which are different
// for each connection.
func natKind(list []report.NAT) string {
	var parts []string
	for i := range list {
		n := &list[i]
		if n.OriginalDst != n.ReplySrc {
			parts = append(parts, fmt.Sprintf("%s to %s%s", n.OriginalDst, n.ReplySrc, inZone(n.Zone)))
		}
		if x, y := n.OriginalSrc, n.ReplyDst; x.Addr() != y.Addr() {
			parts = append(parts, fmt.Sprintf("%s as %s%s", x.Addr(), y.Addr(), inZone(n.Zone)))
		} else if x != y {
			parts = append(parts, fmt.Sprintf("%s as another port%s", x.Addr(), inZone(n.Zone)))
		}
	}
	return orNone(strings.Join(parts, ", "))
}

// inZone is added to a text about a conntrack entry, unless it is in the default zone.
func inZone(zone uint16) string {
	if zone == 0 {
		return ""
	}
	return fmt.Sprintf(" in zone %d", zone)
}

// attemptFields compares two attempts with the same ends and outcome.
func attemptFields(a, b *report.Attempt, times, counts bool) (l fieldList) {
	l.addEnd("from", &a.From, &b.From)
	l.addEnd("to", &a.To, &b.To)
	if !slices.Equal(a.NAT, b.NAT) {
		l.add("nat", natTuples(a.NAT), natTuples(b.NAT), natKind(a.NAT)+" became "+natKind(b.NAT))
	}
	l.add("why", a.Why, b.Why, "")
	if counts {
		l.addCount("count", a.Count, b.Count)
		l.addCount("earlier", a.Earlier, b.Earlier)
	}
	if times {
		l.addTime("first_seen", a.FirstSeen, b.FirstSeen)
		l.addTime("last_seen", a.LastSeen, b.LastSeen)
	}
	l.add("seen", strings.Join(a.Seen, "+"), strings.Join(b.Seen, "+"), "")
	return l
}

func endpointFields(a, b *report.Endpoint) (l fieldList) {
	l.add("id", a.ID(), b.ID(), "")
	l.add("aliases", strings.Join(texts(a.Aliases, netip.AddrPort.String), ","), strings.Join(texts(b.Aliases, netip.AddrPort.String), ","), "")
	l.addProcesses("processes", a.Processes, b.Processes)
	return l
}

func nameFields(a, b *report.Names) (l fieldList) {
	l.add("forward", strings.Join(a.Forward, ","), strings.Join(b.Forward, ","), "")
	l.add("reverse", strings.Join(a.Reverse, ","), strings.Join(b.Reverse, ","), "")
	return l
}

// coverageFields compares the coverage of one source.
func coverageFields(a, b *report.Coverage, counts bool) (l fieldList) {
	l.add("state", string(a.State), string(b.State), "")
	l.add("why", a.Why, b.Why, "")
	if counts {
		l.addCount("records", a.Records, b.Records)
	}
	l.addCount("lost", a.Lost, b.Lost)
	if counts {
		l.addCount("undecodable", a.Undecodable, b.Undecodable)
		l.addCount("ignored", a.Ignored, b.Ignored)
	}
	return l
}

func hostEventFields(a, b *report.HostEvent, times, counts bool) (l fieldList) {
	if times {
		l.addTime("at", a.At, b.At)
	}
	if counts {
		l.addCount("count", a.Count, b.Count)
	}
	return l
}

// headFields compares the fields before a report's lists.
func headFields(a, b *report.Report, times, rules bool) (l fieldList) {
	l.add("host.id", a.HostID, b.HostID, "")
	l.add("host.name", a.HostName, b.HostName, "")
	if times {
		l.add("tick", strconv.FormatUint(a.Tick, 10), strconv.FormatUint(b.Tick, 10), "another number")
		l.addTime("at", a.At, b.At)
		l.addTime("window", a.Window, b.Window)
	}
	if rules {
		l.add("rules", a.Rules, b.Rules, "")
	}
	return l
}
