package render

import (
	"fmt"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockdiag"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// A rowCount counts the rows of a socket table by their state.
type rowCount [256]int

func (p *RecordPrinter) appendProcNet(b []byte, t *capture.ProcNet) []byte {
	b = fmt.Appendf(b, "%s of netns %d: ", t.Table, t.Netns)
	if t.Absent {
		return append(b, "absent"...)
	}
	s := procnet.NewScanner(t.Text, p.bigEndian)
	var n rowCount
	for row := (procnet.Row{}); s.Next(&row); {
		n[row.State]++
	}
	return append(n.appendTo(b, s.Malformed()), partText(t.Part, t.More)...)
}

func (p *RecordPrinter) appendSocketTable(b []byte, t *capture.SocketTable) []byte {
	b = fmt.Appendf(b, "%s of netns %d: ", t.Table, t.Netns)
	s := sockdiag.NewScanner(t.Messages, p.bigEndian)
	var n rowCount
	for row := (sockdiag.Row{}); s.Next(&row); {
		n[row.State]++
	}
	b = n.appendTo(b, s.Malformed())
	if t.Interrupted {
		b = append(b, ", changed during the reading"...)
	}
	return append(b, partText(t.Part, t.More)...)
}

func (n *rowCount) appendTo(b []byte, malformed int) []byte {
	rows := 0
	for _, k := range n {
		rows += k
	}
	b = append(b, Count(rows, "row")...)
	sep := ": "
	for state, k := range n {
		if k > 0 {
			b = fmt.Appendf(b, "%s%d %s", sep, k, procnet.State(state))
			sep = ", "
		}
	}
	if malformed > 0 {
		b = fmt.Appendf(b, "; %d malformed", malformed)
	}
	return b
}

// appendClose writes the ends of a socket that was closed and what it had carried.
func appendClose(b, message []byte, bigEndian bool) ([]byte, error) {
	var c sockdiag.Close
	if err := c.Decode(message, bigEndian); err != nil {
		return b, err
	}
	b = fmt.Appendf(b, "%s -> %s", c.Local, c.Remote)
	if c.Counted {
		b = fmt.Appendf(b, " sent %s in %s, received %s in %s, %d sent again, rtt %s", Count(c.Sent, "byte"), Count(c.SegmentsOut, "segment"),
			Count(c.Received, "byte"), Count(c.SegmentsIn, "segment"), c.Retransmitted, time.Duration(c.RTT))
	}
	return b, nil
}

// appendFormat says whether the text has the layout of socket events.
func appendFormat(b []byte, v *capture.SocketFormat) []byte {
	b = fmt.Appendf(b, "%d bytes of text", len(v.Text))
	if _, err := sockmsg.ParseFormat(v.Text); err != nil {
		b = fmt.Appendf(b, ": %v", err)
	}
	return b
}
