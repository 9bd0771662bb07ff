package main

import (
	"sync"
	"time"
)

// streamDelay is how long a line may wait for others before it is written out.
const streamDelay = 50 * time.Millisecond

// liveOutput hands on what is written to it within streamDelay, however slowly more
// comes: a tape that is still being recorded is read from a pipe that stays open.
type liveOutput struct {
	mu    sync.Mutex
	out   *output
	fresh bool // something was written since the last flush
	stop  chan struct{}
	ended chan struct{}
}

// newLiveOutput starts a goroutine that ends with finish.
func newLiveOutput(out *output) *liveOutput {
	s := &liveOutput{out: out, stop: make(chan struct{}), ended: make(chan struct{})}
	go s.flush()
	return s
}

func (s *liveOutput) flush() {
	defer close(s.ended)
	tick := time.NewTicker(streamDelay)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		if s.fresh {
			s.fresh = false
			s.out.Flush() // an error stays with the writer, and comes with the next write
		}
		s.mu.Unlock()
	}
}

func (s *liveOutput) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = true
	return s.out.Write(b)
}

// finish completes the output if err is nil, else it takes back what can be.
func (s *liveOutput) finish(err error) error {
	close(s.stop)
	<-s.ended
	return s.out.finish(err)
}
