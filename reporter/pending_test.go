package reporter

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// oneWalk is a host without a walk of /proc to come: flows that end are kept.
func oneWalk(t *testing.T) *machineHost {
	h := newMachineHost(t)
	h.walk(sock{netns: 7, row: "10.3.3.3:1>10.4.4.4:2", inode: 3})
	return h
}

// later sends, a moment later, what one namespace shows of a connection.
func (h *machineHost) later(source, id uint32, typ ctmsg.Type, tuples string) {
	m := ct{typ: typ, id: id, source: source, tuples: tuples}
	if typ != ctmsg.Destroy {
		m.state = "ESTABLISHED"
	}
	h.pass(0.01).send(m)
}

// open is when the connections that are open in a report were first seen.
func open(r *Report) (first []int64) {
	for i := range r.Connections {
		if c := &r.Connections[i]; !c.Closed && c.Seen[0] == "conntrack" {
			first = append(first, c.FirstSeen)
		}
	}
	return first
}

// A flow of an ended connection is no part of the next one with its tuple, neither for
// the reporter itself nor for its heir.
func TestEndedConnectionsStayApart(t *testing.T) {
	h := oneWalk(t)
	h.later(1, 1, ctmsg.Update, plain)
	h.later(5, 2, ctmsg.Update, plain)
	h.later(1, 1, ctmsg.Destroy, plain) // forgotten after its report: a walk follows
	h.pass(1).walk()
	h.later(1, 3, ctmsg.Update, plain)
	began := h.at
	h.later(5, 2, ctmsg.Destroy, plain) // kept: none follows
	for tick := range 4 {
		h.put(capture.KindTick, 0, &capture.Tick{Interval: 3e9})
		heir, taken := handedOver(t, h)
		a, b := h.c.Report(), heir.c.Report()
		if !taken || string(a.AppendJSON(nil)) != string(b.AppendJSON(nil)) {
			t.Errorf("tick %d: taken is %v; the heir reports\n%s, not\n%s", tick, taken, b.AppendJSON(nil), a.AppendJSON(nil))
		}
		if got := open(a); len(got) != 1 || got[0] != began {
			t.Errorf("tick %d: open since %v, want %d", tick, got, began)
		}
	}
}

// A passive flow is kept as long as its connection.
func TestPassiveFlowsArePending(t *testing.T) {
	const nat, behind = "10.0.0.1:1000>10.0.0.2:80 | 172.17.0.2:8080>10.0.0.1:1000", "10.0.0.1:1000>172.17.0.2:8080"
	h := newMachineHost(t)
	h.later(5, 1, ctmsg.Update, behind)
	began := h.at
	h.later(1, 1, ctmsg.Update, nat)
	h.later(5, 1, ctmsg.Destroy, behind)
	for tick := range 4 {
		if got := open(h.pass(1).report()); len(got) != 1 || got[0] != began {
			t.Errorf("tick %d: open since %v, want %d", tick, got, began)
		}
	}
}

// Nothing is pending for ever: neither a half-open flow, nor one that was pending while a
// second namespace was watched.
func TestPendingFlowsAreForgotten(t *testing.T) {
	for name, end := range map[string]func(*machineHost){
		"half open": func(h *machineHost) {
			h.send(ct{typ: ctmsg.Destroy, id: 1, source: 1, tuples: plain})
			h.send(ct{typ: ctmsg.Destroy, id: 1, source: 5, tuples: plain})
		},
		"one namespace left": func(h *machineHost) {
			h.send(ct{typ: ctmsg.Destroy, id: 1, source: 5, tuples: plain})
			h.report()
			h.put(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceProc})
		},
	} {
		h := newMachineHost(t)
		h.send(ct{typ: ctmsg.New, id: 1, source: 1, state: "SYN_SENT", tuples: plain})
		h.send(ct{typ: ctmsg.Update, id: 1, source: 5, state: "ESTABLISHED", tuples: plain})
		h.report()
		end(h)
		for range 4 {
			h.report()
		}
		if n := h.c.flows.gone; n > 0 {
			t.Errorf("%s: %d flows are kept", name, n)
		}
	}
}

// When more flows are gone than are kept, the oldest are forgotten, also those of an open
// connection: the rest of it is reported.
func TestMoreGoneFlowsThanAreKept(t *testing.T) {
	const nat, behind = "10.0.0.1:1000>10.0.0.2:80 | 172.17.0.2:8080>10.0.0.1:1000", "10.0.0.1:1000>172.17.0.2:8080"
	h := oneWalk(t)
	flows := &h.c.flows
	flows.maxGone = 10
	h.later(1, 1, ctmsg.Update, nat)
	h.later(5, 1, ctmsg.Update, behind)
	h.later(1, 1, ctmsg.Destroy, nat)
	for tick := range 3 {
		for i := range uint32(5) {
			other := fmt.Sprintf("10.2.0.%d:1000>10.0.0.9:80", 10*tick+int(i))
			h.later(1, 100+i, ctmsg.Update, other)
			h.later(1, 100+i, ctmsg.Destroy, other)
		}
		r := h.pass(1).report()
		checkReport(t, r)
		first := r.Connections[0].From.Addr.String() // no other has lesser ends
		if got := open(r); len(got) != 1 || first != "10.0.0.1:1000" || flows.gone > 10 {
			t.Errorf("tick %d: %d open, %d gone: %s", tick, len(got), flows.gone, r.AppendJSON(nil))
		}
	}
}
