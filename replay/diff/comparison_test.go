package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
)

// anyReport makes a random report of few addresses, so that two of them have much in
// common.
func anyReport(rng *rand.Rand) *report.Report {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	addr := func() netip.AddrPort {
		return replaytest.AddrPort(pick("10.0.0.1:4000", "10.0.0.1:4001", "10.0.0.2:80", "10.0.0.80:80", "[fd00::1]:443", "127.0.0.1:5"))
	}
	end := func() report.End {
		e := report.End{Addr: addr(), Netns: uint64(rng.IntN(3))}
		for range rng.IntN(2) {
			e.Processes = append(e.Processes, report.Process{PID: uint32(rng.IntN(2)), Comm: pick("a", "b", "\xff", "a[1],b")})
		}
		return e
	}
	r := &report.Report{Tick: 1, At: 1, Rules: "current", HostID: pick("h", "g")}
	for range rng.IntN(7) {
		c := report.Connection{Proto: "tcp", From: end(), To: end(), State: pick("ESTABLISHED", "CLOSE"), Direction: report.Direction(pick("handshake", "listener")),
			FirstSeen: int64(rng.IntN(3)), LastSeen: int64(rng.IntN(3)), Closed: rng.IntN(2) == 0, Seen: []string{pick("proc", "conntrack")}, MayHaveClosed: rng.IntN(5) == 0, Zone: uint16(rng.IntN(2))}
		for range rng.IntN(2) {
			c.NAT = append(c.NAT, report.NAT{OriginalSrc: addr(), OriginalDst: addr(), ReplySrc: addr(), ReplyDst: addr(), Zone: uint16(rng.IntN(2))})
		}
		r.Connections = append(r.Connections, c)
	}
	slices.SortStableFunc(r.Connections, func(a, b report.Connection) int { return a.Compare(&b) })
	for _, id := range []string{"a", "b", "c"} {
		if rng.IntN(2) == 0 {
			r.Endpoints = append(r.Endpoints, report.Endpoint{Scope: id, Addr: addr(), Aliases: []netip.AddrPort{addr()}})
			r.Coverage = append(r.Coverage, report.Coverage{Source: id, Records: uint64(rng.IntN(2)), Lost: uint64(rng.IntN(2))})
		}
	}
	for _, server := range []string{"10.0.0.2:81", "10.0.0.80:80"} {
		if rng.IntN(2) == 0 {
			a := report.Attempt{Proto: "tcp", From: end(), To: report.End{Addr: replaytest.AddrPort(server)}, Outcome: report.Outcome(pick("refused", "gave-up")),
				Why: pick("", "w"), Count: uint64(rng.IntN(2)), Earlier: uint64(rng.IntN(2)), FirstSeen: int64(rng.IntN(2)), LastSeen: int64(rng.IntN(2)), Seen: []string{pick("conntrack", "sockets")}}
			a.From.Addr = netip.AddrPortFrom(replaytest.AddrPort("10.0.0.1:0").Addr(), 0)
			r.Attempts = append(r.Attempts, a)
		}
	}
	if rng.IntN(2) == 0 {
		r.Names = []report.Names{{Addr: addr().Addr(), Forward: []string{pick("x", "y")}}}
	}
	return r
}

func twoReports(seed uint64) (a, b *report.Report) {
	return anyReport(rand.New(rand.NewPCG(seed, 1))), anyReport(rand.New(rand.NewPCG(seed, 2)))
}

// compare compares two reports.
func compare(a, b *report.Report) *Difference {
	var c Comparison
	c.Add(a, b)
	return c.Difference()
}

func check(t *testing.T, law func(seed uint64) bool) {
	t.Helper()
	if err := quick.Check(law, &quick.Config{MaxCount: 1000}); err != nil {
		t.Error(err)
	}
}

