package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

// verification prints how the reports of a replay compare with production's.
type verification struct {
	*replay.Verification
	format  string
	several bool // there are several tapes, so messages name one
}

func (v *verification) write(w io.Writer) error {
	var b strings.Builder
	switch {
	case v.Witnesses > 0:
		quote.Line(&b, "%d/%d reports identical", v.Identical, v.Witnesses)
	case v.Others > 0: // the next line is about these
	case v.OtherRules > 0:
		quote.Line(&b, "0/0 reports identical: the %d witnesses on this tape were made under other rules", v.OtherRules)
	case v.Elsewhere > 0:
		quote.Line(&b, "0/0 reports identical: the ticks of the %d witnesses on this tape are missing", v.Elsewhere)
	default:
		quote.Line(&b, "0/0 reports identical: no witnesses on this tape")
	}
	if v.Others > 0 {
		quote.Line(&b, "core version %d made %d witnesses, this is core version %d: %d/%d reports unchanged",
			v.OtherCore, v.Others, reporter.CoreVersion, v.Unchanged, v.Others)
	}
	if v.Unticked > 0 {
		quote.Line(&b, "witnesses of ticks that are missing from the tape: %d", v.Unticked)
	}
	if d := v.First; d != nil {
		quote.Line(&b, "first difference: tick %d, record #%d%s, +%s: %s", d.Tick, d.Record, v.of(d), time.Duration(d.At), parts(d))
		if err := cmp.Or(v.since(&b, d), v.differing(&b, d)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// parts returns what differs, and which core version made the witness if it is not
// this one.
func parts(d *replay.Mismatch) string {
	text := strings.Join(d.Sections, ", ")
	if d.Report == nil {
		text = "the record is a witness of a tick that is missing before it"
	}
	if d.Core != reporter.CoreVersion {
		text += fmt.Sprintf("; core version %d made the witness", d.Core)
	}
	return text
}

// of names the tape if there are several.
func (v *verification) of(d *replay.Mismatch) string {
	if !v.several {
		return ""
	}
	return " of " + d.Tape
}

// since prints what changed after the last identical report.
func (v *verification) since(b *strings.Builder, d *replay.Mismatch) error {
	switch {
	case d.Since == nil:
		return nil
	case d.Since.Same():
		but := ""
		if len(d.Buckets) > 0 {
			but = ", except times"
		}
		quote.Line(b, "no change in these parts since %s, the last identical report%s", d.Before, but)
		return nil
	}
	quote.Line(b, "changes in these parts since %s, the last identical report:", d.Before)
	err := d.Since.WriteGroups(b, v.format == "json")
	b.WriteByte('\n')
	return err
}

// differing lists the connections of this replay in the buckets that differ.
func (v *verification) differing(b *strings.Builder, d *replay.Mismatch) error {
	list := d.Connections()
	if len(d.Buckets) == 0 {
		return nil
	}
	quote.Line(b, "connections of these buckets in this replay: %d", len(list))
	switch {
	case len(list) == 0:
		return nil
	case !strings.Contains(v.format, "json"):
		return render.Rows(b, d.Report, list, d.Header.Start)
	}
	for i := range list {
		b.Write(append(list[i].AppendJSON(nil), '\n'))
	}
	return nil
}

// difference returns the error of reports that differ, nil if none do.
func (v *verification) difference() error {
	if v.Identical == v.Witnesses {
		return nil
	}
	d, lacks := v.First, ""
	if d.Report == nil {
		lacks = ", which is missing from the tape"
	}
	return &exitError{exitDifference, fmt.Errorf("%d of %d reports differ from production's, the first at tick %d (record #%d%s)%s",
		v.Witnesses-v.Identical, v.Witnesses, d.Tick, d.Record, v.of(d), lacks)}
}
