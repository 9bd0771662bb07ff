package reporter

import (
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
)

// A table counts against the bound of a walk every time that it is reported unchanged.
// Tables outside a walk count too.
func TestScopeWalkIsBounded(t *testing.T) {
	h := &capture.Header{HostID: "h"}
	r, err := New(h, RulesScope2016)
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	step := func(k capture.Kind, p capture.Payload) {
		seq++
		r.Step(&capture.Record{Seq: seq, Kind: k, Source: 2, Payload: capture.AppendPayload(nil, p)})
	}
	proc := &r.rules.(*scope2016).proc
	text := []byte(strings.Repeat("x", 1<<20))
	step(capture.KindWalkBegin, &capture.ProcWalk{})
	step(capture.KindProcNet, &capture.ProcNet{Netns: 1, Table: "tcp", Text: text})
	for range 3 { // each walk has 40 times the tables of the walk before
		step(capture.KindWalkEnd, &capture.ProcWalk{})
		step(capture.KindWalkBegin, &capture.ProcWalk{})
		for range 40 {
			step(capture.KindProcUnchanged, &capture.ProcUnchanged{Netns: 1, Table: "tcp"})
		}
	}
	if bytes := len(proc.pending) << 20; bytes > maxWalk+2<<20 {
		t.Errorf("a walk of %d MiB", bytes>>20)
	}
	r.rules.(*scope2016).proc = scopeProc{}
	for i := range uint64(600) {
		step(capture.KindProcNet, &capture.ProcNet{Netns: i, Table: "tcp", Text: text})
		if i%50 == 0 {
			step(capture.KindTick, &capture.Tick{})
		}
	}
	step(capture.KindTick, &capture.Tick{})
	if bytes := len(proc.tables) << 20; bytes > maxWalk+2<<20 {
		t.Errorf("tables of %d MiB outside a walk", bytes>>20)
	}
}

// The memory for sources and the time of a report are bounded, for any number of sources.
func TestSourcesAreBounded(t *testing.T) {
	for _, rules := range []string{RulesCurrent, RulesScope2016} {
		r, err := New(&capture.Header{HostID: "h"}, rules)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(100_000) {
			r.Step(&capture.Record{Seq: i + 1, Kind: capture.KindGap, Source: uint32(i + 1), Payload: capture.AppendPayload(nil, &capture.Gap{Lost: 1})})
			r.Step(&capture.Record{Seq: i + 1, Kind: capture.KindDNS, Source: uint32(i + 1)})
		}
		r.Step(&capture.Record{Seq: 1e6, Kind: capture.KindTick, Payload: capture.AppendPayload(nil, &capture.Tick{Number: 1})})
		if n := len(r.Report().Coverage); n > MaxSources+4 {
			t.Errorf("%d sources under %s", n, rules)
		}
	}
}
