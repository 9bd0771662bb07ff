package diff

import (
	"errors"
	"io"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// WriteDot draws both sides of a Whole difference laid over each other, in Graphviz's
// language. What only one side has is coloured. With selectors it draws only the
// connections that they match.
func (d *Difference) WriteDot(w io.Writer, selectors []*fold.Selector) error {
	var sides []*report.Report
	for i, r := range d.reports {
		if r == nil {
			return errors.New("only two sides that are compared as a whole can be drawn, and each must have a report")
		}
		sides = append(sides, withEvidenceOf(fold.Filter(r, selectors), d.reports[1-i]))
	}
	return render.Dot(w, sides...)
}

// withEvidenceOf returns the report without the evidence for directions if the other
// report has none: the rules of 2016 report none. Otherwise every edge would differ.
func withEvidenceOf(r, other *report.Report) *report.Report {
	scope2016 := func(r *report.Report) bool { return r.Rules == reporter.RulesScope2016 }
	if other == nil || scope2016(r) == scope2016(other) {
		return r
	}
	own := *r
	own.Connections = append([]report.Connection{}, r.Connections...)
	for i := range own.Connections {
		own.Connections[i].Direction = report.DirectionScope
	}
	return &own
}
