package reporter

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/reportertest"
)

// FuzzCarry steps a reporter with an arbitrary state, then with records and ticks. The reporter may
// accept or ignore the state, and must work in both cases.
func FuzzCarry(f *testing.F) {
	for seed := range uint64(3) {
		for i, rules := range []string{RulesCurrent, RulesScope2016} {
			f.Add(byte(i), carriedState(f, rules, reportertest.RandomProgram(seed)))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, state []byte) {
		playHostile(t, [...]string{RulesCurrent, RulesScope2016}[which&1], state)
	})
}

// carriedState returns the state of a reporter after the records of a program.
func carriedState(t testing.TB, rules string, program []byte) (state []byte) {
	r, err := New(&capture.Header{HostID: "h"}, rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range reportertest.ProgramRecords(program) {
		r.Step(&rec)
	}
	for p := range r.Carry() {
		state = append(state, p.State...)
	}
	return state
}

// playHostile reads a state into a reporter, steps it with records, and reports whether the state
// was accepted.
func playHostile(t testing.TB, rules string, state []byte) (accepted bool) {
	r, err := New(&capture.Header{HostID: "h"}, rules)
	if err != nil {
		t.Fatal(err)
	}
	r.Step(&capture.Record{Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &capture.Carry{Core: CoreVersion, Rules: rules, State: state})})
	for i, rec := range reportertest.ProgramRecords(reportertest.RandomProgram(7)[:360]) {
		rec.Seq, rec.At = rec.Seq+1000, rec.At+1e12
		if r.Step(&rec) {
			made := r.Report()
			made.AppendJSON(nil)
			made.Scope()
		}
		if i%60 == 59 {
			r.Carry()
		}
	}
	return r.Carried()
}

// A truncated state is ignored. A state with changed bytes does no harm, whether it is accepted or
// not.
func TestCarryOfChangedState(t *testing.T) {
	for _, rules := range []string{RulesCurrent, RulesScope2016} {
		for seed := range uint64(12) {
			state := carriedState(t, rules, reportertest.RandomProgram(seed))
			if !playHostile(t, rules, state) {
				t.Fatal("the unchanged state was not accepted")
			}
			if playHostile(t, rules, append(state, 0)) {
				t.Error("a state with an additional byte was accepted")
			}
			rng := rand.New(rand.NewPCG(seed, 2))
			for range 25 {
				bad := append([]byte(nil), state...)
				for range 1 + rng.IntN(3) {
					bad[rng.IntN(len(bad))] = byte(rng.Uint32())
				}
				playHostile(t, rules, bad)
				if cut := rng.IntN(len(state)); playHostile(t, rules, state[:cut]) {
					t.Errorf("the first %d of %d bytes of a state were accepted", cut, len(state))
				}
			}
		}
	}
}

// Parts that make no complete state are ignored.
func TestCarryInParts(t *testing.T) {
	state := carriedState(t, RulesCurrent, reportertest.RandomProgram(1))
	part := func(n uint32, more bool, b []byte) *capture.Carry {
		return &capture.Carry{Core: CoreVersion, Rules: RulesCurrent, Part: n, More: more, State: b}
	}
	third := len(state) / 3
	a, b, c := state[:third], state[third:2*third], state[2*third:]
	foreign := func(p *capture.Carry, change func(*capture.Carry)) *capture.Carry { change(p); return p }
	for name, test := range map[string]struct {
		parts    []*capture.Carry
		accepted bool
	}{
		"in parts":              {[]*capture.Carry{part(0, true, a), part(1, true, b), part(2, false, c)}, true},
		"started again":         {[]*capture.Carry{part(0, true, a), part(0, true, a), part(1, true, b), part(2, false, c)}, true},
		"a part of other rules": {[]*capture.Carry{part(0, true, a), foreign(part(0, false, b), func(p *capture.Carry) { p.Rules = RulesScope2016 }), part(1, true, b), part(2, false, c)}, true},
		"a missing part":        {[]*capture.Carry{part(0, true, a), part(2, false, c)}, false},
		"a repeated part":       {[]*capture.Carry{part(0, true, a), part(1, true, b), part(1, true, b), part(2, false, c)}, false},
		"no first part":         {[]*capture.Carry{part(1, true, b), part(2, false, c)}, false},
		"no last part":          {[]*capture.Carry{part(0, true, a), part(1, true, b)}, false},
		"another core version":  {[]*capture.Carry{foreign(part(0, false, state), func(p *capture.Carry) { p.Core++ })}, false},
		"no rules":              {[]*capture.Carry{foreign(part(0, false, state), func(p *capture.Carry) { p.Rules = "" })}, false},
		"another layout":        {[]*capture.Carry{part(0, false, append([]byte{carryLayout + 1}, state[1:]...))}, false},
		"empty":                 {[]*capture.Carry{part(0, false, nil)}, false},
	} {
		h := newHost(t)
		h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
		for _, p := range test.parts {
			h.r.Step(&capture.Record{Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, p)})
		}
		if h.r.Carried() != test.accepted {
			t.Errorf("%s: accepted is %v", name, h.r.Carried())
		}
		known := false
		for _, c := range h.Report().Connections {
			known = known || c.From.Addr.String()+">"+c.To.Addr.String() == reportertest.Plain
		}
		if known == test.accepted {
			t.Errorf("%s: the reporter has its earlier state: %v", name, known)
		}
	}
}

// TestCarryLayout fails when the same records give another state but carryLayout is the same.
func TestCarryLayout(t *testing.T) {
	type written struct {
		layout, core int
		sum          string
	}
	known := written{8, 6, "a71d029f51c7706e"}
	h := sha256.New()
	for seed := range uint64(20) {
		for _, rules := range []string{RulesCurrent, RulesScope2016} {
			h.Write(carriedState(t, rules, reportertest.RandomProgram(seed)))
		}
	}
	now := written{carryLayout, CoreVersion, fmt.Sprintf("%x", h.Sum(nil)[:8])}
	switch {
	case now == known:
	case now.layout == known.layout && now.core == known.core:
		t.Errorf("the same records give another state (%s, was %s): increase carryLayout", now.sum, known.sum)
	default:
		t.Errorf("set known to layout %d, core %d, sum %q", now.layout, now.core, now.sum)
	}
}

// A short state with large counts does not make the reporter allocate much memory.
func TestCarryAllocatesLittle(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, rules := range []string{RulesCurrent, RulesScope2016} {
		for at := range 60 {
			state := make([]byte, 60+9)
			state[0] = carryLayout
			copy(state[1+at:], "\xff\xff\xff\xff\xff\xff\xff\x7f")
			playHostile(t, rules, state)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<30 {
		t.Errorf("%d MiB were allocated", got>>20)
	}
}

// BenchmarkCarry measures writing and reading the state of 100,000 connections.
func BenchmarkCarry(b *testing.B) {
	h := established(b, 100000, kind{nat: true, hub: true})
	size := 0
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			size = 0
			for p := range h.r.Carry() {
				size += len(p.State)
			}
		}
		b.ReportMetric(float64(size)/100000, "B/connection")
	})
	parts := h.r.Carry()
	b.Run("read", func(b *testing.B) {
		var records []capture.Record
		for p := range parts {
			records = append(records, capture.Record{Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &p)})
		}
		b.ReportAllocs()
		for b.Loop() {
			r, _ := New(&capture.Header{}, RulesCurrent)
			for i := range records {
				r.Step(&records[i])
			}
			if !r.Carried() {
				b.Fatal(fmt.Sprint(len(records), " parts were not accepted"))
			}
		}
	})
}