// Reports are the same if and only if their canonical JSON is.
func TestSameMeansSameBytes(t *testing.T) {
	check(t, func(seed uint64) bool {
		a, b := twoReports(seed)
		again, err := report.ParseReport(a.AppendJSON(nil))
		if err != nil {
			t.Error(err)
		}
		return compare(a, a).Same() && compare(a, again).Same() && compare(again, a).Same() &&
			compare(a, b).Same() == bytes.Equal(a.AppendJSON(nil), b.AppendJSON(nil))
	})
}

func pairTexts(list []pair, mirrored bool) (texts []string) {
	text := func(c *report.Connection) string {
		if c == nil {
			return "none"
		}
		return string(c.AppendJSON(nil))
	}
	for _, p := range list {
		if mirrored {
			p.a, p.b = p.b, p.a
		}
		texts = append(texts, fmt.Sprintf("%s\n%s\n%v", text(p.a), text(p.b), p.reversed))
	}
	slices.Sort(texts)
	return texts
}

// Swapping A and B swaps the sides of the result. The order of the lists does not
// matter.
func TestComparisonIsSymmetric(t *testing.T) {
	check(t, func(seed uint64) bool {
		a, b := twoReports(seed)
		want := pairTexts(pairConnections(a.Connections, b.Connections), false)
		swapped := pairTexts(pairConnections(b.Connections, a.Connections), true)
		if d := cmp.Diff(want, swapped); d != "" {
			t.Log(d)
			return false
		}
		rng := rand.New(rand.NewPCG(seed, 3))
		shuffled := *a
		shuffled.Connections = slices.Clone(a.Connections)
		rng.Shuffle(len(shuffled.Connections), func(i, j int) {
			shuffled.Connections[i], shuffled.Connections[j] = shuffled.Connections[j], shuffled.Connections[i]
		})
		shuffled.Endpoints, shuffled.Coverage = slices.Clone(a.Endpoints), slices.Clone(a.Coverage)
		rng.Shuffle(len(shuffled.Endpoints), func(i, j int) {
			shuffled.Endpoints[i], shuffled.Endpoints[j] = shuffled.Endpoints[j], shuffled.Endpoints[i]
		})
		rng.Shuffle(len(shuffled.Coverage), func(i, j int) {
			shuffled.Coverage[i], shuffled.Coverage[j] = shuffled.Coverage[j], shuffled.Coverage[i]
		})
		ab, ba := compare(a, b), compare(b, a)
		count := func(d *Difference) (n [3]int) {
			for _, g := range d.Groups {
				n[slices.Index([]ChangeKind{Added, Removed, Changed}, g.Change)] += g.Count
			}
			return n
		}
		x, y := count(ab), count(ba)
		return x == [3]int{y[1], y[0], y[2]} && slices.Equal(groupTexts(ab), groupTexts(compare(&shuffled, b)))
	})
}

func groupTexts(d *Difference) (texts []string) {
	for _, g := range d.Groups {
		b, _ := json.Marshal(g)
		texts = append(texts, string(b))
	}
	return texts
}

// A with all changes applied is B: without the removed connections, with the added
// ones, and with the listed fields set as B has them.
func TestChangesLeadFromAToB(t *testing.T) {
	check(t, func(seed uint64) bool {
		a, b := twoReports(seed)
		left := map[string]int{}
		for i := range a.Connections {
			left[string(a.Connections[i].AppendJSON(nil))]++
		}
		for _, p := range pairConnections(a.Connections, b.Connections) {
			if p.a != nil {
				left[string(p.a.AppendJSON(nil))]--
			}
			switch {
			case p.b == nil:
			case p.a == nil:
				left[string(p.b.AppendJSON(nil))]++
			default:
				left[string(applied(t, p).AppendJSON(nil))]++
			}
		}
		for i := range b.Connections {
			left[string(b.Connections[i].AppendJSON(nil))]--
		}
		for text, n := range left {
			if n != 0 {
				t.Logf("%d %s", n, text)
				return false
			}
		}
		return true
	})
}

