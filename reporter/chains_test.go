package reporter

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// Flows meet where they have a place in common, also when all tuples have one hash.
func TestFlowsOfOneHashMeetByPlace(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var flows []linked
	var l linker
	for i := range 300 {
		orig := tcpFrom(fmt.Sprintf("10.0.0.%d:%d>10.0.0.%d:80", rng.IntN(4), 1000+rng.IntN(3), rng.IntN(4)))
		f := &flow{key: flowKey{orig: orig, zone: uint16(rng.IntN(2))}, reply: orig.Reversed()}
		if rng.IntN(2) == 0 {
			f.key.orig, f.reply = f.reply, f.key.orig
		}
		if rng.IntN(3) == 0 {
			f.reply.SrcIP.Lo += 100
		}
		f.nat = translated(&f.key.orig, &f.reply)
		flows = append(flows, linked{flow: f, nat: f.nat})
		l.keys = append(l.keys, sortKey{0, 0, uint64(i) << 1})
		if f.nat {
			l.keys = append(l.keys, sortKey{0, 0, uint64(i)<<1 | 1})
		}
	}
	l.flows, l.meetings = flows, []meeting{{}}
	keys := append([]sortKey(nil), l.keys...)
	l.meetAt(0, len(l.keys))
	at := func(k sortKey) (place, int32) {
		if f, leaves := l.of(k); leaves {
			return f.flow.leave(), f.leave
		} else {
			return f.flow.enter(), f.enter
		}
	}
	for i, a := range keys {
		for _, b := range keys[:i] {
			x, m := at(a)
			y, n := at(b)
			same := x.zone == y.zone && (x.Tuple == y.Tuple || x.Tuple == y.Reversed())
			if same != (m == n && m > 0) {
				t.Fatalf("%v and %v: meetings %d and %d", x, y, m, n)
			}
		}
	}
	if len(l.meetings) < 20 {
		t.Errorf("%d meetings", len(l.meetings))
	}
}

// A tuple that is used again and again between two reports is one connection each
// time, whether one namespace tells of it or two.
func TestManyLivesOfOneTupleInTwoNamespaces(t *testing.T) {
	const lives = 2000
	h := newHost(t)
	for i := range uint32(lives) {
		h.at += 1000
		for _, typ := range []ctmsg.Type{ctmsg.Update, ctmsg.Destroy} {
			for _, source := range []uint32{1, 5} {
				h.send(ct{typ: typ, id: i, source: source, state: map[ctmsg.Type]string{ctmsg.Update: "ESTABLISHED"}[typ], tuples: plain})
			}
		}
	}
	if r := h.report(); len(r.Connections) != lives {
		t.Errorf("%d connections of %d", len(r.Connections), lives)
	}
}

// Sources may have any numbers.
func TestSourcesAreFoundByTheirNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 100 {
		var ss sources
		made := map[uint32]*source{}
		for range rng.IntN(50) {
			number := rng.Uint32() >> rng.IntN(32)
			s := ss.of(&capture.Record{Source: number})
			if old := made[number]; s.number != number || old != nil && old != s {
				t.Fatalf("source %d: %+v, before %+v", number, s, old)
			}
			made[number] = s
		}
		for number := range uint32(70) {
			if got := ss.get(number); got != made[number] {
				t.Fatalf("source %d: %+v, want %+v", number, got, made[number])
			}
		}
		if len(ss.list) != len(made) {
			t.Fatalf("%d sources of %d", len(ss.list), len(made))
		}
	}
}
