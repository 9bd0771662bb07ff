package replay

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

func tapeSide(name string, tape []byte, w Window) *Side {
	return &Side{Inputs: []Input{memory(name, tape)}, Rules: reporter.RulesCurrent, Window: w}
}

func reportSide(name, text string) *Side {
	return &Side{Inputs: []Input{memory(name, []byte(text))}, Reports: true}
}

func mustDiff(t *testing.T, a, b *Side, o DiffOptions) *diff.Difference {
	t.Helper()
	d, _, _, err := Diff(a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A tape does not differ from itself, nor from its reports in any form.
func TestTapeEqualsItsReports(t *testing.T) {
	tape := replaytest.Busy(t, 2000, 250)
	lines, _ := ndjson(t, Options{Reports: All}, tape)
	x, y := tapeSide("x", tape, Window{}), tapeSide("y", tape, Window{})
	nd, array := reportSide("nd", strings.Join(lines, "\n")+"\n"), reportSide("array", "[\n  "+strings.Join(lines, ",\n  ")+"\n]\n")
	for _, a := range []*Side{x, nd, array} {
		for _, b := range []*Side{x, y, nd, array} {
			for _, whole := range []bool{false, true} {
				d := mustDiff(t, a, b, DiffOptions{Whole: whole})
				if want := map[bool]int{false: len(lines), true: 1}[whole]; !d.Same() || d.Ticks != want || d.Whole != whole || differenceText(t, d) != "" {
					t.Errorf("%s and %s: %d ticks\n%s", a.Inputs[0].Name, b.Inputs[0].Name, d.Ticks, differenceText(t, d))
				}
			}
		}
	}
}

// Ticks of the same time are compared. The others are listed as missing on one side.
func TestTicksMissingOnOneSide(t *testing.T) {
	tape := replaytest.Busy(t, 2000, 250)
	lines, _ := ndjson(t, Options{Reports: All}, tape)
	all, some := reportSide("all", strings.Join(lines, "\n")), reportSide("some", strings.Join(slices.Delete(slices.Clone(lines), 2, 4), "\n"))
	d := mustDiff(t, all, some, DiffOptions{})
	if len(d.Groups) != 1 || d.Ticks != len(lines)-2 || d.First != nil {
		t.Fatal(differenceText(t, d))
	}
	if g := d.Groups[0]; g.Section != diff.Ticks || g.Change != diff.Removed || g.Count != 2 || g.FirstTick != 3 || g.LastTick != 4 {
		t.Errorf("%+v", g)
	}
	if g := mustDiff(t, some, all, DiffOptions{}).Groups; len(g) != 1 || g[0].Change != diff.Added {
		t.Errorf("%+v", g)
	}
}

// Two windows of one tape are compared by all connections that were seen in them.
func TestWindowsAreComparedAsAWhole(t *testing.T) {
	tape := replaytest.Busy(t, 2000, 250)
	window := func(from, to string) Window {
		var w Window
		w.From, _ = ParseTime(from)
		w.To, _ = ParseTime(to)
		return w
	}
	early, late := window("start", "#1000"), window("#1000", "end")
	d := mustDiff(t, tapeSide("x", tape, early), tapeSide("x", tape, late), DiffOptions{})
	if !d.Whole || d.Ticks != 1 || d.First != nil || d.Same() {
		t.Fatal(differenceText(t, d))
	}
	for _, g := range d.Groups {
		if g.Section == diff.Head || slices.ContainsFunc(g.Fields, func(f diff.Field) bool { return f.Name == "last_seen" || f.Name == "records" }) {
			t.Errorf("%+v", g)
		}
	}
	if d := mustDiff(t, tapeSide("x", tape, early), tapeSide("y", tape, early), DiffOptions{}); !d.Same() || d.Whole {
		t.Error(differenceText(t, d))
	}
	if d := mustDiff(t, tapeSide("x", tape, early), tapeSide("y", tape, late), DiffOptions{}); !d.Whole {
		t.Error("no tick in common, and not compared as a whole")
	}
}

// A file that ends within a report is compared up to there.
func TestTornReports(t *testing.T) {
	lines, _ := ndjson(t, Options{Reports: All}, replaytest.Busy(t, 1000, 250))
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

// With selectors only the connections that they match are compared, on either side.
func TestSelectorsMatchEitherSide(t *testing.T) {
	a := replaytest.Connection("10.0.0.1:4000", "10.0.0.80:80", 1, 2, "conntrack")
	b := replaytest.Connection("10.0.0.1:4000", "172.17.0.2:8080", 1, 2, "conntrack")
	other := replaytest.Connection("10.0.0.7:4000", "10.0.0.8:80", 1, 2, "conntrack")
	x, y := replaytest.Report(a), replaytest.Report(b, other)
	x.Coverage = []report.Coverage{{Source: "dns"}}
	x.Endpoints = []report.Endpoint{{Addr: a.To.Addr}, {Addr: replaytest.AddrPort("9.9.9.9:9")}}
	for _, text := range []string{"10.0.0.80:80", ":8080"} {
		sel, err := fold.ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		c := diff.Comparison{Selectors: []*fold.Selector{sel}}
		c.Add(x, y)
		d := c.Difference()
		if len(d.Groups) != 2 || d.Groups[0].Change != diff.Changed || d.Groups[0].Count != 1 || !d.Groups[1].Follows || d.Groups[1].Count != 1 {
			t.Errorf("%s: %s", text, differenceText(t, d))
		}
	}
}

// differenceText returns the difference as topotape diff prints it.
func differenceText(t *testing.T, d *diff.Difference) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNothingToCompare(t *testing.T) {
	x, y := tapeSide("x", nil, Window{}), tapeSide("y", nil, Window{})
	damage, other := errors.New("damage"), errors.New("other damage")
	for _, c := range []struct {
		a, b Summary
		want string
	}{
		{Summary{}, Summary{}, "no report to compare: neither side has a tick there"},
		{Summary{Reports: 1}, Summary{}, "no report to compare: y has no tick there"},
		{Summary{}, Summary{Reports: 1}, "no report to compare: x has no tick there"},
		{Summary{Damage: damage}, Summary{}, "no report to compare: neither side has a tick there; damage"},
		{Summary{Damage: damage}, Summary{Damage: damage}, "no report to compare: neither side has a tick there; damage"},
		{Summary{Damage: damage}, Summary{Damage: other}, "no report to compare: neither side has a tick there; damage; other damage"},
		{Summary{}, Summary{Damage: other}, "no report to compare: neither side has a tick there; other damage"},
	} {
		err := nothingToCompare([2]*Side{x, y}, [2]*Summary{&c.a, &c.b})
		if err.Error() != c.want || !errors.Is(err, ErrNoReport) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestEachJSON(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		" \n\t":                "",
		"1 2\n{\"a\":3}":       "1 2 {\"a\":3}",
		"\n [1, [2], \"]\"]\n": "1 [2] \"]\"",
		"[]":                   "",
		"[1, 2":                "1 2 " + io.ErrUnexpectedEOF.Error(),
		"[1,":                  "1 " + io.ErrUnexpectedEOF.Error(),
		"1 {\"a\":":            "1 " + io.ErrUnexpectedEOF.Error(),
	} {
		var got []string
		err := eachJSON(strings.NewReader(text), func(value []byte) error { got = append(got, string(value)); return nil })
		if err != nil {
			got = append(got, err.Error())
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%q: %q, want %q", text, g, want)
		}
	}
	stop := errors.New("stop")
	if err := eachJSON(strings.NewReader("1 2"), func([]byte) error { return stop }); err != stop {
		t.Error(err)
	}
}
