package current

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// oneWalk returns a host after a walk of /proc. Flows that end are kept until the next walk.
func oneWalk(t *testing.T) *machineHost {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 7, Row: "10.3.3.3:1>10.4.4.4:2", Inode: 3})
	return h
}

// later advances the clock and sends a message of one source.
func (h *machineHost) later(source, id uint32, typ ctmsg.Type, tuples string) {
	m := reportertest.Message{Type: typ, ID: id, Source: source, Tuples: tuples}
	if typ != ctmsg.Destroy {
		m.State = "ESTABLISHED"
	}
	h.Pass(0.01).Send(m)
}

// open returns when the open connections of a report were first seen.
func open(r *report.Report) (first []int64) {
	for i := range r.Connections {
		if c := &r.Connections[i]; !c.Closed && c.Seen[0] == "conntrack" {
			first = append(first, c.FirstSeen)
		}
	}
	return first
}

// A flow of an ended connection does not join the next connection with its tuple, also in a
// machine that has read the state.
func TestEndedConnectionsStayApart(t *testing.T) {
	h := oneWalk(t)
	h.later(1, 1, ctmsg.Update, reportertest.Plain)
	h.later(5, 2, ctmsg.Update, reportertest.Plain)
	h.later(1, 1, ctmsg.Destroy, reportertest.Plain) // dropped after its report, because a walk follows
	h.Pass(1).Walk()
	h.later(1, 3, ctmsg.Update, reportertest.Plain)
	began := h.At
	h.later(5, 2, ctmsg.Destroy, reportertest.Plain) // kept, because no walk follows
	for tick := range 4 {
		h.Put(capture.KindTick, 0, &capture.Tick{Interval: 3e9})
		other, accepted := restored(t, h)
		a, b := h.m.Report(), other.m.Report()
		if !accepted || string(a.AppendJSON(nil)) != string(b.AppendJSON(nil)) {
			t.Errorf("tick %d: accepted is %v; the other machine reports\n%s, not\n%s", tick, accepted, b.AppendJSON(nil), a.AppendJSON(nil))
		}
		if got := open(a); len(got) != 1 || got[0] != began {
			t.Errorf("tick %d: open since %v, want %d", tick, got, began)
		}
	}
}

// A passive flow is kept as long as its connection.
func TestPassiveFlowsArePending(t *testing.T) {
	const nat, translated = "10.0.0.1:1000>10.0.0.2:80 | 172.17.0.2:8080>10.0.0.1:1000", "10.0.0.1:1000>172.17.0.2:8080"
	h := newMachineHost(t)
	h.later(5, 1, ctmsg.Update, translated)
	began := h.At
	h.later(1, 1, ctmsg.Update, nat)
	h.later(5, 1, ctmsg.Destroy, translated)
	for tick := range 4 {
		if got := open(h.Pass(1).Report()); len(got) != 1 || got[0] != began {
			t.Errorf("tick %d: open since %v, want %d", tick, got, began)
		}
	}
}

// No flow is pending for ever: neither a half-open flow, nor one that was pending while there was
// a second source.
func TestPendingFlowsAreForgotten(t *testing.T) {
	for name, end := range map[string]func(*machineHost){
		"half open": func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.Destroy, ID: 1, Source: 1, Tuples: reportertest.Plain})
			h.Send(reportertest.Message{Type: ctmsg.Destroy, ID: 1, Source: 5, Tuples: reportertest.Plain})
		},
		"one namespace left": func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.Destroy, ID: 1, Source: 5, Tuples: reportertest.Plain})
			h.Report()
			h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceProc})
		},
	} {
		h := newMachineHost(t)
		h.Send(reportertest.Message{Type: ctmsg.New, ID: 1, Source: 1, State: "SYN_SENT", Tuples: reportertest.Plain})
		h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, Source: 5, State: "ESTABLISHED", Tuples: reportertest.Plain})
		h.Report()
		end(h)
		for range 4 {
			h.Report()
		}
		if n := h.m.flows.gone; n > 0 {
			t.Errorf("%s: %d flows are kept", name, n)
		}
	}
}

// If more than maxGone flows are gone, the oldest are dropped. If they belong to an open
// connection, its other flows are reported.
func TestMoreThanMaxGoneFlows(t *testing.T) {
	const nat, translated = "10.0.0.1:1000>10.0.0.2:80 | 172.17.0.2:8080>10.0.0.1:1000", "10.0.0.1:1000>172.17.0.2:8080"
	h := oneWalk(t)
	flows := &h.m.flows
	flows.maxGone = 10
	h.later(1, 1, ctmsg.Update, nat)
	h.later(5, 1, ctmsg.Update, translated)
	h.later(1, 1, ctmsg.Destroy, nat)
	for tick := range 3 {
		for i := range uint32(5) {
			other := fmt.Sprintf("10.2.0.%d:1000>10.0.0.9:80", 10*tick+int(i))
			h.later(1, 100+i, ctmsg.Update, other)
			h.later(1, 100+i, ctmsg.Destroy, other)
		}
		r := h.Pass(1).Report()
		reportertest.CheckReport(t, r)
		first := r.Connections[0].From.Addr.String() // all others are sorted after it
		if got := open(r); len(got) != 1 || first != "10.0.0.1:1000" || flows.gone > 10 {
			t.Errorf("tick %d: %d open, %d gone: %s", tick, len(got), flows.gone, r.AppendJSON(nil))
		}
	}
}