func applied(t *testing.T, p pair) *report.Connection {
	c := *p.a
	if p.reversed {
		c.From.Netns, c.To.Netns = c.To.Netns, c.From.Netns
		c.From.Processes, c.To.Processes = c.To.Processes, c.From.Processes
	}
	fields := p.fields
	if len(fields) == 0 {
		t.Errorf("no field differs: %+v", p)
	}
	for _, f := range fields {
		// Fields of an end are named as in A.
		from, to, otherFrom, otherTo := &c.From, &c.To, &p.b.From, &p.b.To
		if p.reversed {
			from, to, otherFrom, otherTo = to, from, otherTo, otherFrom
		}
		switch f.Name {
		case "from":
			c.From.Addr = p.b.From.Addr
		case "to":
			c.To.Addr = p.b.To.Addr
		case "from.netns":
			from.Netns = otherFrom.Netns
		case "to.netns":
			to.Netns = otherTo.Netns
		case "from.processes":
			from.Processes = otherFrom.Processes
		case "to.processes":
			to.Processes = otherTo.Processes
		case "state":
			c.State = p.b.State
		case "direction":
			c.Direction = p.b.Direction
		case "nat":
			c.NAT = p.b.NAT
		case "first_seen":
			c.FirstSeen = p.b.FirstSeen
		case "last_seen":
			c.LastSeen = p.b.LastSeen
		case "zone":
			c.Zone = p.b.Zone
		case "closed":
			c.Closed = p.b.Closed
		case "seen":
			c.Seen = p.b.Seen
		case "may_have_closed":
			c.MayHaveClosed = p.b.MayHaveClosed
		default:
			t.Errorf("an unknown field %s", f.Name)
		}
	}
	return &c
}

// Common kinds of wrong edges are one group each, with a readable line.
func TestOneCauseIsOneLine(t *testing.T) {
	many := func(n int, format string, server string) (list []report.Connection) {
		for i := range n {
			list = append(list, replaytest.Connection(fmt.Sprintf(format, i), server, 1, 2, "conntrack"))
		}
		return list
	}
	base := replaytest.Connection("10.0.0.1:4000", "172.17.0.2:8080", 1, 2, "conntrack")
	base.NAT = []report.NAT{{OriginalSrc: replaytest.AddrPort("10.0.0.1:4000"), OriginalDst: replaytest.AddrPort("10.0.0.80:80"), ReplySrc: replaytest.AddrPort("172.17.0.2:8080"), ReplyDst: replaytest.AddrPort("10.0.0.1:4000")}}
	state := func(list []report.Connection, s string) []report.Connection {
		list = slices.Clone(list)
		for i := range list {
			list[i].State = s
		}
		return list
	}
	forty := many(40, "10.0.0.1:40%02d", "10.0.0.2:443")
	for name, c := range map[string]struct {
		a, b *report.Report
		want []string
	}{
		"added":     {replaytest.Report(), replaytest.Report(forty...), []string{"+ 40 connections 10.0.0.1 -> 10.0.0.2:443"}},
		"removed":   {replaytest.Report(forty[:1]...), replaytest.Report(), []string{"- 1 connection 10.0.0.1 -> 10.0.0.2:443"}},
		"clients":   {replaytest.Report(), replaytest.Report(many(40, "10.0.1.%d:5", "10.0.0.2:443")...), []string{"+ 40 connections * -> 10.0.0.2:443"}},
		"state":     {replaytest.Report(state(forty, "ESTABLISHED")...), replaytest.Report(state(forty, "CLOSE")...), []string{"~ 40 connections 10.0.0.1 -> 10.0.0.2:443", "state: ESTABLISHED became CLOSE"}},
		"reversed":  {replaytest.Report(forty[0]), replaytest.Report(replaytest.Connection("10.0.0.2:443", "10.0.0.1:4000", 1, 2, "conntrack")), []string{"~ 1 connection 10.0.0.1 -> 10.0.0.2:443 the other way round"}},
		"un-NATed":  {replaytest.Report(replaytest.Connection("10.0.0.1:4000", "10.0.0.80:80", 1, 2, "conntrack")), replaytest.Report(base), []string{"~ 1 connection 10.0.0.1 -> 10.0.0.80:80", "to: 10.0.0.80:80 became 172.17.0.2:8080"}},
		"both":      {replaytest.Report(replaytest.Connection("10.0.0.80:80", "10.0.0.1:4000", 1, 2, "conntrack")), replaytest.Report(base), []string{"~ 1 connection 10.0.0.80 -> 10.0.0.1:4000 the other way round"}},
		"elsewhere": {replaytest.Report(forty[0]), replaytest.Report(replaytest.Connection("10.0.0.1:4000", "10.0.0.3:9", 1, 2, "conntrack")), []string{"to: 10.0.0.2:443 became 10.0.0.3:9"}},
	} {
		var b bytes.Buffer
		d := compare(c.a, c.b)
		if err := d.WriteText(&b); err != nil || len(d.Groups) != 1 {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, b.String())
			}
		}
	}
}

