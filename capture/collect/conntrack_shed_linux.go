package collect

import (
	"time"

	"github.com/topotape/topotape/capture"
)

// shedUntil is which part of the allowance must be left before events are recorded
// again: a dump follows then, and it must not use up the allowance at once.
const shedUntil = 0.25

// shedding is the state of the receiver while the allowance is used up: it reads
// the events, counts them, and records none.
type shedding struct {
	active bool
	lost   uint64 // events that no gap record has yet
	since  int64  // when none of them was lost yet
	gapped int64  // when the last gap was recorded
}

// shedEvents begins or ends the shedding and, once an interval, adds a gap record
// of the events that were shed. When events are recorded again, a dump follows.
func (c *Conntrack) shedEvents(b *Batch, last bool) {
	s, now := &c.shed, c.cfg.Clock()
	left := c.cfg.Allowance.left(now)
	begins, ends := !s.active && left <= 0, s.active && left >= shedUntil
	if begins {
		s.active, s.since, s.gapped = true, now, now
		why := "events are not recorded: " + overShare
		c.why.shed.Store(&why)
	}
	if s.lost > 0 && (ends || last || now-s.gapped >= int64(c.cfg.Interval)) {
		c.add(b, capture.KindGap, &capture.Gap{Lost: s.lost, Exact: true, Why: overShare, Since: s.since})
		s.lost, s.since, s.gapped = 0, now, now
	}
	if ends {
		s.active = false
		c.why.shed.Store(new(string))
		c.lost.note(time.Now())
	}
}
