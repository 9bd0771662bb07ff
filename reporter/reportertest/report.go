package reportertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/reporter/report"
)

// Want sends a tick and compares the connections of the report, as ConnectionText writes them.
func (h *Host) Want(lines ...string) *report.Report {
	h.T.Helper()
	r := h.Report()
	var got []string
	for i := range r.Connections {
		got = append(got, ConnectionText(&r.Connections[i]))
	}
	if !slices.Equal(got, lines) {
		h.T.Errorf("tick %d:\n got %s\nwant %s", h.Tick, strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
	}
	return r
}

func endText(e *report.End) string {
	s := e.Addr.String()
	if e.Netns != 0 {
		s += fmt.Sprintf("@%d", e.Netns)
	}
	for _, p := range e.Processes {
		s += fmt.Sprintf("(%d %s)", p.PID, p.Comm)
	}
	return s
}

// ConnectionText returns a connection in short notation: its ends with namespace and
// processes, state, direction, number of translations, and whether it is or may be closed.
func ConnectionText(c *report.Connection) string {
	s := fmt.Sprintf("%s -> %s %s %s", endText(&c.From), endText(&c.To), c.State, c.Direction)
	if len(c.NAT) > 0 {
		s += fmt.Sprintf(" nat%d", len(c.NAT))
	}
	if c.Closed {
		s += " closed"
	}
	if c.MayHaveClosed {
		s += " maybe"
	}
	return s
}

// CoverageOf returns the coverage of a source, zero if the report lacks it.
func CoverageOf(r *report.Report, kind string) report.Coverage {
	for _, c := range r.Coverage {
		if c.Source == kind {
			return c
		}
	}
	return report.Coverage{}
}

// CheckReport checks what is true of every report: its lists are sorted, connections have
// both ends among the endpoints, and no field contradicts another.
func CheckReport(t testing.TB, r *report.Report) {
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if i > 0 && r.Attempts[i-1].Compare(a) >= 0 || !a.From.Addr.IsValid() || a.From.Addr.Port() != 0 || !a.To.Addr.IsValid() ||
			a.Outcome == "" || a.Count == 0 || a.Earlier > a.Count || a.FirstSeen > a.LastSeen || len(a.Seen) == 0 {
			t.Errorf("attempt %s", a.AppendJSON(nil))
		}
	}
	ids := map[string]bool{}
	for i := range r.Endpoints {
		if i > 0 && r.Endpoints[i-1].Compare(&r.Endpoints[i]) >= 0 {
			t.Errorf("endpoints %q and %q", r.Endpoints[i-1].ID(), r.Endpoints[i].ID())
		}
		ids[r.Endpoints[i].Addr.String()] = true
	}
	for i := range r.Connections {
		c := &r.Connections[i]
		if !c.From.Addr.IsValid() || !c.To.Addr.IsValid() || !ids[c.From.Addr.String()] || !ids[c.To.Addr.String()] {
			t.Errorf("connection %s lacks an end", ConnectionText(c))
		}
		if c.FirstSeen > c.LastSeen || len(c.Seen) == 0 || c.Direction == "" || c.Closed && c.MayHaveClosed {
			t.Errorf("connection %+v", c)
		}
		if i > 0 {
			p := &r.Connections[i-1]
			if n := p.From.Addr.Compare(c.From.Addr); n > 0 || n == 0 && p.To.Addr.Compare(c.To.Addr) > 0 {
				t.Errorf("%s precedes %s", ConnectionText(p), ConnectionText(c))
			}
		}
	}
}
