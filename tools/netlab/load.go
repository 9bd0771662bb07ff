//go:build linux

package netlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// LoadOptions describe many short connections through the gateway.
type LoadOptions struct {
	Kind     string        // Routed (or ""), DNAT or IPv6
	Rate     float64       // connections a second; 0: as fast as possible
	Count    int           // how many; 0: as many as Duration allows
	Duration time.Duration // for how long, when there is no Count
	Parallel int           // how many at the same time; 0: 64
	Bytes    int           // payload of each
	Reset    bool          // close with a RST: the gateway removes the flow after 10 s, not 120
	Record   bool          // return the truth, at some cost
}

// LoadResult is the result of a load. Latencies are of connect.
type LoadResult struct {
	Made, Failed        int
	FirstError          string // of the failed ones
	Elapsed             time.Duration
	PerSecond           float64
	P50, P90, P99, Slow time.Duration // Slow is the slowest
	Truth               []Conn        `json:"-"`
}

// Load makes short connections from the client to the server: connect, a few bytes each
// way, close. It uses several client addresses and up to 256 server addresses and ports,
// so that the client has enough ports.
func (l *Lab) Load(ctx context.Context, opts LoadOptions) (LoadResult, error) {
	q, err := opts.request()
	if err != nil {
		return LoadResult{}, err
	}
	if err := l.roomFor(q.Count, opts); err != nil {
		return LoadResult{}, err
	}
	w := l.workers["lab-client"]
	r, err := w.call(ctx, q)
	if err != nil {
		return LoadResult{}, err
	}
	res := LoadResult{Failed: r.Failed, FirstError: r.FirstErr, Elapsed: r.Elapsed}
	if opts.Record {
		if err := l.collect(ctx); err != nil {
			return res, err
		}
		for _, d := range r.Dialed {
			c, err := l.join(cmp.Or(opts.Kind, Routed), w, d)
			if err != nil {
				res.Failed++
				res.FirstError = cmp.Or(res.FirstError, err.Error())
			} else {
				r.Took = append(r.Took, d.Took)
			}
			res.Truth = append(res.Truth, c)
		}
		sortConns(res.Truth)
	}
	res.summarize(r.Took)
	return res, nil
}

func (r *LoadResult) summarize(took []time.Duration) {
	r.Made = len(took)
	if r.Made == 0 {
		return
	}
	slices.Sort(took)
	at := func(p float64) time.Duration { return took[min(int(p*float64(len(took))), len(took)-1)] }
	r.P50, r.P90, r.P99, r.Slow = at(0.50), at(0.90), at(0.99), took[len(took)-1]
	r.PerSecond = float64(r.Made) / r.Elapsed.Seconds()
}

func (o LoadOptions) request() (request, error) {
	q := request{Op: "dial", Count: o.Count, Until: o.Duration, Bytes: o.Bytes, Workers: cmp.Or(o.Parallel, 64), Quiet: !o.Record}
	switch {
	case o.Count < 0 || o.Rate < 0 || o.Duration < 0 || o.Bytes < 0 || o.Bytes > maxPayload || o.Parallel < 0:
		return q, errors.New("load: an option is out of range")
	case o.Count == 0 && o.Duration == 0:
		return q, errors.New("load: neither a count nor a duration")
	}
	if o.Count > 0 {
		q.Until = 0
	}
	if o.Rate > 0 {
		if o.Count == 0 {
			q.Count = max(1, int(o.Rate*o.Duration.Seconds()))
			q.Until = 0
		}
		q.Over = time.Duration(float64(q.Count) / o.Rate * float64(time.Second))
	}
	if o.Reset {
		q.Close = "reset"
	}
	var err error
	q.Targets, q.Sources, err = o.ends()
	return q, err
}

// ends returns the servers' addresses and ports and the clients' addresses. Connections
// use them in turn.
func (o LoadOptions) ends() (targets []target, sources []netip.Addr, err error) {
	var servers []string
	switch o.Kind {
	case "", Routed:
		for i := 2; i <= 9; i++ {
			servers = append(servers, fmt.Sprintf("198.18.1.%d", i))
		}
	case IPv6:
		for i := 2; i <= 9; i++ {
			servers = append(servers, fmt.Sprintf("fd00:18:1::%d", i))
		}
	case DNAT:
		servers = []string{"198.18.0.1"}
	default:
		return nil, nil, fmt.Errorf("load: kind is %s, %s or %s, not %q", Routed, DNAT, IPv6, o.Kind)
	}
	for port := range uint16(loadPorts) {
		for _, s := range servers {
			targets = append(targets, target{Addr: netip.AddrPortFrom(netip.MustParseAddr(s), 18000+port)})
		}
	}
	if o.Kind != IPv6 {
		// Seven has no common factor with the number of targets: all pairs are used.
		for i := 2; i <= 8; i++ {
			sources = append(sources, netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}))
		}
	}
	return targets, sources, nil
}

// roomFor refuses a load that would fill the gateway's table: the kernel would drop
// packets. Only the first namespace may raise the limit.
func (l *Lab) roomFor(count int, o LoadOptions) error {
	limit, err := l.Gateway.readSysctl("netfilter/nf_conntrack_max")
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	used, err := l.Gateway.readSysctl("netfilter/nf_conntrack_count")
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	kept := 120.0 // seconds, nf_conntrack_tcp_timeout_time_wait
	if o.Reset {
		kept = 10 // nf_conntrack_tcp_timeout_close
	}
	if o.Rate > 0 {
		count = min(count, int(o.Rate*kept))
	}
	if used+count > limit {
		return fmt.Errorf("load: %d connections would fill the gateway's conntrack table: %d of %d entries are in use; "+
			"raise net.netfilter.nf_conntrack_max on the host, or close by reset", count, used, limit)
	}
	return nil
}
