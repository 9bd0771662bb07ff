package diff

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
)

func textOf(t *testing.T, d *Difference) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A difference of many ticks is as small as one of a few, and its counts are exact: a
// connection counts once even if many ticks show it.
func TestCountsOverManyTicks(t *testing.T) {
	var list []report.Connection
	for i := range 300 {
		list = append(list, replaytest.Connection(fmt.Sprintf("10.0.%d.1:%d", i%100, 4000+i), "10.0.0.2:443", 1, 2, "conntrack"))
	}
	run := func(with bool) iter.Seq2[TickReport, error] {
		return func(yield func(TickReport, error) bool) {
			for tick := range 50 {
				r := &report.Report{Tick: uint64(tick), At: int64(tick)}
				if with && tick >= 10 {
					r.Connections = sortedConnections(list[:6*tick])
				}
				if !yield(TickReport{Report: r}, nil) {
					return
				}
			}
		}
	}
	var c Comparison
	d, err := c.CompareTicks(run(false), run(true))
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

// An error of a run ends the comparison.
func TestCompareTicksReturnsErrors(t *testing.T) {
	fails := func(yield func(TickReport, error) bool) { yield(TickReport{}, io.ErrNoProgress) }
	good := func(yield func(TickReport, error) bool) { yield(TickReport{Report: &report.Report{}}, nil) }
	for _, runs := range [][2]iter.Seq2[TickReport, error]{{fails, good}, {good, fails}} {
		if _, err := new(Comparison).CompareTicks(runs[0], runs[1]); err != io.ErrNoProgress {
			t.Error(err)
		}
	}
}

// A process name cannot leave its cell or its code block.
func TestMarkdownEscapes(t *testing.T) {
	a, b := replaytest.Connection("10.0.0.1:1", "10.0.0.2:2", 1, 2, "proc"), replaytest.Connection("10.0.0.1:1", "10.0.0.2:2", 1, 2, "proc")
	a.From.Processes = []report.Process{{PID: 1, Comm: "a|b</code>\n```"}}
	var out bytes.Buffer
	if err := compare(replaytest.Report(a), replaytest.Report(b)).WriteMarkdown(&out, "x", "y"); err != nil {
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

// WriteGroups writes the first groups or all.
func TestWriteGroupsWritesAll(t *testing.T) {
	d := new(Difference)
	for i := range maxGroupsShown + 5 {
		d.Groups = append(d.Groups, Group{Section: Names, Change: Added, Count: 1, To: fmt.Sprintf("10.0.0.%d", i)})
	}
	var some, all strings.Builder
	if d.WriteGroups(&some, false) != nil || d.WriteGroups(&all, true) != nil {
		t.Fatal("not written")
	}
	if n := strings.Count(some.String(), "+ name "); n != maxGroupsShown || !strings.HasSuffix(some.String(), "and 5 causes more; --format json has all\n") {
		t.Errorf("%d: %s", n, &some)
	}
	if n := strings.Count(all.String(), "+ name "); n != maxGroupsShown+5 || strings.Contains(all.String(), "more") {
		t.Errorf("%d: %s", n, &all)
	}
}

// The time of a comparison is about linear in the number of connections, however
// much differs.
func BenchmarkCompare(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		make := func(server, state string) *report.Report {
			r := replaytest.Report()
			for i := range n {
				c := replaytest.Connection(fmt.Sprintf("10.%d.%d.%d:%d", i>>16, i>>8&255, i&255, 1024+i%60000), server, 1, 2, "conntrack")
				c.State = state
				r.Connections = append(r.Connections, c)
			}
			return r
		}
		base := make("10.99.0.1:443", "ESTABLISHED")
		for name, other := range map[string]*report.Report{"equal": make("10.99.0.1:443", "ESTABLISHED"), "state": make("10.99.0.1:443", "CLOSE"),
			"server": make("10.99.0.2:443", "ESTABLISHED"), "gone": replaytest.Report()} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if d := compare(base, other); d.Same() != (name == "equal") {
						b.Fatal(len(d.Groups))
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/connection")
			})
		}
	}
}
