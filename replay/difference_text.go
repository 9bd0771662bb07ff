package replay

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/topotape/topotape/reporter"
)

// maxLines bounds the groups that text shows.
const maxLines = 40

// WriteText writes the difference for people to read: a line a cause, - for
// what only A has, + for what only B has, ~ for what both have and differs, each
// with an example. Nothing is written if nothing differs.
func (d *Difference) WriteText(w io.Writer) error {
	var b bytes.Buffer
	if at := d.First; at != nil {
		fmt.Fprintf(&b, "%d of %d ticks differ, the first is tick %d at %s", d.Differ, d.Ticks, at.Tick, wallText(at.At))
		if d.Equal != nil {
			fmt.Fprintf(&b, "; the last equal one before it is tick %d", d.Equal.Tick)
		}
		b.WriteByte('\n')
	}
	follows := map[ChangeKind][]string{}
	lines := 0
	for i := range d.Groups {
		g := &d.Groups[i]
		if g.Follows {
			follows[g.Change] = append(follows[g.Change], counted(g.Count, singular(g.Section)))
			continue
		}
		if lines++; lines <= maxLines {
			d.groupText(&b, g)
		}
	}
	if lines > maxLines {
		fmt.Fprintf(&b, "and %d causes more; --format json has all\n", lines-maxLines)
	}
	if text := followText(follows); text != "" {
		fmt.Fprintf(&b, "with them: %s\n", text)
	}
	if d.LeftOut > 0 {
		fmt.Fprintf(&b, "counts are lower bounds: %d differences beyond the first %d things are not in them\n", d.LeftOut, maxThings)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func wallText(at int64) string { return time.Unix(0, at).UTC().Format(time.RFC3339Nano) }

var signs = map[ChangeKind]string{Removed: "-", Added: "+", Changed: "~"}

func followText(follows map[ChangeKind][]string) string {
	var parts []string
	for _, kind := range []ChangeKind{Removed, Added, Changed} {
		if list := follows[kind]; len(list) > 0 {
			parts = append(parts, signs[kind]+" "+strings.Join(list, " and "))
		}
	}
	return strings.Join(parts, ", ")
}

func singular(s Section) string {
	switch s {
	case CoverageSection:
		return "coverage"
	case Head:
		return "report"
	}
	return strings.TrimSuffix(string(s), "s")
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// groupText writes a group: what it is, what became of it, an example.
func (d *Difference) groupText(b *bytes.Buffer, g *Group) {
	fmt.Fprintf(b, "\n%s %s%s\n", signs[g.Change], g.Title(), d.ticksText(g))
	for _, f := range g.Fields {
		fmt.Fprintf(b, "    %s\n", f.text())
	}
	if g.Section == Connections && len(g.Examples) > 0 {
		exampleText(b, g, &g.Examples[0])
	} else if len(g.Examples) > 0 && g.Count > 1 {
		fmt.Fprintf(b, "    e.g. %s\n", clean(g.Examples[0].ID))
	}
}

// Title says in a line what the things of the group are.
func (g *Group) Title() string {
	switch g.Section {
	case Connections:
		text := counted(g.Count, "connection") + " " + g.From + " -> " + g.To
		if g.Reversed {
			text += " the other way round"
		}
		return text
	case Ticks:
		return counted(g.Count, "tick") + " that the other side lacks"
	case CoverageSection:
		return "coverage of " + clean(g.To)
	case Head:
		return "head of the reports"
	}
	if g.Count == 1 {
		return singular(g.Section) + " " + clean(g.To)
	}
	return counted(g.Count, singular(g.Section))
}

// ticksText says when the group is seen, if the comparison has more than a tick.
func (d *Difference) ticksText(g *Group) string {
	switch {
	case d.Ticks <= 1 && g.Section != Ticks:
		return ""
	case g.FirstTick == g.LastTick:
		return fmt.Sprintf(", tick %d", g.FirstTick)
	}
	return fmt.Sprintf(", ticks %d-%d", g.FirstTick, g.LastTick)
}

// text is the field with its values, where all of the group have the same.
func (f *Field) text() string {
	if f.A == "" && f.B == "" {
		return f.Name + ": " + clean(f.How)
	}
	return fmt.Sprintf("%s: %s became %s", f.Name, clean(orNone(f.A)), clean(orNone(f.B)))
}

// exampleText shows a connection of the group, as A has it or else B.
func exampleText(b *bytes.Buffer, g *Group, e *Example) {
	show := func(mark string, line []byte) {
		c, err := reporter.ParseConnection(line)
		if err != nil {
			return
		}
		fmt.Fprintf(b, "    %s%s\n", mark, connectionText(c))
	}
	if e.A != nil {
		show(map[bool]string{true: "e.g. ", false: ""}[g.Count > 1], e.A)
	}
	if e.B != nil {
		show("", e.B)
	}
}

// connectionText is a connection in a line.
func connectionText(c *reporter.Connection) string {
	text := fmt.Sprintf("%s -> %s %s by %s", endAndProcess(&c.From), endAndProcess(&c.To), stateText(c), c.Direction)
	if nat := natText(c); nat != "-" {
		text += ", " + nat
	}
	return text + ", seen by " + strings.Join(c.Seen, "+")
}

func endAndProcess(e *reporter.End) string {
	if len(e.Processes) == 0 {
		return endText(e)
	}
	return endText(e) + " " + processText(e.Processes)
}
