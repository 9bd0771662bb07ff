package replay

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// Options of Run. The zero value asks for the last report under the current
// rules.
type Options struct {
	Rules   string
	Reports Reports
	At      Time   // Last: at or before it; zero is the end
	Window  Window // All and Whole: of ticks
	Verify  bool   // compare every witness
	// MaxConnections bounds Whole; 0 is 1,000,000.
	MaxConnections int
	// ReadOn reads to the end of the tapes, past damage, without the core:
	// for what only looks at the records.
	ReadOn bool
	// Each is called with every record before it is stepped. The payload is
	// valid for the time of the call.
	Each func(h *capture.Header, r *capture.Record)
	// Due is called before a report of All is yielded, with its tick's time
	// since the window's first record, the time between two recordings not
	// counted: for who wants to wait for it. An error ends the run.
	Due func(at time.Duration) error
}

// Reports says which reports are wanted.
type Reports uint8

const (
	Last  Reports = iota // one: the last, or the last before Options.At
	All                  // every one of the window
	Whole                // one: those of the window folded together
	None                 // none, for Verify
)

// ErrNoReport says that there is no tick where a report was asked for.
var ErrNoReport = errors.New("no report")

// Run drives the inputs' records through a reporter and yields the reports
// that are asked for. An error of yield ends it. A damaged or cut tape is no
// error: the summary says so.
func Run(inputs []Input, o Options, yield func(*reporter.Report) error) (*Summary, error) {
	return drive(inputs, o, yield, func(h *capture.Header, rules string) (core, error) { return reporter.New(h, rules) })
}

// core is a reporter.
type core interface {
	Step(*capture.Record) (tick bool)
	Report() *reporter.Report
}

func drive(inputs []Input, o Options, yield func(*reporter.Report) error, newCore func(*capture.Header, string) (core, error)) (*Summary, error) {
	d := &driver{options: o, yield: yield, newCore: newCore, feed: feed{tapes: NewTapes(inputs)}}
	defer d.feed.tapes.Close()
	if err := o.Window.Check(); err != nil {
		return &d.summary, err
	}
	bounds, err := resolve(inputs, o.At, o.Window.From, o.Window.To)
	if err != nil {
		return &d.summary, err
	}
	d.at, d.clip = bounds[0], clip{from: bounds[1], to: bounds[2]}
	if o.Reports == Whole {
		d.fold = newFold(o.MaxConnections)
	}
	d.verify.rules = o.Rules
	if d.verify.rules == "" {
		d.verify.rules = reporter.RulesCurrent
	}
	err = d.run()
	d.summary.Ends = d.feed.tapes.Ends()
	if p := d.summary.Panic; err == nil && p != nil && o.Reports == Last && !d.yielded {
		d.last = d.lastBefore(inputs, p.count-1) // at a tick that was not known to be the last
	}
	if err == nil {
		d.explain(inputs)
		err = d.finish()
	}
	if o.Verify {
		d.summary.Verification = &d.verify.result
	}
	return &d.summary, err
}

// driver is one Run.
type driver struct {
	options Options
	yield   func(*reporter.Report) error
	feed    feed
	at      bound
	clip    clip
	newCore func(*capture.Header, string) (core, error)
	core    core // nil once it panicked, or reading goes on without
	tape    int  // number of the tape that core is at; -1 before the first
	held    heldCarry
	carry   bool // one was shown to the core
	last    *reporter.Report
	yielded bool // last was
	fold    *fold
	verify  verifier
	pace    pace
	summary Summary
}

// pace is how far the window has come.
type pace struct {
	tape   int // of the last record, from 1
	origin int64
	last   int64 // steady time of the last record
	before int64 // of earlier recordings
}

func (p *pace) step(it *item) {
	if p.tape == 0 || it.number+1 != p.tape && it.fresh {
		p.before += p.last - p.origin
		p.origin = it.place.steady
	}
	p.tape, p.last = it.number+1, it.place.steady
}

func (p *pace) since() time.Duration { return time.Duration(p.before + p.last - p.origin) }

func (d *driver) run() error {
	d.tape = -1
	var it item
	for {
		if err := d.feed.next(&it); err != nil {
			if err == io.EOF {
				return nil
			}
			stop, err := d.damaged(err)
			if stop || err != nil {
				return err
			}
			continue
		}
		if it.number != d.tape {
			if err := d.begin(&it); err != nil {
				return err
			}
		}
		standing := d.clip.place(it.header, &it.rec, it.place)
		if standing == behind && !d.options.ReadOn {
			return nil
		}
		more, err := d.record(&it, standing == within)
		if err != nil || !more {
			return err
		}
	}
}

// begin goes on to the next tape.
func (d *driver) begin(it *item) (err error) {
	first := d.tape < 0
	d.tape = it.number
	if first {
		d.at.settle(it.header.Start)
		d.summary.Header = it.header
	}
	d.verify.begin(first || it.fresh)
	if !first && !it.fresh || d.summary.Damage != nil {
		return nil
	}
	d.carry, d.held = false, heldCarry{}
	d.core, err = d.newCore(it.header, d.options.Rules)
	return err
}

