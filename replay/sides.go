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
	"github.com/topotape/topotape/reporter"
)

// A Side is one of two runs of reports that are compared: what a replay of tapes
// makes, or a file of reports that was printed before.
type Side struct {
	Inputs  []Input
	Reports bool   // the inputs are reports, not tapes
	Rules   string // of tapes
	Window  Window // of tapes
}

// DiffOptions are how two sides are compared. The zero value compares tick by
// tick.
type DiffOptions struct {
	Selectors []*fold.Selector // only these connections
	// Whole folds each side into one report, in which every connection is that was
	// ever seen. So it is for two windows of one tape, and where the sides have no
	// tick in common.
	Whole          bool
	MaxConnections int // bounds Whole; 0 is 1,000,000
}

// Diff compares two sides. The summaries say what their replays met, of a file
// of reports whether it is torn. Inputs may be read several times.
func Diff(a, b *Side, o DiffOptions) (d *diff.Difference, ofA, ofB *Summary, err error) {
	ofA, ofB = new(Summary), new(Summary)
	same := a.sameTapes(b)
	switch {
	case same && a.Window != b.Window:
		o.Whole = true
	case !o.Whole && !same:
		common, err := a.shareTicks(b)
		if err != nil {
			return nil, ofA, ofB, err
		}
		o.Whole = !common
	}
	otherRules := !a.Reports && !b.Reports && a.Rules != b.Rules
	otherTimes := otherRules || o.Whole && !(same && a.Window == b.Window)
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

// nothingToCompare says which of the sides has no report, and what damage may
// be why.
func nothingToCompare(sides [2]*Side, met [2]*Summary) error {
	what := "neither side has a tick there"
	for i, s := range met {
		if s.Reports == 0 && met[1-i].Reports > 0 {
			what = sides[i].Inputs[0].Name + " has no tick there"
		}
	}
	err := fmt.Errorf("%w to compare: %s", ErrNoReport, what)
	for i, s := range met {
		if s.Damage != nil && (i == 0 || met[0].Damage == nil || s.Damage.Error() != met[0].Damage.Error()) { // one tape may be both sides
			err = fmt.Errorf("%w; %w", err, s.Damage)
		}
	}
	return err
}

// sameTapes reports whether both sides are replays of the same tapes.
func (s *Side) sameTapes(o *Side) bool {
	return !s.Reports && !o.Reports && slices.EqualFunc(s.Inputs, o.Inputs, func(x, y Input) bool { return x.Name == y.Name })
}

// run makes the reports of the side.
func (s *Side) run(o DiffOptions, sum *Summary) iter.Seq2[diff.TickReport, error] {
	if s.Reports {
		return s.read(o, sum)
	}
	return func(yield func(diff.TickReport, error) bool) {
		var tick uint64
		ro := Options{Rules: s.Rules, Reports: All, Window: s.Window, MaxConnections: o.MaxConnections,
			Each: func(_ *capture.Header, r *capture.Record) {
				if r.Kind == capture.KindTick {
					tick = r.Seq
				}
			}}
		if o.Whole {
			ro.Reports = Whole
		}
		met, err := Run(s.Inputs, ro, func(r *reporter.Report) error {
			if !yield(diff.TickReport{Report: r, Record: tick}, nil) {
				return errStop
			}
			return nil
		})
		*sum = *met
		if errors.Is(err, ErrNoReport) {
			err = fmt.Errorf("%s: %w", s.Inputs[0].Name, err)
		}
		if err != nil && err != errStop {
			yield(diff.TickReport{}, err)
		}
	}
}

// read reads the reports of the side, folded together for Whole. A file that is
// torn ends there.
func (s *Side) read(o DiffOptions, sum *Summary) iter.Seq2[diff.TickReport, error] {
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

// reports of a file.
func (in Input) reports() iter.Seq2[*reporter.Report, error] {
	return func(yield func(*reporter.Report, error) bool) {
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

// shareTicks reports whether a tick of one side has the time of one of the
// other, or one side has none.
func (s *Side) shareTicks(o *Side) (bool, error) {
	var failed error
	nextA, stopA := iter.Pull(s.ticks(&failed))
	defer stopA()
	nextB, stopB := iter.Pull(o.ticks(&failed))
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

// ticks are the times of the side's reports, Unix ns. The core makes no report
// for that.
func (s *Side) ticks(failed *error) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		if s.Reports {
			for n, err := range s.read(DiffOptions{}, new(Summary)) {
				if err != nil || !yield(n.Report.At) {
					return // the run says what is wrong
				}
			}
			return
		}
		tapes, records := Records(s.Inputs, s.Window)
		for r, err := range records {
			var damage *capture.DamageError
			switch {
			case errors.As(err, &damage): // as far as a replay goes
				return
			case err != nil:
				*failed = err
				return
			case r.Kind == capture.KindTick && !yield(tapes.Position(&r).Wall):
				return
			}
		}
	}
}
