package collect

import (
	"sync"
	"time"
)

// A drainRequest asks for everything up to a time, and ends the sleep of Run.
type drainRequest struct {
	mu    sync.Mutex
	sleep *sleeper // nil while the collector is closed
	n     uint64   // its number; 0 if there is none
	at    int64    // ns of CLOCK_MONOTONIC
}

// set asks for everything up to now.
func (r *drainRequest) set(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n, r.at = n, monotonic()
	if r.sleep != nil {
		r.sleep.set(socketSlack)
	}
}

// done returns the number of the request if everything up to a time was sent, 0 if there
// is none or it asks for more.
func (r *drainRequest) done(upTo int64) (n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at <= upTo {
		n, r.n = r.n, 0
	}
	return n
}

// pause sleeps, only briefly if there is a request.
func (r *drainRequest) pause(length time.Duration) error {
	r.mu.Lock()
	if r.n > 0 {
		length = socketSlack
	}
	sleep, err := r.sleep, r.sleep.set(length)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return sleep.wait()
}

// wake ends the pause.
func (r *drainRequest) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sleep != nil {
		r.sleep.set(time.Nanosecond)
	}
}

func (r *drainRequest) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sleep != nil {
		r.sleep.file.Close()
		r.sleep = nil
	}
}
