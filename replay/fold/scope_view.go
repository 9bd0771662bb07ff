package fold

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// hasOwnView reports whether the rules of a report make Scope's view themselves. The
// view of other rules derives from the connections, so it needs no folding.
func hasOwnView(r *report.Report) bool { return r.Rules == reporter.RulesScope2016 }

// partOfView returns the part of a view that belongs to the connections and endpoints
// of a filtered report: their nodes, the copies of these nodes, and the adjacencies
// between them.
func partOfView(view *report.ScopeReport, kept *report.Report) *report.ScopeReport {
	addrs := make(map[string]netip.AddrPort, len(kept.Endpoints)) // by id of the node; copies have none
	for i := range kept.Endpoints {
		addrs[kept.Endpoints[i].ID()] = kept.Endpoints[i].Addr
	}
	isKept := func(id string) bool { _, ok := addrs[id]; return ok }
	for grows := true; grows; { // a copy may have copies
		grows = false
		for i := range view.Nodes {
			n := &view.Nodes[i]
			if of := copyOf(n); of != "" && isKept(of) && !isKept(n.ID) {
				addrs[n.ID], grows = netip.AddrPort{}, true
			}
		}
	}
	edges := make(map[[2]netip.AddrPort]bool, len(kept.Connections))
	for i := range kept.Connections {
		c := &kept.Connections[i]
		edges[[2]netip.AddrPort{c.From.Addr, c.To.Addr}] = true
	}
	out := *view
	out.Nodes = nil
	for _, n := range view.Nodes {
		if !isKept(n.ID) {
			continue
		}
		n.Adjacency = slices.DeleteFunc(slices.Clone(n.Adjacency), func(to string) bool {
			return !isKept(to) || copyOf(&n) == "" && !edges[[2]netip.AddrPort{addrs[n.ID], addrs[to]}]
		})
		out.Nodes = append(out.Nodes, n)
	}
	return &out
}

// copyOf returns the id of the endpoint that NAT translates to this node's address,
// "" if there is none. Scope calls the node of the translated address its copy.
func copyOf(n *report.ScopeNode) string {
	for _, v := range n.Latest {
		if v.Key == "copy_of" {
			return v.Value
		}
	}
	return ""
}

// mergeNodes adds a node to another one with the same id, as Scope's app does: of each
// key it keeps the newest value, of sets and adjacencies the union.
func mergeNodes(to, n *report.ScopeNode) {
	byKey := func(a, b report.ScopeValue) int { return strings.Compare(a.Key, b.Key) }
	byName := func(a, b report.ScopeSet) int { return strings.Compare(a.Name, b.Name) }
	to.Latest = unionFunc(to.Latest, n.Latest, byKey, func(old, v report.ScopeValue) report.ScopeValue {
		if v.At < old.At {
			return old
		}
		return v
	})
	to.Sets = unionFunc(to.Sets, n.Sets, byName, func(old, s report.ScopeSet) report.ScopeSet {
		old.Values = union(old.Values, s.Values, strings.Compare)
		return old
	})
	to.Adjacency = union(to.Adjacency, n.Adjacency, strings.Compare)
}
