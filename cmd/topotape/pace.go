package main

import (
	"context"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// pacer waits until a time of the tape has come.
type pacer struct {
	rate  float64
	out   *os.File // nobody waits for what it is the pipe to, once that is closed
	begun time.Time
	ctx   context.Context
	stop  func()
}

// newPacer begins when it is first asked to wait.
func newPacer(rate float64, out *os.File) *pacer {
	p := &pacer{rate: rate, out: out}
	p.ctx, p.stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(p.ctx, p.stop) // a second signal ends the program at once
	return p
}

// lookEvery is how soon a closed pipe is noticed.
const lookEvery = 100 * time.Millisecond

// until returns when as much time has gone by since the beginning as has on the
// tape. The error is why it is not to be waited for.
func (p *pacer) until(at time.Duration) error {
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	for {
		left := time.Duration(min(float64(at)/p.rate, math.MaxInt64/2)) - time.Since(p.begun)
		switch {
		case p.ctx.Err() != nil:
			return context.Cause(p.ctx)
		case closedPipe(p.out):
			return syscall.EPIPE
		case left <= 0:
			return nil
		}
		select {
		case <-p.ctx.Done():
		case <-time.After(min(left, lookEvery)):
		}
	}
}
