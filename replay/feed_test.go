package replay

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
)

// A feed returns the same items in the same order, wherever it reads ahead.
func TestFeedKeepsTheOrder(t *testing.T) {
	tape := windowTape(t, 1, 1e18, false)
	damaged := slices.Clone(tape)
	damaged[len(damaged)/2] ^= 1
	read := func(tape []byte, every, limit int) (lines []string) {
		f := feed{tapes: &Tapes{inputs: []Input{memory("x", tape)}}, limit: limit}
		defer f.tapes.Close()
		for n := 1; ; n++ {
			it, err := f.next()
			switch {
			case err == io.EOF:
				return lines
			case err != nil:
				lines = append(lines, err.Error())
				f.err = nil
				continue
			}
			lines = append(lines, fmt.Sprintf("%v %d %x", it.position, it.Kind, it.Payload))
			if every > 0 && n%every == 0 {
				for f.head < len(f.queue) { // lookAhead needs an empty queue
					if it, err = f.next(); err != nil {
						t.Fatal(err)
					}
					lines = append(lines, fmt.Sprintf("%v %d %x", it.position, it.Kind, it.Payload))
				}
				seen := 0
				f.lookAhead(func(*Item) bool { seen++; return seen < 2*every })
			}
		}
	}
	for _, b := range [][]byte{tape, damaged} {
		want := read(b, 0, 0)
		for _, every := range []int{1, 50, 2999} {
			for _, limit := range []int{0, 1, 5000} {
				if got := read(b, every, limit); !slices.Equal(got, want) {
					t.Errorf("every %d, limit %d: %d lines, want %d", every, limit, len(got), len(want))
				}
			}
		}
	}
}

func TestPendingCarry(t *testing.T) {
	const carry, other = capture.KindCarry, capture.KindConntrack
	type step struct {
		tape    int
		follows bool
		kind    capture.Kind
		seq     uint64
		want    int // parts of a carry before it
	}
	for name, steps := range map[string][]step{
		"nothing is missing":         {{0, false, other, 1, 0}, {1, true, carry, 0, 0}, {1, true, other, 2, 0}},
		"a record is missing":        {{0, false, other, 1, 0}, {1, true, carry, 0, 0}, {1, true, carry, 0, 0}, {1, true, other, 3, 2}, {1, true, other, 5, 0}},
		"of a tape of its own":       {{0, false, carry, 0, 0}, {0, false, other, 7, 0}, {1, false, carry, 0, 0}, {1, false, other, 20, 0}},
		"two segments of carries":    {{0, false, other, 1, 0}, {1, true, carry, 0, 0}, {2, true, carry, 0, 0}, {2, true, other, 9, 2}},
		"another recording":          {{0, false, other, 1, 0}, {1, true, carry, 0, 0}, {2, false, other, 9, 0}},
		"numbers of each recording":  {{0, false, other, 4, 0}, {1, false, carry, 0, 0}, {2, true, carry, 0, 0}, {2, true, other, 5, 1}},
		"in the middle of a segment": {{0, false, other, 1, 0}, {1, true, other, 2, 0}, {1, true, carry, 0, 0}, {1, true, other, 4, 1}},
	} {
		var p pendingCarry
		for i, s := range steps {
			it := &Item{Follows: s.follows, position: position{tape: s.tape}}
			it.Kind, it.Seq = s.kind, s.seq
			got := 0
			if parts := p.next(it); parts != nil {
				for range parts {
					got++
				}
			}
			if got != s.want {
				t.Errorf("%s: step %d: %d parts, want %d", name, i, got, s.want)
			}
		}
	}
}

// A carry of very many parts is dropped.
func TestPendingCarryIsBounded(t *testing.T) {
	p := pendingCarry{last: 1}
	part := &Item{Follows: true}
	part.Kind = capture.KindCarry
	for range 200_000 {
		p.next(part)
	}
	next := &Item{Follows: true}
	next.Kind, next.Seq = capture.KindConntrack, 9
	if p.next(next) != nil {
		t.Error("200,000 parts are a carry")
	}
	next.Seq = 20
	p.next(part)
	if p.next(next) == nil {
		t.Error("the carry after one that is too large is dropped")
	}
}