// Connections that are equal in every field are counted one by one.
func TestTwinsCountEach(t *testing.T) {
	twin := replaytest.Connection("10.0.0.1:1", "10.0.0.2:2", 1, 2, "proc")
	other := twin
	other.State = "CLOSE"
	for _, d := range []*Difference{compare(replaytest.Report(twin, twin), replaytest.Report(other, other)), compare(replaytest.Report(twin, twin), replaytest.Report()), compare(replaytest.Report(), replaytest.Report(twin, twin))} {
		if len(d.Groups) != 1 || d.Groups[0].Count != 2 {
			t.Error(textOf(t, d))
		}
	}
}

// Attempts are the same if their ends and outcome are. Each that only one side has is a line, with
// the names that belong to it; counts matter only if the sides have the same records.
func TestAttemptsAreCompared(t *testing.T) {
	attempt := func(outcome report.Outcome, count uint64) *report.Report {
		return &report.Report{Attempts: []report.Attempt{{Proto: "tcp", From: report.End{Addr: replaytest.AddrPort("10.0.0.1:0")}, To: report.End{Addr: replaytest.AddrPort("10.0.0.9:5432")},
			Outcome: outcome, Count: count, Seen: []string{"sockets"}}}}
	}
	texts := func(c Comparison, a, b *report.Report) string {
		var out bytes.Buffer
		c.Add(a, b)
		if err := c.Difference().WriteGroups(&out, true); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	refused, twice, gaveUp := attempt("refused", 1), attempt("refused", 2), attempt("gave-up", 1)
	refused.Names = []report.Names{{Addr: netip.MustParseAddr("10.0.0.9"), Forward: []string{"db"}}}
	if got, want := texts(Comparison{}, refused, gaveUp), "\n- attempt 10.0.0.1 -> 10.0.0.9:5432 refused\n\n+ attempt 10.0.0.1 -> 10.0.0.9:5432 gave-up\nwith them: - 1 name\n"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := texts(Comparison{}, gaveUp, attempt("gave-up", 2)); !strings.Contains(got, "~ attempt 10.0.0.1 -> 10.0.0.9:5432 gave-up\n    count: 1 became 2\n") {
		t.Error(got)
	}
	if got := texts(Comparison{IgnoreCounts: true}, gaveUp, attempt("gave-up", 2)); got != "" {
		t.Error(got)
	}
	twice.Rules = "scope2016"
	if got := texts(Comparison{IgnoreRules: true}, gaveUp, twice); got != "" {
		t.Error(got)
	}
	for selector, want := range map[string]bool{":5432": true, "db": true, ":80": false} {
		s, err := fold.ParseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(Comparison{Selectors: []*fold.Selector{s}}, refused, &report.Report{}); (got != "") != want {
			t.Errorf("%s: %s", selector, got)
		}
	}
}
