package replay

import (
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
)

// A report costs much more than a record, so it is made only where it is wanted. It
// must be made at its tick, before the next record is stepped, but the records that
// follow show whether it is the last one of a time, and whether it has a witness to
// be compared with. So the driver looks ahead to the next tick before it decides.

// tick decides about a tick, makes its report if that is wanted, and passes it on.
// It returns false if no more records are needed.
func (d *driver) tick(it *Item) (more bool, err error) {
	p := d.plan(it)
	if !p.yield && !p.compare {
		return !p.stop, nil
	}
	report, panicked := d.core.Report()
	if panicked != nil {
		d.panicked(it, panicked)
		return true, nil
	}
	d.summary.reported(report)
	if p.compare {
		d.verify.reported(report)
	}
	if p.yield {
		err = d.deliver(report, p.final)
	}
	return !p.stop, err
}

// tickPlan is what to do at a tick.
type tickPlan struct {
	compare bool // make the report: it may have a witness
	yield   bool // make the report: it is one of those that Options.Reports selects, or may be
	final   bool // it is the one that Last selects, for certain
	stop    bool // no more records are needed
}

func (d *driver) plan(it *Item) tickPlan {
	t := tickPlace{within: it.Place == Within, bounded: !d.options.At.IsZero(), reached: d.reached(it)}
	if d.options.Verify {
		d.verify.ticked(it)
	}
	var next outlook
	if d.options.Verify || d.options.Reports == Last && t.within && t.reached {
		next = d.lookAhead()
	}
	return planTick(&d.options, t, next)
}

// tickPlace is where a tick is relative to the options.
type tickPlace struct {
	within  bool // the window contains it
	bounded bool // Options.At is set
	reached bool // it is at or before Options.At, or that is not set
}

// outlook is what the records after a tick show, up to the next tick.
type outlook struct {
	witness bool // one of them is a witness of the tick
	last    bool // no other tick at or before Options.At follows
	unknown bool // there are more than can be read ahead: both may be wrong
}

// planTick decides about a tick. next.witness counts only for a verification, and
// next.last only for Last.
func planTick(o *Options, t tickPlace, next outlook) tickPlan {
	p := tickPlan{compare: o.Verify && (next.witness || next.unknown)}
	keepReading := o.Verify || o.ReadOn
	switch {
	case o.Reports == Last && !t.reached:
		p.stop = !keepReading
	case o.Reports == None || !t.within:
	case o.Reports == Last:
		p.yield = next.last || next.unknown
		p.final = next.last && !next.unknown
		p.stop = p.final && t.bounded && !keepReading
	default:
		p.yield = true
	}
	return p
}

// reached reports whether an item is at or before Options.At.
func (d *driver) reached(it *Item) bool {
	return d.options.At.IsZero() || d.options.At.compare(it.position) <= 0
}

// lookAhead reads ahead from a tick to the next one. It stops earlier where neither
// the witness nor the last tick is open any more.
func (d *driver) lookAhead() outlook {
	next := outlook{last: true}
	complete := d.feed.lookAhead(func(it *Item) bool {
		if it.Kind == capture.KindTick {
			next.last = !d.reached(it)
			return false
		}
		next.witness = next.witness || d.verify.isWitness(&it.Record)
		return !next.witness || d.options.Reports == Last
	})
	next.unknown = !complete
	return next
}

// deliver passes a report on. One of Last that is not final is kept: a later one may
// replace it.
func (d *driver) deliver(report *report.Report, final bool) error {
	switch d.options.Reports {
	case Whole:
		d.fold.Add(report)
		return nil
	case Last:
		d.last = report
		if !final {
			return nil
		}
		d.yielded = true
	case All:
		if d.options.Due != nil {
			if err := d.options.Due(d.pace.elapsed()); err != nil {
				return err
			}
		}
	}
	d.summary.Reports++
	return d.yield(report)
}

// A pace measures the time from the window's first record to the last one read,
// without the time between two recordings.
type pace struct {
	begun  bool
	tape   int   // of the last record
	start  int64 // ns on the steady clock: first record of this recording
	last   int64 // ns on the steady clock: last record
	before int64 // ns: earlier recordings
}

func (p *pace) step(it *Item) {
	if !p.begun || it.Tape() != p.tape && !it.Follows {
		p.before += p.last - p.start
		p.start = it.position.steady
	}
	p.begun, p.tape, p.last = true, it.Tape(), it.position.steady
}

func (p *pace) elapsed() time.Duration { return time.Duration(p.before + p.last - p.start) }
