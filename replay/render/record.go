package render

import (
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// A RecordPrinter writes the records of tapes as text, one line each, for people
// to read.
type RecordPrinter struct {
	out       io.Writer
	format    *sockmsg.Format // of socket events
	bigEndian bool
	start     int64 // of the tape, Unix ns

	// used again for each record
	buf    []byte
	packet dnsmsg.Packet
	dns    dnsmsg.Message
}

// NewRecordPrinter returns a printer that writes to w. The caller keeps f, the layout of socket
// events, up to date.
func NewRecordPrinter(w io.Writer, f *sockmsg.Format) *RecordPrinter {
	return &RecordPrinter{out: w, format: f}
}

// Header begins a tape with a line about its header. A tape without one is read
// as little-endian.
func (p *RecordPrinter) Header(h *capture.Header) error {
	p.bigEndian, p.start = h.BigEndian, h.Start
	return quote.Line(p.out, "# host %q (%q)  start %s  tape %x  topotape %s, core %d", h.HostName, h.HostID,
		time.Unix(0, h.Start).UTC().Format(time.RFC3339Nano), h.TapeID, h.Tool, h.Core)
}

// Record writes the record's line: its number, its time since the recording's
// start, its kind and its content.
func (p *RecordPrinter) Record(r *capture.Record) error {
	p.buf = append(quote.Text(p.appendRecord(p.buf[:0], r)), '\n')
	_, err := p.out.Write(p.buf)
	return err
}

// RecordLine returns the line that a RecordPrinter writes of a record, without
// the newline.
func RecordLine(h *capture.Header, f *sockmsg.Format, r *capture.Record) string {
	p := RecordPrinter{format: f, bigEndian: h.BigEndian, start: h.Start}
	return string(quote.Text(p.appendRecord(nil, r)))
}

func (p *RecordPrinter) appendRecord(b []byte, r *capture.Record) []byte {
	b = fmt.Appendf(b, "#%-7d +%-12s %-20s ", r.Seq, sinceText(r.At), r.Kind)
	var err error
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		b, err = ctmsg.AppendText(b, r.Payload, p.bigEndian, p.start+r.At)
	case capture.KindSocketEvent, capture.KindProcessEvent:
		b, err = sockmsg.AppendText(b, p.format, r.Payload, p.bigEndian)
	case capture.KindSocketClose:
		b, err = appendClose(b, r.Payload, p.bigEndian)
	default:
		payload := r.Kind.New()
		if err = r.Decode(payload); err == nil {
			b = p.appendPayload(b, r, payload)
		}
	}
	if err != nil {
		b = fmt.Appendf(b, "%d bytes: %v", len(r.Payload), err)
	}
	return b
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

func (p *RecordPrinter) appendPayload(b []byte, r *capture.Record, payload capture.Payload) []byte {
	switch v := payload.(type) {
	case *capture.ProcNet:
		return p.appendProcNet(b, v)
	case *capture.DNS:
		return p.appendDNS(b, v)
	case *capture.Source:
		return append(b, sourceText(r.Source, v)...)
	case *capture.Tick:
		return fmt.Appendf(b, "%d, interval %s", v.Number, time.Duration(v.Interval))
	case *capture.ConntrackDump:
		return fmt.Appendf(b, "dump %d%s%s", v.Number, countText(r.Kind == capture.KindDumpEnd, Count(v.Entries, "entry")), Reason(v.Failed))
	case *capture.ProcWalk:
		return fmt.Appendf(b, "walk %d%s%s", v.Number, countText(r.Kind == capture.KindWalkEnd, Count(v.Processes, "process")+", "+Count(v.Netns, "namespace")), Reason(v.Failed))
	case *capture.ProcSockets:
		inodes := 0
		for i := range v.Processes {
			inodes += len(v.Processes[i].Inodes)
		}
		b = fmt.Appendf(b, "netns %d: %s", v.Netns, Count(len(v.Processes), "process"))
		if r.Kind == capture.KindProcSockets {
			b = fmt.Appendf(b, ", %s", Count(inodes, "socket"))
		}
		return append(b, partText(v.Part, v.More)...)
	case *capture.ProcUnchanged:
		return fmt.Appendf(b, "%s of netns %d", v.Table, v.Netns)
	case *capture.ReverseName:
		return fmt.Appendf(b, "%s is %q, for %s%s", v.Addr, v.Names, time.Duration(v.TTL), Reason(v.Error))
	case *capture.Host:
		return fmt.Appendf(b, "%q (%q), kernel %q, %s, %s, local networks %q", v.Name, v.ID, v.Kernel, Count(len(v.Interfaces), "interface"), Count(len(v.Routes), "route"), v.LocalNetworks)
	case *capture.Gap:
		b = fmt.Appendf(b, "source %d lost %s", r.Source, Lost(v.Lost, v.Exact))
		if v.Since != 0 {
			b = fmt.Appendf(b, " since +%s", time.Duration(v.Since))
		}
		return append(b, Reason(v.Why)...)
	case *capture.Counters:
		names := make([]string, len(v.Files))
		for i := range v.Files {
			names[i] = v.Files[i].Name
		}
		return fmt.Appendf(b, "netns %d: %q", v.Netns, names)
	case *capture.Stall:
		return fmt.Appendf(b, "the recorder stood still for %s", time.Duration(v.Duration))
	case *capture.SocketFormat:
		return appendFormat(b, v)
	case *capture.Cgroups:
		return fmt.Appendf(b, "%s%s", Count(len(v.Dirs), "directory"), partText(v.Part, v.More))
	case *capture.SocketTable:
		return p.appendSocketTable(b, v)
	case *capture.Clock:
		return fmt.Appendf(b, "stepped by %s to %s", time.Duration(v.Step), time.Unix(0, v.Wall).UTC().Format(time.RFC3339Nano))
	case *capture.Mark:
		return fmt.Appendf(b, "%q", v.Text)
	case *capture.Witness:
		return fmt.Appendf(b, "of tick %d, rules %q, core %d", v.Tick, v.Rules, v.Core)
	case *capture.Fault:
		return fmt.Appendf(b, "the core panicked on record %d: %q", v.Record, v.Message)
	case *capture.Carry:
		return fmt.Appendf(b, "%d bytes of core %d, rules %q%s", len(v.State), v.Core, v.Rules, partText(v.Part, v.More))
	case *capture.End:
		return fmt.Appendf(b, "%q", v.Why)
	}
	return b
}

func sourceText(number uint32, s *capture.Source) string {
	verb := "opened"
	if !s.Open {
		verb = "closed"
	}
	text := fmt.Sprintf("%d %q %s", number, s.Kind, verb)
	add := func(name string, value any, known bool) {
		if known {
			text += fmt.Sprintf(", %s %v", name, value)
		}
	}
	add("netns", s.Netns, s.Netns != 0)
	add("interface", s.Interface, s.Interface != "")
	add("buffer", s.Buffer, s.Buffer != 0)
	add("snaplen", s.Snaplen, s.Snaplen != 0)
	return text + Reason(s.Why)
}

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

// appendDNS writes sender and receiver of the message, its questions, and every
// record in the order of dig: type, name, data, TTL in seconds.
func (p *RecordPrinter) appendDNS(b []byte, d *capture.DNS) []byte {
	packet, m := &p.packet, &p.dns
	err := packet.Decode(d.Packet)
	if err == dnsmsg.ErrPacket {
		return fmt.Appendf(b, "%d bytes: %v", len(d.Packet), err)
	}
	b = fmt.Appendf(b, "%s > %s", packet.Src, packet.Dst)
	b = append(b, [...]string{"", " in", " out"}[min(d.Direction, 2)]...)
	if err == nil && packet.Proto == dnsmsg.TCP && len(packet.Payload) <= 2 {
		return append(b, " tcp without data"...)
	}
	switch err {
	case nil:
		err = m.Decode(packet.Message())
	case dnsmsg.ErrTruncated:
		b = fmt.Appendf(b, " cut after %d bytes", len(d.Packet))
		err = m.DecodeCut(packet.Message())
	}
	if err != nil {
		return fmt.Appendf(b, " %d bytes: %v", len(d.Packet), err)
	}
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
