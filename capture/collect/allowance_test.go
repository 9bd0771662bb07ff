package collect

import (
	"math/rand/v2"
	"testing"
	"time"
)

// What is spent while something is left is at most the size, the rate's bytes, and
// one record more; and a source that waits gets its rate.
func TestAllowanceBoundsWhatIsSpent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		size, rate := 1000+rng.Float64()*1e6, rng.Float64()*1e6
		a := NewAllowance(size, rate)
		spent, now := 0., int64(0)
		for range 1000 {
			now += rng.Int64N(int64(10 * time.Millisecond))
			for n := 1 + rng.IntN(1500); rng.IntN(20) > 0 && !a.empty(now); {
				a.spend(n, now)
				spent += float64(n)
			}
		}
		most := size + rate*float64(now)/1e9
		if spent > most+1500 || spent < min(most, rate*float64(now)/1e9)/2 {
			t.Errorf("%.0f bytes were spent of %.0f", spent, most)
		}
	}
	a := NewAllowance(100, 10)
	a.spend(200, 0)
	if left := a.left(int64(5 * time.Second)); left != -0.5 {
		t.Errorf("%v is left of an overdrawn allowance", left)
	}
	if left := a.left(int64(time.Hour)); left != 1 {
		t.Errorf("%v is left after an hour", left)
	}
	a.spend(300, int64(time.Hour))
	a.Refill()
	if left := a.left(int64(time.Hour)); left != 1 {
		t.Errorf("%v is left after a refill", left)
	}
	var none *Allowance
	none.spend(1<<40, 0)
	none.Refill()
	if none.empty(0) {
		t.Error("no allowance is a bound")
	}
}
