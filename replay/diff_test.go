package replay

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/reporter"
)

func tapeSide(name string, tape []byte, w Window) *Side {
	return &Side{Inputs: []Input{memory(name, tape)}, Rules: reporter.RulesCurrent, Window: w}
}

func reportSide(name, text string) *Side {
	return &Side{Inputs: []Input{memory(name, []byte(text))}, Reports: true}
}

func mustDiff(t *testing.T, a, b *Side, o DiffOptions) *Difference {
	t.Helper()
	d, _, _, err := Diff(a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func textOf(t *testing.T, d *Difference) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A tape does not differ from itself, nor from its reports, whichever way they
// were printed.
func TestTapeIsWhatItsReportsSay(t *testing.T) {
	tape := busyTape(t, 2000, 250)
	lines, _ := ndjson(t, Options{Reports: All}, tape)
	x, y := tapeSide("x", tape, Window{}), tapeSide("y", tape, Window{})
	nd, array := reportSide("nd", strings.Join(lines, "\n")+"\n"), reportSide("array", "[\n  "+strings.Join(lines, ",\n  ")+"\n]\n")
	for _, a := range []*Side{x, nd, array} {
		for _, b := range []*Side{x, y, nd, array} {
			for _, whole := range []bool{false, true} {
				d := mustDiff(t, a, b, DiffOptions{Whole: whole})
				if want := map[bool]int{false: len(lines), true: 1}[whole]; !d.Same() || d.Ticks != want || d.Whole != whole || textOf(t, d) != "" {
					t.Errorf("%s and %s: %d ticks\n%s", a.Inputs[0].Name, b.Inputs[0].Name, d.Ticks, textOf(t, d))
				}
			}
		}
	}
}

// Ticks are told by their times: what one side lacks is said, and the others
// are compared.
func TestTicksThatOneSideLacks(t *testing.T) {
	tape := busyTape(t, 2000, 250)
	lines, _ := ndjson(t, Options{Reports: All}, tape)
	all, some := reportSide("all", strings.Join(lines, "\n")), reportSide("some", strings.Join(slices.Delete(slices.Clone(lines), 2, 4), "\n"))
	d := mustDiff(t, all, some, DiffOptions{})
	if len(d.Groups) != 1 || d.Ticks != len(lines)-2 || d.First != nil {
		t.Fatal(textOf(t, d))
	}
	if g := d.Groups[0]; g.Section != Ticks || g.Change != Removed || g.Count != 2 || g.FirstTick != 3 || g.LastTick != 4 {
		t.Errorf("%+v", g)
	}
	if g := mustDiff(t, some, all, DiffOptions{}).Groups; len(g) != 1 || g[0].Change != Added {
		t.Errorf("%+v", g)
	}
}

// Two windows of one tape are compared by what was seen in them.
func TestWindowsAreComparedAsAWhole(t *testing.T) {
	tape := busyTape(t, 2000, 250)
	window := func(from, to string) Window {
		var w Window
		w.From, _ = ParseTime(from)
		w.To, _ = ParseTime(to)
		return w
	}
	early, late := window("start", "#1000"), window("#1000", "end")
	d := mustDiff(t, tapeSide("x", tape, early), tapeSide("x", tape, late), DiffOptions{})
	if !d.Whole || d.Ticks != 1 || d.First != nil || d.Same() {
		t.Fatal(textOf(t, d))
	}
	for _, g := range d.Groups {
		if g.Section == Head || slices.ContainsFunc(g.Fields, func(f Field) bool { return f.Name == "last_seen" || f.Name == "records" }) {
			t.Errorf("%+v", g)
		}
	}
	if d := mustDiff(t, tapeSide("x", tape, early), tapeSide("y", tape, early), DiffOptions{}); !d.Same() || d.Whole {
		t.Error(textOf(t, d))
	}
	if d := mustDiff(t, tapeSide("x", tape, early), tapeSide("y", tape, late), DiffOptions{}); !d.Whole {
		t.Error("no tick in common, and not compared as a whole")
	}
}

// A file of reports that is torn is compared as far as it goes.
func TestTornReports(t *testing.T) {
	lines, _ := ndjson(t, Options{Reports: All}, busyTape(t, 1000, 250))
	text := strings.Join(lines, "\n")
	for _, torn := range []string{text[:len(text)-7], "[" + strings.Join(lines[:2], ",")} {
		_, _, sum, err := Diff(reportSide("whole", text), reportSide("torn", torn), DiffOptions{})
		if err != nil || sum.Damage == nil || !strings.Contains(sum.Damage.Error(), "torn: report ") {
			t.Errorf("%v, %v", err, sum.Damage)
		}
	}
	for _, bad := range []string{lines[0] + "\nrubbish", lines[0] + "\n{}", lines[0] + "\n" + strings.Replace(lines[1], `"tick"`, `"tock"`, 1)} {
		if _, _, _, err := Diff(reportSide("whole", text), reportSide("bad", bad), DiffOptions{}); err == nil || !strings.Contains(err.Error(), "bad: report ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// With selectors only what concerns the connections they match is left, whichever
// side shows what they match.
func TestSelectorsMatchEitherSide(t *testing.T) {
	a := connection("10.0.0.1:4000", "10.0.0.80:80", 1, 2, "conntrack")
	b := connection("10.0.0.1:4000", "172.17.0.2:8080", 1, 2, "conntrack")
	other := connection("10.0.0.7:4000", "10.0.0.8:80", 1, 2, "conntrack")
	x, y := report(a), report(b, other)
	x.Coverage = []reporter.Coverage{{Source: "dns"}}
	x.Endpoints = []reporter.Endpoint{{Addr: a.To.Addr}, {Addr: ap("9.9.9.9:9")}}
	for _, text := range []string{"10.0.0.80:80", ":8080"} {
		sel, err := ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		c := Comparison{Selectors: []*Selector{sel}}
		c.Add(x, y)
		d := c.Difference()
		if len(d.Groups) != 2 || d.Groups[0].Change != Changed || d.Groups[0].Count != 1 || !d.Groups[1].Follows || d.Groups[1].Count != 1 {
			t.Errorf("%s: %s", text, textOf(t, d))
		}
	}
}

// What is kept does not grow with the length of the runs, and counts stay exact:
// a connection counts once however often it is seen.
func TestCountsOverManyTicks(t *testing.T) {
	var list []reporter.Connection
	for i := range 300 {
		list = append(list, connection(fmt.Sprintf("10.0.%d.1:%d", i%100, 4000+i), "10.0.0.2:443", 1, 2, "conntrack"))
	}
	run := func(with bool) iter.Seq2[*reporter.Report, error] {
		return func(yield func(*reporter.Report, error) bool) {
			for tick := range 50 {
				r := &reporter.Report{Tick: uint64(tick), At: int64(tick)}
				if with && tick >= 10 {
					r.Connections = sortedConnections(list[:6*tick])
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	var c Comparison
	d, err := c.CompareAll(run(false), run(true))
	if err != nil || len(d.Groups) != 1 || d.Ticks != 50 || d.Differ != 40 {
		t.Fatal(err, textOf(t, d))
	}
	if g := d.Groups[0]; g.Count != 6*49 || g.From != "*" || g.To != "10.0.0.2:443" || g.FirstTick != 10 || g.LastTick != 49 || len(g.Examples) > maxExamples {
		t.Errorf("%+v", g)
	}
	if d.First.Tick != 10 || d.Equal.Tick != 9 {
		t.Errorf("%+v %+v", d.First, d.Equal)
	}
}

// Errors of a run end the comparison.
func TestCompareAllHandsErrorsOn(t *testing.T) {
	fails := func(yield func(*reporter.Report, error) bool) { yield(nil, io.ErrNoProgress) }
	good := func(yield func(*reporter.Report, error) bool) { yield(&reporter.Report{}, nil) }
	for _, runs := range [][2]iter.Seq2[*reporter.Report, error]{{fails, good}, {good, fails}} {
		if _, err := new(Comparison).CompareAll(runs[0], runs[1]); err != io.ErrNoProgress {
			t.Error(err)
		}
	}
}

func TestMarkdownHoldsHostileNames(t *testing.T) {
	a, b := connection("10.0.0.1:1", "10.0.0.2:2", 1, 2, "proc"), connection("10.0.0.1:1", "10.0.0.2:2", 1, 2, "proc")
	a.From.Processes = []reporter.Process{{PID: 1, Comm: "a|b</code>\n```"}}
	var out bytes.Buffer
	if err := Compare(report(a), report(b)).WriteMarkdown(&out, "x", "y"); err != nil {
		t.Fatal(err)
	}
	var rows int
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "| ") {
			rows++
			if n := strings.Count(line, "|"); n != 5 {
				t.Errorf("%d bars in %s", n, line)
			}
		}
	}
	if rows != 2 || strings.Count(out.String(), "\n```") != 2 || strings.Contains(out.String(), "b</code>\n") {
		t.Errorf("%d rows\n%s", rows, out.String())
	}
}

// Comparing is about linear in the number of connections, however much differs.
func BenchmarkCompare(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		make := func(server, state string) *reporter.Report {
			r := report()
			for i := range n {
				c := connection(fmt.Sprintf("10.%d.%d.%d:%d", i>>16, i>>8&255, i&255, 1024+i%60000), server, 1, 2, "conntrack")
				c.State = state
				r.Connections = append(r.Connections, c)
			}
			return r
		}
		base := make("10.99.0.1:443", "ESTABLISHED")
		for name, other := range map[string]*reporter.Report{"equal": make("10.99.0.1:443", "ESTABLISHED"), "state": make("10.99.0.1:443", "CLOSE"),
			"server": make("10.99.0.2:443", "ESTABLISHED"), "gone": report()} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if d := Compare(base, other); d.Same() != (name == "equal") {
						b.Fatal(len(d.Groups))
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/connection")
			})
		}
	}
}
