package fold

import (
	"maps"
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
func copyOf(n *report.ScopeNode) string {
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

// viewFold merges the views of many reports as Scope's app does: of each key it keeps
// the newest value, of sets and adjacencies the union.
type viewFold struct {
	max   int // nodes
	nodes map[string]*report.ScopeNode
	last  *report.ScopeReport
}

func (f *viewFold) add(view *report.ScopeReport) {
	f.last = view
	for _, n := range view.Nodes {
		old := f.nodes[n.ID]
		switch {
		case old != nil:
			mergeNodes(old, &n)
		case len(f.nodes) < f.max:
			f.nodes[n.ID] = &n
		}
	}
}

// mergeNodes adds a node to another one with the same id.
func mergeNodes(to, n *report.ScopeNode) {
	latest := slices.Clone(to.Latest)
	for _, v := range n.Latest {
		at, found := slices.BinarySearchFunc(latest, v, func(a, b report.ScopeValue) int { return strings.Compare(a.Key, b.Key) })
		switch {
		case !found:
			latest = slices.Insert(latest, at, v)
		case v.At >= latest[at].At:
			latest[at] = v
		}
	}
	sets := slices.Clone(to.Sets)
	for _, s := range n.Sets {
		at, found := slices.BinarySearchFunc(sets, s, func(a, b report.ScopeSet) int { return strings.Compare(a.Name, b.Name) })
		if !found {
			sets = slices.Insert(sets, at, s)
		} else {
			sets[at].Values = union(sets[at].Values, s.Values, strings.Compare)
		}
	}
	to.Latest, to.Sets, to.Adjacency = latest, sets, union(to.Adjacency, n.Adjacency, strings.Compare)
}

// view returns the merged view, with the head of the last one.
func (f *viewFold) view() *report.ScopeReport {
	out := *f.last
	out.Nodes = nil
	for _, id := range slices.Sorted(maps.Keys(f.nodes)) {
		out.Nodes = append(out.Nodes, *f.nodes[id])
	}
	return &out
}
