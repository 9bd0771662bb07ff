package render

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/reporter/report"
)

// A graph is a picture of a topology: boxes (nodes), frames around them, and lines
// (edges) between them. dot and mermaid write it in the order of its lists, and
// escape its texts.
type graph struct {
	title  string
	legend []string
	frames []frame
	nodes  []*node
	edges  []*edge
}

// A frame surrounds nodes and other frames: a host, or a network namespace.
type frame struct {
	label string
	in    int // index of the frame around it, which is earlier in the list; -1 none
}

// A node is a server's address and port, or the ports that one process or one address
// uses as a client, or a translated address of one of these.
type node struct {
	in        int      // index of its frame, -1 none
	lines     []string // of text, when the graph is complete
	addr      netip.Addr
	more      int // addresses that look the same and share this node
	server    bool
	alias     bool // a translated address of an endpoint, not an endpoint
	ports     map[uint16]bool
	processes map[report.Process]bool
	names     map[string]bool
	side      side
}

// An edge represents all connections between two nodes that look the same.
type edge struct {
	edgeKey
	count [2]int   // connections, for each report
	lines []string // of text, when the graph is complete
	side  side
}

// An edgeKey is what distinguishes the edges of two nodes.
type edgeKey struct {
	from, to              int // indexes of nodes
	line                  line
	closed, mayHaveClosed bool
	zone                  uint16 // of conntrack; 0 if all connections are in one zone
}

// A line is the way an edge is drawn: it shows the evidence for the direction.
type line int // index in lines

const (
	lineUnknown line = 4
	lineAlias   line = 6 // between an alias and its endpoint
)

var lines = [...]struct {
	direction report.Direction // whose evidence it shows
	legend    string
	dot       string // attributes of an edge
	arrow     string // of Mermaid
	style     string // of Mermaid, "" for none
}{
	{report.DirectionHandshake, "thick: a handshake was seen", "penwidth=2.2", "==>", ""},
	{report.DirectionListener, "thin: a socket listens", "style=solid", "-->", ""},
	{report.DirectionOriginal, "dashed: conntrack's order", "style=dashed", "-->", "stroke-dasharray:6 4"},
	{report.DirectionPortOrder, "dotted: order of the ports", "style=dotted", "-->", "stroke-dasharray:1 4"},
	lineUnknown: {report.DirectionUnknown, "no arrow: direction unknown", "dir=none", "---", ""},
	{report.DirectionScope, "thin: as Weave Scope drew it", "style=solid", "-->", ""}, // the rules of 2016 report no evidence
	lineAlias: {"", "dashed box: what NAT shows in place of an endpoint", `dir=none, style=dashed, color="gray60"`, "-.-", "stroke:#aaaaaa"},
}

func lineOf(d report.Direction) line {
	if d == report.DirectionSocket { // a connect begins a handshake
		d = report.DirectionHandshake
	}
	for l := range lines[:lineAlias] {
		if lines[l].direction == d {
			return line(l)
		}
	}
	return lineUnknown
}

// A side says which of two reports has a node or an edge. In a graph of one report
// all are inBoth.
type side uint8

const (
	inA    side = 1
	inB    side = 2
	inBoth      = inA | inB
)

// makeLegend explains the lines, boxes and colours that the graph has.
func (g *graph) makeLegend() {
	if len(g.edges) == 0 {
		g.legend = []string{"no connections"}
		return
	}
	g.legend = []string{"arrows point from client to server"}
	for l := range lines {
		if slices.ContainsFunc(g.edges, func(e *edge) bool { return e.line == line(l) }) {
			g.legend = append(g.legend, lines[l].legend)
		}
	}
	if slices.ContainsFunc(g.edges, func(e *edge) bool { return e.closed }) {
		g.legend = append(g.legend, "grey: closed")
	}
	for _, only := range [...]struct {
		side side
		text string
	}{{inA, "orange: only in the first"}, {inB, "blue: only in the second"}} {
		if slices.ContainsFunc(g.nodes, func(n *node) bool { return n.side == only.side }) ||
			slices.ContainsFunc(g.edges, func(e *edge) bool { return e.side == only.side }) {
			g.legend = append(g.legend, only.text)
		}
	}
}

// first is the graph with only its first edges and their nodes. The legend says how
// many edges are missing.
func (g *graph) first(edges int) *graph {
	part := &graph{title: g.title, frames: g.frames, legend: append(slices.Clone(g.legend),
		fmt.Sprintf("not drawn: %d of %d lines; --match selects fewer connections", len(g.edges)-edges, len(g.edges)))}
	moved := make(map[int]int, len(g.nodes)) // index in g to index in part
	move := func(i int) int { return indexIn(&part.nodes, moved, i, g.nodes[i]) }
	for _, e := range g.edges[:edges] {
		own := *e
		own.from, own.to = move(e.from), move(e.to)
		part.edges = append(part.edges, &own)
	}
	return part
}

// indexIn returns the index of the element that has the key in a list. A new one is
// appended first. at has the indexes by key.
func indexIn[K comparable, V any](list *[]V, at map[K]int, key K, v V) int {
	i, ok := at[key]
	if !ok {
		i = len(*list)
		at[key] = i
		*list = append(*list, v)
	}
	return i
}
