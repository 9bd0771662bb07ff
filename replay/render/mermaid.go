package render

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/reporter/report"
)

// Mermaid writes reports as one flowchart in Mermaid's language, two of them laid
// over each other.
func Mermaid(w io.Writer, reports ...*report.Report) error {
	_, err := w.Write(draw(reports...).mermaid())
	return err
}

// Mermaid's default limits of a flowchart (maxEdges and maxTextSize of its
// configuration).
const (
	mermaidEdges = 500
	mermaidSize  = 50_000 // characters
)

// mermaid writes as much of the graph as Mermaid draws.
func (g *graph) mermaid() []byte {
	b := g.flowchart()
	if len(g.edges) <= mermaidEdges && len(b) <= mermaidSize {
		return b
	}
	tooLarge := func(edges int) bool { return len(g.first(edges).flowchart()) > mermaidSize }
	edges := sort.Search(min(len(g.edges), mermaidEdges), func(n int) bool { return tooLarge(n + 1) })
	return g.first(edges).flowchart()
}

// flowchart writes all of the graph.
func (g *graph) flowchart() []byte {
	var b bytes.Buffer
	b.WriteString("flowchart LR\n")
	g.mermaidFrame(&b, -1, "  ")
	for _, e := range g.edges {
		label := ""
		if len(e.lines) > 0 {
			label = "|" + mermaidText(e.lines) + "|"
		}
		fmt.Fprintf(&b, "  n%d %s%s n%d\n", e.from, lines[e.line].arrow, label, e.to)
	}
	fmt.Fprintf(&b, "  legend[%s]\n", mermaidText(append([]string{g.title}, g.legend...)))
	b.WriteString("  style legend fill:none,stroke:none\n")
	g.mermaidStyles(&b)
	return b.Bytes()
}

// mermaidFrame writes the nodes of a frame and, indented, the frames within it. -1
// is outside of all frames.
func (g *graph) mermaidFrame(b *bytes.Buffer, in int, indent string) {
	for i, n := range g.nodes {
		if n.in == in {
			fmt.Fprintf(b, "%sn%d[%s]\n", indent, i, mermaidText(n.lines))
		}
	}
	for i := range g.frames {
		if g.frames[i].in != in {
			continue
		}
		fmt.Fprintf(b, "%ssubgraph g%d[%s]\n", indent, i, mermaidText([]string{g.frames[i].label}))
		g.mermaidFrame(b, i, indent+"  ")
		fmt.Fprintf(b, "%send\n", indent)
	}
}

// mermaidStyles writes the colours and dashes of nodes and edges.
func (g *graph) mermaidStyles(b *bytes.Buffer) {
	write := func(element string, i int, dashes, color string) {
		var style []string
		if dashes != "" {
			style = append(style, dashes)
		}
		if color != "" {
			style = append(style, "stroke:"+color, "color:"+color)
		}
		if len(style) > 0 {
			fmt.Fprintf(b, "  %s%d %s\n", element, i, strings.Join(style, ","))
		}
	}
	for i, n := range g.nodes {
		dashes := ""
		if n.alias {
			dashes = "stroke-dasharray:5 5"
		}
		write("style n", i, dashes, sideColors[n.side])
	}
	for i, e := range g.edges {
		write("linkStyle ", i, lines[e.line].style, e.color())
	}
}

// mermaidJoiner is a character without width. It separates sequences that Mermaid
// interprets after it decoded entities: \n, formulas in $$, icons such as :fa-x, and
// its own placeholders for entities.
const mermaidJoiner = "#8288;"

// mermaidText quotes lines as one label. Mermaid, Markdown or HTML could interpret
// nearly every character that is neither a letter nor a digit, so those are written
// as numbered entities.
func mermaidText(lines []string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, l := range lines {
		if i > 0 {
			b.WriteString("<br/>")
		}
		l = quote.Text(l)
		for at, c := range l {
			switch {
			case alphanumeric(c), c == ' ' || c == ',':
				b.WriteRune(c)
			case (c == '.' || c == '-') && at > 0 && at+1 < len(l) && alphanumeric(rune(l[at-1])) && alphanumeric(rune(l[at+1])):
				b.WriteRune(c)
			default:
				fmt.Fprintf(&b, "#%d;", c)
				if strings.ContainsRune(`\$ﬂ¶`, c) || strings.HasPrefix(l[at:], ":fa-") {
					b.WriteString(mermaidJoiner)
				}
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}

func alphanumeric(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
