package render

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// A List has the first texts that were added to it, and the number of the others.
type List struct {
	texts []string
	more  int
}

const maxList = 10

// Add adds a text.
func (l *List) Add(text string) {
	if len(l.texts) < maxList {
		l.texts = append(l.texts, text)
	} else {
		l.more++
	}
}

// Texts returns the texts. The last one says how many more there are.
func (l *List) Texts() []string {
	if l.more == 0 {
		return l.texts
	}
	return append(slices.Clone(l.texts), fmt.Sprintf("and %d more like these", l.more))
}

// Count writes a number and its noun, which is given in the singular:
// "1 record", "2 records", "3 entries", "4 processes".
func Count[N int | int64 | uint32 | uint64](n N, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "y"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	case strings.HasSuffix(noun, "ss"):
		noun += "es"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// Line writes one connection as a line of text, without a newline.
func Line(c *report.Connection) string {
	text := fmt.Sprintf("%s -> %s %s by %s", endAndProcesses(&c.From), endAndProcesses(&c.To), stateText(c), c.Direction)
	if c.Zone != 0 {
		text += fmt.Sprintf(" in zone %d", c.Zone)
	}
	if nat := natText(c); nat != "" {
		text += ", " + nat
	}
	return text + ", seen by " + strings.Join(c.Seen, "+")
}

func endAndProcesses(e *report.End) string {
	if len(e.Processes) == 0 {
		return endText(e)
	}
	return endText(e) + " " + processesText(e.Processes)
}

// endText writes the address and port. A loopback address is in every network
// namespace, so its namespace follows.
func endText(e *report.End) string {
	s := e.Addr.String()
	if e.Netns != 0 && e.Addr.Addr().IsLoopback() {
		s += fmt.Sprintf(" in %d", e.Netns)
	}
	return s
}

// maxProcesses is how many processes of an end are written. Those that share a
// socket are usually workers of one program.
const maxProcesses = 3

func processesText(list []report.Process) string {
	var parts []string
	for i, p := range list {
		if i == maxProcesses {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s[%d]", p.Comm, p.PID))
	}
	return strings.Join(parts, ",")
}

func stateText(c *report.Connection) string {
	s := cmp.Or(c.State, "-")
	if c.Closed {
		s += " closed"
	}
	if c.MayHaveClosed {
		s += " closed?"
	}
	return s
}

// severalZones reports whether connections are in different zones of conntrack. If they are not,
// the zone does not tell them apart and is not shown.
func severalZones(list []report.Connection) bool {
	for i := range list {
		if list[i].Zone != list[0].Zone {
			return true
		}
	}
	return false
}

// zoneText writes the zone if it is shown and not the default one.
func zoneText(c *report.Connection, shown bool) string {
	if !shown || c.Zone == 0 {
		return "-"
	}
	return strconv.Itoa(int(c.Zone))
}

// natText writes the translated addresses of both ends.
func natText(c *report.Connection) string {
	client, server := c.Aliases()
	var parts []string
	if len(client) > 0 {
		parts = append(parts, "client as "+joinAddrs(client))
	}
	if len(server) > 0 {
		parts = append(parts, "server as "+joinAddrs(server))
	}
	return strings.Join(parts, " ")
}

func joinAddrs(list []netip.AddrPort) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}
