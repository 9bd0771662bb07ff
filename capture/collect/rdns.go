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
	rdnsRate    = 10   // look-ups a second at most
	rdnsFlying  = 8    // under way at a time
	rdnsWaiting = 4096 // addresses that wait for their turn
	rdnsKnown   = 1 << 18
	rdnsTimeout = 5 * time.Second
	// rdnsLife is how long names hold, since the resolver does not tell the
	// time-to-live of its answers.
	rdnsLife = 30 * time.Minute
	// rdnsFailed is after how long an address that could not be named is asked
	// for again, and one for which there was no room.
	rdnsFailed = time.Minute
)

// RDNSConfig says how names are looked up. Only Clock has no default.
type RDNSConfig struct {
	Source uint32 // number that the records carry
	Clock  Clock  // stamps the records
	Rate   int    // look-ups a second at most; 0 is 10
}

// RDNS looks up the names of addresses, with the host's own resolver, in the
// network namespace of the process. It is told the addresses; loopback,
// link-local and multicast ones, and the unspecified one, it never asks for.
type RDNS struct {
	cfg     RDNSConfig
	resolve func(ctx context.Context, addr string) ([]string, error)
	why     string // what the host lacks

	received atomic.Uint64

	mu       sync.Mutex
	known    map[netip.Addr]int64 // At from which on the address may be asked for again
	order    []netip.Addr         // of known, the one that became so first, first
	waiting  []netip.Addr         // the one that came first, first
	lost     uint64               // that were dropped from waiting
	gap      uint64               // of lost, not on the tape yet
	lastLoss int64
}

// NewRDNS returns a collector that is not open yet.
func NewRDNS(cfg RDNSConfig) *RDNS {
	if cfg.Rate <= 0 {
		cfg.Rate = rdnsRate
	}
	resolver := &net.Resolver{PreferGo: true}
	return &RDNS{cfg: cfg, resolve: resolver.LookupAddr, known: make(map[netip.Addr]int64)}
}

// Open looks whether the host names its name servers.
func (r *RDNS) Open() error {
	if _, err := os.Stat(resolvConf); err != nil {
		r.why = "no name servers are configured, those of this host itself are asked: " + err.Error()
	}
	return nil
}

const resolvConf = "/etc/resolv.conf"

// Describe says in one line what the collector would do.
func (r *RDNS) Describe() []string {
	return []string{fmt.Sprintf("names of the addresses in reports are asked from the name servers in %s, at most %d a second; "+
		"they learn which addresses this host talks to", resolvConf, r.cfg.Rate)}
}

// LookUp says of which addresses the names are wanted. It takes those that are
// not known and does not wait. When there is no room, the address that waits
// longest is dropped, and counts as lost.
func (r *RDNS) LookUp(addrs []netip.Addr) {
	now := r.cfg.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		a = a.Unmap()
		if !a.IsGlobalUnicast() {
			continue
		}
		if until, ok := r.known[a]; ok && now < until {
			continue
		}
		r.know(a, math.MaxInt64) // it waits
		r.waiting = append(r.waiting, a)
		if len(r.waiting) > rdnsWaiting {
			r.know(r.waiting[0], now+int64(rdnsFailed))
			r.waiting = r.waiting[1:]
			r.lost++
			r.gap++
			r.lastLoss = now
		}
	}
}

// know says when an address may be asked for again. Of too many the one that
// became known first is forgotten.
func (r *RDNS) know(a netip.Addr, until int64) {
	if _, ok := r.known[a]; !ok {
		if len(r.order) >= rdnsKnown {
			delete(r.known, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, a)
	}
	r.known[a] = until
}

// next takes the address that waits longest.
func (r *RDNS) next() (a netip.Addr, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return a, false
	}
	a, r.waiting = r.waiting[0], r.waiting[1:]
	return a, true
}

// sendGap says how many addresses were dropped since it last did.
func (r *RDNS) sendGap(out chan<- *Batch) {
	r.mu.Lock()
	n := r.gap
	r.gap = 0
	r.mu.Unlock()
	if n > 0 {
		r.send(out, capture.KindGap, &capture.Gap{Lost: n, Exact: true, Why: "more addresses than can be looked up"})
	}
}

// Run looks up until ctx is done; what is under way then it gives up.
func (r *RDNS) Run(ctx context.Context, out chan<- *Batch) error {
	r.send(out, capture.KindSource, &capture.Source{Open: true, Kind: capture.SourceRDNS, Why: r.why})
	turn := time.NewTicker(time.Second / time.Duration(r.cfg.Rate))
	defer turn.Stop()
	found := make(chan *capture.ReverseName)
	flying := 0
	for {
		select {
		case <-turn.C:
			r.sendGap(out)
			if flying == rdnsFlying {
				continue
			}
			if a, ok := r.next(); ok {
				flying++
				go func() { found <- r.find(ctx, a) }()
			}
		case answer := <-found:
			flying--
			r.answered(ctx, out, answer)
		case <-ctx.Done():
			for ; flying > 0; flying-- {
				r.answered(ctx, out, <-found)
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
		answer.TTL = int64(rdnsFailed)
	}
	return answer
}

// answered records an answer. What failed because it was told to stop is none.
func (r *RDNS) answered(ctx context.Context, out chan<- *Batch, answer *capture.ReverseName) {
	if ctx.Err() != nil && answer.Error != "" {
		return
	}
	r.received.Add(1)
	r.mu.Lock()
	r.know(netip.MustParseAddr(answer.Addr), r.cfg.Clock()+answer.TTL)
	r.mu.Unlock()
	r.send(out, capture.KindReverseName, answer)
}

// send sends a record in a batch of its own: there are few.
func (r *RDNS) send(out chan<- *Batch, kind capture.Kind, p capture.Payload) {
	out <- &Batch{Records: []capture.Record{{At: r.cfg.Clock(), Kind: kind, Source: r.cfg.Source, Payload: capture.AppendPayload(nil, p)}}}
}

// Stats counts look-ups that were answered, and addresses that were dropped. A
// loss counts as a defect for a minute.
func (r *RDNS) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{Received: r.received.Load(), Lost: r.lost, Why: r.why}
	if s.Lost > 0 && r.cfg.Clock()-r.lastLoss < int64(time.Minute) {
		s.Why = fmt.Sprintf("%d addresses were not looked up: they were more than %d a second", s.Lost, r.cfg.Rate)
	}
	return s
}
