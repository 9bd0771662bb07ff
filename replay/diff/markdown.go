package diff

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/topotape/topotape/replay/render"
)

// WriteMarkdown writes the difference for a pull request: a table with a line
// a cause, and the text of WriteText to fold out. a and b name the sides.
func (d *Difference) WriteMarkdown(w io.Writer, a, b string) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "**Topology:** %s.\n\nA is %s, B is %s.\n", d.Verdict(), code(a), code(b))
	if !d.Same() {
		out.WriteString("\n| | what | ticks | became |\n|---|---|---|---|\n")
		for i := range d.Groups {
			if i == maxLines {
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
	what := g.Title()
	if g.Follows {
		what += " of these connections"
	}
	ticks := strings.TrimPrefix(strings.TrimPrefix(d.ticksText(g), ", ticks "), ", tick ")
	lines := g.fieldTexts()
	for i := range lines {
		lines[i] = code(lines[i])
	}
	if g.Follows { // what each became stands with the connections
		lines = nil
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", signs[g.Change], code(what), ticks, strings.Join(lines, "<br>"))
}

// code is text that markdown leaves as it is, in a table too.
func code(s string) string {
	return "<code>" + strings.NewReplacer("|", "&#124;", "`", "&#96;", "*", "&#42;", "_", "&#95;", "[", "&#91;", "~", "&#126;", "\\", "&#92;").Replace(html.EscapeString(render.Clean(s))) + "</code>"
}
