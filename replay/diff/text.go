package diff

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

// String is the tick, with the numbers of its records.
func (m *Moment) String() string {
	text := fmt.Sprintf("tick %d", m.Tick)
	switch a, b := m.RecordA, m.RecordB; {
	case a != 0 && b != 0 && a != b:
		text += fmt.Sprintf(" (records #%d and #%d)", a, b)
	case a != 0 || b != 0:
		text += fmt.Sprintf(" (record #%d)", max(a, b))
	}
	return text
}

// maxLines is how many groups text shows.
const maxLines = 40

// WriteText writes the difference for people to read: a line a cause, - for
// what only A has, + for what only B has, ~ for what both have and differs, each
// with an example. Nothing is written if nothing differs.
func (d *Difference) WriteText(w io.Writer) error {
	var b bytes.Buffer
	if at := d.First; at != nil {
		fmt.Fprintf(&b, "%s at %s", d.Verdict(), at.At)
		if d.Equal != nil {
			fmt.Fprintf(&b, "; the last equal one before it is %s", d.Equal)
		}
		b.WriteByte('\n')
	}
	if at := d.FirstConnections; at != nil && *at != *d.First {
		fmt.Fprintf(&b, "connections differ from %s on, at %s; the last equal ones before it are those of %s\n", at, at.At, d.EqualConnections)
	}
	d.leadsText(&b)
	d.groupsText(&b, maxLines)
	_, err := w.Write(b.Bytes())
	return err
}

// WriteGroups writes only what WriteText writes of the groups: the first ones, or
// all.
func (d *Difference) WriteGroups(w io.Writer, all bool) error {
	var b bytes.Buffer
	most := maxLines
	if all {
		most = len(d.Groups)
	}
	d.groupsText(&b, most)
	_, err := w.Write(b.Bytes())
	return err
}

func (d *Difference) groupsText(b *bytes.Buffer, most int) {
	follows := map[ChangeKind][]string{}
	lines := 0
	for i := range d.Groups {
		g := &d.Groups[i]
		if g.Follows {
			follows[g.Change] = append(follows[g.Change], render.Count(g.Count, singular(g.Section)))
			continue
		}
		if lines++; lines <= most {
			d.groupText(b, g)
		}
	}
	if lines > most {
		fmt.Fprintf(b, "and %d causes more; --format json has all\n", lines-most)
	}
	if text := followText(follows); text != "" {
		fmt.Fprintf(b, "with them: %s\n", text)
	}
	if d.LeftOut > 0 {
		fmt.Fprintf(b, "counts are lower bounds: %d differences beyond the first %d things are not in them\n", d.LeftOut, maxThings)
	}
}

// Verdict says in a line whether the sides differ.
func (d *Difference) Verdict() string {
	switch {
	case d.Same() && d.Whole:
		return "nothing differs in what was ever seen"
	case d.Same():
		return fmt.Sprintf("nothing differs in %s", render.Count(d.Ticks, "tick"))
	case d.First == nil:
		return fmt.Sprintf("%s differ", render.Count(len(d.Groups), "group"))
	}
	return fmt.Sprintf("%d of %s %s, the first is %s", d.Differ, render.Count(d.Ticks, "tick"),
		map[bool]string{true: "differs", false: "differ"}[d.Differ == 1], d.First)
}

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

// leadsText writes the records that the two part at.
func (d *Difference) leadsText(b *bytes.Buffer) {
	for _, l := range d.Leads {
		side := map[string]string{"a": " of A", "b": " of B"}[l.Side]
		if l.Why == "differs" {
			fmt.Fprintf(b, "first record%s that the other tape does not have there:\n    %s\n", side, render.Clean(l.Text))
		} else {
			if d.EqualConnections != nil {
				side += " since then"
			}
			fmt.Fprintf(b, "first record%s that concerns what differs:\n    %s\n", side, render.Clean(l.Text))
		}
	}
}

// groupText writes a group: what it is, what became of it, an example.
func (d *Difference) groupText(b *bytes.Buffer, g *Group) {
	fmt.Fprintf(b, "\n%s %s%s\n", signs[g.Change], g.Title(), d.ticksText(g))
	for _, line := range g.fieldTexts() {
		fmt.Fprintf(b, "    %s\n", line)
	}
	if g.Section == Connections && len(g.Examples) > 0 {
		examplesText(b, g)
	} else if len(g.Examples) > 0 && g.Count > 1 {
		fmt.Fprintf(b, "    e.g. %s\n", render.Clean(g.Examples[0].ID))
	}
}

// Title says in a line what the things of the group are.
func (g *Group) Title() string {
	switch g.Section {
	case Connections:
		text := render.Count(g.Count, "connection") + " " + g.From + " -> " + g.To
		if g.Reversed {
			text += " the other way round"
		}
		return text
	case Ticks:
		return render.Count(g.Count, "tick") + " that the other side lacks"
	case CoverageSection:
		return "coverage of " + render.Clean(g.To)
	case Head:
		return "head of the reports"
	}
	if g.Count == 1 {
		return singular(g.Section) + " " + render.Clean(g.To)
	}
	return render.Count(g.Count, singular(g.Section))
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

// fieldTexts says what became of the group's fields, one a line.
func (g *Group) fieldTexts() (lines []string) {
	for i := range g.Fields {
		f := &g.Fields[i]
		switch {
		case g.Reversed && f.Name == "from":
			lines = append(lines, render.Clean(f.How))
		case !g.Reversed || f.Name != "to":
			lines = append(lines, f.text())
		}
	}
	return lines
}

// text is the field with its values, where all of the group have the same.
func (f *Field) text() string {
	name := f.Name
	if f.Some {
		name += " of some"
	}
	if f.A == "" && f.B == "" {
		return name + ": " + render.Clean(f.How)
	}
	return fmt.Sprintf("%s: %s became %s", name, render.Clean(orNone(f.A)), render.Clean(orNone(f.B)))
}

// examplesText shows a connection of the group as either side has it, or a few
// of different ends.
func examplesText(b *bytes.Buffer, g *Group) {
	show := func(sign string, text []byte) {
		if c, err := reporter.ParseConnection(text); err == nil { // else that side lacks it
			fmt.Fprintf(b, "    %s%s\n", sign, render.Line(c))
		}
	}
	if g.Change == Changed {
		show("- ", g.Examples[0].A)
		show("+ ", g.Examples[0].B)
		return
	}
	sign := map[bool]string{true: "e.g. "}[g.Count > 1]
	for i, e := range g.Examples {
		if i == 0 || strings.Contains(g.From+g.To, "*") {
			show(sign, e.A)
			show(sign, e.B)
			show("which the other side has as ", e.As)
		}
	}
}
