package render

import (
	"slices"

	"github.com/topotape/topotape/reporter"
)

// A graph is a picture of a topology: boxes, frames around them, lines between
// them. dot and mermaid write it as it is, in the order of its lists. All its
// text may hold anything.
type graph struct {
	title  string
	legend []string
	frames []frame
	nodes  []node
	edges  []edge
}

// A frame is around nodes, and around the frames that are in it.
type frame struct {
	label string
	in    int // the frame around it, which stands before it in the list; -1 none
}

type node struct {
	lines []string // of text
	in    int      // frame, -1 none
	alias bool     // not a real endpoint: what NAT shows in its place
	side  side
}

type edge struct {
	from, to int // nodes
	lines    []string
	line     line
	closed   bool
	side     side
}

// A line is how an edge is drawn: by the evidence for its direction.
type line uint8

const (
	lineHandshake line = iota
	lineListener
	lineOriginal
	linePortOrder
	lineUnknown // without an arrow
	lineScope   // rules that tell no evidence
	lineAlias   // between an alias and its endpoint, without an arrow
)

func lineOf(d reporter.Direction) line {
	switch d {
	case reporter.DirectionHandshake:
		return lineHandshake
	case reporter.DirectionListener:
		return lineListener
	case reporter.DirectionOriginal:
		return lineOriginal
	case reporter.DirectionPortOrder:
		return linePortOrder
	case reporter.DirectionScope:
		return lineScope
	}
	return lineUnknown
}

// lineTexts explain the lines.
var lineTexts = [...]string{
	lineHandshake: "thick: a handshake was seen",
	lineListener:  "thin: a socket listens",
	lineOriginal:  "dashed: conntrack's order",
	linePortOrder: "dotted: order of the ports",
	lineUnknown:   "no arrow: direction unknown",
	lineScope:     "thin: as Weave Scope drew it",
	lineAlias:     "dashed box: what NAT shows in place of an endpoint",
}

// A side is in which of two graphs, laid over each other, something is. A
// graph that stands alone is inBoth everywhere.
type side uint8

const (
	inA    side = 1
	inB    side = 2
	inBoth      = inA | inB
)

// explain makes the legend of what the graph has.
func (g *graph) explain() {
	if len(g.edges) == 0 {
		g.legend = []string{"no connections"}
		return
	}
	g.legend = []string{"arrows point from client to server"}
	for l, text := range lineTexts {
		if slices.ContainsFunc(g.edges, func(e edge) bool { return int(e.line) == l }) {
			g.legend = append(g.legend, text)
		}
	}
	if slices.ContainsFunc(g.edges, func(e edge) bool { return e.closed }) {
		g.legend = append(g.legend, "grey: closed")
	}
	for _, only := range [...]struct {
		side side
		text string
	}{{inA, "orange: only in the first"}, {inB, "blue: only in the second"}} {
		if slices.ContainsFunc(g.nodes, func(n node) bool { return n.side == only.side }) ||
			slices.ContainsFunc(g.edges, func(e edge) bool { return e.side == only.side }) {
			g.legend = append(g.legend, only.text)
		}
	}
}
