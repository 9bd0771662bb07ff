package render

import (
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// A RecordPrinter writes the records of tapes as text, one line each, for people
// to read.
type RecordPrinter struct {
	out  io.Writer
	text recordText
	buf  []byte
}

// NewRecordPrinter returns a printer that writes to w.
func NewRecordPrinter(w io.Writer) *RecordPrinter { return &RecordPrinter{out: w} }

// Header begins a tape with a line about its header. A tape without one is read
// as little-endian.
func (p *RecordPrinter) Header(h *capture.Header) error {
	p.text.bigEndian, p.text.start = h.BigEndian, h.Start
	_, err := fmt.Fprintf(p.out, "# host %q (%q)  start %s  tape %x  topotape %s, core %d\n", h.HostName, h.HostID,
		time.Unix(0, h.Start).UTC().Format(time.RFC3339Nano), h.TapeID, h.Tool, h.Core)
	return err
}

// Record writes the record's line: its number, its time since the recording's
// start, its kind and its content.
func (p *RecordPrinter) Record(r *capture.Record) error {
	p.buf = append(p.text.appendRecord(p.buf[:0], r), '\n')
	_, err := p.out.Write(p.buf)
	return err
}

// RecordLine returns the line that a RecordPrinter writes of a record, without
// the newline.
func RecordLine(h *capture.Header, r *capture.Record) string {
	t := recordText{bigEndian: h.BigEndian, start: h.Start}
	return string(t.appendRecord(nil, r))
}

// recordText decodes the records of one tape. Its buffers are used again.
type recordText struct {
	bigEndian bool
	start     int64 // of the tape, Unix ns
	packet    dnsmsg.Packet
	dns       dnsmsg.Message
}

func (t *recordText) appendRecord(b []byte, r *capture.Record) []byte {
	b = fmt.Appendf(b, "#%-7d +%-12s %-20s ", r.Seq, sinceText(r.At), r.Kind)
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		var err error
		if b, err = ctmsg.AppendText(b, r.Payload, t.bigEndian, t.start+r.At); err != nil {
			b = fmt.Appendf(b, "%d bytes: %v", len(r.Payload), err)
		}
		return b
	}
	return t.appendOther(b, r)
}

// sinceText returns a time since the start in a form that --from accepts. It is
// cut to microseconds, never rounded up, so that a window from that time on
// includes the record.
func sinceText(at int64) string {
	d := time.Duration(at)
	s := fmt.Sprintf("%d.%06ds", d/time.Second%60, d%time.Second/time.Microsecond)
	if d < time.Minute {
		return s
	}
	if d%time.Minute < 10*time.Second {
		s = "0" + s
	}
	if d < time.Hour {
		return fmt.Sprintf("%dm%s", d/time.Minute, s)
	}
	return fmt.Sprintf("%dh%02dm%s", d/time.Hour, d/time.Minute%60, s)
}

func (t *recordText) appendOther(b []byte, r *capture.Record) []byte {
	p := r.Kind.New()
	if err := r.Decode(p); err != nil {
		return fmt.Appendf(b, "%d bytes: %v", len(r.Payload), err)
	}
	switch p := p.(type) {
	case *capture.ProcNet:
		return t.appendTable(b, p)
	case *capture.ProcSockets:
		inodes := 0
		for i := range p.Processes {
			inodes += len(p.Processes[i].Inodes)
		}
		return fmt.Appendf(b, "netns %d: %s, %s%s", p.Netns, Count(len(p.Processes), "process"), Count(inodes, "socket"), partText(p.Part, p.More))
	case *capture.DNS:
		return t.appendDNS(b, p)
	case *capture.Host:
		return fmt.Appendf(b, "%q (%q), kernel %q, %s, %s, local networks %q", p.Name, p.ID, p.Kernel, Count(len(p.Interfaces), "interface"), Count(len(p.Routes), "route"), p.LocalNetworks)
	case *capture.End:
		return fmt.Appendf(b, "%q", p.Why)
	case *capture.Witness:
		return fmt.Appendf(b, "of tick %d, rules %q, core %d", p.Tick, p.Rules, p.Core)
	}
	return append(b, eventText(r, p)...)
}

