package reporter

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
		orig := tcpFrom(fmt.Sprintf("10.0.0.%d:%d>10.0.0.%d:80", rng.IntN(4), 80+rng.IntN(3), rng.IntN(4)))
		f := &flow{key: flowKey{orig: orig, zone: uint16(rng.IntN(2))}, reply: orig.Reversed()}
		if rng.IntN(2) == 0 {
			f.key.orig, f.reply = f.reply, f.key.orig
		}
		if rng.IntN(3) == 0 {
			f.reply.SrcIP.Lo += 100
		}
		f.nat = translated(&f.key.orig, &f.reply)
		flows = append(flows, linked{flow: f, nat: f.nat})
		l.keys = append(l.keys, uint64(i)<<1)
		if f.nat {
			l.keys = append(l.keys, uint64(i)<<1|1)
		}
	}
	l.flows, l.meetings = flows, []meeting{{}}
	keys := slices.Clone(l.keys)
	l.meetAt(0, len(l.keys))
	for _, k := range keys {
		f, leaves := l.of(k)
		at := f.enter
		if leaves {
			at = f.leave
		}
		if at == 0 {
			continue
		}
		m := l.meetings[int(at)+l.listOf(k)]
		list := l.keys[m.from:m.to]
		if !slices.Contains(list, k) || !slices.IsSorted(list) {
			t.Fatalf("key %x is not in order in its list %x", k, list)
		}
		for _, other := range list {
			if g, also := l.of(other); g.nat != f.nat || also != leaves || !l.place(other).is(l.place(k)) {
				t.Fatalf("%v leaves %v, %v leaves %v: one list", l.place(k), leaves, l.place(other), also)
			}
		}
	}
	for _, k := range keys {
		p := l.place(k)
		if same := p.list(passing) == p.reversed().list(passing); same != p.is(p.reversed()) {
			t.Errorf("%v: both ways in one list is %v", p, same)
		}
	}
	at := func(k uint64) (place, meetingAt) {
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
			same := x.is(y) || x.is(y.reversed())
			if same != (m == n && m > 0) {
				t.Fatalf("%v and %v: meetings %d and %d", x, y, m, n)
			}
		}
	}
	if len(l.meetings) < 20 {
		t.Errorf("%d meetings", len(l.meetings))
	}
}

// A tuple that is used again and again is one connection each time, whether two
// namespaces tell of each at once or one of all first.
func TestManyLivesOfOneTupleInTwoNamespaces(t *testing.T) {
	const lives = 1000
	h := newHost(t)
	for _, sources := range [][]uint32{{1, 5}, {1}, {5}} {
		for i := range uint32(lives) {
			h.at = int64(i+1) * 1e6
			for _, source := range sources {
				h.send(ct{typ: ctmsg.Update, id: i, source: source, state: "ESTABLISHED", tuples: plain})
				h.send(ct{typ: ctmsg.Destroy, id: i, source: source, tuples: plain})
			}
		}
		if len(sources) == 1 && sources[0] == 1 {
			continue
		}
		if r := h.report(); len(r.Connections) != lives {
			t.Errorf("sources %v: %d connections of %d", sources, len(r.Connections), lives)
		}
		h.want()
	}
}

// What ended since the last walk of /proc does not stand between the flows of a
// connection that lives.
func TestFlowsThatEndedHideNoPartner(t *testing.T) {
	h := newHost(t)
	h.walk(sock{netns: 7, row: "10.3.3.3:1>10.4.4.4:2", inode: 3}) // the only one
	h.pass(1).send(ct{typ: ctmsg.Update, id: 1, source: 5, state: "ESTABLISHED", tuples: plain})
	const lives = 600
	for i := range uint32(lives) {
		h.pass(1).send(ct{typ: ctmsg.Update, id: i + 9, source: 1, state: "ESTABLISHED", tuples: plain})
		if i < lives-1 {
			h.pass(1).send(ct{typ: ctmsg.Destroy, id: i + 9, source: 1, tuples: plain})
		}
		if i%50 > 0 && i < lives-1 {
			h.put(capture.KindTick, 0, &capture.Tick{})
			continue
		}
		open := 0
		r := h.report()
		for j := range r.Connections {
			if c := &r.Connections[j]; !c.Closed && c.From.Addr.Port() == 40000 {
				open++
			}
		}
		if open != 1 {
			t.Fatalf("%d open connections after %d lives", open, i+1)
		}
		r.Release()
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
