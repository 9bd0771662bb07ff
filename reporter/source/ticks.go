package source

import (
	"cmp"
	"math"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/report"
)

// Ticks are the ticks of a tape so far. The time between two ticks is a window.
type Ticks struct {
	Window uint64 // number of ticks so far, which is the number of the current window
	At     int64  // time of the last tick, ns since the recording's start
	before int64  // time of the tick before
	last   capture.Tick
}

// Add adds a tick.
func (t *Ticks) Add(at int64, tick capture.Tick) {
	t.before, t.At, t.last = t.At, at, tick
	t.Window++
}

// Set sets the tick, the time and the window of the last tick's report. start is Unix ns at the
// recording's start.
func (t *Ticks) Set(r *report.Report, start int64) {
	r.Tick, r.At, r.Window = t.last.Number, start+t.At, cmp.Or(t.last.Interval, t.At-t.before)
}

// Interval returns the length in ns of the window that a tick ends, before it is added.
func (t *Ticks) Interval(at int64, tick capture.Tick) int64 { return cmp.Or(tick.Interval, at-t.At) }

// Before returns the time of the tick before the last one.
func (t *Ticks) Before() int64 { return t.before }

// began returns the time before which nothing belongs to the window of the last tick. It is known
// for the first tick only, and needed there: a tape that was cut from another one starts with
// older records.
func (t *Ticks) began() int64 {
	if t.Window == 1 && t.last.Interval > 0 {
		return t.At - t.last.Interval
	}
	return math.MinInt64
}

// Carry codes the ticks.
func (t *Ticks) Carry(c *carry.Coder) {
	carry.Uint(c, &t.last.Number)
	carry.Int(c, &t.last.Interval)
	carry.Int(c, &t.At)
	carry.Int(c, &t.before)
	carry.Uint(c, &t.Window)
}
