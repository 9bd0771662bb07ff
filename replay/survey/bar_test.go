package survey

import (
	"testing"

	"github.com/topotape/topotape/reporter/report"
)

func TestCoverageBar(t *testing.T) {
	const ok, gap, off = report.CoverageOK, report.CoverageDegraded, report.CoverageOff
	of := func(from, to duration, s report.CoverageState) span {
		return span{From: from, To: to, State: s}
	}
	for _, c := range []struct {
		want     string
		from, to duration
		spans    []span
	}{
		{"██████████", 0, 100, []span{of(0, 100, ok)}},
		{"··········", 0, 100, []span{of(0, 100, off)}},
		{"·····█████", 0, 100, []span{of(0, 50, off), of(50, 100, ok)}},
		{"·····░████", 0, 100, []span{of(0, 55, off), of(55, 100, ok)}},
		{"██████████", 0, 1000, []span{of(0, 5, off), of(5, 1000, ok)}},
		{"█▒████████", 0, 1000, []span{of(0, 150, ok), of(150, 151, gap), of(151, 1000, ok)}},
		{"█▒▒███████", 0, 1000, []span{of(0, 150, ok), of(150, 201, gap), of(201, 1000, ok)}},
		{"█▒████████", 0, 1000, []span{of(0, 150, ok), of(150, 200, gap), of(200, 1000, ok)}},
		{"█████████▒", 0, 100, []span{of(0, 100, ok), of(100, 100, gap)}}, // the last record
		{"▒▒▒▒▒▒▒▒▒▒", 7, 7, []span{of(7, 7, gap)}},
		{"██████████", 7, 7, []span{of(7, 7, ok)}},
		{"█████▒▒▒▒▒", 1000, 1100, []span{of(1000, 1050, ok), of(1050, 1100, gap)}},
	} {
		if got := coverageBar(c.spans, c.from, c.to, 10); got != c.want {
			t.Errorf("%s, want %s: %v", got, c.want, c.spans)
		}
	}
}
