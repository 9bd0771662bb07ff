package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxAlike is how many nodes may look the same before they become one.
const maxAlike = 8

// bundle makes one node of many that differ in nothing but their address: outside
// of the host, without a process, with the same lines to the same nodes, and as
// servers with the same port.
func (g *graph) bundle() {
	looks := g.looks()
	alike := map[string][]int{}
	for i, look := range looks {
		alike[look] = append(alike[look], i)
	}
	moved := make([]int, len(g.nodes)) // index in the old list to index in the new one
	var nodes []*node
	for i, n := range g.nodes {
		all := alike[looks[i]]
		if looks[i] == "" || len(all) <= maxAlike || all[0] == i {
			moved[i] = len(nodes)
			nodes = append(nodes, n)
			continue
		}
		moved[i] = moved[all[0]]
		first := g.nodes[all[0]]
		first.more++
		maps.Copy(first.names, n.names)
	}
	g.nodes = nodes
	g.moveEdges(moved)
}

// looks describes each node that may be bundled by all that it shows but its
// address; the others have "".
func (g *graph) looks() []string {
	links := make([][]string, len(g.nodes))
	hasAlias := make([]bool, len(g.nodes))
	for _, e := range g.edges {
		look := fmt.Sprint(e.line, e.closed, e.mayHaveClosed, e.zone, e.side)
		links[e.from] = append(links[e.from], fmt.Sprintf(">%d %s", e.to, look))
		links[e.to] = append(links[e.to], fmt.Sprintf("<%d %s", e.from, look))
		if e.line == lineAlias {
			hasAlias[e.from], hasAlias[e.to] = true, true
		}
	}
	looks := make([]string, len(g.nodes))
	for i, n := range g.nodes {
		if n.in >= 0 || len(n.processes) > 0 || hasAlias[i] {
			continue
		}
		slices.Sort(links[i])
		looks[i] = fmt.Sprint(n.side, n.server, strings.Join(links[i], ","))
		if n.server {
			looks[i] += fmt.Sprint(n.ports) // a server's node has one
		}
	}
	return looks
}

// moveEdges connects the edges to the nodes' new places and adds up those that
// became the same.
func (g *graph) moveEdges(moved []int) {
	old := g.edges
	g.edges = nil
	edgeAt := map[edgeKey]int{}
	for _, e := range old {
		e.from, e.to = moved[e.from], moved[e.to]
		same := g.edges[indexIn(&g.edges, edgeAt, e.edgeKey, e)]
		if same != e {
			same.count[0] += e.count[0]
			same.count[1] += e.count[1]
			same.side |= e.side
		}
	}
}
