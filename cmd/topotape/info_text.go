package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/topotape/topotape/capture"
)

// headerText is a tape's header in one line.
func headerText(h *capture.Header) string {
	return fmt.Sprintf("host %q (%q)  start %s  tape %x  topotape %s, core %d", h.HostName, h.HostID,
		time.Unix(0, h.Start).UTC().Format(time.RFC3339Nano), h.TapeID, h.Tool, h.Core)
}

// text is what info says, for people to read.
func (f *infoFacts) text() string {
	var b strings.Builder
	for i := range f.Tapes {
		f.Tapes[i].text(&b)
	}
	fmt.Fprintf(&b, "records   %d, %s plain; %d ticks, %d witnesses\n", f.Records, sizeText(f.Bytes), f.Ticks, f.Witnesses)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\n  SOURCE\tKIND\tRECORDS\tBYTES")
	for _, k := range f.Kinds {
		fmt.Fprintf(table, "  %d %s\t%s\t%d\t%s\n", k.Source, f.kindOf(k.Source), k.Kind, k.Records, sizeText(k.Bytes))
	}
	table.Flush()
	f.sourcesText(&b)
	b.WriteString("\ncoverage at the end\n")
	for _, c := range f.Coverage {
		fmt.Fprintf(&b, "  %s %s, %d records, %d lost, %d undecodable, %d ignored%s\n", c.Source, c.State, c.Records, c.Lost, c.Undecodable, c.Ignored, reasonText(c.Why))
	}
	if len(f.Coverage) == 0 {
		b.WriteString("  none: no report was made\n")
	}
	for i, g := range f.Gaps {
		if i == 0 {
			b.WriteString("\ngaps\n")
		}
		about := "about "
		if g.Exact {
			about = ""
		}
		fmt.Fprintf(&b, "  +%s (#%d) source %d %s lost %s%d%s\n", g.At, g.Record, g.Source, g.Kind, about, g.Lost, reasonText(g.Why))
	}
	if f.GapsMore > 0 {
		fmt.Fprintf(&b, "  and %d more\n", f.GapsMore)
	}
	if len(f.Gaps) == 0 {
		b.WriteString("\nno gaps\n")
	}
	for i, m := range f.Marks {
		if i == 0 {
			b.WriteString("\nmarks\n")
		}
		fmt.Fprintf(&b, "  +%s (#%d) %q\n", m.At, m.Record, m.Text)
	}
	for _, v := range f.Faults {
		fmt.Fprintf(&b, "\nthe core panicked on record %d in production: %q\n", v.Record, v.Message)
	}
	if f.Damage != "" {
		fmt.Fprintf(&b, "\ndamaged: %s\n", f.Damage)
	}
	return b.String()
}

func (t *infoTape) text(b *strings.Builder) {
	fmt.Fprintf(b, "tape      %s, %s\n", t.Name, t.Ending)
	fmt.Fprintf(b, "host      %q (%q)\n", t.HostName, t.HostID)
	fmt.Fprintf(b, "time      %s, records from +%s to +%s (%s)\n", t.Start, t.First, t.Last, time.Duration(t.last-t.first))
	fmt.Fprintf(b, "versions  topotape %s, format %s, core %d\n", t.Tool, t.Format, t.Core)
	fmt.Fprintf(b, "id        %s", t.TapeID)
	if t.Recording != "" {
		fmt.Fprintf(b, ", segment %d of recording %s", t.Segment, t.Recording)
	}
	b.WriteByte('\n')
	if t.Recorder != "" || len(t.Command) > 0 {
		fmt.Fprintf(b, "recorded  by %q with %q\n", t.Recorder, strings.Join(t.Command, " "))
	}
	if t.Derived != "" {
		fmt.Fprintf(b, "derived   %s\n", t.Derived)
	}
	if t.Note != "" {
		fmt.Fprintf(b, "note      %q\n", t.Note)
	}
	if t.Unknown > 0 {
		fmt.Fprintf(b, "unknown   %d records of kinds that this version does not know\n", t.Unknown)
	}
}

func (f *infoFacts) sourcesText(b *strings.Builder) {
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
			fmt.Fprintf(b, ", buffer %s", sizeText(s.Buffer))
		}
		if s.Snaplen != 0 {
			fmt.Fprintf(b, ", snaplen %d", s.Snaplen)
		}
		fmt.Fprintf(b, "%s\n", reasonText(s.Why))
	}
}

// sizeText is bytes with a unit, to read.
func sizeText(n uint64) string {
	for _, u := range sizeUnits[:4] {
		if n >= uint64(u.bytes) {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
