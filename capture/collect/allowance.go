package collect

import (
	"sync"
	"time"
)

// An Allowance bounds how many bytes a source adds to the tape, so that a flood of
// one source does not end the recording of the others. It is a token bucket: it
// fills at a rate up to its size, and what the source records is taken out. A nil
// Allowance has no bound.
type Allowance struct {
	mu         sync.Mutex
	size, rate float64 // bytes, bytes a second
	balance    float64 // bytes at the time below; negative if overdrawn
	at         int64
}

// NewAllowance returns a full allowance of so many bytes, and bytes a second.
func NewAllowance(size, rate float64) *Allowance {
	return &Allowance{size: size, rate: rate, balance: size}
}

// Refill fills the allowance: the tape has room for more than the rate.
func (a *Allowance) Refill() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.balance = a.size
}

// spend takes n bytes out at a time of the recording's clock. The balance may
// become negative.
func (a *Allowance) spend(n int, now int64) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fill(now)
	a.balance -= float64(n)
}

// left returns which part of the allowance is left: 1 if it is full, 0 or less if
// it is empty.
func (a *Allowance) left(now int64) float64 {
	if a == nil {
		return 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fill(now)
	return a.balance / a.size
}

func (a *Allowance) empty(now int64) bool { return a.left(now) <= 0 }

// fill adds what the rate gave since the last call.
func (a *Allowance) fill(now int64) {
	if now > a.at {
		a.balance = min(a.size, a.balance+a.rate*float64(now-a.at)/float64(time.Second))
		a.at = now
	}
}

// recordOverhead is about what a record takes on the tape besides its payload, in
// bytes.
const recordOverhead = 16

// overShare is why a source does not record everything that it receives.
const overShare = "the source had used up its share of the tape: record with a larger --max-size, or for a shorter time"
