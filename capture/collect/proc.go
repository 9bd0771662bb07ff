package collect

import (
	"fmt"
	"time"
)

// ProcConfig configures the walks of /proc. Only Clock has no default.
type ProcConfig struct {
	Source   uint32        // number that the records carry
	Clock    Clock         // stamps the records
	Interval time.Duration // from the start of a walk to the start of the next; 0 is 3 s
	Share    float64       // of one core, at most, on average; 0 is 0.05
	Full     time.Duration // a table with rows is read about this often even if nothing changed; 0 is 10 min
	Root     string        // mount point of procfs; "" is /proc

	Allowance *Allowance // of the tape; nil has no bound
}

func (c *ProcConfig) setDefaults() {
	if c.Interval <= 0 {
		c.Interval = 3 * time.Second
	}
	if c.Share <= 0 {
		c.Share = 0.05
	}
	if c.Full <= 0 {
		c.Full = 10 * time.Minute
	}
	if c.Root == "" {
		c.Root = "/proc"
	}
}

// OtherNamespaces returns a line about the network namespaces besides the recorder's
// own.
func OtherNamespaces(n int) string {
	return fmt.Sprintf("other network namespaces: %d; conntrack does not record their connections, proc records their sockets", n)
}

// burst is the time for which an unused share of a core adds up: when a host
// starts many containers at once, they must be seen at once.
const burst = 20 * time.Second

// unchangedShare is the part of the share that may be used to read tables in
// which nothing changed. The cost of a table depends on all sockets of the host,
// with those in TIME_WAIT: 2 to 4 ms on an idle host, 40 ms with 130,000.
const unchangedShare = 0.1

// A budget keeps the walks to their share of a core. It is a token bucket of CPU
// time: a walk may overdraw it, and the next walk begins when it is positive
// again.
type budget struct {
	share   float64
	balance time.Duration // of CPU time, at the time below
	at      time.Time
}

func newBudget(share float64, now time.Time) *budget {
	return &budget{share: share, balance: time.Duration(share * float64(burst)), at: now}
}

// spend subtracts the CPU time of a walk and returns how long, from now, the
// next walk must wait.
func (b *budget) spend(took time.Duration, now time.Time) time.Duration {
	b.balance += time.Duration(b.share * float64(now.Sub(b.at)))
	b.balance = min(b.balance, time.Duration(b.share*float64(burst))) - took
	b.at = now
	if b.balance >= 0 {
		return 0
	}
	return time.Duration(float64(-b.balance) / b.share)
}

// forgive sets a negative balance to zero. The first walk must read every table
// of every namespace once; the next walks do not wait for that.
func (b *budget) forgive() { b.balance = max(b.balance, 0) }
