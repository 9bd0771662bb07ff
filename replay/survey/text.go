package survey

import (
	"fmt"
	"strings"
	"time"

	"github.com/topotape/topotape/replay/render"
)

// Text returns the facts as info prints them for people. Coverage bars fill a line
// of that many columns.
func (f *Facts) Text(columns int) string {
	var b strings.Builder
	for i := range f.Tapes {
		f.Tapes[i].text(&b, len(f.Tapes) > 1)
	}
	if f.Host != nil && f.Host.Kernel != "" {
		fmt.Fprintf(&b, "kernel    %q\n", f.Host.Kernel)
	}
	fmt.Fprintf(&b, "records   %d, %s plain; %s, %s\n", f.Records, render.Size(f.Bytes), render.Count(f.Ticks, "tick"), render.Count(f.Witnesses, "witness"))
	f.kindsText(&b)
	f.sourcesText(&b)
	f.coverageText(&b, columns)
	f.gapsText(&b)
	f.eventsText(&b)
	if f.Top != nil {
		f.Top.text(&b)
	}
	return b.String()
}

func (f *Facts) kindsText(b *strings.Builder) {
	if len(f.Kinds) == 0 {
		return
	}
	const row = "  %-11s  %-20s  %11s  %10s  %10s\n"
	fmt.Fprintf(b, "\n"+row, "SOURCE", "KIND", "RECORDS", "PER SECOND", "BYTES")
	for _, k := range f.Kinds {
		source := fmt.Sprintf("%d %s", k.Source, f.survey.SourceKind(k.Source))
		fmt.Fprintf(b, row, source, k.Kind, fmt.Sprint(k.Records), rateText(k.Rate), render.Size(k.Bytes))
	}
	if f.KindsMore > 0 {
		fmt.Fprintf(b, "  and %s of other sources\n", render.Count(f.KindsMore, "record"))
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

// readTexts describe how much of the tape was read.
var readTexts = map[string]string{
	ReadAll.String():    "every record",
	ReadFrames.String(): "its index; all checksums are right",
	ReadIndex.String():  "its index; the other records were not read",
}

// text writes the facts of one tape, with its own counts if there are several.
func (t *infoTape) text(b *strings.Builder, several bool) {
	fmt.Fprintf(b, "tape      %s, %s\n", t.Name, t.Ending)
	fmt.Fprintf(b, "host      %q (%q)\n", t.HostName, t.HostID)
	fmt.Fprintf(b, "time      %s, records from +%s to +%s (%s)\n", t.Start, t.First, t.Last, t.Duration)
	fmt.Fprintf(b, "versions  topotape %s, format %s, core %d\n", t.Tool, t.Format, t.Core)
	fmt.Fprintf(b, "id        %s", t.TapeID)
	if t.Recording != "" {
		fmt.Fprintf(b, ", segment %d of recording %s", t.Segment, t.Recording)
	}
	b.WriteByte('\n')
	if t.Recorder != "" || len(t.Command) > 0 {
		fmt.Fprintf(b, "recorded  by %q with %q\n", t.Recorder, strings.Join(t.Command, " "))
	}
	if d := t.From; d != nil {
		fmt.Fprintf(b, "derived   %s", t.Derived)
		if len(d.Args) > 0 {
			fmt.Fprintf(b, " with %q", strings.Join(d.Args, " "))
		}
		b.WriteByte('\n')
		for _, p := range d.Parents {
			if p.SHA256 != "" || len(d.Parents) > 1 {
				fmt.Fprintf(b, "parent    %s sha256 %s\n", p.TapeID, p.SHA256)
			}
		}
	}
	if t.Note != "" {
		fmt.Fprintf(b, "note      %q\n", t.Note)
	}
	if t.Unknown > 0 {
		fmt.Fprintf(b, "unknown   %s of a kind that this version does not know\n", render.Count(t.Unknown, "record"))
	}
	if t.Missing > 0 {
		fmt.Fprintf(b, "missing   %s between the first and the last\n", render.Count(t.Missing, "record number"))
	}
	if several {
		fmt.Fprintf(b, "contains  %s, %s plain\n", render.Count(t.Records, "record"), render.Size(t.Bytes))
	}
	fmt.Fprintf(b, "read      %s\n", readTexts[t.Read])
	if several {
		b.WriteByte('\n')
	}
}

func (f *Facts) sourcesText(b *strings.Builder) {
	if len(f.Sources) == 0 {
		b.WriteString("\nno sources were opened on this tape\n")
		return
	}
	b.WriteString("\nsources\n")
	for _, s := range f.Sources {
		fmt.Fprintf(b, "  %d %s", s.Number, s.Kind)
		if s.Opened != "" {
			fmt.Fprintf(b, ", opened at +%s", s.Opened)
		}
		if s.Closed != "" {
			fmt.Fprintf(b, ", closed at +%s", s.Closed)
		}
		if s.Netns != 0 {
			fmt.Fprintf(b, ", netns %d", s.Netns)
		}
		if s.Interface != "" {
			fmt.Fprintf(b, ", interface %q", s.Interface)
		}
		if s.Buffer != 0 {
			fmt.Fprintf(b, ", buffer %s", render.Size(s.Buffer))
		}
		if s.Snaplen != 0 {
			fmt.Fprintf(b, ", snaplen %d", s.Snaplen)
		}
		fmt.Fprintf(b, "%s\n", render.Reason(s.Why))
	}
	if f.SourcesMore > 0 {
		fmt.Fprintf(b, "  and %d more\n", f.SourcesMore)
	}
}

// coverageText draws every source's coverage over time, and lists it as it is at
// the end.
func (f *Facts) coverageText(b *strings.Builder, columns int) {
	list := f.survey.Coverage
	const label = 16
	for i := range list {
		if i > 0 && list[i].Tape == list[i-1].Tape {
			continue
		}
		from, to := f.span(list[i].Tape)
		of := ""
		if list[i].Tape > 0 || list[len(list)-1].Tape > 0 {
			of = ", " + f.Tapes[list[i].Tape].Name
		}
		fmt.Fprintf(b, "\ncoverage, +%s to +%s%s (█ all, ▒ a gap, ░ in part, · closed)\n", shortText(from), shortText(to), of)
		for j := i; j < len(list) && list[j].Tape == list[i].Tape; j++ {
			c := &list[j]
			name := c.Kind
			if c.Number != 0 {
				name = fmt.Sprintf("%d %s", c.Number, c.Kind)
			}
			fmt.Fprintf(b, "  %-*s%s\n", label-2, name, coverageBar(c.Spans, from, to, columns-label))
		}
	}
	b.WriteString("\ncoverage at the end\n")
	for _, c := range f.Coverage {
		fmt.Fprintf(b, "  %s%s %s, %s, %d lost", c.Source, f.which(&c), c.State, render.Count(c.Records, "record"), c.Lost)
		if c.Undecodable != nil {
			fmt.Fprintf(b, ", %d undecodable", *c.Undecodable)
		}
		if c.Ignored != nil {
			fmt.Fprintf(b, ", %d ignored", *c.Ignored)
		}
		fmt.Fprintf(b, "%s\n", render.Reason(c.Why))
	}
	if len(f.Coverage) == 0 {
		b.WriteString("  none: there are no records\n")
	}
}

// which returns what distinguishes a source from others of its kind: its number,
// its tape, or nothing.
func (f *Facts) which(c *infoCoverage) (text string) {
	tape, number := false, false
	for i := range f.Coverage {
		o := &f.Coverage[i]
		tape = tape || o.Tape != c.Tape
		number = number || o.Tape == c.Tape && o.Source == c.Source && o.Number != c.Number
	}
	if number {
		text = fmt.Sprintf(" %d", c.Number)
	}
	if tape {
		text += " of " + f.Tapes[c.Tape].Name
	}
	return text
}

// shortText returns a duration rounded for reading.
func shortText(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d < time.Minute:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// span returns the time of the recording whose first tape this is, ns since its
// start.
func (f *Facts) span(tape int) (from, to int64) {
	for _, c := range f.survey.Coverage {
		if c.Tape == tape && len(c.Spans) > 0 {
			from, to = c.Spans[0].From, c.Spans[len(c.Spans)-1].To
		}
	}
	return from, to
}

func (f *Facts) gapsText(b *strings.Builder) {
	for i, g := range f.Gaps {
		if i == 0 {
			b.WriteString("\ngaps\n")
		}
		fmt.Fprintf(b, "  +%s (#%d) source %d %s lost %s%s\n", g.At, g.Record, g.Source, g.Kind, render.Lost(g.Lost, g.Exact), render.Reason(g.Why))
	}
	if f.GapsMore > 0 {
		fmt.Fprintf(b, "  and %d more\n", f.GapsMore)
	}
	if len(f.Gaps) == 0 {
		b.WriteString("\nno gaps\n")
	}
}

// eventsText lists the rare records: marks, clock steps and faults, and then damage.
func (f *Facts) eventsText(b *strings.Builder) {
	for i, m := range f.Marks {
		if i == 0 {
			b.WriteString("\nmarks\n")
		}
		fmt.Fprintf(b, "  +%s (#%d) %q\n", m.At, m.Record, m.Text)
	}
	if f.MarksMore > 0 {
		fmt.Fprintf(b, "  and %d more\n", f.MarksMore)
	}
	for i, c := range f.ClockSteps {
		if i == 0 {
			b.WriteString("\nthe wall clock was stepped\n")
		}
		fmt.Fprintf(b, "  +%s (#%d) by %s to %s\n", c.At, c.Record, c.Step, c.Wall)
	}
	for _, v := range f.Faults {
		fmt.Fprintf(b, "\nthe core panicked on record %d in production: %q\n", v.Record, v.Message)
	}
	if f.Damage != "" {
		fmt.Fprintf(b, "\ndamaged: %s\n", f.Damage)
	}
	if f.DamageMore > 0 {
		fmt.Fprintf(b, "and at %s\n", render.Count(f.DamageMore, "more place"))
	}
}
