package live

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
)

// The recorder says how long it stood still before it records what came in that time.
func TestStallIsRecordedBeforeWhatCameInIt(t *testing.T) {
	ct := newFakeConntrack()
	m := fakeMachine(conntrackSource(ct))
	var frozen atomic.Int64
	m.boot = func() int64 { return bootClock() + frozen.Load() }
	o := options(t)
	o.Interval = time.Hour
	s := start(t, o, m)
	time.Sleep(100 * time.Millisecond)
	frozen.Add(int64(1500 * time.Millisecond)) // no stall: a busy machine may be that late
	time.Sleep(400 * time.Millisecond)
	ct.queue(event(0))
	frozen.Add(int64(5 * time.Second))
	ct.Drain(1)
	summary, err := s.after(t, 400*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	_, records, _ := readFile(t, o.Output)
	stalls := find(records, capture.KindStall)
	if len(stalls) != 1 {
		t.Fatalf("%d stalls in %v", len(stalls), kinds(records))
	}
	d := time.Duration(payload[capture.Stall](t, stalls[0]).Duration)
	if d < 5*time.Second || d > 6*time.Second || summary.Stalls != 1 || summary.Stalled != d {
		t.Errorf("a stall of %v, summary %+v", d, summary)
	}
	k := kinds(records)
	if slices.Index(k, capture.KindStall) > slices.Index(k, capture.KindConntrack) {
		t.Errorf("order %v", k)
	}
}
