package reporter

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// oneWalk is a host whose last walk of /proc was long ago: what ends is kept.
func oneWalk(t *testing.T) *host {
	h := newHost(t)
	h.walk(sock{netns: 7, row: "10.3.3.3:1>10.4.4.4:2", inode: 3})
	return h
}

// of is a moment later what one namespace says of a connection.
func (h *host) of(source, id uint32, typ ctmsg.Type, tuples string) {
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

// What is left of a connection that is over is no part of the next one with its
// tuple, neither for the reporter itself nor for its heir.
func TestWhatIsOverStaysApart(t *testing.T) {
	h := oneWalk(t)
	h.of(1, 1, ctmsg.Update, plain)
	h.of(5, 2, ctmsg.Update, plain)
	h.of(1, 1, ctmsg.Destroy, plain) // freed when it was told of, for a walk follows
	h.pass(1).walk()
	h.of(1, 3, ctmsg.Update, plain)
	began := h.at
	h.of(5, 2, ctmsg.Destroy, plain) // kept, for none follows
	for tick := range 4 {
		h.put(capture.KindTick, 0, &capture.Tick{Interval: 3e9})
		heir, taken := handedOver(t, h)
		a, b := h.r.Report(), heir.r.Report()
		if !taken || string(a.AppendJSON(nil)) != string(b.AppendJSON(nil)) {
			t.Errorf("tick %d: taken is %v; the heir says\n%s, not\n%s", tick, taken, b.AppendJSON(nil), a.AppendJSON(nil))
		}
		if got := open(a); len(got) != 1 || got[0] != began {
			t.Errorf("tick %d: open since %v, want %d", tick, got, began)
		}
	}
}

// A flow that only looks on is kept as long as the connection.
func TestOnlookersAreHeld(t *testing.T) {
	const nat, behind = "10.0.0.1:1000>10.0.0.2:80 | 172.17.0.2:8080>10.0.0.1:1000", "10.0.0.1:1000>172.17.0.2:8080"
	h := newHost(t)
	h.of(5, 1, ctmsg.Update, behind)
	began := h.at
	h.of(1, 1, ctmsg.Update, nat)
	h.of(5, 1, ctmsg.Destroy, behind)
	for tick := range 4 {
		if got := open(h.pass(1).report()); len(got) != 1 || got[0] != began {
			t.Errorf("tick %d: open since %v, want %d", tick, got, began)
		}
	}
}

// Nothing is held for ever: neither what was half open, nor what was held when a
// second namespace was still watched.
func TestHeldFlowsAreLetGo(t *testing.T) {
	for name, end := range map[string]func(*host){
		"half open": func(h *host) {
			h.send(ct{typ: ctmsg.Destroy, id: 1, source: 1, tuples: plain})
			h.send(ct{typ: ctmsg.Destroy, id: 1, source: 5, tuples: plain})
		},
		"one namespace left": func(h *host) {
			h.send(ct{typ: ctmsg.Destroy, id: 1, source: 5, tuples: plain})
			h.report()
			h.put(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceProc})
		},
	} {
		h := newHost(t)
		h.send(ct{typ: ctmsg.New, id: 1, source: 1, state: "SYN_SENT", tuples: plain})
		h.send(ct{typ: ctmsg.Update, id: 1, source: 5, state: "ESTABLISHED", tuples: plain})
		h.report()
		end(h)
		for range 4 {
			h.report()
		}
		if dead := h.r.rules.(*current).flows.dead; len(dead) > 0 {
			t.Errorf("%s: %d flows are kept", name, len(dead))
		}
	}
}

// When more has ended than is kept, the oldest go, also of a connection that lives:
// what is left of it is told of.
func TestMoreDeadFlowsThanAreKept(t *testing.T) {
	const nat, behind = "10.0.0.1:1000>10.0.0.2:80 | 172.17.0.2:8080>10.0.0.1:1000", "10.0.0.1:1000>172.17.0.2:8080"
	h := oneWalk(t)
	flows := &h.r.rules.(*current).flows
	flows.maxDead = 10
	h.of(1, 1, ctmsg.Update, nat)
	h.of(5, 1, ctmsg.Update, behind)
	h.of(1, 1, ctmsg.Destroy, nat)
	for tick := range 3 {
		for i := range uint32(5) {
			other := fmt.Sprintf("10.2.0.%d:1000>10.0.0.9:80", 10*tick+int(i))
			h.of(1, 100+i, ctmsg.Update, other)
			h.of(1, 100+i, ctmsg.Destroy, other)
		}
		r := h.pass(1).report()
		checkReport(t, r)
		first := r.Connections[0].From.Addr.String() // of the others the ends are greater, of none less
		if got := open(r); len(got) != 1 || first != "10.0.0.1:1000" || len(flows.dead) > 10 {
			t.Errorf("tick %d: %d open, %d dead: %s", tick, len(got), len(flows.dead), r.AppendJSON(nil))
		}
	}
}
