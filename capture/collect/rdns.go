package collect

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topotape/topotape/capture"
)

const (
	rdnsRate    = 10              // look-ups a second at most
	rdnsRunning = 8               // look-ups at a time at most
	rdnsWaiting = 4096            // addresses that wait at most
	rdnsKnown   = 1 << 18         // addresses that are remembered at most
	rdnsTimeout = 5 * time.Second // of one look-up
	// rdnsLife is how long a name is valid: the resolver does not return the
	// time-to-live of its answers.
	rdnsLife = 30 * time.Minute
	// rdnsRetry is how long an address is not looked up again after a failure,
	// or after it was dropped.
	rdnsRetry = time.Minute
)

// RDNSConfig configures the look-up of names. Only Clock has no default.
type RDNSConfig struct {
	Source uint32 // number that the records carry
	Clock  Clock  // stamps the records
	Rate   int    // look-ups a second at most; 0 is 10

	Allowance *Allowance // of the tape; nil has no bound
}

// RDNS looks up the names of addresses, with the host's own resolver, in the
// network namespace of the process. It never looks up loopback, link-local,
// multicast and unspecified addresses.
type RDNS struct {
	cfg     RDNSConfig
	resolve func(ctx context.Context, addr string) ([]string, error)
	why     string // what the host lacks

	received atomic.Uint64

	mu       sync.Mutex
	due      map[netip.Addr]int64 // time at which a known address may be looked up again
	order    []netip.Addr         // the known addresses, oldest first
	waiting  []netip.Addr         // addresses to look up, oldest first
	lost     uint64               // addresses dropped from waiting
	gap      uint64               // of these, not in a gap record yet
	since    int64                // when none of those was lost yet
	lastLoss int64
}

// NewRDNS returns a collector that is not open yet.
func NewRDNS(cfg RDNSConfig) *RDNS {
	if cfg.Rate <= 0 {
		cfg.Rate = rdnsRate
	}
	resolver := &net.Resolver{PreferGo: true}
	return &RDNS{cfg: cfg, resolve: resolver.LookupAddr, due: make(map[netip.Addr]int64)}
}

// Open checks that the host has name servers configured.
func (r *RDNS) Open() error {
	if _, err := os.Stat(resolvConf); err != nil {
		r.why = "no name servers are configured, those of this host itself are asked: " + err.Error()
	}
	return nil
}

const resolvConf = "/etc/resolv.conf"

// Describe returns a line about what the collector would do.
func (r *RDNS) Describe() []string {
	return []string{fmt.Sprintf("names of the addresses in reports are asked from the name servers in %s, at most %d a second; "+
		"they learn which addresses this host talks to", resolvConf, r.cfg.Rate)}
}

// LookUp queues the addresses whose names are not known, and does not wait. If
// too many wait, the oldest is dropped and counts as lost.
func (r *RDNS) LookUp(addrs []netip.Addr) {
	now := r.cfg.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		a = a.Unmap()
		if !a.IsGlobalUnicast() {
			continue
		}
		if due, ok := r.due[a]; ok && now < due {
			continue
		}
		r.setDue(a, math.MaxInt64) // until it was looked up
		r.waiting = append(r.waiting, a)
		if len(r.waiting) > rdnsWaiting {
			r.setDue(r.waiting[0], now+int64(rdnsRetry))
			r.waiting = r.waiting[1:]
			if r.gap == 0 {
				r.since = now
			}
			r.lost++
			r.gap++
			r.lastLoss = now
		}
	}
}

// setDue sets when an address may be looked up again. If too many are known, the
// oldest is forgotten.
func (r *RDNS) setDue(a netip.Addr, due int64) {
	if _, ok := r.due[a]; !ok {
		if len(r.order) >= rdnsKnown {
			delete(r.due, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, a)
	}
	r.due[a] = due
}

// next removes and returns the address that has waited longest.
func (r *RDNS) next() (a netip.Addr, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return a, false
	}
	a, r.waiting = r.waiting[0], r.waiting[1:]
	return a, true
}

// sendGap records how many addresses were dropped since the last call.
func (r *RDNS) sendGap(out chan<- *Batch) {
	r.mu.Lock()
	n, since := r.gap, r.since
	r.gap = 0
	r.mu.Unlock()
	if n > 0 {
		r.send(out, capture.KindGap, &capture.Gap{Lost: n, Exact: true, Why: "more addresses than can be looked up", Since: since})
	}
}

// Run looks up addresses until ctx is done, and cancels the running look-ups.
func (r *RDNS) Run(ctx context.Context, out chan<- *Batch) error {
	r.send(out, capture.KindSource, &capture.Source{Open: true, Kind: capture.SourceRDNS, Why: r.why})
	turn := time.NewTicker(time.Second / time.Duration(r.cfg.Rate))
	defer turn.Stop()
	answers := make(chan *capture.ReverseName)
	running := 0
	for {
		select {
		case <-turn.C:
			r.sendGap(out)
			if running == rdnsRunning || r.cfg.Allowance.empty(r.cfg.Clock()) {
				continue
			}
			if a, ok := r.next(); ok {
				running++
				go func() { answers <- r.find(ctx, a) }()
			}
		case answer := <-answers:
			running--
			r.addAnswer(ctx, out, answer)
		case <-ctx.Done():
			for ; running > 0; running-- {
				r.addAnswer(ctx, out, <-answers)
			}
			r.sendGap(out)
			return nil
		}
	}
}

// find looks up one address.
func (r *RDNS) find(ctx context.Context, a netip.Addr) *capture.ReverseName {
	ctx, cancel := context.WithTimeout(ctx, rdnsTimeout)
	defer cancel()
	names, err := r.resolve(ctx, a.String())
	answer := &capture.ReverseName{Addr: a.String(), Names: names, TTL: int64(rdnsLife)}
	if err != nil {
		answer.Error = err.Error()
	}
	if len(names) == 0 {
		answer.TTL = int64(rdnsRetry)
	}
	return answer
}

// addAnswer records an answer, unless the look-up failed because it was
// cancelled.
func (r *RDNS) addAnswer(ctx context.Context, out chan<- *Batch, answer *capture.ReverseName) {
	if ctx.Err() != nil && answer.Error != "" {
		return
	}
	r.received.Add(1)
	r.mu.Lock()
	r.setDue(netip.MustParseAddr(answer.Addr), r.cfg.Clock()+answer.TTL)
	r.mu.Unlock()
	r.send(out, capture.KindReverseName, answer)
}

// send sends a record in a batch of its own: there are few of them.
func (r *RDNS) send(out chan<- *Batch, kind capture.Kind, p capture.Payload) {
	payload, now := capture.AppendPayload(nil, p), r.cfg.Clock()
	r.cfg.Allowance.spend(len(payload)+recordOverhead, now)
	out <- &Batch{Records: []capture.Record{{At: now, Kind: kind, Source: r.cfg.Source, Payload: payload}}}
}

// Stats counts look-ups that were answered, and addresses that were dropped. A
// loss degrades the source for a minute.
func (r *RDNS) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{Received: r.received.Load(), Lost: r.lost, Why: r.why}
	if s.Lost > 0 && r.cfg.Clock()-r.lastLoss < int64(time.Minute) {
		s.Why = fmt.Sprintf("%d addresses were not looked up: they were more than %d a second", s.Lost, r.cfg.Rate)
	}
	return s
}
