package survey

import (
	"testing"

	"github.com/topotape/topotape/reporter/report"
)

func TestCoverageBar(t *testing.T) {
	const ok, gap, off = report.CoverageOK, report.CoverageDegraded, report.CoverageOff
	span := func(from, to int64, s report.CoverageState) Span {
		return Span{From: from, To: to, State: s}
	}
	for _, c := range []struct {
		want     string
		from, to int64
		spans    []Span
	}{
		{"██████████", 0, 100, []Span{span(0, 100, ok)}},
		{"··········", 0, 100, []Span{span(0, 100, off)}},
		{"·····█████", 0, 100, []Span{span(0, 50, off), span(50, 100, ok)}},
		{"·····░████", 0, 100, []Span{span(0, 55, off), span(55, 100, ok)}},
		{"██████████", 0, 1000, []Span{span(0, 5, off), span(5, 1000, ok)}},
		{"█▒████████", 0, 1000, []Span{span(0, 150, ok), span(150, 151, gap), span(151, 1000, ok)}},
		{"█▒▒███████", 0, 1000, []Span{span(0, 150, ok), span(150, 201, gap), span(201, 1000, ok)}},
		{"█▒████████", 0, 1000, []Span{span(0, 150, ok), span(150, 200, gap), span(200, 1000, ok)}},
		{"█████████▒", 0, 100, []Span{span(0, 100, ok), span(100, 100, gap)}}, // the last record
		{"▒▒▒▒▒▒▒▒▒▒", 7, 7, []Span{span(7, 7, gap)}},
		{"██████████", 7, 7, []Span{span(7, 7, ok)}},
		{"█████▒▒▒▒▒", 1000, 1100, []Span{span(1000, 1050, ok), span(1050, 1100, gap)}},
	} {
		if got := coverageBar(c.spans, c.from, c.to, 10); got != c.want {
			t.Errorf("%s, want %s: %v", got, c.want, c.spans)
		}
	}
}
