package render

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/report"
)

// Table writes the report as text: a head, the coverage of each source, one line
// for each connection, one for each attempt, and one for each kind of event of the host.
// start is the wall
// clock at the recording's start, Unix ns.
func Table(w io.Writer, r *report.Report, start int64) error {
	var b bytes.Buffer
	quote.Line(&b, "%s  %s  tick %d  window %s  rules %s", cmp.Or(r.HostName, r.HostID),
		time.Unix(0, r.At).UTC().Format(time.RFC3339Nano), r.Tick, time.Duration(r.Window), r.Rules)
	quote.Line(&b, "%s", coverageText(r.Coverage))
	b.WriteByte('\n')
	if len(r.Connections) == 0 {
		b.WriteString("no connections\n")
	} else {
		writeColumns(&b, tableRows(r, r.Connections, start))
	}
	writeAttempts(&b, r.Attempts)
	hostLines(&b, r.HostEvents, start)
	_, err := w.Write(b.Bytes())
	return err
}

// Rows writes connections of the report as Table does, without its head.
func Rows(w io.Writer, r *report.Report, connections []report.Connection, start int64) error {
	var b bytes.Buffer
	writeColumns(&b, tableRows(r, connections, start))
	_, err := w.Write(b.Bytes())
	return err
}

// coverageText shows how complete the view of each source is: whether a missing
// connection means that there was none.
func coverageText(list []report.Coverage) string {
	if len(list) == 0 {
		return "coverage: none"
	}
	var parts []string
	for _, c := range list {
		s := fmt.Sprintf("%s %s", c.Source, c.State)
		var notes []string
		if c.State != report.CoverageOff || c.Records > 0 {
			notes = append(notes, Count(c.Records, "record"))
		}
		if c.Lost > 0 {
			notes = append(notes, fmt.Sprintf("%d lost", c.Lost))
		}
		if c.Undecodable > 0 {
			notes = append(notes, fmt.Sprintf("%d undecodable", c.Undecodable))
		}
		if c.Why != "" {
			notes = append(notes, c.Why)
		}
		if len(notes) > 0 {
			s += " (" + strings.Join(notes, ", ") + ")"
		}
		parts = append(parts, s)
	}
	return "coverage: " + strings.Join(parts, "; ")
}

// tableRows are the column titles and the cells of each connection. A cell
// without a value is "-".
func tableRows(r *report.Report, connections []report.Connection, start int64) [][]string {
	names, zones := fold.NamesByAddr(r), severalZones(connections)
	rows := [][]string{{"CLIENT", "PROCESS", "SERVER", "PROCESS", "ZONE", "STATE", "BY", "AGE", "SEEN", "NAT", "NAMES"}}
	for i := range connections {
		c := &connections[i]
		rows = append(rows, []string{
			endText(&c.From), cmp.Or(processesText(c.From.Processes), "-"), endText(&c.To), cmp.Or(processesText(c.To.Processes), "-"),
			zoneText(c, zones), stateText(c), string(c.Direction), ageText(c, r.At-start), strings.Join(c.Seen, "+"), cmp.Or(natText(c), "-"), namesText(c, names),
		})
	}
	return rows
}

// ageText writes the time from the first record about the connection to now, or
// to its end if it is closed. now counts from the recording's start, in ns.
func ageText(c *report.Connection, now int64) string {
	end := now
	if c.Closed || end < c.LastSeen {
		end = c.LastSeen
	}
	d := time.Duration(end - c.FirstSeen)
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

// namesText lists the names of both ends and marks those of the client.
func namesText(c *report.Connection, names map[netip.Addr]*report.Names) string {
	e := fold.EdgeOf(c, names)
	slices.Sort(e.From.Names)
	slices.Sort(e.To.Names)
	parts := make([]string, 0, 2)
	for _, n := range slices.Compact(e.From.Names) {
		parts = append(parts, n+" (client)")
	}
	parts = append(parts, slices.Compact(e.To.Names)...)
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ",")
}

// writeColumns quotes and aligns rows, beginning with the titles. It leaves out columns
// without a value.
func writeColumns(b *bytes.Buffer, rows [][]string) {
	for _, row := range rows {
		for i := range row {
			row[i] = quote.Text(row[i])
		}
	}
	widths := make([]int, len(rows[0])) // characters; 0: left out
	for column := range widths {
		hasValue := func(row []string) bool { return row[column] != "-" }
		if !slices.ContainsFunc(rows[1:], hasValue) {
			continue
		}
		for _, row := range rows {
			widths[column] = max(widths[column], utf8.RuneCountInString(row[column]))
		}
	}
	for _, row := range rows {
		line := ""
		for column, cell := range row {
			if widths[column] > 0 {
				line += cell + strings.Repeat(" ", widths[column]-utf8.RuneCountInString(cell)+2)
			}
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
}
