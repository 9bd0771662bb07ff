//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// series is one figure in each round.
type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	m := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[m]
	}
	return (sorted[m-1] + sorted[m]) / 2
}

// show formats the median and, for several rounds, the least and the greatest.
func (s series) show(format string) string {
	if len(s) == 0 {
		return "–"
	}
	text := fmt.Sprintf(format, s.median())
	if len(s) > 1 {
		text += fmt.Sprintf(" ("+format+"–"+format+")", slices.Min(s), slices.Max(s))
	}
	return text
}

// over divides two series, round by round.
func (s series) over(t series) series {
	var out series
	for i := range min(len(s), len(t)) {
		if t[i] != 0 {
			out = append(out, s[i]/t[i])
		}
	}
	return out
}

// table is one markdown table.
type table struct {
	title, below string
	head         []string
	rows         [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n", t.title)
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
		if i > 0 {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, r := range t.rows {
		line(r)
	}
	if t.below != "" {
		fmt.Fprintf(&b, "\n%s\n", t.below)
	}
	return b.String()
}

func (b *bench) print(t *table) { fmt.Fprint(b.out, t.String()) }

// count formats a number with commas between thousands.
func count(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
