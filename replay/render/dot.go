package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/reporter/report"
)

// Dot writes reports as one graph in Graphviz's language, two of them laid over
// each other.
func Dot(w io.Writer, reports ...*report.Report) error {
	_, err := w.Write(draw(reports...).dot())
	return err
}

// sideColors are the colours of what only one of two reports has. People who do
// not distinguish red from green see the difference too.
var sideColors = [...]string{inA: "#d55e00", inB: "#0072b2", inBoth: ""}

// closedColor is the colour of closed connections.
const closedColor = "#999999"

// color returns the colour of an edge, "" for the usual one.
func (e *edge) color() string {
	if color := sideColors[e.side]; color != "" || !e.closed {
		return color
	}
	return closedColor
}

// dot writes the graph for Graphviz.
func (g *graph) dot() []byte {
	var b bytes.Buffer
	b.WriteString("digraph topotape {\n")
	fmt.Fprintf(&b, "  graph [label=%s, labelloc=b, fontname=\"sans-serif\", fontsize=10, rankdir=LR, compound=true];\n",
		dotText([]string{g.title, strings.Join(g.legend, "; ")}))
	b.WriteString("  node [shape=box, fontname=\"sans-serif\", fontsize=11];\n")
	b.WriteString("  edge [fontname=\"sans-serif\", fontsize=9];\n")
	g.dotFrame(&b, -1, "  ")
	for _, e := range g.edges {
		e.dot(&b)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// dotFrame writes the nodes of a frame and, indented, the frames within it. -1 is
// outside of all frames.
func (g *graph) dotFrame(b *bytes.Buffer, in int, indent string) {
	for i, n := range g.nodes {
		if n.in == in {
			fmt.Fprintf(b, "%sn%d [label=%s%s];\n", indent, i, dotText(n.lines), n.dotStyle())
		}
	}
	for i := range g.frames {
		if g.frames[i].in != in {
			continue
		}
		fmt.Fprintf(b, "%ssubgraph cluster_%d {\n", indent, i)
		fmt.Fprintf(b, "%s  label=%s; labelloc=t; color=\"gray50\";\n", indent, dotText([]string{g.frames[i].label}))
		g.dotFrame(b, i, indent+"  ")
		fmt.Fprintf(b, "%s}\n", indent)
	}
}

func (n *node) dotStyle() string {
	s := ""
	if n.alias {
		s = ", style=dashed"
	}
	if c := sideColors[n.side]; c != "" {
		s += fmt.Sprintf(", color=%q, fontcolor=%q", c, c)
	}
	return s
}

func (e *edge) dot(b *bytes.Buffer) {
	fmt.Fprintf(b, "  n%d -> n%d [%s", e.from, e.to, lines[e.line].dot)
	if color := e.color(); color != "" {
		fmt.Fprintf(b, ", color=%q, fontcolor=%q", color, color)
	}
	if len(e.lines) > 0 {
		fmt.Fprintf(b, ", label=%s", dotText(e.lines))
	}
	b.WriteString("];\n")
}

// dotEscapes quotes text for Graphviz, which interprets escapes and HTML entities
// within a quoted string.
var dotEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `&`, `&amp;`)

// dotText quotes lines as one label.
func dotText(lines []string) string {
	escaped := make([]string, len(lines))
	for i, l := range lines {
		escaped[i] = dotEscapes.Replace(quote.Text(l))
	}
	return `"` + strings.Join(escaped, `\n`) + `"`
}
