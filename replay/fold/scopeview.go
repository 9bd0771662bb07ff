package fold

import (
	"maps"
	"slices"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// ownView reports whether the rules of a report make Scope's view themselves.
// Else it follows from the report's connections, whatever was done to them.
func ownView(r *reporter.Report) bool { return r.Rules == reporter.RulesScope2016 }

// partOfView is the view of a report of which only some connections and
// endpoints are kept: their nodes, what are copies of them, and the adjacencies
// between these.
func partOfView(view *reporter.ScopeReport, kept *reporter.Report) *reporter.ScopeReport {
	ids := make(map[string]bool, len(kept.Endpoints))
	for i := range kept.Endpoints {
		ids[kept.Endpoints[i].ID()] = true
	}
	for grows := true; grows; { // a copy can have copies
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

// copyOf is the id of the node that NAT shows as this one, "" if none.
func copyOf(n *reporter.ScopeNode) string {
	for _, v := range n.Latest {
		if v.Key == "copy_of" {
			return v.Value
		}
	}
	return ""
}

// addrOf is the address and port of an id, scope;addr;port.
func addrOf(id string) string {
	_, rest, _ := strings.Cut(id, ";")
	addr, port, _ := strings.Cut(rest, ";")
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return addr + ":" + port
}

// viewFold puts the views of many reports together as Scope's app does: of a
// key the newest value counts, sets and adjacencies are united.
type viewFold struct {
	most  int // nodes
	nodes map[string]*reporter.ScopeNode
	last  *reporter.ScopeReport
}

func (f *viewFold) add(view *reporter.ScopeReport) {
	f.last = view
	for _, n := range view.Nodes {
		old := f.nodes[n.ID]
		switch {
		case old != nil:
			uniteNodes(old, &n)
		case len(f.nodes) < f.most:
			f.nodes[n.ID] = &n
		}
	}
}

// uniteNodes adds a newer node to one of the same id.
func uniteNodes(to, n *reporter.ScopeNode) {
	latest := slices.Clone(to.Latest)
	for _, v := range n.Latest {
		at, found := slices.BinarySearchFunc(latest, v, func(a, b reporter.ScopeValue) int { return strings.Compare(a.Key, b.Key) })
		switch {
		case !found:
			latest = slices.Insert(latest, at, v)
		case v.At >= latest[at].At:
			latest[at] = v
		}
	}
	sets := slices.Clone(to.Sets)
	for _, s := range n.Sets {
		at, found := slices.BinarySearchFunc(sets, s, func(a, b reporter.ScopeSet) int { return strings.Compare(a.Name, b.Name) })
		if !found {
			sets = slices.Insert(sets, at, s)
		} else {
			sets[at].Values = Union(sets[at].Values, s.Values, strings.Compare)
		}
	}
	to.Latest, to.Sets, to.Adjacency = latest, sets, Union(to.Adjacency, n.Adjacency, strings.Compare)
}

func (f *viewFold) view() *reporter.ScopeReport {
	out := *f.last
	out.Nodes = nil
	for _, id := range slices.Sorted(maps.Keys(f.nodes)) {
		out.Nodes = append(out.Nodes, *f.nodes[id])
	}
	return &out
}
