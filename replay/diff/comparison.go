package diff

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/report"
)

// A Comparison compares two runs of reports tick by tick. The zero value compares
// everything.
type Comparison struct {
	// Selectors restrict the comparison to connections that one of them matches on
	// either side, and to the endpoints and names of these.
	Selectors []*fold.Selector

	IgnoreTimes  bool // of connections, attempts, ticks and windows
	IgnoreCounts bool // of records, for each source, and of tries
	IgnoreRules  bool // which rules made the reports

	ticks, differ int
	anything      turn
	connections   turn
	groups        groups
}

// A turn is the first tick that differs and the last equal one before it.
type turn struct{ equal, first *Moment }

// add adds the next tick.
func (t *turn) add(now *Moment, differs bool) {
	switch {
	case t.first != nil:
	case differs:
		t.first = now
	default:
		t.equal = now
	}
}

// A TickReport is the report of one tick.
type TickReport struct {
	Report *report.Report
	Record uint64 // number of the tick's record, 0 unknown
}

// CompareTicks compares two runs tick by tick. Reports of the same wall-clock time
// belong to the same tick. Both runs must be in the order of time.
func (c *Comparison) CompareTicks(a, b iter.Seq2[TickReport, error]) (*Difference, error) {
	nextA, stopA := iter.Pull2(a)
	defer stopA()
	nextB, stopB := iter.Pull2(b)
	defer stopB()
	x, errA, _ := nextA()
	y, errB, _ := nextB()
	for errA == nil && errB == nil && (x.Report != nil || y.Report != nil) {
		order := compareTimes(x.Report, y.Report)
		var ofA, ofB TickReport
		if order <= 0 {
			ofA = x
			x, errA, _ = nextA()
		}
		if order >= 0 {
			ofB = y
			y, errB, _ = nextB()
		}
		c.add(ofA, ofB)
	}
	if err := cmp.Or(errA, errB); err != nil {
		return nil, err
	}
	return c.Difference(), nil
}

// compareTimes orders two reports by their time. A side without a report is at its
// end, so that the other one comes first.
func compareTimes(a, b *report.Report) int {
	at := func(r *report.Report) int64 {
		if r == nil {
			return math.MaxInt64
		}
		return r.At
	}
	return cmp.Compare(at(a), at(b))
}

// CompareWhole compares two runs of one report each, which was folded from all
// reports of the side.
func (c *Comparison) CompareWhole(a, b iter.Seq2[TickReport, error]) (*Difference, error) {
	var whole [2]*report.Report
	for i, run := range []iter.Seq2[TickReport, error]{a, b} {
		for t, err := range run {
			if err != nil {
				return nil, err
			}
			whole[i] = t.Report
		}
	}
	c.Add(whole[0], whole[1])
	return &Difference{Whole: true, Ticks: c.ticks, Differ: c.differ, Groups: c.groups.sorted(), LeftOut: c.groups.leftOut, reports: whole}, nil
}

// Add compares the reports of the next tick. nil means that a side has no report of
// it.
func (c *Comparison) Add(a, b *report.Report) {
	c.add(TickReport{Report: a}, TickReport{Report: b})
}

func (c *Comparison) add(a, b TickReport) {
	either := cmp.Or(a.Report, b.Report)
	if either == nil {
		return
	}
	if kind := kindOf(a.Report == nil, b.Report == nil); kind != Changed {
		c.groups.add(&change{section: Ticks, kind: kind, identity: either.Tick}, either.Tick)
		return
	}
	changes := c.changes(a.Report, b.Report)
	now := &Moment{Tick: a.Report.Tick, At: Wall(a.Report.At), RecordA: a.Record, RecordB: b.Record}
	c.anything.add(now, len(changes) > 0)
	c.connections.add(now, slices.ContainsFunc(changes, func(ch change) bool { return ch.section == Connections }))
	c.ticks++
	if len(changes) > 0 {
		c.differ++
	}
	for i := range changes {
		c.groups.add(&changes[i], now.Tick)
	}
}

// Difference returns what differs in the ticks that were added so far.
func (c *Comparison) Difference() *Difference {
	d := &Difference{Ticks: c.ticks, Differ: c.differ, Groups: c.groups.sorted(), LeftOut: c.groups.leftOut}
	if t := c.anything; t.first != nil {
		d.First, d.Equal = t.first, t.equal
	}
	if t := c.connections; t.first != nil {
		d.FirstConnections, d.EqualConnections = t.first, t.equal
	}
	return d
}
