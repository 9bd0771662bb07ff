package survey

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay/render"
)

// Text returns the survey as info prints it for people. Coverage bars fill a line of
// that many columns.
func (v *Survey) Text(columns int) string {
	var b strings.Builder
	for i := range v.Tapes {
		v.Tapes[i].text(&b, len(v.Tapes) > 1)
	}
	if v.Host != nil && v.Host.Kernel != "" {
		quote.Line(&b, "kernel    %q", v.Host.Kernel)
	}
	quote.Line(&b, "records   %d, %s plain; %s, %s", v.Records, render.Size(v.Bytes), render.Count(v.Ticks, "tick"), render.Count(v.Witnesses, "witness"))
	v.kindsText(&b)
	v.sourcesText(&b)
	v.barsText(&b, columns)
	v.coverageText(&b)
	v.eventsText(&b)
	if v.Top != nil {
		v.Top.text(&b)
	}
	return b.String()
}

// section writes a title and a line for each element of a list, and how many more there
// are. It writes nothing for an empty list.
func section[T any](b *strings.Builder, title string, list []T, line func(*T) string, more uint64) {
	if len(list) > 0 {
		heading(b, "%s", title)
	}
	for i := range list {
		quote.Line(b, "  %s", line(&list[i]))
	}
	if more > 0 {
		quote.Line(b, "  and %d more", more)
	}
}

// heading writes the first line of a section, after an empty line.
func heading(b *strings.Builder, format string, args ...any) {
	b.WriteByte('\n')
	quote.Line(b, format, args...)
}

// text writes the facts of one tape, with its own counts if there are several.
func (t *tapeFacts) text(b *strings.Builder, several bool) {
	line := func(shown bool, name, format string, args ...any) {
		if shown {
			quote.Line(b, "%-10s%s", name, fmt.Sprintf(format, args...))
		}
	}
	line(true, "tape", "%s, %s", t.Name, t.Ending)
	line(true, "host", "%q (%q)", t.HostName, t.HostID)
	line(true, "time", "%s, records from +%s to +%s (%s)", t.Start, t.First, t.Last, t.Duration)
	line(true, "versions", "topotape %s, format %s, core %d", t.Tool, t.Format, t.Core)
	line(t.Recording == "", "id", "%s", t.TapeID)
	line(t.Recording != "", "id", "%s, segment %d of recording %s", t.TapeID, t.Segment, t.Recording)
	line(t.Recorder != "" || len(t.Command) > 0, "recorded", "by %q with %q", t.Recorder, strings.Join(t.Command, " "))
	if d := t.From; d != nil {
		line(len(d.Args) == 0, "derived", "%s", t.Derived)
		line(len(d.Args) > 0, "derived", "%s with %q", t.Derived, strings.Join(d.Args, " "))
		for _, p := range d.Parents {
			line(p.SHA256 != "" || len(d.Parents) > 1, "parent", "%s sha256 %s", p.TapeID, p.SHA256)
		}
	}
	line(t.Note != "", "note", "%q", t.Note)
	line(t.Unknown > 0, "unknown", "%s of a kind that this version does not know", render.Count(t.Unknown, "record"))
	line(t.Missing > 0, "missing", "%s between the first and the last", render.Count(t.Missing, "record number"))
	line(several, "contains", "%s, %s plain", render.Count(t.Records, "record"), render.Size(t.Bytes))
	line(true, "read", "%s", readTexts[t.Reading])
	if several {
		b.WriteByte('\n')
	}
}

// readTexts describe how much of the tape was read.
var readTexts = map[reading]string{
	readAll:    "every record",
	readFrames: "its index; all checksums are right",
	readIndex:  "its index; the other records were not read",
}

func (v *Survey) kindsText(b *strings.Builder) {
	if len(v.Kinds) == 0 {
		return
	}
	const row = "  %-11s  %-20s  %11s  %10s  %10s"
	heading(b, row, "SOURCE", "KIND", "RECORDS", "PER SECOND", "BYTES")
	for _, k := range v.Kinds {
		source := fmt.Sprintf("%d %s", k.Source, v.sourceKind(k.Source))
		quote.Line(b, row, source, k.Kind, fmt.Sprint(k.Records), rateText(k.Rate), render.Size(k.Bytes))
	}
	if v.KindsMore > 0 {
		quote.Line(b, "  and %s of other sources", render.Count(v.KindsMore, "record"))
	}
}

