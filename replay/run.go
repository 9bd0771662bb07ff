package replay

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/report"
)

// Options of Run. The zero value asks for the last report under the current
// rules.
type Options struct {
	Rules   string
	Reports Reports
	At      Time   // Last: the last report at or before it; zero is the end
	Window  Window // All and Whole: the reports whose ticks are within it
	Verify  bool   // compare every witness
	// MaxConnections bounds the connections of Whole; 0 is 1,000,000.
	MaxConnections int
	// ReadOn reads to the end of the tapes: after damage, without the core, and after
	// the last report. It is for a caller that looks at the records.
	ReadOn bool
	// Each is called with every record before it is stepped. The payload is valid
	// during the call.
	Each func(h *capture.Header, r *capture.Record)
	// Due is called before a report of All is yielded, with the time from the window's
	// first record to the report's tick, without the time between two recordings. It
	// may wait for that long. An error ends the run.
	Due func(at time.Duration) error
}

// Reports selects the reports that Run yields.
type Reports uint8

const (
	Last  Reports = iota // one: the last, or the last at or before Options.At
	All                  // every report of the window
	Whole                // one: the reports of the window, folded together
	None                 // none: for Verify
)

// Run drives the inputs' records through a core and yields the reports that are
// asked for. An error of yield ends it. A tape that is damaged or was not closed is
// not an error: the summary reports it.
func Run(inputs []Input, o Options, yield func(*report.Report) error) (*Summary, error) {
	return run(inputs, o, yield, NewCore)
}

// coreMaker is NewCore, or a test's.
type coreMaker func(h *capture.Header, rules string) (*Core, error)

func run(inputs []Input, o Options, yield func(*report.Report) error, newCore coreMaker) (*Summary, error) {
	d := &driver{options: o, yield: yield, newCore: newCore}
	err := o.Window.Check()
	if err != nil {
		return &d.summary, err
	}
	if d.options.At, err = resolve(inputs, o.At); err != nil {
		return &d.summary, err
	}
	window, err := newPlacer(inputs, o.Window)
	if err != nil {
		return &d.summary, err
	}
	d.feed.tapes = &Tapes{inputs: inputs, window: window}
	defer d.feed.tapes.Close()
	if o.Reports == Whole {
		d.fold = fold.New(o.MaxConnections)
	}
	d.verify = newVerifier(o.Rules)
	err = d.run()
	d.summary.Ends = d.feed.tapes.Ends()
	if err == nil {
		d.replayAgain(inputs)
		err = d.finish()
	}
	if o.Verify {
		d.summary.Verification = &d.verify.result
	}
	return &d.summary, err
}

// A driver is one Run: it reads items, steps the core, and makes the reports that
// are wanted.
type driver struct {
	options Options
	yield   func(*report.Report) error
	feed    feed
	newCore coreMaker
	core    *Core           // ended after damage
	header  *capture.Header // of the last record's tape; nil before the first
	carried bool            // the core was given a carry
	last    *report.Report  // of Last: the newest that may be the last
	yielded bool            // last was yielded
	fold    *fold.Fold      // of Whole
	verify  verifier
	pace    pace
	summary Summary
}

// run reads to the end of the window, of the tapes, or of what is wanted.
func (d *driver) run() error {
	for {
		it, err := d.feed.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil && !isDamage(err):
			return err
		case err != nil:
			if d.damaged(err); !d.options.ReadOn {
				return nil
			}
			continue
		}
		if it.Header != d.header {
			if err := d.begin(it); err != nil {
				return err
			}
		}
		if it.Place == After && !d.options.ReadOn {
			return nil
		}
		d.observe(it)
		if !d.step(it) {
			continue
		}
		tick := *it // looking ahead overwrites the item
		if more, err := d.tick(&tick); err != nil || !more {
			return err
		}
	}
}

// damaged ends the reports.
func (d *driver) damaged(err error) {
	if d.summary.Damage == nil {
		d.summary.Damage = err
	}
	d.core, d.feed.err = new(Core), nil
}

