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
	ofA, ofB = new(Summary), new(Summary)
	if !o.Whole {
		if o.Whole, err = needsWhole(a, b); err != nil {
			return nil, ofA, ofB, err
		}
	}
	otherRules := otherRules(a, b)
	otherTimes := otherRules || o.Whole && !sameRecords(a, b)
	c := diff.Comparison{Selectors: o.Selectors, IgnoreRules: otherRules, IgnoreTimes: otherTimes, IgnoreCounts: otherTimes}
	runA, runB := a.run(o, ofA), b.run(o, ofB)
	if o.Whole {
		d, err = c.CompareWhole(runA, runB)
	} else {
		d, err = c.CompareTicks(runA, runB)
	}
	if err == nil && d.Ticks == 0 && d.Differ == 0 {
		err = nothingToCompare([2]*Side{a, b}, [2]*Summary{ofA, ofB})
	}
	return d, ofA, ofB, err
}

// needsWhole reports whether two sides cannot be compared tick by tick.
func needsWhole(a, b *Side) (bool, error) {
	if sameTapes(a, b) {
		return a.Window != b.Window, nil
	}
	common, err := shareTick(a, b)
	return !common, err
}

// sameTapes reports whether both sides are replays of the same tapes.
func sameTapes(a, b *Side) bool {
	return !a.Reports && !b.Reports && slices.EqualFunc(a.Inputs, b.Inputs, func(x, y Input) bool { return x.Name == y.Name })
}

// sameRecords reports whether both sides are replays of the same records.
func sameRecords(a, b *Side) bool { return sameTapes(a, b) && a.Window == b.Window }

// otherRules reports whether the sides are replays under different rules.
func otherRules(a, b *Side) bool { return !a.Reports && !b.Reports && a.Rules != b.Rules }

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
			for r, err := range in.reports() {
				switch {
				case errors.Is(err, io.ErrUnexpectedEOF):
					sum.Damage = err
				case err != nil:
					yield(diff.TickReport{}, err)
					return
				case o.Whole:
					f.Add(r)
				default:
					sum.Reports++
					if !yield(diff.TickReport{Report: r}, nil) {
						return
					}
				}
			}
		}
		if whole := f.Finish(); whole != nil {
			sum.Reports++
			sum.LeftOut = f.LeftOut()
			yield(diff.TickReport{Report: whole}, nil)
		}
	}
}

// reports yields the reports in the input, a file of reports.
func (in Input) reports() iter.Seq2[*report.Report, error] {
	return func(yield func(*report.Report, error) bool) {
		file, err := in.Open()
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		for r, err := range ReadReports(in.Name, file) {
			if !yield(r, err) {
				return
			}
		}
	}
}

// shareTick reports whether two sides have ticks at the same time, or one of them
// has no tick.
func shareTick(a, b *Side) (bool, error) {
	var failed error
	nextA, stopA := iter.Pull(a.ticks(&failed))
	defer stopA()
	nextB, stopB := iter.Pull(b.ticks(&failed))
	defer stopB()
	x, okA := nextA()
	y, okB := nextB()
	none := !okA || !okB
	for okA && okB && x != y {
		if x < y {
			x, okA = nextA()
		} else {
			y, okB = nextB()
		}
	}
	return none || okA && okB, failed
}

// ticks yields the times of the side's reports, in Unix ns. No core is needed for
// that.
func (s *Side) ticks(failed *error) iter.Seq[int64] {
	if s.Reports {
		return s.reportTimes()
	}
	return func(yield func(int64) bool) {
		_, items := itemsWithin(s.Inputs, s.Window)
		for it, err := range items {
			switch {
			case err != nil:
				if !isDamage(err) {
					*failed = err
				}
				return // damage ends a replay too
			case it.Kind == capture.KindTick && !yield(it.Wall()):
				return
			}
		}
	}
}

func (s *Side) reportTimes() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for n, err := range s.readReports(DiffOptions{}, new(Summary)) {
			if err != nil || !yield(n.Report.At) {
				return // the comparison returns the error
			}
		}
	}
}
