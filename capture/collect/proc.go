package collect

import "time"

// ProcConfig says how /proc is walked. Only Clock has no default.
type ProcConfig struct {
	Source   uint32        // number that the records carry
	Clock    Clock         // stamps the records
	Interval time.Duration // from the start of a walk to the start of the next; 0 is 3 s
	Share    float64       // of one core, at most, in the long run; 0 is 0.05
	Full     time.Duration // a table with rows is read about this often, moved or not; 0 is 10 min
	Root     string        // where procfs is mounted; "" is /proc
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

// burst is for how much time the share of a core can be saved up: a host that
// starts many containers at once is to be seen at once.
const burst = 20 * time.Second

// turnShare is how much of the share goes into reading tables in which nothing
// moved. What one costs depends on all sockets of the host, those in TIME_WAIT
// too: 2 to 4 ms on an idle one, 40 ms with 130,000 of them.
const turnShare = 0.1

// A budget keeps the walks to their share of a core: what a walk took is paid
// back at that rate, and no walk begins in debt.
type budget struct {
	share   float64
	balance time.Duration // of CPU time
	at      time.Time     // when it was so
}

func newBudget(share float64, now time.Time) *budget {
	return &budget{share: share, balance: time.Duration(share * float64(burst)), at: now}
}

// spend books what a walk took and says how long, from now, the next must wait.
func (b *budget) spend(took time.Duration, now time.Time) time.Duration {
	b.balance += time.Duration(b.share * float64(now.Sub(b.at)))
	b.balance = min(b.balance, time.Duration(b.share*float64(burst))) - took
	b.at = now
	if b.balance >= 0 {
		return 0
	}
	return time.Duration(float64(-b.balance) / b.share)
}

// forgive strikes off the debt. The first walk has to read every table of
// every namespace, once; the walks behind it shall not wait for that.
func (b *budget) forgive() { b.balance = max(b.balance, 0) }
