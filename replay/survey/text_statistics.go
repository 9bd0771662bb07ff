package survey

import (
	"fmt"
	"strings"

	"github.com/topotape/topotape/replay/render"
)

func (s *statistics) text(b *strings.Builder) {
	fmt.Fprintf(b, "\nconnections %d", s.Connections)
	if s.LeftOut > 0 {
		fmt.Fprintf(b, "; at least %d more not counted: raise --max-connections", s.LeftOut)
	}
	if s.Stopped != "" {
		fmt.Fprintf(b, "; %s", s.Stopped)
	}
	b.WriteByte('\n')
	s.New.text(b, "new")
	s.Closed.text(b, "closed")
	fmt.Fprintf(b, "  %-18s%s\n", "direction by", countsText(s.Directions))
	fmt.Fprintf(b, "  %-18s%s\n", "nat", countsText(s.NAT))
	s.NoProcess.text(b, "without a process")
	s.NoName.text(b, "without a name")
	section(b, "top talkers: connections, bytes of those that ended", s.Talkers, (*talker).text, 0)
	counted := func(r *ranked[string]) string { return fmt.Sprintf("%8d  %s", r.Connections, render.Printable(r.What)) }
	section(b, "top servers", s.Servers, counted, 0)
	section(b, "top processes", s.Processes, counted, 0)
	section(b, "top names of servers", s.Names, counted, 0)
	s.Disorder.text(b)
}

func (p *pace) text(b *strings.Builder, name string) {
	if p.Count > 0 {
		fmt.Fprintf(b, "  %-18s%d, %s a second, at most %d (at +%s)\n", name, p.Count, rateText(p.Rate), p.Most, p.MostAt)
	}
}

func countsText(list []ranked[string]) string {
	var parts []string
	for _, r := range list {
		parts = append(parts, fmt.Sprintf("%s %d", r.What, r.Connections))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func (l *lacking) text(b *strings.Builder, name string) {
	fmt.Fprintf(b, "  %-18s%d (%.0f %%)\n", name, l.Connections, 100*l.Share)
	for _, w := range l.Why {
		fmt.Fprintf(b, "  %18s%d: %s\n", "", w.Connections, w.What)
	}
}

func (t *talker) text() string {
	size := "-"
	if t.Bytes != nil {
		size = render.Size(*t.Bytes)
	}
	name := ""
	if len(t.Names) > 0 {
		name = "  " + render.Printable(t.Names[0])
	}
	return strings.TrimRight(fmt.Sprintf("%8d  %10s  %-24s%s", t.Connections, size, t.Addr, name), " ")
}

func (d *disorder) text(b *strings.Builder) {
	if d.Tables == 0 && d.Events == 0 {
		return
	}
	b.WriteString("\norder\n")
	if d.Tables > 0 {
		fmt.Fprintf(b, "  %d of %s: the read began before the preceding record arrived, by at most %s\n", d.TablesEarly, render.Count(d.Tables, "socket table"), d.TablesEarlyMost)
	}
	if d.Events > 0 {
		fmt.Fprintf(b, "  %s took %s on average to reach the recorder, at most %s; %d are out of the kernel's order\n",
			render.Count(d.Events, "conntrack message"), d.EventsLate, d.EventsLateMost, d.EventsBack)
	}
}
