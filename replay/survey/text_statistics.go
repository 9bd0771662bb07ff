package survey

import (
	"fmt"
	"strings"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay/render"
)

func (s *statistics) text(b *strings.Builder) {
	more := ""
	if s.LeftOut > 0 {
		more = fmt.Sprintf("; at least %d more not counted: raise --max-connections", s.LeftOut)
	}
	if s.Stopped != "" {
		more += "; " + s.Stopped
	}
	heading(b, "connections %d%s", s.Connections, more)
	s.New.text(b, "new")
	s.Closed.text(b, "closed")
	quote.Line(b, "  %-18s%s", "direction by", countsText(s.Directions))
	quote.Line(b, "  %-18s%s", "nat", countsText(s.NAT))
	s.NoProcess.text(b, "without a process")
	s.NoName.text(b, "without a name")
	section(b, "top talkers: connections, bytes of those that ended", s.Talkers, (*talker).text, 0)
	counted := func(r *ranked[string]) string { return fmt.Sprintf("%8d  %s", r.Connections, r.What) }
	section(b, "top servers", s.Servers, counted, 0)
	section(b, "top processes", s.Processes, counted, 0)
	section(b, "top names of servers", s.Names, counted, 0)
	s.Disorder.text(b)
}

func (p *pace) text(b *strings.Builder, name string) {
	if p.Count > 0 {
		quote.Line(b, "  %-18s%d, %s a second, at most %d (at +%s)", name, p.Count, rateText(p.Rate), p.Most, p.MostAt)
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
	quote.Line(b, "  %-18s%d (%.0f %%)", name, l.Connections, 100*l.Share)
	for _, w := range l.Why {
		quote.Line(b, "  %18s%d: %s", "", w.Connections, w.What)
	}
}

func (t *talker) text() string {
	size := "-"
	if t.Bytes != nil {
		size = render.Size(*t.Bytes)
	}
	name := ""
	if len(t.Names) > 0 {
		name = "  " + t.Names[0]
	}
	return strings.TrimRight(fmt.Sprintf("%8d  %10s  %-24s%s", t.Connections, size, t.Addr, name), " ")
}

func (d *disorder) text(b *strings.Builder) {
	if d.Tables == 0 && d.Events == 0 {
		return
	}
	heading(b, "order")
	if d.Tables > 0 {
		quote.Line(b, "  %d of %s: the read began before the preceding record arrived, by at most %s", d.TablesEarly, render.Count(d.Tables, "socket table"), d.TablesEarlyMost)
	}
	if d.Events > 0 {
		quote.Line(b, "  %s took %s on average to reach the recorder, at most %s; %d are out of the kernel's order",
			render.Count(d.Events, "conntrack message"), d.EventsLate, d.EventsLateMost, d.EventsBack)
	}
}
