package main

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/live"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// recorderCore is the reporter as the recorder's core.
type recorderCore struct {
	*reporter.Reporter
	addrs []netip.Addr // of the last report, reused
}

func newRecorderCore(h *capture.Header) (live.Core, error) {
	r, err := reporter.New(h, reporter.RulesCurrent)
	if err != nil {
		return nil, err
	}
	return &recorderCore{Reporter: r}, nil
}

// Report makes the report of the last tick.
func (c *recorderCore) Report(addrs bool) live.Report {
	r := c.Reporter.Report()
	out := live.Report{Digests: r.Digests(), Undecodable: make(map[string]uint64), Degraded: make(map[string]string)}
	for _, source := range r.Coverage {
		out.Undecodable[source.Source] += source.Undecodable
		if source.State == report.CoverageDegraded {
			out.Degraded[source.Source] = source.Why
		}
	}
	if addrs {
		c.addrs = appendAddrs(c.addrs[:0], r)
		out.Addrs = c.addrs
	}
	return out
}

// appendAddrs appends the addresses of the servers of the report's attempts, and of its
// endpoints and their NAT aliases. Equal addresses in a row become one.
func appendAddrs(b []netip.Addr, r *report.Report) []netip.Addr {
	add := func(a netip.Addr) {
		if len(b) == 0 || b[len(b)-1] != a {
			b = append(b, a)
		}
	}
	for i := range r.Attempts {
		add(r.Attempts[i].To.Addr.Addr())
	}
	for i := range r.Endpoints {
		add(r.Endpoints[i].Addr.Addr())
		for _, alias := range r.Endpoints[i].Aliases {
			add(alias.Addr())
		}
	}
	return b
}
