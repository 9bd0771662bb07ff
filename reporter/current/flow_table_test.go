package current

import (
	"maps"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/reportertest"
)

// Flows that were reported as closed are dropped: memory does not grow with the length of a
// recording.
func TestMemoryIsBoundedByOpenFlows(t *testing.T) {
	h := newMachineHost(t)
	c := h.m
	for i, m := range reportertest.ShortConnections(100000) {
		h.At += 1e5
		h.Raw(capture.KindConntrack, 1, m)
		if i%1000 == 999 {
			h.Put(capture.KindTick, 0, &capture.Tick{})
		}
		// 143 connections end between two ticks; those of two windows are kept.
		if n := max(len(c.flows.all), len(c.flows.byEntry)); n > 500 {
			t.Fatalf("%d flows are kept where 10 are open and 286 just ended", n)
		}
	}
}

// For any number of flows with one tuple, few are indexed.
func TestFewFlowsOfOneTupleAreIndexed(t *testing.T) {
	for _, typ := range []ctmsg.Type{ctmsg.Update, ctmsg.Dump} {
		h := newMachineHost(t)
		c := h.m
		for id := range uint32(1000) {
			h.Send(reportertest.Message{Type: typ, ID: id, State: "ESTABLISHED", Tuples: "10.0.0.1:40000>10.0.0.2:80"})
		}
		for _, f := range c.flows.byEntry {
			n := 0
			for ; f != nil; f = f.older {
				n++
			}
			if n > maxLives {
				t.Errorf("%v: %d flows of one tuple are indexed", typ, n)
			}
		}
		open := 0
		for _, f := range c.flows.all {
			if !f.ended {
				open++
			}
		}
		if typ == ctmsg.Update && open != 1 {
			t.Errorf("%d flows of one tuple are open", open)
		}
	}
}

// The counts and the index agree with the list of flows.
func TestFlowsAreCounted(t *testing.T) {
	most := 0
	for seed := range uint64(200) {
		c := New(&capture.Header{})
		for _, rec := range reportertest.ProgramRecords(reportertest.RandomProgram(seed)) {
			c.Step(&rec)
			flows := &c.flows
			flows.hasOpen(new(ctmsg.Tuple)) // the first call counts them
			open, gone, indexed := map[ctmsg.Tuple]int{}, 0, 0
			for _, f := range flows.all {
				if f.established && !f.ended {
					open[f.key.orig]++
					open[f.reply]++
				}
				if f.gone {
					gone++
				}
				if f.indexed {
					indexed++
					if flows.find(&f.key) != f {
						t.Fatalf("seed %d: flow %v is not found", seed, f.key)
					}
				}
			}
			for tuple, n := range flows.open {
				if n == 0 {
					delete(flows.open, tuple)
				}
			}
			if flows.open != nil && !maps.Equal(open, flows.open) || gone != flows.gone {
				t.Fatalf("seed %d: %v are open and %d gone, not %v and %d", seed, open, gone, flows.open, flows.gone)
			}
			for _, f := range flows.byEntry {
				for ; f != nil; f = f.older {
					indexed--
				}
			}
			if indexed != 0 {
				t.Fatalf("seed %d: %d flows are indexed that the list lacks", seed, -indexed)
			}
			most = max(most, len(open))
		}
	}
	if most < 4 {
		t.Errorf("%d tuples were open at most", most)
	}
}
