package replay

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/report"
)

// A Side is one of the two runs of reports that Diff compares: a replay of tapes, or
// files of reports that were printed before.
type Side struct {
	Inputs  []Input
	Reports bool   // the inputs are files of reports, not tapes
	Rules   string // of tapes
	Window  Window // of tapes
}

// DiffOptions are how two sides are compared. The zero value compares tick by
// tick.
type DiffOptions struct {
	Selectors []*fold.Selector // compare only these connections
	// Whole folds each side into one report with every connection that was seen. Diff
	// sets it for two windows of the same tapes, and for sides with no tick in common.
	Whole          bool
	MaxConnections int // bounds the connections of Whole; 0 is 1,000,000
}

// Diff compares two sides. Each summary is that of the side's replay; of a file of
// reports it says whether the file ends within one. Inputs may be read several
// times.
func Diff(a, b *Side, o DiffOptions) (d *diff.Difference, ofA, ofB *Summary, err error) {
	o.Whole = o.Whole || sameTapes(a, b) && a.Window != b.Window
	d, ofA, ofB, err = compare(a, b, o)
	if noTickInCommon := err == nil && d.Ticks == 0 && ofA.Reports > 0 && ofB.Reports > 0; noTickInCommon {
		o.Whole = true
		d, ofA, ofB, err = compare(a, b, o)
	}
	if err == nil && d.Ticks == 0 && d.Differ == 0 {
		err = nothingToCompare([2]*Side{a, b}, [2]*Summary{ofA, ofB})
	}
	return d, ofA, ofB, err
}

func compare(a, b *Side, o DiffOptions) (d *diff.Difference, ofA, ofB *Summary, err error) {
	tapes := !a.Reports && !b.Reports
	otherRules := tapes && a.Rules != b.Rules
	sameRecords := sameTapes(a, b) && a.Window == b.Window
	otherTimes := otherRules || o.Whole && !sameRecords
	c := diff.Comparison{Selectors: o.Selectors, IgnoreRules: otherRules, IgnoreTimes: otherTimes, IgnoreCounts: otherTimes}
	ofA, ofB = new(Summary), new(Summary)
	runA, runB := a.run(o, ofA), b.run(o, ofB)
	if o.Whole {
		d, err = c.CompareWhole(runA, runB)
	} else {
		d, err = c.CompareTicks(runA, runB)
	}
	return d, ofA, ofB, err
}

// sameTapes reports whether both sides are replays of the same tapes.
func sameTapes(a, b *Side) bool {
	return !a.Reports && !b.Reports && slices.EqualFunc(a.Inputs, b.Inputs, func(x, y Input) bool { return x.Name == y.Name })
}

// nothingToCompare is the error for sides without reports. It names the one that has
// none, and the damage that may be the reason.
func nothingToCompare(sides [2]*Side, sums [2]*Summary) error {
	what := "neither side has a tick there"
	for i, s := range sums {
		if s.Reports == 0 && sums[1-i].Reports > 0 {
			what = sides[i].Inputs[0].Name + " has no tick there"
		}
	}
	err := fmt.Errorf("%w to compare: %s", ErrNoReport, what)
	a, b := sums[0].Damage, sums[1].Damage
	if a != nil {
		err = fmt.Errorf("%w; %w", err, a)
	}
	if b != nil && (a == nil || a.Error() != b.Error()) { // one tape may be both sides
		err = fmt.Errorf("%w; %w", err, b)
	}
	return err
}

// run yields the reports of the side.
func (s *Side) run(o DiffOptions, sum *Summary) iter.Seq2[diff.TickReport, error] {
	if s.Reports {
		return s.readReports(o, sum)
	}
	return s.replay(o, sum)
}

// errStop ends an iteration whose caller needs no more.
var errStop = errors.New("stopped")

// replay yields the reports that a replay of the side's tapes makes.
func (s *Side) replay(o DiffOptions, sum *Summary) iter.Seq2[diff.TickReport, error] {
	return func(yield func(diff.TickReport, error) bool) {
		var tick uint64 // number of the record
		ro := Options{Rules: s.Rules, Reports: All, Window: s.Window, MaxConnections: o.MaxConnections,
			Each: func(_ *capture.Header, r *capture.Record) {
				if r.Kind == capture.KindTick {
					tick = r.Seq
				}
			}}
		if o.Whole {
			ro.Reports = Whole
		}
		result, err := Run(s.Inputs, ro, func(r *report.Report) error {
			if !yield(diff.TickReport{Report: r, Record: tick}, nil) {
				return errStop
			}
			return nil
		})
		*sum = *result
		if errors.Is(err, ErrNoReport) {
			err = fmt.Errorf("%s: %w", s.Inputs[0].Name, err)
		}
		if err != nil && err != errStop {
			yield(diff.TickReport{}, err)
		}
	}
}

// readReports yields the reports in the side's files, folded together for Whole. A
// file that ends within a report ends there.
func (s *Side) readReports(o DiffOptions, sum *Summary) iter.Seq2[diff.TickReport, error] {
	return func(yield func(diff.TickReport, error) bool) {
		f := fold.New(o.MaxConnections)
		for _, in := range s.Inputs {
			err := in.eachReport(func(r *report.Report) error {
				if o.Whole {
					f.Add(r)
					return nil
				}
				sum.Reports++
				if !yield(diff.TickReport{Report: r}, nil) {
					return errStop
				}
				return nil
			})
			switch {
			case errors.Is(err, errStop):
				return
			case errors.Is(err, io.ErrUnexpectedEOF):
				sum.Damage = err
			case err != nil:
				yield(diff.TickReport{}, err)
				return
			}
		}
		if whole := f.Finish(); whole != nil {
			sum.Reports++
			sum.LeftOut = f.LeftOut()
			yield(diff.TickReport{Report: whole}, nil)
		}
	}
}
