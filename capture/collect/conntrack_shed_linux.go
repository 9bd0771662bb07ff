package collect

import (
	"time"

	"github.com/topotape/topotape/capture"
)

// shedUntil is which part of the allowance must come back before records are made
// again that were left out. Of conntrack, a dump follows then, and it must not use up
// the allowance at once.
const shedUntil = 0.25

// shedding is the state of records that are left out while the allowance is used up.
type shedding struct {
	active bool
	lost   uint64 // records that no gap record has yet
	since  int64  // when none of them was lost yet
	gapped int64  // when the last gap was recorded
}

// step begins the shedding when no more than a part of the allowance is left, and ends
// it when shedUntil more is. It returns a gap record of what was shed if one is due:
// once an interval, and at the end.
func (s *shedding) step(left, begin float64, now int64, interval time.Duration, last bool) (gap *capture.Gap, begins, ends bool) {
	begins, ends = !s.active && left <= begin, s.active && left >= begin+shedUntil
	if begins {
		s.active, s.since, s.gapped = true, now, now
	}
	if s.lost > 0 && (ends || last || now-s.gapped >= int64(interval)) {
		gap = &capture.Gap{Lost: s.lost, Exact: true, Why: overShare, Since: s.since}
		s.lost, s.since, s.gapped = 0, now, now
	}
	if ends {
		s.active = false
	}
	return gap, begins, ends
}

// shedEvents begins or ends the shedding of events: the receiver reads them, counts
// them, and records none. When events are recorded again, a dump follows.
func (c *Conntrack) shedEvents(b *Batch, last bool) {
	now := c.cfg.Clock()
	gap, begins, ends := c.shed.step(c.cfg.Allowance.left(now), 0, now, c.cfg.Interval, last)
	if begins {
		why := "events are not recorded: " + overShare
		c.why.shed.Store(&why)
	}
	if gap != nil {
		c.add(b, capture.KindGap, gap)
	}
	if ends {
		c.why.shed.Store(new(string))
		c.lost.note(time.Now())
	}
}
