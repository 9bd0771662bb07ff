package diff

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter/report"
)

// String returns the number of the tick and those of its records.
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

// maxGroupsShown is how many groups text shows.
const maxGroupsShown = 40

// WriteText writes the difference as text: the first tick and record that differ, and
// one paragraph for each cause with an example. A - is what only A has, + what only B
// has, ~ what both have with different fields. Without a difference it writes nothing.
func (d *Difference) WriteText(w io.Writer) error {
	var b bytes.Buffer
	if at := d.First; at != nil {
		equal := ""
		if d.Equal != nil {
			equal = fmt.Sprintf("; the last equal one before it is %s", d.Equal)
		}
		quote.Line(&b, "%s at %s%s", d.Verdict(), at.At, equal)
	}
	if at := d.FirstConnections; at != nil && *at != *d.First {
		quote.Line(&b, "connections differ from %s on, at %s; the last equal ones before it are those of %s", at, at.At, d.EqualConnections)
	}
	d.leadsText(&b)
	d.groupsText(&b, maxGroupsShown)
	_, err := w.Write(b.Bytes())
	return err
}

// WriteGroups writes the groups as WriteText does, the first ones or all, and nothing
// else.
func (d *Difference) WriteGroups(w io.Writer, all bool) error {
	var b bytes.Buffer
	n := maxGroupsShown
	if all {
		n = len(d.Groups)
	}
	d.groupsText(&b, n)
	_, err := w.Write(b.Bytes())
	return err
}

// groupsText writes the first groups. Those that follow from others share one line.
func (d *Difference) groupsText(b *bytes.Buffer, most int) {
	causes := 0
	for i := range d.Groups {
		if d.Groups[i].Follows {
			continue
		}
		if causes++; causes <= most {
			d.groupText(b, &d.Groups[i])
		}
	}
	if causes > most {
		quote.Line(b, "and %d causes more; --format json has all", causes-most)
	}
	if text := d.followText(); text != "" {
		quote.Line(b, "with them: %s", text)
	}
	if d.LeftOut > 0 {
		quote.Line(b, "counts are lower bounds: %d differences beyond the first %d things are not in them", d.LeftOut, maxThings)
	}
}

// Verdict returns a line that says whether the sides differ, and from which tick on.
func (d *Difference) Verdict() string {
	switch {
	case d.Same() && d.Whole:
		return "nothing differs in what was ever seen"
	case d.Same():
		return fmt.Sprintf("nothing differs in %s", render.Count(d.Ticks, "tick"))
	case d.First == nil:
		return fmt.Sprintf("%s differ", render.Count(len(d.Groups), "group"))
	}
	verb := "differ"
	if d.Differ == 1 {
		verb = "differs"
	}
	return fmt.Sprintf("%d of %s %s, the first is %s", d.Differ, render.Count(d.Ticks, "tick"), verb, d.First)
}

var signs = map[ChangeKind]string{Removed: "-", Added: "+", Changed: "~"}

// followText counts the things of groups that follow from others.
func (d *Difference) followText() string {
	var parts []string
	for _, kind := range []ChangeKind{Removed, Added, Changed} {
		var counts []string
		for _, g := range d.Groups {
			if g.Follows && g.Change == kind {
				counts = append(counts, render.Count(g.Count, singular(g.Section)))
			}
		}
		if len(counts) > 0 {
			parts = append(parts, signs[kind]+" "+strings.Join(counts, " and "))
		}
	}
	return strings.Join(parts, ", ")
}

func singular(s Section) string {
	switch s {
	case Coverage:
		return "coverage"
	case Head:
		return "report"
	}
	return strings.TrimSuffix(string(s), "s")
}

// leadsText writes the first records that differ or concern what differs.
func (d *Difference) leadsText(b *bytes.Buffer) {
	for _, l := range d.Leads {
		side := map[string]string{"a": " of A", "b": " of B"}[l.Side]
		if l.Why == "differs" {
			quote.Line(b, "first record%s that the other tape does not have there:", side)
		} else {
			if d.EqualConnections != nil {
				side += " since then"
			}
			quote.Line(b, "first record%s that concerns what differs:", side)
		}
		quote.Line(b, "    %s", l.Text)
	}
}

// groupText writes a group: its title, its fields, an example.
func (d *Difference) groupText(b *bytes.Buffer, g *Group) {
	b.WriteByte('\n')
	quote.Line(b, "%s %s%s", signs[g.Change], g.title(), d.ticksText(g))
	for _, line := range g.fieldTexts() {
		quote.Line(b, "    %s", line)
	}
	if g.Section == Connections && len(g.Examples) > 0 {
		examplesText(b, g)
	} else if len(g.Examples) > 0 && g.Count > 1 {
		quote.Line(b, "    e.g. %s", g.Examples[0].ID)
	}
}

// title describes the things of the group in a line.
func (g *Group) title() string {
	switch g.Section {
	case Connections:
		text := render.Count(g.Count, "connection") + " " + g.From + " -> " + g.To
		if g.Reversed {
			text += " the other way round"
		}
		return text
	case Ticks:
		return render.Count(g.Count, "tick") + " that the other side lacks"
	case Coverage:
		return "coverage of " + g.To
	case Head:
		return "head of the reports"
	}
	if g.Count == 1 {
		return singular(g.Section) + " " + g.To
	}
	return render.Count(g.Count, singular(g.Section))
}

// ticksText names the ticks of the group, if more than one was compared.
func (d *Difference) ticksText(g *Group) string {
	switch {
	case d.Ticks <= 1 && g.Section != Ticks:
		return ""
	case g.FirstTick == g.LastTick:
		return fmt.Sprintf(", tick %d", g.FirstTick)
	}
	return fmt.Sprintf(", ticks %d-%d", g.FirstTick, g.LastTick)
}

// fieldTexts describes how the group's fields changed, one line for each. Of a
// reversed connection both ends are one line.
func (g *Group) fieldTexts() (lines []string) {
	for i := range g.Fields {
		f := &g.Fields[i]
		switch {
		case g.Reversed && f.Name == "from":
			lines = append(lines, f.How)
		case !g.Reversed || f.Name != "to":
			lines = append(lines, f.text())
		}
	}
	return lines
}

// text describes the change of a field, with its values if they are the same in all
// of the group.
func (f *Field) text() string {
	name := f.Name
	if f.Some {
		name += " of some"
	}
	if f.A == "" && f.B == "" {
		return name + ": " + f.How
	}
	return fmt.Sprintf("%s: %s became %s", name, orNone(f.A), orNone(f.B))
}

// examplesText writes a connection of the group. If connections with different ends
// are added or removed, it writes all examples.
func examplesText(b *bytes.Buffer, g *Group) {
	show := func(prefix string, connection []byte) {
		if c, err := report.ParseConnection(connection); err == nil { // else that side lacks it
			quote.Line(b, "    %s%s", prefix, render.Line(c))
		}
	}
	if g.Change == Changed {
		show("- ", g.Examples[0].A)
		show("+ ", g.Examples[0].B)
		return
	}
	examples := g.Examples
	if !strings.Contains(g.From+g.To, "*") {
		examples = examples[:1]
	}
	prefix := ""
	if g.Count > 1 {
		prefix = "e.g. "
	}
	for _, e := range examples {
		show(prefix, e.A)
		show(prefix, e.B)
		show("which the other side has as ", e.As)
	}
}
