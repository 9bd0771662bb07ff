package fold

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// Filter returns the report with the connections and attempts that one of the
// selectors matches, and with their endpoints and names. Without selectors it is the
// report itself. Coverage and the host's events stay complete.
func Filter(r *report.Report, selectors []*Selector) *report.Report {
	if len(selectors) == 0 {
		return r
	}
	names := NamesByAddr(r)
	out := *r
	out.Connections, out.Endpoints, out.Names, out.Attempts = nil, nil, nil, nil
	ends := EndSet{}
	addrs := map[netip.Addr]bool{}
	note := func(e *Edge) {
		for _, a := range slices.Concat(e.From.Addrs, e.To.Addrs) {
			addrs[a.Addr()] = true
		}
	}
	for i := range r.Connections {
		c := &r.Connections[i]
		e := EdgeOf(c, names)
		if !MatchAny(selectors, &e) {
			continue
		}
		out.Connections = append(out.Connections, *c)
		ends.Add(c)
		note(&e)
	}
	for i := range r.Attempts {
		if e := EdgeOfAttempt(&r.Attempts[i], names); MatchAny(selectors, &e) {
			out.Attempts = append(out.Attempts, r.Attempts[i])
			note(&e)
		}
	}
	out.Endpoints = ends.Select(r.Endpoints)
	for _, n := range r.Names {
		if addrs[n.Addr] {
			out.Names = append(out.Names, n)
		}
	}
	if hasOwnView(r) {
		out.SetScope(partOfView(r.Scope(), &out))
	}
	return &out
}

// An EndSet is a set of ends of connections.
type EndSet map[endKey]bool

// endKey is an address and port. A loopback address is in every network namespace,
// so its key has the namespace as well, as an endpoint's scope ends with it.
type endKey struct {
	addr  netip.AddrPort
	netns string
}

// Add adds both ends of a connection.
func (s EndSet) Add(c *report.Connection) {
	for _, e := range [...]*report.End{&c.From, &c.To} {
		k := endKey{addr: e.Addr}
		if e.Addr.Addr().IsLoopback() && e.Netns != 0 {
			k.netns = fmt.Sprint(e.Netns)
		}
		s[k] = true
	}
}

// Select returns the endpoints that are in the set.
func (s EndSet) Select(list []report.Endpoint) (selected []report.Endpoint) {
	for _, e := range list {
		netns := e.Scope[strings.LastIndexByte(e.Scope, '-')+1:]
		if s[endKey{e.Addr, ""}] || s[endKey{e.Addr, netns}] {
			selected = append(selected, e)
		}
	}
	return selected
}
