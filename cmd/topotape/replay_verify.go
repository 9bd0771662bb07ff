package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

// verification says how the reports of a replay compare with production's.
type verification struct {
	*replay.Verification
	format  string
	several bool // tapes, so that one has to be named
}

func (v *verification) write(w io.Writer) error {
	var b strings.Builder
	switch {
	case v.Witnesses > 0:
		fmt.Fprintf(&b, "%d/%d reports identical\n", v.Identical, v.Witnesses)
	case v.Others > 0: // the line below is about these
	case v.OtherRules > 0:
		fmt.Fprintf(&b, "0/0 reports identical: the %d witnesses on this tape were made under other rules\n", v.OtherRules)
	case v.Elsewhere > 0:
		fmt.Fprintf(&b, "0/0 reports identical: the ticks of the %d witnesses on this tape are not on it\n", v.Elsewhere)
	default:
		b.WriteString("0/0 reports identical: no witnesses on this tape\n")
	}
	if v.Others > 0 {
		fmt.Fprintf(&b, "core version %d made %d witnesses, this is core version %d: %d/%d reports unchanged\n",
			v.OtherCore, v.Others, reporter.CoreVersion, v.Unchanged, v.Others)
	}
	if v.Unticked > 0 {
		fmt.Fprintf(&b, "witnesses of ticks that the tape does not have: %d\n", v.Unticked)
	}
	if d := v.First; d != nil {
		fmt.Fprintf(&b, "first difference: tick %d, record #%d%s, +%s: %s\n", d.Tick, d.Record, v.of(d), time.Duration(d.At), parts(d))
		if err := cmp.Or(v.since(&b, d), v.differing(&b, d)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// parts says what differs, and from what if not from this core version.
func parts(d *replay.Mismatch) string {
	text := strings.Join(d.Sections, ", ")
	if d.Report == nil {
		text = "the record is a witness of a tick that the tape does not have before it"
	}
	if d.Core != reporter.CoreVersion {
		text += fmt.Sprintf("; core version %d made the witness", d.Core)
	}
	return text
}

// of names the tape, if several were given.
func (v *verification) of(d *replay.Mismatch) string {
	if !v.several {
		return ""
	}
	return " of " + d.Tape
}

// since says what changed since the last report that was as production made it.
func (v *verification) since(b *strings.Builder, d *replay.Mismatch) error {
	switch {
	case d.Since == nil:
		return nil
	case d.Since.Same():
		but := ""
		if len(d.Buckets) > 0 {
			but = ", but for times"
		}
		fmt.Fprintf(b, "nothing of that changed here since %s, the last one that is identical%s\n", d.Before, but)
		return nil
	}
	fmt.Fprintf(b, "what changed of that here since %s, the last one that is identical:\n", d.Before)
	err := d.Since.WriteGroups(b, v.format == "json")
	b.WriteByte('\n')
	return err
}

// differing lists the connections of the buckets that differ, as they are here.
func (v *verification) differing(b *strings.Builder, d *replay.Mismatch) error {
	list := d.Connections()
	if len(d.Buckets) == 0 {
		return nil
	}
	fmt.Fprintf(b, "connections of these buckets in this replay: %d\n", len(list))
	if v.format == "table" && len(list) > 0 {
		return render.Rows(b, d.Report, list, d.Header.Start)
	}
	for i := range list {
		b.Write(append(list[i].AppendJSON(nil), '\n'))
	}
	return nil
}

// difference is the error of reports that differ; nil if none do.
func (v *verification) difference() error {
	if v.Identical == v.Witnesses {
		return nil
	}
	d, lacks := v.First, ""
	if d.Report == nil {
		lacks = ", which the tape does not have"
	}
	return &exitError{exitDifference, fmt.Errorf("%d of %d reports differ from production's, the first at tick %d (record #%d%s)%s",
		v.Witnesses-v.Identical, v.Witnesses, d.Tick, d.Record, v.of(d), lacks)}
}
