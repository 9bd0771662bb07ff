package live

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
)

// countedReadings are counters that change with each reading.
type countedReadings struct{ n atomic.Uint64 }

func (c *countedReadings) Changed() *capture.Counters {
	return &capture.Counters{Netns: c.n.Add(1), Files: []capture.CounterFile{{Name: "n", Text: fmt.Append(nil, c.n.Load())}}}
}
func (*countedReadings) Close() {}

func TestCountersAreAtTheBeginAndBeforeEachTick(t *testing.T) {
	ct := newFakeConntrack()
	m := fakeMachine(conntrackSource(ct))
	m.counters = func() hostCounters { return &countedReadings{} }
	o := options(t)
	o.Interval = 20 * time.Millisecond
	s := start(t, o, m)
	for range 30 { // events come in while the ticks wait
		ct.queue(event(0))
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	_, records, _ := readFile(t, o.Output)
	if k := kinds(records); !slices.Equal(k[:2], []capture.Kind{capture.KindHost, capture.KindCounters}) {
		t.Errorf("the tape begins with %v", k[:2])
	}
	ticks := 0
	for i, r := range records {
		if r.Kind != capture.KindTick {
			continue
		}
		ticks++
		if before := records[i-1]; before.Kind != capture.KindCounters || r.At-before.At > int64(time.Second) {
			t.Errorf("tick %d follows %v", ticks, before.Kind)
		}
	}
	// No reading is missing: a later one has only what changed since.
	for i, r := range find(records, capture.KindCounters) {
		if c := payload[capture.Counters](t, r); c.Netns != uint64(i+1) || r.Source != 0 {
			t.Fatalf("counters %d: reading %d of source %d", i+1, c.Netns, r.Source)
		}
	}
	if ticks < 3 {
		t.Errorf("%d ticks", ticks)
	}
}
