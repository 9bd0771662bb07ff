package live

import (
	"context"
	"fmt"
	"time"

	"github.com/topotape/topotape/capture"
)

// stallAfter is how much later than flushEvery the loop wakes if it stood still.
const stallAfter = 2 * time.Second

// loop does what is due until all collectors have stopped.
func (r *recorder) loop(ctx context.Context, background *background, ticks <-chan counters) {
	w := newWaker(r.begun, r.o.Duration)
	defer w.stop()
	w.done, w.ticks, w.background = ctx.Done(), ticks, background
	r.awake = r.clock()
	for r.running > 0 {
		if at := r.seq.deadline(); !at.IsZero() {
			w.barrier.Reset(time.Until(at))
		}
		work := r.wait(ctx, w)
		r.noteStall()
		work()
		if r.seq.err != nil {
			r.halt("the tape can't be written")
		}
	}
}

// A waker has what the loop waits for.
type waker struct {
	flush, second *time.Ticker
	barrier, end  *time.Timer
	done          <-chan struct{}
	ticks         <-chan counters
	background    *background
}

func newWaker(begun time.Time, duration time.Duration) *waker {
	w := &waker{flush: time.NewTicker(flushEvery), second: time.NewTicker(time.Second), barrier: time.NewTimer(time.Hour)}
	w.end = time.NewTimer(time.Until(begun.Add(duration)))
	if duration <= 0 {
		w.end.Stop()
	}
	return w
}

func (w *waker) stop() {
	w.flush.Stop()
	w.second.Stop()
	w.barrier.Stop()
	w.end.Stop()
}

// wait waits until something is to be done, and returns it.
func (r *recorder) wait(ctx context.Context, w *waker) (work func()) {
	select {
	case b := <-r.in:
		return func() {
			r.logDegraded(b)
			r.seq.batch(b)
			r.checkSize()
		}
	case e := <-r.ended:
		return func() { r.endSource(e) }
	case now := <-w.barrier.C:
		return func() { r.seq.expire(now) }
	case <-w.flush.C:
		return func() { r.seq.flush(); r.refill() }
	case c := <-w.ticks:
		return func() { r.seq.tick(c) }
	case now := <-w.second.C:
		return func() { r.checkDisk(); r.checkFile(); r.console.show(r.statusLine(now)) }
	case h := <-w.background.hosts:
		return func() { r.seq.putHost(&h) }
	case err := <-w.background.failed:
		return func() { r.fail(err) }
	case <-w.end.C:
		return func() { r.halt(fmt.Sprintf("its duration of %s is over", r.o.Duration)) }
	case <-w.done:
		w.done = nil
		return func() { r.halt(context.Cause(ctx).Error()) }
	case <-r.timeout:
		return func() {
			r.console.log("some sources did not stop within %s", stopWait)
			r.running = 0
		}
	}
}

// noteStall adds a stall record if the loop stood still: it wakes every flushEvery
// unless the process is stopped, frozen or starved, or a write blocks.
func (r *recorder) noteStall() {
	now := r.clock()
	still := now - r.awake
	r.awake = now
	if still < int64(flushEvery+stallAfter) {
		return
	}
	r.stalls++
	r.stalled += time.Duration(still)
	r.seq.put(capture.KindStall, 0, &capture.Stall{Duration: still})
}
