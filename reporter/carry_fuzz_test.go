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

// FuzzCarry shows a core a state that anybody may have made, then records and
// ticks: it must take it over or not, and go on.
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

func carriedState(t testing.TB, rules string, program []byte) (state []byte) {
	r, err := New(&capture.Header{HostID: "h"}, rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range reportertest.ProgramRecords(program) {
		r.Step(&rec)
	}
	for _, p := range r.Carry() {
		state = append(state, p.State...)
	}
	return state
}

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

// Of a state in which anything was changed most cannot be taken over, and what
// can does no harm.
func TestCarryOfAnybody(t *testing.T) {
	for _, rules := range []string{RulesCurrent, RulesScope2016} {
		for seed := range uint64(12) {
			state := carriedState(t, rules, reportertest.RandomProgram(seed))
			if !playHostile(t, rules, state) {
				t.Fatal("the state itself was not taken")
			}
			if playHostile(t, rules, append(state, 0)) {
				t.Error("a state with a byte more was taken")
			}
			rng := rand.New(rand.NewPCG(seed, 2))
			for range 25 {
				bad := append([]byte(nil), state...)
				for range 1 + rng.IntN(3) {
					bad[rng.IntN(len(bad))] = byte(rng.Uint32())
				}
				playHostile(t, rules, bad)
				if cut := rng.IntN(len(state)); playHostile(t, rules, state[:cut]) {
					t.Errorf("%d of %d bytes of a state were taken", cut, len(state))
				}
			}
		}
	}
}

// What parts do not make a state are as if they were not there.
func TestCarryInParts(t *testing.T) {
	state := carriedState(t, RulesCurrent, reportertest.RandomProgram(1))
	part := func(n uint32, more bool, b []byte) *capture.Carry {
		return &capture.Carry{Core: CoreVersion, Rules: RulesCurrent, Part: n, More: more, State: b}
	}
	third := len(state) / 3
	a, b, c := state[:third], state[third:2*third], state[2*third:]
	foreign := func(p *capture.Carry, change func(*capture.Carry)) *capture.Carry { change(p); return p }
	for name, test := range map[string]struct {
		parts []*capture.Carry
		taken bool
	}{
		"in parts":           {[]*capture.Carry{part(0, true, a), part(1, true, b), part(2, false, c)}, true},
		"begun again":        {[]*capture.Carry{part(0, true, a), part(0, true, a), part(1, true, b), part(2, false, c)}, true},
		"other rules' among": {[]*capture.Carry{part(0, true, a), foreign(part(0, false, b), func(p *capture.Carry) { p.Rules = RulesScope2016 }), part(1, true, b), part(2, false, c)}, true},
		"one is missing":     {[]*capture.Carry{part(0, true, a), part(2, false, c)}, false},
		"one twice":          {[]*capture.Carry{part(0, true, a), part(1, true, b), part(1, true, b), part(2, false, c)}, false},
		"no first one":       {[]*capture.Carry{part(1, true, b), part(2, false, c)}, false},
		"no last one":        {[]*capture.Carry{part(0, true, a), part(1, true, b)}, false},
		"of another version": {[]*capture.Carry{foreign(part(0, false, state), func(p *capture.Carry) { p.Core++ })}, false},
		"of no rules":        {[]*capture.Carry{foreign(part(0, false, state), func(p *capture.Carry) { p.Rules = "" })}, false},
		"of another layout":  {[]*capture.Carry{part(0, false, append([]byte{carryLayout + 1}, state[1:]...))}, false},
		"empty":              {[]*capture.Carry{part(0, false, nil)}, false},
	} {
		h := newHost(t)
		h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
		for _, p := range test.parts {
			h.r.Step(&capture.Record{Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, p)})
		}
		if h.r.Carried() != test.taken {
			t.Errorf("%s: taken is %v", name, h.r.Carried())
		}
		known := false
		for _, c := range h.Report().Connections {
			known = known || c.From.Addr.String()+">"+c.To.Addr.String() == reportertest.Plain
		}
		if known == test.taken {
			t.Errorf("%s: what was known before is known: %v", name, known)
		}
	}
}

// TestCarryLayout guards the number that tells states apart which only differ in
// what is carried, and how.
func TestCarryLayout(t *testing.T) {
	type written struct {
		layout, core int
		sum          string
	}
	known := written{3, 4, "776e92249e0384f7"}
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
		t.Errorf("the same records make another state (%s, was %s): count carryLayout up", now.sum, known.sum)
	default:
		t.Errorf("write down here what layout %d of core %d is: %q", now.layout, now.core, now.sum)
	}
}

// A few bytes do not make the core reserve much.
func TestCarryReservesLittle(t *testing.T) {
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
		t.Errorf("%d MiB were reserved", got>>20)
	}
}

// BenchmarkCarry is what a core of 100,000 connections knows, written and read.
func BenchmarkCarry(b *testing.B) {
	h := established(b, 100000, kind{nat: true, hub: true})
	size := 0
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			size = 0
			for _, p := range h.r.Carry() {
				size += len(p.State)
			}
		}
		b.ReportMetric(float64(size)/100000, "B/connection")
	})
	parts := h.r.Carry()
	b.Run("read", func(b *testing.B) {
		var records []capture.Record
		for _, p := range parts {
			records = append(records, capture.Record{Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &p)})
		}
		b.ReportAllocs()
		for b.Loop() {
			r, _ := New(&capture.Header{}, RulesCurrent)
			for i := range records {
				r.Step(&records[i])
			}
			if !r.Carried() {
				b.Fatal(fmt.Sprint(len(records), " parts were not taken"))
			}
		}
	})
}
