package survey

import (
	"fmt"
	"strings"

	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
)

// infoTop are the facts that need a replay.
type infoTop struct {
	Connections    uint64       `json:"connections"`
	LeftOut        uint64       `json:"left_out"`
	Stopped        string       `json:"stopped,omitempty"` // why the connections after some record are not counted
	New            infoPace     `json:"new"`
	Closed         infoPace     `json:"closed"`
	Directions     []infoCount  `json:"directions"`
	NAT            []infoCount  `json:"nat"`
	WithoutProcess infoLacking  `json:"without_process"`
	WithoutName    infoLacking  `json:"without_name"`
	Talkers        []infoTalker `json:"talkers"`
	Servers        []infoCount  `json:"servers"`
	Processes      []infoCount  `json:"processes"`
	Names          []infoCount  `json:"names"`
	Disorder       infoDisorder `json:"disorder"`
}

type infoPace struct {
	Count  uint64  `json:"count"`
	Rate   float64 `json:"per_second"`
	Most   uint64  `json:"most_in_a_second"`
	MostAt string  `json:"most_at"`
}

type infoCount struct {
	What        string `json:"what"`
	Connections uint64 `json:"connections"`
}

type infoLacking struct {
	Connections uint64      `json:"connections"`
	Share       float64     `json:"share"` // of all, 0 to 1
	Why         []infoCount `json:"why"`
}

type infoTalker struct {
	Addr        string   `json:"addr"`
	Connections uint64   `json:"connections"`
	Bytes       *uint64  `json:"bytes"` // of flows that ended; null where the kernel did not count
	Names       []string `json:"names"`
}

type infoDisorder struct {
	Tables          uint64 `json:"tables"`
	TablesEarly     uint64 `json:"tables_read_before_the_record_ahead"`
	TablesEarlyMost string `json:"tables_earlier_at_most"`
	Events          uint64 `json:"events_with_kernel_time"`
	EventsBack      uint64 `json:"events_out_of_kernel_order"`
	EventsLate      string `json:"events_late_on_average"`
	EventsLateMost  string `json:"events_late_at_most"`
}

// AddTop replays the inputs of the survey and adds Top, whose lists get at most top
// entries. Beyond maxConnections, 0 for 1,000,000, connections are only counted.
func (f *Facts) AddTop(inputs []replay.Input, top, maxConnections int) error {
	messages := newMessageCounter()
	s, summary, err := Measure(inputs, top, maxConnections, messages.record)
	if err != nil {
		return err
	}
	f.Top = topFacts(s, messages, f.survey.Duration)
	f.Top.stopped(summary)
	f.addCoverage(s)
	return nil
}

// topFacts turns statistics into facts. The rates are over the survey's duration, ns.
func topFacts(s *Statistics, m *messageCounter, duration int64) *infoTop {
	paceFacts := func(p pace) infoPace {
		return infoPace{p.count, perSecond(p.count, duration), p.most, spell(p.mostAt)}
	}
	t := &infoTop{Connections: s.Connections, LeftOut: s.LeftOut, New: paceFacts(m.opened), Closed: paceFacts(m.closed),
		Directions: counts(s.Directions), NAT: counts(s.NAT), Servers: counts(s.Servers), Processes: counts(s.Processes), Names: counts(s.Names),
		WithoutProcess: lackingFacts(s.NoProcess, s.Connections), WithoutName: lackingFacts(s.NoName, s.Connections), Talkers: []infoTalker{}}
	for _, a := range s.Talkers {
		f := infoTalker{Addr: a.Addr.String(), Connections: a.Connections, Names: a.Names}
		if n, counted := m.traffic[a.Addr]; counted {
			f.Bytes = &n
		}
		notNull(&f.Names)
		t.Talkers = append(t.Talkers, f)
	}
	t.Disorder = infoDisorder{s.Tables.Count, s.Tables.Early, spell(s.Tables.Most),
		m.events, m.back, spell(m.late / int64(max(m.events, 1))), spell(m.lateMost)}
	return t
}

func counts(list []Ranked) []infoCount {
	out := make([]infoCount, 0, len(list))
	for _, r := range list {
		out = append(out, infoCount(r))
	}
	return out
}

func lackingFacts(l Lacking, of uint64) infoLacking {
	return infoLacking{l.Connections, float64(l.Connections) / float64(max(of, 1)), counts(l.Why)}
}

