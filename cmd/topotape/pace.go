package main

import (
	"context"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// pacer makes a replay wait until its reports are due.
type pacer struct {
	rate  float64
	out   *os.File // if it is a pipe, waiting ends when its reader closes it
	begun time.Time
	ctx   context.Context
	stop  func()
}

// newPacer returns a pacer that starts with the first call of until. rate is how many
// times faster than the tape the replay is.
func newPacer(rate float64, out *os.File) *pacer {
	p := &pacer{rate: rate, out: out}
	p.ctx, p.stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(p.ctx, p.stop) // a second signal ends the program at once
	return p
}

// lookEvery is the time between two checks for a closed pipe.
const lookEvery = 100 * time.Millisecond

// until waits for a time since the tape's start. Its error is why the waiting ended
// early: a signal, or EPIPE.
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
