package diff

import (
	"errors"
	"io"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

// WriteDot draws both sides of a Whole difference laid over each other, in
// Graphviz's language: what one side has alone has its own colour. With
// selectors it draws only what they match.
func (d *Difference) WriteDot(w io.Writer, selectors []*fold.Selector) error {
	var sides []*reporter.Report
	for i, r := range d.reports {
		if r == nil {
			return errors.New("only two sides that are compared as a whole can be drawn, and each must have a report")
		}
		other := d.reports[1-i]
		sides = append(sides, withEvidenceOf(fold.Filter(r, selectors), other))
	}
	return render.Dot(w, sides...)
}

// withEvidenceOf is the report without the evidence for directions, if the
// rules of the other one do not tell any: else every edge would differ.
func withEvidenceOf(r, other *reporter.Report) *reporter.Report {
	if other == nil || r.Rules == other.Rules || r.Rules != reporter.RulesScope2016 && other.Rules != reporter.RulesScope2016 {
		return r
	}
	own := *r
	own.Connections = append([]reporter.Connection{}, r.Connections...)
	for i := range own.Connections {
		own.Connections[i].Direction = reporter.DirectionScope
	}
	return &own
}
