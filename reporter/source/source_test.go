package source

import (
	"math/rand/v2"
	"testing"

	"github.com/topotape/topotape/capture"
)

// Sources may have any numbers.
func TestSourcesAreFoundByTheirNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 100 {
		var ss Sources
		made := map[uint32]*Source{}
		for range rng.IntN(50) {
			number := rng.Uint32() >> rng.IntN(32)
			s := ss.Of(&capture.Record{Source: number})
			if old := made[number]; s.Number != number || old != nil && old != s {
				t.Fatalf("source %d: %+v, before %+v", number, s, old)
			}
			made[number] = s
		}
		for number := range uint32(70) {
			if got := ss.Get(number); got != made[number] {
				t.Fatalf("source %d: %+v, want %+v", number, got, made[number])
			}
		}
		if len(ss.List) != len(made) {
			t.Fatalf("%d sources of %d", len(ss.List), len(made))
		}
	}
}