// record steps one record and makes the report of a tick, if it is wanted. It
// returns false when nothing more is.
func (d *driver) record(it *item, within bool) (bool, error) {
	r := &it.rec
	d.summary.Records++
	if within && d.options.Due != nil {
		d.pace.step(it)
	}
	if r.Kind != capture.KindConntrack {
		d.summary.note(it)
		if d.options.Verify && d.core != nil {
			d.verify.note(it, d.feed.tapes.nameOf(it.number))
		}
	}
	if d.options.Each != nil {
		d.options.Each(it.header, r)
	}
	switch {
	case r.Kind != capture.KindCarry:
		for _, part := range d.held.before(r) {
			d.stepCarry(it, &part)
		}
	case d.tape > 0 && !it.fresh:
		d.held.hold(r)
		return true, nil
	default:
		d.stepCarry(it, r)
		return true, nil
	}
	if d.core == nil {
		return true, nil
	}
	tick, panicked := step(d.core, r)
	if panicked != nil {
		d.panicked(it, panicked)
		return true, nil
	}
	if !tick {
		return true, nil
	}
	d.summary.Ticks++
	if c, ok := d.core.(carrier); ok && d.carry && !c.Carried() {
		d.summary.Uncarried = true
	}
	return d.tick(it, within)
}

func (d *driver) stepCarry(it *item, part *capture.Record) {
	d.carry = true
	if d.core == nil {
		return
	}
	if _, panicked := step(d.core, part); panicked != nil {
		d.panicked(it, panicked)
	}
}

func (d *driver) tick(it *item, within bool) (bool, error) {
	past := d.options.Reports == Last && !d.reaches(it)
	report := within && d.options.Reports != None && !past
	more, certain, witness := !past || d.options.Verify || d.options.ReadOn, false, false
	if d.options.Verify || report && d.options.Reports == Last {
		var last, sure bool
		witness, last, sure = d.look(it)
		if report && d.options.Reports == Last {
			report, certain = last, sure
			more = !last || !sure || d.options.Verify || d.options.ReadOn || d.at.kind == boundNone
		}
	}
	if !report && !witness {
		return more, nil
	}
	made, panicked := makeReport(d.core)
	if panicked != nil {
		d.panicked(it, panicked)
		return true, nil
	}
	if witness {
		d.verify.made(made)
	}
	if !report {
		return more, nil
	}
	switch d.options.Reports {
	case Last:
		d.last = made
		if certain {
			d.yielded = true
			d.summary.Reports++
			return more, d.yield(made)
		}
	case All:
		if d.options.Due != nil {
			if err := d.options.Due(d.pace.since()); err != nil {
				return false, err
			}
		}
		d.summary.Reports++
		return true, d.yield(made)
	case Whole:
		d.fold.add(made)
	}
	return more, nil
}

// reaches reports whether a tick stands at or before Options.At.
func (d *driver) reaches(it *item) bool {
	if d.at.kind == boundNone {
		return true
	}
	before, at := d.at.before(it.place)
	return before || at
}

// look reads ahead to the next tick. It returns whether a witness of the tick may
// come, if they are wanted, and whether the tick is the last that Last asks for; not
// sure if the next one is too far to tell.
func (d *driver) look(tick *item) (witness, last, sure bool) {
	var number uint64
	if d.options.Verify {
		number = d.verify.ticked(tick)
	}
	last = true
	sure = d.feed.ahead(func(it *item) bool {
		if it.rec.Kind == capture.KindTick {
			last = !d.reaches(it)
			return false
		}
		if witness = witness || d.options.Verify && d.verify.awaits(&it.rec, number); witness {
			return d.options.Reports == Last // what follows matters only to that
		}
		return true
	})
	return witness || d.options.Verify && !sure, last || !sure, sure
}

// lastBefore makes the last report of the first so many records, in a second run.
// It is nil if there is none, or the tapes cannot be read again.
func (d *driver) lastBefore(inputs []Input, records uint64) (last *reporter.Report) {
	again := &driver{newCore: d.newCore, yield: func(*reporter.Report) error { return nil }, feed: feed{tapes: NewTapes(inputs)}}
	again.options.Rules = d.options.Rules
	again.at = bound{kind: boundCount, count: records}
	defer again.feed.tapes.Close()
	if err := again.run(); err != nil {
		return nil
	}
	return again.last
}

func (d *driver) finish() error {
	switch {
	case d.yielded:
	case d.options.Reports == Last && d.last != nil:
		d.summary.Reports++
		return d.yield(d.last)
	case d.options.Reports == Whole && d.fold.report != nil:
		d.summary.Reports++
		d.summary.LeftOut = uint64(len(d.fold.beyond))
		return d.yield(d.fold.finish())
	case d.summary.Reports == 0 && d.options.Reports != None && !d.options.ReadOn:
		return d.nothing()
	}
	return nil
}

// nothing says why there is no report. Asked for all of a window there may be
// none.
func (d *driver) nothing() error {
	switch {
	case d.options.Reports == All:
		return nil
	case d.summary.Damage != nil || d.summary.Panic != nil || d.summary.Unclean() != "":
		return nil // the summary tells
	case d.summary.Ticks == 0 && d.options.At.IsZero() && d.options.Window == (Window{}):
		return fmt.Errorf("%w: the tape has no tick", ErrNoReport)
	case d.options.Reports == Last:
		return fmt.Errorf("%w at or before %s: the tape's first tick stands behind it", ErrNoReport, d.options.At)
	}
	return fmt.Errorf("%w: no tick within the window", ErrNoReport)
}

// damaged takes note of what ended the reading.
func (d *driver) damaged(err error) (stop bool, _ error) {
	var damage *capture.DamageError
	if !errors.As(err, &damage) {
		return true, err
	}
	if d.summary.Damage == nil {
		d.summary.Damage = err
	}
	d.core, d.feed.err = nil, nil
	return !d.options.ReadOn, nil
}
