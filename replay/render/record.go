package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// RecordText makes a line of a record, for people to read.
type RecordText struct {
	BigEndian bool
	Start     int64 // of the tape, Unix ns
	packet    dnsmsg.Packet
	dns       dnsmsg.Message
	buf       []byte
}

// Append makes the record's line, valid until the next call: its number, its
// time since the recording's start, its kind, and what it says.
func (t *RecordText) Append(r *capture.Record) []byte {
	b := fmt.Appendf(t.buf[:0], "#%-7d +%-12s %-20s ", r.Seq, sinceText(r.At), r.Kind)
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		var err error
		if b, err = ctmsg.AppendText(b, r.Payload, t.BigEndian, t.Start+r.At); err != nil {
			b = fmt.Appendf(b, "%d bytes: %v", len(r.Payload), err)
		}
	default:
		b = t.appendOther(b, r)
	}
	t.buf = append(b, '\n')
	return t.buf
}

// sinceText is a time since the start, as --from takes it. It is cut to
// microseconds, never rounded up: from there on the record is in the window.
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

func (t *RecordText) appendOther(b []byte, r *capture.Record) []byte {
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
		return fmt.Appendf(b, "netns %d: %s, %s%s", p.Netns, Plural(len(p.Processes), "process"), Plural(inodes, "socket"), partText(p.Part, p.More))
	case *capture.DNS:
		return t.appendDNS(b, p)
	case *capture.Host:
		return fmt.Appendf(b, "%q (%q), kernel %q, %s, %s, local networks %q", p.Name, p.ID, p.Kernel, Plural(len(p.Interfaces), "interface"), Plural(len(p.Routes), "route"), p.LocalNetworks)
	case *capture.End:
		return fmt.Appendf(b, "%q", p.Why)
	case *capture.Witness:
		return fmt.Appendf(b, "of tick %d, rules %q, core %d", p.Tick, p.Rules, p.Core)
	}
	return append(b, eventText(r, p)...)
}

// eventText is for the small kinds.
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
		return s + ReasonText(p.Why)
	case *capture.Tick:
		return fmt.Sprintf("%d, interval %s", p.Number, time.Duration(p.Interval))
	case *capture.ConntrackDump:
		return fmt.Sprintf("dump %d%s%s", p.Number, countText(r.Kind == capture.KindDumpEnd, Plural(p.Entries, "entry")), ReasonText(p.Failed))
	case *capture.ProcWalk:
		return fmt.Sprintf("walk %d%s%s", p.Number, countText(r.Kind == capture.KindWalkEnd, Plural(p.Processes, "process")+", "+Plural(p.Netns, "namespace")), ReasonText(p.Failed))
	case *capture.ProcUnchanged:
		return fmt.Sprintf("%s of netns %d", PlainText(p.Table), p.Netns)
	case *capture.ReverseName:
		return fmt.Sprintf("%s is %q, for %s%s", PlainText(p.Addr), p.Names, time.Duration(p.TTL), ReasonText(p.Error))
	case *capture.Gap:
		return fmt.Sprintf("source %d lost %s%s", r.Source, LostText(p.Lost, p.Exact), ReasonText(p.Why))
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

func ReasonText(why string) string {
	if why == "" {
		return ""
	}
	return fmt.Sprintf(": %q", why)
}

func countText(there bool, counts string) string {
	if !there {
		return ""
	}
	return ": " + counts
}

func partText(part uint32, more bool) string {
	if part == 0 && !more {
		return ""
	}
	return fmt.Sprintf(", part %d", part)
}

func (t *RecordText) appendTable(b []byte, p *capture.ProcNet) []byte {
	b = fmt.Appendf(b, "%s of netns %d: ", PlainText(p.Table), p.Netns)
	if p.Absent {
		return append(b, "absent"...)
	}
	s := procnet.NewScanner(p.Text, t.BigEndian)
	var row procnet.Row
	var states [256]int
	rows := 0
	for s.Next(&row) {
		rows++
		states[row.State]++
	}
	b = append(b, Plural(rows, "row")...)
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

// Plural is a count with its noun.
func Plural[N int | uint32 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if s, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, s)
	}
	if strings.HasSuffix(noun, "ss") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// appendDNS writes who sent the message to whom, what it asks, and every answer
// as dig does: type, name, data, seconds to live.
func (t *RecordText) appendDNS(b []byte, d *capture.DNS) []byte {
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
		err = t.dns.Decode(fold.DnsPayload(p))
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

// LostText is how much a gap says was lost.
func LostText(lost uint64, exact bool) string {
	switch {
	case lost == 0 && !exact:
		return "something"
	case !exact:
		return fmt.Sprintf("about %d", lost)
	}
	return fmt.Sprint(lost)
}

// PlainText returns s, quoted if it has bytes that a terminal should not get.
func PlainText(s string) string {
	q := fmt.Sprintf("%q", s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}

// Size returns a number of bytes with a unit, for people.
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
