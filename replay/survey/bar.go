package survey

import (
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// coverageBar draws coverage as a line of cells, each of the same duration. A gap
// of any duration shows; a time in which the source was closed shows from a tenth of
// the cell on.
func coverageBar(spans []span, from, to duration, cells int) string {
	width := float64(to-from) / float64(cells)
	share := make([]struct{ ok, degraded, off float64 }, cells)
	for _, s := range spans {
		a, z := 0.0, float64(cells)
		if to > from {
			a, z = float64(s.From-from)/width, float64(s.To-from)/width
		}
		for i := min(int(a), cells-1); i < cells && float64(i) <= z; i++ {
			part := min(z, float64(i+1)) - max(a, float64(i))
			switch c := &share[i]; {
			case s.State == report.CoverageOK:
				c.ok += part
			case s.State == report.CoverageOff:
				c.off += part
			case part > 0 || z == a:
				c.degraded += 1
			}
		}
	}
	bar := make([]rune, cells)
	for i, c := range share {
		switch {
		case c.degraded > 0:
			bar[i] = '▒'
		case c.off < 0.1 && c.ok > 0:
			bar[i] = '█'
		case c.ok < 0.1:
			bar[i] = '·'
		default:
			bar[i] = '░'
		}
	}
	return string(bar)
}

// eventBar draws the times of events.
func eventBar(marks []span, from, to duration, cells int) string {
	return strings.NewReplacer("▒", "!", "·", "─").Replace(coverageBar(marks, from, to, cells))
}