// rateText returns a rate in about three digits.
func rateText(r float64) string {
	switch {
	case r == 0:
		return "0"
	case r < 0.01:
		return fmt.Sprintf("%.1e", r)
	case r < 10:
		return fmt.Sprintf("%.2f", r)
	case r < 100:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.0f", r)
}

func (v *Survey) sourcesText(b *strings.Builder) {
	if len(v.Sources) == 0 {
		heading(b, "no sources were opened on this tape")
	}
	section(b, "sources", v.Sources, (*opening).text, v.SourcesMore)
}

func (o *opening) text() string {
	text := fmt.Sprintf("%d %s", o.Number, o.Kind)
	for _, part := range []struct {
		shown  bool
		format string
		value  any
	}{
		{o.Opened != "", "opened at +%s", o.Opened},
		{o.Closed != "", "closed at +%s", o.Closed},
		{o.Netns != 0, "netns %d", o.Netns},
		{o.Interface != "", "interface %q", o.Interface},
		{o.Buffer != 0, "buffer %s", render.Size(o.Buffer)},
		{o.Snaplen != 0, "snaplen %d", o.Snaplen},
	} {
		if part.shown {
			text += ", " + fmt.Sprintf(part.format, part.value)
		}
	}
	return text + render.Reason(o.Why)
}

// barsText draws every source's coverage over the time of its recording, and when the host
// had events.
func (v *Survey) barsText(b *strings.Builder, columns int) {
	const label = 16
	row := func(name, bar string) { quote.Line(b, "  %-*s%s", label-2, name, bar) }
	list := v.Coverage
	for i := range list {
		c := &list[i]
		from, to := c.Spans[0].From, c.Spans[len(c.Spans)-1].To // those of the recording
		bar := slices.IndexFunc(v.HostBars, func(h hostBar) bool { return h.Tape == c.Tape })
		if i == 0 || c.Tape != list[i-1].Tape {
			legend := "█ all, ▒ a gap, ░ in part, · closed"
			if bar >= 0 {
				legend += "; host: ! an event"
			}
			heading(b, "coverage, +%s to +%s%s (%s)", shortText(from), shortText(to), v.ofTape(", ", c), legend)
		}
		name := c.Kind
		if c.Number != 0 {
			name = fmt.Sprintf("%d %s", c.Number, c.Kind)
		}
		row(name, coverageBar(c.Spans, from, to, columns-label))
		if bar >= 0 && (i == len(list)-1 || list[i+1].Tape != c.Tape) {
			row("host", eventBar(v.HostBars[bar].Marks, from, to, columns-label))
		}
	}
}

// shortText returns a duration rounded for reading.
func shortText(ns duration) string {
	d := time.Duration(ns)
	switch {
	case d < time.Minute:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// coverageText lists every source's coverage as it is at the end.
func (v *Survey) coverageText(b *strings.Builder) {
	type kindOfTape struct {
		tape int
		kind string
	}
	ofKind := map[kindOfTape]int{}
	for i := range v.Coverage {
		ofKind[kindOfTape{v.Coverage[i].Tape, v.Coverage[i].Kind}]++
	}
	section(b, "coverage at the end", v.Coverage, func(c *coverage) string {
		number := "" // distinguishes the source from others of its kind
		if ofKind[kindOfTape{c.Tape, c.Kind}] > 1 {
			number = fmt.Sprintf(" %d", c.Number)
		}
		text := fmt.Sprintf("%s%s%s %s, %s, %d lost", c.Kind, number, v.ofTape(" of ", c), c.State, render.Count(c.Records, "record"), c.Lost)
		if c.Undecodable != nil {
			text += fmt.Sprintf(", %d undecodable", *c.Undecodable)
		}
		if c.Ignored != nil {
			text += fmt.Sprintf(", %d ignored", *c.Ignored)
		}
		return text + render.Reason(c.Why)
	}, 0)
	if len(v.Coverage) == 0 {
		heading(b, "coverage at the end")
		quote.Line(b, "  none: there are no records")
	}
}

// ofTape returns the name of the recording's first tape, after a separator, if there
// are several recordings.
func (v *Survey) ofTape(sep string, c *coverage) string {
	if v.Coverage[len(v.Coverage)-1].Tape == 0 {
		return ""
	}
	return sep + v.Tapes[c.Tape].Name
}

// eventsText lists the rare records: gaps, marks, clock steps and faults, and then
// damage.
func (v *Survey) eventsText(b *strings.Builder) {
	section(b, "gaps", v.Gaps, func(g *gap) string {
		since := ""
		if g.Since != "" {
			since = " since +" + g.Since
		}
		return fmt.Sprintf("+%s (#%d) source %d %s lost %s%s%s", g.At, g.Record, g.Source, g.Kind, render.Lost(g.Lost, g.Exact), since, render.Reason(g.Why))
	}, v.GapsMore)
	if len(v.Gaps) == 0 {
		heading(b, "no gaps")
	}
	section(b, "marks", v.Marks, func(m *mark) string {
		return fmt.Sprintf("+%s (#%d) %q", m.At, m.Record, m.Text)
	}, v.MarksMore)
	section(b, "the wall clock was stepped", v.ClockSteps, func(c *clockStep) string {
		return fmt.Sprintf("+%s (#%d) by %s to %s", c.At, c.Record, c.Step, c.Wall)
	}, 0)
	section(b, "the recorder stood still", v.Stalls, func(s *stall) string {
		return fmt.Sprintf("until +%s (#%d), for %s", s.At, s.Record, s.Duration)
	}, 0)
	section(b, "events of the host", v.HostEvents, func(e *hostEvent) string {
		return fmt.Sprintf("+%s (#%d) %s %d%s", e.At, e.Record, e.What, e.Count, render.HostEventReason(e.What))
	}, v.HostMore)
	for _, f := range v.Faults {
		heading(b, "the core panicked on record %d in production: %q", f.Record, f.Message)
	}
	if v.Undecodable > 0 {
		heading(b, "%s not listed: malformed, or with a text or list beyond a limit", render.Count(v.Undecodable, "record"))
	}
	if v.Damage != "" {
		heading(b, "damaged: %s", v.Damage)
	}
	if v.DamageMore > 0 {
		quote.Line(b, "and at %s", render.Count(v.DamageMore, "more place"))
	}
}
