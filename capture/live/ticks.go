package live

import (
	"time"

	"github.com/topotape/topotape/capture"
)

// counters are the host's counters at a time.
type counters struct {
	at      int64
	payload []byte // of the record; nil if nothing has changed
}

func (r *recorder) readCounters() counters {
	c := counters{at: r.clock()}
	if p := r.counters.Changed(); p != nil {
		c.payload = capture.AppendPayload(nil, p)
	}
	return c
}

// startTicks starts a goroutine that reads the host's counters once an interval:
// on a host with many processors that takes a while, and the sequencer must not
// wait. A tick is due when the counters are received. The returned function stops
// the goroutine.
func (r *recorder) startTicks() (<-chan counters, func()) {
	due := make(chan counters)
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		ticks := time.NewTicker(r.o.Interval)
		defer ticks.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticks.C:
			}
			c := r.readCounters()
			select {
			case <-quit:
				r.unsent = c
				return
			case due <- c:
			}
		}
	}()
	return due, func() { close(quit); <-gone }
}
