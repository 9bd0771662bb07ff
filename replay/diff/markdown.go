package diff

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/topotape/topotape/capture/quote"
)

// WriteMarkdown writes the difference for a pull request: a table with a row for each
// cause, and the output of WriteText folded. a and b name the sides.
func (d *Difference) WriteMarkdown(w io.Writer, a, b string) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "**Topology:** %s.\n\nA is %s, B is %s.\n", d.Verdict(), code(a), code(b))
	if !d.Same() {
		out.WriteString("\n| | what | ticks | became |\n|---|---|---|---|\n")
		for i := range d.Groups {
			if i == maxGroupsShown {
				fmt.Fprintf(&out, "| | and %d causes more | | |\n", len(d.Groups)-i)
				break
			}
			d.row(&out, &d.Groups[i])
		}
		out.WriteString("\n<details><summary>Examples, and where the two part</summary>\n\n```diff\n")
		if err := d.WriteText(&out); err != nil {
			return err
		}
		out.WriteString("```\n\n</details>\n")
	}
	_, err := w.Write(out.Bytes())
	return err
}

func (d *Difference) row(b *bytes.Buffer, g *Group) {
	what := g.title()
	ticks := strings.TrimPrefix(strings.TrimPrefix(d.ticksText(g), ", ticks "), ", tick ")
	var lines []string
	if g.Follows { // the rows of the connections have the fields
		what += " of these connections"
	} else {
		for _, line := range g.fieldTexts() {
			lines = append(lines, code(line))
		}
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", signs[g.Change], code(what), ticks, strings.Join(lines, "<br>"))
}

// markdownEscapes replaces characters that Markdown interprets within code in a table.
var markdownEscapes = strings.NewReplacer("|", "&#124;", "`", "&#96;", "*", "&#42;", "_", "&#95;", "[", "&#91;", "~", "&#126;", "\\", "&#92;")

// code writes text as code in which Markdown and HTML interpret nothing.
func code(s string) string {
	return "<code>" + markdownEscapes.Replace(html.EscapeString(quote.Text(s))) + "</code>"
}
