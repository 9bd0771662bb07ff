package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/topotape/topotape/replay/fold"
)

// crowd is how many boxes may look alike before they become one.
const crowd = 8

// gather makes one box of many that only their address tells apart: they are
// outside the host, no process is known of them, they have the same lines to
// the same boxes, and as servers the same port.
func (d *drawer) gather() {
	links := make([][]string, len(d.nodeList))
	aliased := make([]bool, len(d.nodeList))
	for _, e := range d.edgeList {
		look := fmt.Sprint(e.line, e.closed, e.may, e.side)
		links[e.from] = append(links[e.from], fmt.Sprintf(">%d %s", e.to, look))
		links[e.to] = append(links[e.to], fmt.Sprintf("<%d %s", e.from, look))
		if e.line == lineAlias {
			aliased[e.from], aliased[e.to] = true, true
		}
	}
	members := map[string][]*drawn{}
	keys := make([]string, len(d.nodeList))
	for i, n := range d.nodeList {
		if n.frame >= 0 || len(n.processes) > 0 || aliased[i] {
			continue
		}
		slices.Sort(links[i])
		keys[i] = fmt.Sprint(n.side, n.server, strings.Join(links[i], ","))
		if n.server {
			keys[i] += fmt.Sprint(n.ports) // the one it has
		}
		members[keys[i]] = append(members[keys[i]], n)
	}
	into := make([]int, len(d.nodeList)) // where nodes go in the new list
	var list []*drawn
	for i, n := range d.nodeList {
		if all := members[keys[i]]; len(all) > crowd && all[0] != n {
			into[i] = into[all[0].at]
			all[0].more++
			all[0].names = fold.Union(all[0].names, n.names, strings.Compare)
			continue
		}
		into[i] = len(list)
		list = append(list, n)
	}
	old := d.edgeList
	d.nodeList, d.edgeList, d.edges = list, nil, map[edgeKey]*drawnEdge{}
	for _, e := range old {
		e.from, e.to = into[e.from], into[e.to]
		if to := d.edges[e.edgeKey]; to != nil {
			to.count[0], to.count[1], to.side = to.count[0]+e.count[0], to.count[1]+e.count[1], to.side|e.side
			continue
		}
		d.edges[e.edgeKey] = e
		d.edgeList = append(d.edgeList, e)
	}
	for i, n := range d.nodeList {
		n.at = i
	}
}

// first is the part of the graph that its first edges are.
func (g *graph) first(edges int) *graph {
	part := &graph{title: g.title, frames: g.frames, legend: append(slices.Clone(g.legend),
		fmt.Sprintf("not drawn: %d of %d lines; --match selects fewer connections", len(g.edges)-edges, len(g.edges)))}
	at := make(map[int]int, len(g.nodes))
	place := func(i int) int {
		to, ok := at[i]
		if !ok {
			to = len(part.nodes)
			at[i] = to
			part.nodes = append(part.nodes, g.nodes[i])
		}
		return to
	}
	for _, e := range g.edges[:edges] {
		e.from, e.to = place(e.from), place(e.to)
		part.edges = append(part.edges, e)
	}
	return part
}
