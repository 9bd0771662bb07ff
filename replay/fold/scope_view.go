package fold

import (
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// hasOwnView reports whether the rules of a report make Scope's view themselves. The
// view of other rules derives from the connections, so it needs no folding.
func hasOwnView(r *reporter.Report) bool { return r.Rules == reporter.RulesScope2016 }

// partOfView returns the part of a view that belongs to the connections and endpoints
// of a filtered report: their nodes, the copies of these nodes, and the adjacencies
// between them.
func partOfView(view *reporter.ScopeReport, kept *reporter.Report) *reporter.ScopeReport {
	ids := make(map[string]bool, len(kept.Endpoints))
	for i := range kept.Endpoints {
		ids[kept.Endpoints[i].ID()] = true
	}
	for grows := true; grows; { // a copy may have copies
		grows = false
		for i := range view.Nodes {
			n := &view.Nodes[i]
			if of := copyOf(n); of != "" && ids[of] && !ids[n.ID] {
				ids[n.ID], grows = true, true
			}
		}
	}
	edges := make(map[[2]string]bool, len(kept.Connections))
	for i := range kept.Connections {
		c := &kept.Connections[i]
		edges[[2]string{c.From.Addr.String(), c.To.Addr.String()}] = true
	}
	out := *view
	out.Nodes = nil
	for _, n := range view.Nodes {
		if !ids[n.ID] {
			continue
		}
		n.Adjacency = slices.DeleteFunc(slices.Clone(n.Adjacency), func(to string) bool {
			return !ids[to] || copyOf(&n) == "" && !edges[[2]string{addrOf(n.ID), addrOf(to)}]
		})
		out.Nodes = append(out.Nodes, n)
	}
	return &out
}

// copyOf returns the id of the endpoint that NAT translates to this node's address,
// "" if there is none. Scope calls the node of the translated address its copy.
func copyOf(n *reporter.ScopeNode) string {
	for _, v := range n.Latest {
		if v.Key == "copy_of" {
			return v.Value
		}
	}
	return ""
}

// addrOf returns address and port of a node's id, which is scope;address;port.
func addrOf(id string) string {
	_, rest, _ := strings.Cut(id, ";")
	addr, port, _ := strings.Cut(rest, ";")
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return addr + ":" + port
}

// mergeNodes adds a node to another one with the same id, as Scope's app does: of each
// key it keeps the newest value, of sets and adjacencies the union.
func mergeNodes(to, n *reporter.ScopeNode) {
	byKey := func(a, b reporter.ScopeValue) int { return strings.Compare(a.Key, b.Key) }
	byName := func(a, b reporter.ScopeSet) int { return strings.Compare(a.Name, b.Name) }
	to.Latest = unionFunc(to.Latest, n.Latest, byKey, func(old, v reporter.ScopeValue) reporter.ScopeValue {
		if v.At < old.At {
			return old
		}
		return v
	})
	to.Sets = unionFunc(to.Sets, n.Sets, byName, func(old, s reporter.ScopeSet) reporter.ScopeSet {
		old.Values = union(old.Values, s.Values, strings.Compare)
		return old
	})
	to.Adjacency = union(to.Adjacency, n.Adjacency, strings.Compare)
}