// eventText describes records of the small kinds, whose text is one short phrase.
func eventText(r *capture.Record, p capture.Payload) string {
	switch p := p.(type) {
	case *capture.Source:
		verb := "opened"
		if !p.Open {
			verb = "closed"
		}
		s := fmt.Sprintf("%d %q %s", r.Source, p.Kind, verb)
		for _, f := range []struct {
			name string
			v    any
			show bool
		}{{"netns", p.Netns, p.Netns != 0}, {"interface", p.Interface, p.Interface != ""}, {"buffer", p.Buffer, p.Buffer != 0},
			{"snaplen", p.Snaplen, p.Snaplen != 0}} {
			if f.show {
				s += fmt.Sprintf(", %s %v", f.name, f.v)
			}
		}
		return s + Reason(p.Why)
	case *capture.Tick:
		return fmt.Sprintf("%d, interval %s", p.Number, time.Duration(p.Interval))
	case *capture.ConntrackDump:
		return fmt.Sprintf("dump %d%s%s", p.Number, countText(r.Kind == capture.KindDumpEnd, Count(p.Entries, "entry")), Reason(p.Failed))
	case *capture.ProcWalk:
		return fmt.Sprintf("walk %d%s%s", p.Number, countText(r.Kind == capture.KindWalkEnd, Count(p.Processes, "process")+", "+Count(p.Netns, "namespace")), Reason(p.Failed))
	case *capture.ProcUnchanged:
		return fmt.Sprintf("%s of netns %d", Printable(p.Table), p.Netns)
	case *capture.ReverseName:
		return fmt.Sprintf("%s is %q, for %s%s", Printable(p.Addr), p.Names, time.Duration(p.TTL), Reason(p.Error))
	case *capture.Gap:
		return fmt.Sprintf("source %d lost %s%s", r.Source, Lost(p.Lost, p.Exact), Reason(p.Why))
	case *capture.Clock:
		return fmt.Sprintf("stepped by %s to %s", time.Duration(p.Step), time.Unix(0, p.Wall).UTC().Format(time.RFC3339Nano))
	case *capture.Mark:
		return fmt.Sprintf("%q", p.Text)
	case *capture.Fault:
		return fmt.Sprintf("the core panicked on record %d: %q", p.Record, p.Message)
	case *capture.Carry:
		return fmt.Sprintf("%d bytes of core %d, rules %q%s", len(p.State), p.Core, p.Rules, partText(p.Part, p.More))
	}
	return ""
}

// Reason returns a reason as it follows what it explains, as in ": \"why\"", and
// Reason returns a reason in the form that follows the statement it explains,
// `: "why"`, or "" for none.
func Reason(why string) string {
	if why == "" {
		return ""
	}
	return fmt.Sprintf(": %q", why)
}

// countText returns the counts that only the record of an end has.
func countText(atEnd bool, counts string) string {
	if !atEnd {
		return ""
	}
	return ": " + counts
}

// partText names the part of a payload that several records share.
func partText(part uint32, more bool) string {
	if part == 0 && !more {
		return ""
	}
	return fmt.Sprintf(", part %d", part)
}

// appendTable counts the rows of a socket table by their state.
func (t *recordText) appendTable(b []byte, p *capture.ProcNet) []byte {
	b = fmt.Appendf(b, "%s of netns %d: ", Printable(p.Table), p.Netns)
	if p.Absent {
		return append(b, "absent"...)
	}
	s := procnet.NewScanner(p.Text, t.bigEndian)
	var row procnet.Row
	var states [256]int
	rows := 0
	for s.Next(&row) {
		rows++
		states[row.State]++
	}
	b = append(b, Count(rows, "row")...)
	sep := ": "
	for state, n := range states {
		if n > 0 {
			b = fmt.Appendf(b, "%s%d %s", sep, n, procnet.State(state))
			sep = ", "
		}
	}
	if n := s.Malformed(); n > 0 {
		b = fmt.Appendf(b, "; %d malformed", n)
	}
	return append(b, partText(p.Part, p.More)...)
}

// appendDNS writes sender and receiver of the message, its questions, and every
// record in the order of dig: type, name, data, TTL in seconds.
func (t *recordText) appendDNS(b []byte, d *capture.DNS) []byte {
	err := t.packet.Decode(d.Packet)
	if err == dnsmsg.ErrPacket {
		return fmt.Appendf(b, "%d bytes: %v", len(d.Packet), err)
	}
	b = fmt.Appendf(b, "%s > %s", t.packet.Src, t.packet.Dst)
	b = append(b, [...]string{"", " in", " out"}[min(d.Direction, 2)]...)
	p := &t.packet
	if err == nil && p.Proto == dnsmsg.TCP && len(p.Payload) <= 2 {
		return append(b, " tcp without data"...)
	}
	if err == nil {
		err = t.dns.Decode(p.Message())
	}
	if err != nil {
		return fmt.Appendf(b, " %d bytes: %v", len(d.Packet), err)
	}
	m := &t.dns
	for _, q := range m.Questions {
		b = fmt.Appendf(b, " %s? %s.", dnsmsg.TypeName(q.Type), m.QuestionName(q))
	}
	if m.Response {
		b = append(append(b, ' '), dnsmsg.RcodeName(m.Rcode)...)
	}
	sep := " "
	for _, rec := range m.Records {
		b = fmt.Appendf(b, "%s%s %s. ", sep, dnsmsg.TypeName(rec.Type), m.Owner(rec))
		if rec.Type == dnsmsg.TypeCNAME {
			b = fmt.Appendf(b, "%s. %d", m.Target(rec), rec.TTL)
		} else {
			b = fmt.Appendf(b, "%s %d", rec.Addr, rec.TTL)
		}
		sep = ", "
	}
	return b
}

// Lost returns the number of records that a gap lost, or how well it is known.
func Lost(lost uint64, exact bool) string {
	switch {
	case lost == 0 && !exact:
		return "something"
	case !exact:
		return fmt.Sprintf("about %d", lost)
	}
	return fmt.Sprint(lost)
}

// Printable returns s, quoted if it contains anything that a terminal must not
// receive.
func Printable(s string) string {
	q := fmt.Sprintf("%q", s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}

// Size returns a number of bytes with a binary unit, rounded to one decimal.
func Size(n uint64) string {
	for _, u := range [...]struct {
		shift int
		name  string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n >= 1<<u.shift {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(uint64(1)<<u.shift), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
