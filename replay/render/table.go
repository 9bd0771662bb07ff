package render

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter"
)

// WriteTable writes the report for people to read: its head, and a line a
// connection. start is the wall clock at the recording's start, Unix ns.
func WriteTable(w io.Writer, r *reporter.Report, start int64) error {
	var b bytes.Buffer
	host := r.HostName
	if host == "" {
		host = r.HostID
	}
	fmt.Fprintf(&b, "%s  %s  tick %d  window %s  rules %s\n", Clean(host), time.Unix(0, r.At).UTC().Format(time.RFC3339Nano), r.Tick,
		time.Duration(r.Window), r.Rules)
	b.WriteString(coverageLine(r.Coverage))
	b.WriteByte('\n')
	if len(r.Connections) == 0 {
		b.WriteString("\nno connections\n")
	} else {
		b.WriteByte('\n')
		writeColumns(&b, connectionRows(r, r.Connections, start))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// WriteConnections writes a line a connection of the report.
func WriteConnections(w io.Writer, r *reporter.Report, list []reporter.Connection, start int64) error {
	var b bytes.Buffer
	writeColumns(&b, connectionRows(r, list, start))
	_, err := w.Write(b.Bytes())
	return err
}

// coverageLine says how much the report's silence is worth.
func coverageLine(list []reporter.Coverage) string {
	if len(list) == 0 {
		return "coverage: none"
	}
	var parts []string
	for _, c := range list {
		s := fmt.Sprintf("%s %s", Clean(c.Source), c.State)
		var notes []string
		if c.State != reporter.CoverageOff || c.Records > 0 {
			notes = append(notes, fmt.Sprintf("%d records", c.Records))
		}
		if c.Lost > 0 {
			notes = append(notes, fmt.Sprintf("%d lost", c.Lost))
		}
		if c.Undecodable > 0 {
			notes = append(notes, fmt.Sprintf("%d undecodable", c.Undecodable))
		}
		if c.Why != "" {
			notes = append(notes, Clean(c.Why))
		}
		if len(notes) > 0 {
			s += " (" + strings.Join(notes, ", ") + ")"
		}
		parts = append(parts, s)
	}
	return "coverage: " + strings.Join(parts, "; ")
}

func connectionRows(r *reporter.Report, list []reporter.Connection, start int64) [][]string {
	names := fold.NamesByAddr(r)
	rows := [][]string{{"CLIENT", "PROCESS", "SERVER", "PROCESS", "STATE", "BY", "AGE", "SEEN", "NAT", "NAMES"}}
	for i := range list {
		c := &list[i]
		rows = append(rows, []string{
			EndText(&c.From), ProcessText(c.From.Processes), EndText(&c.To), ProcessText(c.To.Processes),
			StateText(c), string(c.Direction), ageText(c, r.At-start), strings.Join(c.Seen, "+"), NatText(c), nameText(c, names),
		})
	}
	return rows
}

// EndText is the address, with the namespace where that matters: loopback.
func EndText(e *reporter.End) string {
	s := e.Addr.String()
	if e.Netns != 0 && e.Addr.Addr().IsLoopback() {
		s += fmt.Sprintf(" in %d", e.Netns)
	}
	return s
}

func ProcessText(list []reporter.Process) string {
	if len(list) == 0 {
		return "-"
	}
	// Many processes that share a socket are most often one program's.
	var parts []string
	for i, p := range list {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s[%d]", Clean(p.Comm), p.PID))
	}
	return strings.Join(parts, ",")
}

func StateText(c *reporter.Connection) string {
	s := c.State
	if s == "" {
		s = "-"
	}
	if c.Closed {
		s += " closed"
	}
	if c.MayHaveClosed {
		s += " closed?"
	}
	return s
}

// ageText is how long the connection was seen, for a closed one, or has been.
func ageText(c *reporter.Connection, now int64) string {
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

// NatText is what each translation shows in place of an end.
func NatText(c *reporter.Connection) string {
	client, server := c.Aliases()
	var parts []string
	add := func(end string, aliases []netip.AddrPort) {
		for i, a := range aliases {
			if i == 0 {
				parts = append(parts, end+" as "+a.String())
			} else {
				parts[len(parts)-1] += "," + a.String()
			}
		}
	}
	add("client", client)
	add("server", server)
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, " ")
}

// nameText lists what the ends are called, marked where it is the client.
func nameText(c *reporter.Connection, names map[netip.Addr]*reporter.Names) string {
	e := fold.EdgeOf(c, names)
	slices.Sort(e.From.Names)
	slices.Sort(e.To.Names)
	parts := make([]string, 0, 2)
	for _, n := range slices.Compact(e.From.Names) {
		parts = append(parts, Clean(n)+" (client)")
	}
	for _, n := range slices.Compact(e.To.Names) {
		parts = append(parts, Clean(n))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ",")
}

// writeColumns aligns rows; columns that hold nothing are left out.
func writeColumns(b *bytes.Buffer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for at := range widths {
		for i, row := range rows {
			if i > 0 && row[at] != "-" {
				widths[at] = 1
			}
		}
		if widths[at] == 0 {
			continue
		}
		for _, row := range rows {
			widths[at] = max(widths[at], utf8.RuneCountInString(row[at]))
		}
	}
	for _, row := range rows {
		line := ""
		for at, cell := range row {
			if widths[at] > 0 {
				line += cell + strings.Repeat(" ", widths[at]-utf8.RuneCountInString(cell)+2)
			}
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
}

// Clean makes text that came over the network safe for a terminal.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