// begin goes on to the tape of the item. It needs a new core unless the tape follows
// the one before. The first item's tape may follow one that has no records.
func (d *driver) begin(it *Item) (err error) {
	first := d.header == nil
	d.header = it.Header
	if first {
		d.options.At.settle(it.Header.Start)
		d.summary.Header = it.Header
	}
	follows := it.Follows && !first
	d.verify.begin(!follows)
	if follows || d.summary.Damage != nil {
		return nil
	}
	d.carried = false
	d.core, err = d.newCore(it.Header, d.options.Rules)
	return err
}

// observe does all that is done with a record besides stepping it.
func (d *driver) observe(it *Item) {
	d.summary.Records++
	if it.Place == Within && d.options.Due != nil {
		d.pace.step(it)
	}
	if it.Kind != capture.KindConntrack {
		d.summary.note(&it.Record)
		if d.options.Verify && !d.core.Ended() {
			d.verify.note(it)
		}
	}
	if d.options.Each != nil {
		d.options.Each(it.Header, &it.Record)
	}
}

// step steps the record. It returns true if the core can make a report now.
func (d *driver) step(it *Item) bool {
	if it.Kind == capture.KindCarry {
		if !it.Follows {
			d.stepCarry(it, &it.Record)
		}
		return false
	}
	if it.Carry != nil {
		for part := range it.Carry {
			d.stepCarry(it, &part)
		}
	}
	tick, panicked := d.core.Step(&it.Record)
	if panicked != nil {
		d.panicked(it, panicked)
		return false
	}
	if tick {
		d.summary.Ticks++
		d.summary.Uncarried = d.summary.Uncarried || d.carried && !d.core.stepper.Carried()
	}
	return tick
}

func (d *driver) stepCarry(it *Item, part *capture.Record) {
	d.carried = true
	if _, panicked := d.core.Step(part); panicked != nil {
		d.panicked(it, panicked)
	}
}

// panicked ends the reports.
func (d *driver) panicked(it *Item, p *Panic) {
	p.Record, p.count = it.Seq, it.position.count
	d.summary.Panic = p
}

// replayAgain makes, in a second run, two reports that the first run could not know
// it would need: the last one before a panic, and the last one that is as production
// made it before the first that is not.
func (d *driver) replayAgain(inputs []Input) {
	if p := d.summary.Panic; p != nil && d.options.Reports == Last && !d.yielded {
		d.last = d.reportAt(inputs, p.count-1)
	}
	if m := d.verify.result.First; m != nil && m.Report != nil && m.equal.count > 0 {
		if before := d.reportAt(inputs, m.equal.count); before != nil {
			m.changesSince(before)
		}
	}
}

// reportAt returns the last report of the first so many records. It is nil if there
// is none, or the tapes cannot be read again.
func (d *driver) reportAt(inputs []Input, records uint64) *report.Report {
	again := &driver{newCore: d.newCore, yield: func(*report.Report) error { return nil }}
	again.options.Rules = d.options.Rules
	again.options.At = Time{kind: timeCount, seq: records}
	again.feed.tapes = &Tapes{inputs: inputs}
	defer again.feed.tapes.Close()
	if err := again.run(); err != nil {
		return nil
	}
	return again.last
}

// finish yields the report that is known only at the end of the tapes.
func (d *driver) finish() error {
	report := d.last
	if d.options.Reports == Whole {
		report, d.summary.LeftOut = d.fold.Finish(), d.fold.LeftOut()
	}
	if report != nil && !d.yielded {
		d.summary.Reports++
		return d.yield(report)
	}
	return whyNoReport(&d.options, &d.summary)
}

// ErrNoReport says that there is no tick where a report was asked for.
var ErrNoReport = errors.New("no report")

// whyNoReport returns the error of a run that yielded no report, where it should
// have. It is nil if the summary has the reason.
func whyNoReport(o *Options, s *Summary) error {
	switch {
	case s.Reports > 0 || o.Reports == None || o.Reports == All || o.ReadOn:
		return nil
	case s.Damage != nil || s.Panic != nil || s.Unclean() != "":
		return nil
	case s.Ticks == 0 && o.At.IsZero() && o.Window == (Window{}):
		return fmt.Errorf("%w: the tape has no tick", ErrNoReport)
	case o.Reports == Last:
		return fmt.Errorf("%w at or before %s: the tape's first tick is later", ErrNoReport, o.At)
	}
	return fmt.Errorf("%w: no tick within the window", ErrNoReport)
}
