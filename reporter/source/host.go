package source

import (
	"fmt"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/report"
)

// recorderStall is the event of the host that a stall record shows.
const recorderStall = "recorder stall"

// hostEvents are the events of the host in a window: one of each kind, at the time of the last
// record that shows it.
type hostEvents struct {
	window uint64
	list   []report.HostEvent // At is ns since the recording's start
}

// add adds events of the window.
func (h *hostEvents) add(window uint64, events ...report.HostEvent) {
	if h.window != window {
		h.window, h.list = window, nil
	}
	for _, e := range events {
		at := slices.IndexFunc(h.list, func(o report.HostEvent) bool { return o.What == e.What })
		if at < 0 {
			h.list = append(h.list, e)
			continue
		}
		h.list[at].At, h.list[at].Count = e.At, addCounts(h.list[at].Count, e.Count)
	}
}

// HostEvents returns the events of the last tick's window, sorted. start is Unix ns at the
// recording's start.
func (ss *Sources) HostEvents(t *Ticks, start int64) (out []report.HostEvent) {
	if ss.events.window != t.Window-1 {
		return nil
	}
	for _, e := range ss.events.list {
		if e.At >= t.began() {
			e.At += start
			out = append(out, e)
		}
	}
	slices.SortFunc(out, report.HostEvent.Compare)
	return out
}

// Stall applies a stall record of the window.
func (ss *Sources) Stall(r *capture.Record, window uint64) {
	var p capture.Stall
	if r.Decode(&p) != nil {
		return
	}
	ss.events.add(window, report.HostEvent{At: r.At, What: recorderStall, Count: 1})
	for _, s := range ss.List {
		if s.Stall(&p) {
			s.GapSeq = r.Seq
		}
	}
}

// Counters applies a counters record of the window: events of the host, whether the kernel sends
// conntrack events, and how many connections it opened. A record that cannot be decoded is
// ignored.
func (ss *Sources) Counters(r *capture.Record, window uint64) {
	var p capture.Counters
	if r.Decode(&p) != nil {
		return
	}
	events, opened, known := ss.counters.Add(&p, r.At)
	ss.events.add(window, events...)
	watching := ss.watching(p.Netns)
	for _, s := range watching {
		if known {
			s.opened(opened, window, r.At)
		}
	}
	off, known := EventsOff(&p)
	if !known || len(watching) == 0 && ss.count(capture.SourceConntrack) > 0 {
		return
	}
	for _, s := range watching {
		if ss.eventsOff && !off && s.EventsOn() {
			s.GapSeq = r.Seq
		}
	}
	ss.eventsOff = off
}

// watching returns the open conntrack sources that see a namespace. If either namespace is unknown,
// it is the only source.
func (ss *Sources) watching(netns uint64) (out []*Source) {
	several := ss.SeveralConntrack()
	for _, s := range ss.List {
		unknown := netns == 0 || s.Netns == 0
		if s.Kind == capture.SourceConntrack && !s.Closed && (s.Netns == netns && !unknown || unknown && !several) {
			out = append(out, s)
		}
	}
	return out
}

// opens compares the TCP connections that the kernel opened in a window with those that conntrack
// showed.
type opens struct {
	window uint64
	at     int64  // of the last counters record
	opened uint64 // by the kernel
	shown  uint64 // by conntrack
	gap    bool   // conntrack may have shown more
}

// opened adds the connections that the kernel opened since the counters record before.
func (s *Source) opened(n, window uint64, at int64) {
	o := &s.opens
	if o.window != window {
		*o = opens{window: window}
	}
	o.at, o.opened, o.shown = at, addCounts(o.opened, n), addCounts(o.shown, s.Flows)
	o.gap = o.gap || s.interrupted
	s.Flows, s.interrupted = 0, false
}

// unseen returns a reason for the coverage if conntrack does not see the connections that the
// kernel opened in the last tick's window, else an empty text.
func (s *Source) unseen(t *Ticks) string {
	o := &s.opens
	if o.window != t.Window-1 || o.at < t.began() || o.gap || s.interrupted {
		return ""
	}
	return Unseen(o.opened, addCounts(o.shown, s.Flows)) // those since the counters record may have been opened before it
}

// Unseen returns a reason for the coverage of conntrack if the kernel opened many TCP connections
// and conntrack showed less than half of them, else an empty text. A few may be blocked, or on
// their way.
func Unseen(opened, shown uint64) string {
	const many = 20
	if opened < many || shown >= opened-opened/2 {
		return ""
	}
	return fmt.Sprintf("%d TCP connections were opened and conntrack saw %d: no rule asks for tracking, or something bypasses it; "+
		"add a rule that uses ct state (topotape help coverage)", opened, shown)
}

// carry codes the comparison.
func (o *opens) carry(c *carry.Coder) {
	carry.Int(c, &o.at)
	for _, n := range [...]*uint64{&o.window, &o.opened, &o.shown} {
		carry.Uint(c, n)
	}
	c.Bools(&o.gap)
}

// carry codes the events.
func (h *hostEvents) carry(c *carry.Coder) {
	carry.Uint(c, &h.window)
	carry.List(c, &h.list, 3, func(c *carry.Coder, e *report.HostEvent) {
		carry.Int(c, &e.At)
		c.String(&e.What)
		carry.Uint(c, &e.Count)
	})
}
