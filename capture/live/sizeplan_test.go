package live

import (
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
)

// If all sources flood, the tape reaches its size only after its duration: whenever
// the last refill was, and with a full allowance on the way to the tape then.
func TestSharesOfAllSourcesFitTheSize(t *testing.T) {
	for _, o := range []Options{
		{MaxSize: 100 << 20, Duration: time.Minute}, {MaxSize: 1 << 20, Duration: time.Hour}, {MaxSize: -1, Duration: time.Hour}, {MaxSize: 1 << 30, Duration: -1},
	} {
		p := newSizePlan(&o)
		duration := time.Duration(p.duration * 1e9)
		for _, kinds := range [][]string{capture.UsualSources(), DefaultSources(), {capture.SourceDNS}} {
			var size, rate float64
			for _, kind := range kinds {
				s, r := p.bucket(kind, kinds)
				size, rate = size+s, rate+r
			}
			for refilled := time.Duration(0); refilled <= duration; refilled += duration / 10 {
				all := float64(p.planned(refilled)) + 2*size + rate*(duration-refilled).Seconds()
				if all > p.size*0.9 {
					t.Errorf("%v, refilled until %v: %.0f bytes of %.0f", kinds, refilled, all, p.size)
				}
				if all < p.size*0.7 {
					t.Errorf("%v, refilled until %v: only %.0f bytes of %.0f are used", kinds, refilled, all, p.size)
				}
			}
		}
	}
}