// stopped notes why the replay did not reach the end, if it did not.
func (t *infoTop) stopped(s *replay.Summary) {
	switch {
	case s.Damage != nil:
		t.Stopped = "the replay stopped at the damage"
	case s.Panic != nil:
		t.Stopped = fmt.Sprintf("the core panicked on record %d", s.Panic.Record)
	}
}

// addCoverage takes the coverage of the last report, which has one entry for a kind
// of source, where the tapes have one source of that kind.
func (f *Facts) addCoverage(s *Statistics) {
	for _, r := range s.Coverage {
		var found *infoCoverage
		n := 0
		for i := range f.Coverage {
			if f.Coverage[i].Source == r.Source {
				found = &f.Coverage[i]
				n++
			}
		}
		if n == 1 {
			found.State, found.Why = string(r.State), r.Why
			found.Undecodable, found.Ignored = &r.Undecodable, &r.Ignored
		}
	}
}

func (t *infoTop) text(b *strings.Builder) {
	fmt.Fprintf(b, "\nconnections %d", t.Connections)
	if t.LeftOut > 0 {
		fmt.Fprintf(b, "; at least %d more not counted: raise --max-connections", t.LeftOut)
	}
	if t.Stopped != "" {
		fmt.Fprintf(b, "; %s", t.Stopped)
	}
	b.WriteByte('\n')
	for _, p := range []struct {
		name string
		pace infoPace
	}{{"new", t.New}, {"closed", t.Closed}} {
		if p.pace.Count > 0 {
			fmt.Fprintf(b, "  %-18s%d, %s a second, at most %d (at +%s)\n", p.name, p.pace.Count, rateText(p.pace.Rate), p.pace.Most, p.pace.MostAt)
		}
	}
	fmt.Fprintf(b, "  %-18s%s\n", "direction by", countsText(t.Directions))
	fmt.Fprintf(b, "  %-18s%s\n", "nat", countsText(t.NAT))
	t.WithoutProcess.text(b, "without a process")
	t.WithoutName.text(b, "without a name")
	t.talkersText(b)
	for _, l := range []struct {
		name string
		list []infoCount
	}{{"servers", t.Servers}, {"processes", t.Processes}, {"names of servers", t.Names}} {
		if len(l.list) == 0 {
			continue
		}
		fmt.Fprintf(b, "\ntop %s\n", l.name)
		for _, c := range l.list {
			fmt.Fprintf(b, "  %8d  %s\n", c.Connections, render.Printable(c.What))
		}
	}
	t.Disorder.text(b)
}

func countsText(list []infoCount) string {
	var parts []string
	for _, c := range list {
		parts = append(parts, fmt.Sprintf("%s %d", c.What, c.Connections))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func (l *infoLacking) text(b *strings.Builder, name string) {
	fmt.Fprintf(b, "  %-18s%d (%.0f %%)\n", name, l.Connections, 100*l.Share)
	for _, w := range l.Why {
		fmt.Fprintf(b, "  %18s%d: %s\n", "", w.Connections, w.What)
	}
}

func (t *infoTop) talkersText(b *strings.Builder) {
	if len(t.Talkers) == 0 {
		return
	}
	b.WriteString("\ntop talkers: connections, bytes of those that ended\n")
	for _, a := range t.Talkers {
		size := "-"
		if a.Bytes != nil {
			size = render.Size(*a.Bytes)
		}
		name := ""
		if len(a.Names) > 0 {
			name = "  " + render.Printable(a.Names[0])
		}
		line := fmt.Sprintf("  %8d  %10s  %-24s%s", a.Connections, size, a.Addr, name)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func (d *infoDisorder) text(b *strings.Builder) {
	if d.Tables == 0 && d.Events == 0 {
		return
	}
	b.WriteString("\norder\n")
	if d.Tables > 0 {
		fmt.Fprintf(b, "  %d of %s: the read began before the preceding record arrived, by at most %s\n", d.TablesEarly, render.Count(d.Tables, "socket table"), d.TablesEarlyMost)
	}
	if d.Events > 0 {
		fmt.Fprintf(b, "  %s took %s on average to reach the recorder, at most %s; %d are out of the kernel's order\n",
			render.Count(d.Events, "conntrack message"), d.EventsLate, d.EventsLateMost, d.EventsBack)
	}
}
