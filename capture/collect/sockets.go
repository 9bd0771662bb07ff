package collect

import "time"

// SocketsConfig configures the recording of sockets' changes of state and of the life
// of processes. Only Clock has no default.
type SocketsConfig struct {
	Source    uint32        // number that the records carry
	Clock     Clock         // stamps the records
	Memory    int           // bytes of all rings together; 0 is 16 MiB
	Interval  time.Duration // between two gap records of what the allowance leaves out; 0 is 3 s
	Allowance *Allowance    // of the tape; nil has no bound
}

func (c *SocketsConfig) setDefaults() {
	if c.Memory <= 0 {
		c.Memory = 16 << 20
	}
	if c.Interval <= 0 {
		c.Interval = 3 * time.Second
	}
}

// Pages of a ring. The kernel wants a power of two.
const (
	minRingPages = 8
	maxRingPages = 512
)

// ringPages returns how many pages the ring of each processor has.
func ringPages(memory, page, processors int) int {
	pages := minRingPages
	for pages < maxRingPages && 2*pages*page*processors <= memory {
		pages *= 2
	}
	return pages
}
