package fold

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// Filter returns the report with the connections that one of the selectors
// matches, and with their endpoints and names. Without selectors it is the
// report itself. Coverage stays: it is true of the whole report.
func Filter(r *reporter.Report, selectors []*Selector) *reporter.Report {
	if len(selectors) == 0 {
		return r
	}
	names := NamesByAddr(r)
	out := *r
	out.Connections, out.Endpoints, out.Names = nil, nil, nil
	kept := EndKeys{}
	addrs := map[netip.Addr]bool{}
	for i := range r.Connections {
		c := &r.Connections[i]
		e := EdgeOf(c, names)
		if !MatchAny(selectors, &e) {
			continue
		}
		out.Connections = append(out.Connections, *c)
		kept.Add(c)
		for _, a := range slices.Concat(e.From.Addrs, e.To.Addrs) {
			addrs[a.Addr()] = true
		}
	}
	out.Endpoints = kept.Of(r.Endpoints)
	for _, n := range r.Names {
		if addrs[n.Addr] {
			out.Names = append(out.Names, n)
		}
	}
	if ownView(r) {
		out.SetScope(partOfView(r.Scope(), &out))
	}
	return &out
}

// endpointKey names an endpoint: loopback addresses by their namespace too,
// which its scope ends with.
type endpointKey struct {
	addr  netip.AddrPort
	netns string
}

func keyOfEnd(e *reporter.End) endpointKey {
	k := endpointKey{addr: e.Addr}
	if e.Addr.Addr().IsLoopback() && e.Netns != 0 {
		k.netns = fmt.Sprint(e.Netns)
	}
	return k
}

// EndKeys are the ends of some connections.
type EndKeys map[endpointKey]bool

func (k EndKeys) Add(c *reporter.Connection) {
	k[keyOfEnd(&c.From)] = true
	k[keyOfEnd(&c.To)] = true
}

// Of lists those of the endpoints that are such ends.
func (k EndKeys) Of(list []reporter.Endpoint) (some []reporter.Endpoint) {
	for _, e := range list {
		if k[endpointKey{e.Addr, ""}] || k[endpointKey{e.Addr, e.Scope[strings.LastIndexByte(e.Scope, '-')+1:]}] {
			some = append(some, e)
		}
	}
	return some
}

func NamesByAddr(r *reporter.Report) map[netip.Addr]*reporter.Names {
	m := make(map[netip.Addr]*reporter.Names, len(r.Names))
	for i := range r.Names {
		m[r.Names[i].Addr] = &r.Names[i]
	}
	return m
}

// EdgeOf is the connection under all its addresses.
func EdgeOf(c *reporter.Connection, names map[netip.Addr]*reporter.Names) Edge {
	e := Edge{
		From: EdgeEnd{Addrs: []netip.AddrPort{c.From.Addr}, Processes: c.From.Processes},
		To:   EdgeEnd{Addrs: []netip.AddrPort{c.To.Addr}, Processes: c.To.Processes},
	}
	from, to := c.Aliases()
	e.From.Addrs, e.To.Addrs = append(e.From.Addrs, from...), append(e.To.Addrs, to...)
	e.From.addNames(names)
	e.To.addNames(names)
	return e
}

func (e *EdgeEnd) addNames(names map[netip.Addr]*reporter.Names) {
	for i, a := range e.Addrs {
		if n := names[a.Addr()]; n != nil {
			e.Names = append(append(e.Names, n.Forward...), n.Reverse...)
			if n.Host != "" && i == 0 {
				e.Names = append(e.Names, n.Host)
			}
		}
	}
}
