package reporter

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// flowNames does what a map does, also where hashes meet and wrap around, and
// gives back the room that it does not need.
func TestFlowNamesAreAMap(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		hash := func() uint32 {
			switch rnd.IntN(3) {
			case 0:
				return uint32(rnd.IntN(8)) << 16 // all at one place
			case 1:
				return ^uint32(0) - uint32(rnd.IntN(40)) // around the end
			}
			return uint32(rnd.IntN(5000))
		}
		var n flowNames
		n.init()
		want := map[uint32]int32{}
		check := func(h uint32) {
			t.Helper()
			flow, is := want[h]
			if !is {
				flow = -1
			}
			if got := n.get(h); got != flow {
				t.Fatalf("seed %d: %#x is of flow %d, want %d", seed, h, got, flow)
			}
		}
		for i := range int32(6000) {
			h := hash()
			if rnd.IntN(6000) < int(i) { // first more come than go
				n.remove(h)
				delete(want, h)
			} else {
				n.set(h, i)
				want[h] = i
			}
			check(h)
			check(hash())
		}
		flows := map[int32]bool{}
		n.each(func(flow int32) { flows[flow] = true })
		for h, flow := range maps.Clone(want) {
			if !flows[flow] {
				t.Errorf("seed %d: flow %d is not listed", seed, flow)
			}
			check(h)
			n.remove(h)
		}
		if len(flows) != len(want) || n.count != 0 || len(n.slots) > 256 {
			t.Errorf("seed %d: %d of %d flows are listed, %d are left in %d slots", seed, len(flows), len(want), n.count, len(n.slots))
		}
	}
}
