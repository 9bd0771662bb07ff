package live

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
)

// newTestSequencer writes to memory; its clocks are always 0.
func newTestSequencer(t *testing.T, c Core) (*sequencer, func() (capture.Header, []capture.Record, tape.Ending)) {
	t.Helper()
	var buf bytes.Buffer
	recorded, err := tape.NewWriter(&buf, &capture.Header{TapeID: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	s := newSequencer(recorded, c, func() int64 { return 0 }, func() int64 { return 0 }, len(capture.UsualSources()))
	return s, func() (capture.Header, []capture.Record, tape.Ending) {
		if s.err != nil {
			t.Fatal(s.err)
		}
		if err := recorded.Close(); err != nil {
			t.Fatal(err)
		}
		return readTape(t, &buf)
	}
}

func batch(records ...capture.Record) *collect.Batch { return &collect.Batch{Records: records} }

func TestTickAndWalkEndWaitForTheSocketToBeEmpty(t *testing.T) {
	s, tape := newTestSequencer(t, nil)
	var requests []uint64
	s.addDrain(drain{1, func(n uint64) { requests = append(requests, n) }})
	walk := &capture.ProcWalk{Number: 1}
	s.batch(batch(of(capture.KindWalkBegin, 2, 1, walk), of(capture.KindWalkEnd, 2, 5, walk)))
	s.batch(batch(event(2)))
	s.tick(counters{})
	s.batch(batch(event(3)))
	if !slices.Equal(requests, []uint64{1, 2}) {
		t.Fatalf("requests %v", requests)
	}
	first := batch(event(4))
	first.Drained, first.Source = 1, 1
	s.batch(first)
	s.batch(batch(event(9)))
	second := batch()
	second.Drained, second.Source = 2, 1
	s.batch(second)
	s.batch(batch(event(10)))
	_, records, _ := tape()
	want := []capture.Kind{
		capture.KindWalkBegin, capture.KindConntrack, capture.KindConntrack, capture.KindConntrack, capture.KindWalkEnd,
		capture.KindConntrack, capture.KindTick, capture.KindConntrack,
	}
	if !slices.Equal(kinds(records), want) {
		t.Errorf("order %v", kinds(records))
	}
}

// A tick waits for conntrack, and then for sockets: for what came up to the moment at which
// conntrack was empty.
func TestTickWaitsForOneDrainAfterTheOther(t *testing.T) {
	s, tape := newTestSequencer(t, nil)
	var asked []string
	for _, source := range []uint32{5, 1} {
		s.addDrain(drain{source, func(n uint64) { asked = append(asked, fmt.Sprint(source, " ", n)) }})
	}
	answer := func(source uint32, n uint64, records ...capture.Record) {
		b := batch(records...)
		b.Source, b.Drained = source, n
		s.batch(b)
	}
	sample := func(at int64) capture.Record {
		return capture.Record{At: at, Kind: capture.KindSocketEvent, Source: 5, Payload: make([]byte, 24)}
	}
	s.tick(counters{})
	s.tick(counters{})
	answer(5, 1, sample(1)) // no answer to a request of another source
	answer(1, 1, event(2))
	answer(5, 2, sample(3))
	answer(5, 3, sample(4))
	answer(1, 2, event(5))
	s.expire(time.Now().Add(barrierWait + time.Second)) // sockets does not answer
	s.batch(batch(sample(6)))
	if want := []string{"1 1", "1 2", "5 3", "5 4"}; !slices.Equal(asked, want) {
		t.Errorf("requests %q, want %q", asked, want)
	}
	if at := s.deadline(); !at.IsZero() {
		t.Errorf("something waits until %v", at)
	}
	_, records, _ := tape()
	want := []capture.Kind{
		capture.KindSocketEvent, capture.KindConntrack, capture.KindSocketEvent, capture.KindSocketEvent, capture.KindTick,
		capture.KindConntrack, capture.KindTick, capture.KindSocketEvent,
	}
	if !slices.Equal(kinds(records), want) {
		t.Errorf("order %v", kinds(records))
	}
}

// When a collector ends, nothing waits for it.
func TestTickDoesNotWaitForASourceThatEnded(t *testing.T) {
	s, tape := newTestSequencer(t, nil)
	s.addDrain(drain{1, func(uint64) {}})
	s.addDrain(drain{5, func(uint64) {}})
	s.tick(counters{})
	s.removeDrain(3)
	if s.deadline().IsZero() {
		t.Error("the end of another source ended the waiting")
	}
	s.removeDrain(5)
	s.tick(counters{})
	b := batch()
	b.Source, b.Drained = 1, 2
	s.batch(b)
	if _, records, _ := tape(); !slices.Equal(kinds(records), []capture.Kind{capture.KindTick, capture.KindTick}) {
		t.Errorf("order %v", kinds(records))
	}
}

func TestLaterDrainAnswersEarlierRequests(t *testing.T) {
	s, tape := newTestSequencer(t, nil)
	s.addDrain(drain{1, func(uint64) {}})
	s.batch(batch(of(capture.KindWalkEnd, 2, 1, &capture.ProcWalk{Number: 1})))
	s.tick(counters{})
	b := batch(event(2))
	b.Drained, b.Source = 2, 1
	s.batch(b)
	_, records, _ := tape()
	if want := []capture.Kind{capture.KindConntrack, capture.KindWalkEnd, capture.KindTick}; !slices.Equal(kinds(records), want) {
		t.Errorf("order %v", kinds(records))
	}
}

func TestSourceNeverOvertakesItself(t *testing.T) {
	s, tape := newTestSequencer(t, nil)
	s.addDrain(drain{1, func(uint64) {}})
	s.batch(batch(of(capture.KindWalkEnd, 2, 1, &capture.ProcWalk{Number: 1}), of(capture.KindWalkBegin, 2, 2, &capture.ProcWalk{Number: 2})))
	_, records, _ := tape()
	if want := []capture.Kind{capture.KindWalkEnd, capture.KindWalkBegin}; !slices.Equal(kinds(records), want) {
		t.Errorf("order %v", kinds(records))
	}
}

func TestTickDoesNotWaitForEver(t *testing.T) {
	ct := newFakeConntrack()
	ct.deaf = true
	o := options(t)
	o.Interval = 20 * time.Millisecond
	if _, err := start(t, o, fakeMachine(conntrackSource(ct))).after(t, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	_, records, _ := readFile(t, o.Output)
	ticks := find(records, capture.KindTick)
	if len(ticks) < 4 { // 28 on an idle machine
		t.Fatalf("%d ticks", len(ticks))
	}
	if first := time.Duration(ticks[0].At); first < o.Interval+barrierWait {
		t.Errorf("the first tick came after %v", first)
	}
}

func TestTickAfterConntrackWasDrained(t *testing.T) {
	ct := newFakeConntrack()
	o := options(t)
	o.Interval = 30 * time.Millisecond
	s := start(t, o, fakeMachine(conntrackSource(ct)))
	time.Sleep(10 * time.Millisecond)
	ct.queue(event(1), event(2)) // sent only on request
	if _, err := s.after(t, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	_, records, _ := readFile(t, o.Output)
	want := []capture.Kind{capture.KindHost, capture.KindConntrack, capture.KindConntrack, capture.KindTick, capture.KindWitness}
	if got := kinds(records); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("order %v", got)
	}
}

// panicky panics at one record, or at a report.
type panicky struct {
	at      uint64
	report  bool
	stepped uint64
}

func (p *panicky) Step(r *capture.Record) bool {
	if p.stepped = r.Seq; r.Seq == p.at && !p.report {
		panic("index out of range")
	}
	return r.Kind == capture.KindTick
}

func (p *panicky) Report(bool) Report {
	if p.report {
		panic("index out of range")
	}
	return Report{}
}

func TestPanicOfTheCoreIsRecordedAndTheRestGoesOn(t *testing.T) {
	core := &panicky{at: 3}
	s, tape := newTestSequencer(t, core)
	s.batch(batch(event(1), event(2), event(3), event(4)))
	s.tick(counters{})
	if core.stepped != 3 {
		t.Errorf("the core was stepped to %d", core.stepped)
	}
	_, records, _ := tape()
	want := []capture.Kind{capture.KindConntrack, capture.KindConntrack, capture.KindConntrack, capture.KindFault, capture.KindConntrack, capture.KindTick}
	if !slices.Equal(kinds(records), want) {
		t.Fatalf("order %v", kinds(records))
	}
	fault := payload[capture.Fault](t, records[3])
	if fault.Record != 3 || fault.Message != "index out of range" || !strings.Contains(fault.Stack, "panicky") {
		t.Errorf("fault %+v", fault)
	}
}

func TestPanicInAReportIsAFaultOfItsTick(t *testing.T) {
	s, tape := newTestSequencer(t, &panicky{report: true})
	s.batch(batch(event(1)))
	s.tick(counters{})
	s.tick(counters{})
	_, records, _ := tape()
	want := []capture.Kind{capture.KindConntrack, capture.KindTick, capture.KindFault, capture.KindTick}
	if !slices.Equal(kinds(records), want) {
		t.Fatalf("order %v", kinds(records))
	}
	if fault := payload[capture.Fault](t, records[2]); fault.Record != 2 {
		t.Errorf("fault %+v", fault)
	}
}

func TestFaultIsInTheSummaryAndTheTapeIsClosed(t *testing.T) {
	o := options(t)
	o.NewCore = func(*capture.Header) (Core, error) { return &panicky{at: 1}, nil }
	summary, err := start(t, o, fakeMachine(conntrackSource(newFakeConntrack()))).wait(t)
	if err != nil || summary.Fault == "" || !summary.Closed {
		t.Errorf("summary %+v, error %v", summary, err)
	}
	_, records, ending := readFile(t, o.Output)
	if ending != tape.Closed || len(find(records, capture.KindWitness)) != 0 || records[1].Kind != capture.KindFault {
		t.Errorf("%v tape of %v", ending, kinds(records))
	}
}

func TestStepOfTheWallClockIsRecordedBeforeTheTick(t *testing.T) {
	s, tape := newTestSequencer(t, nil)
	wall := int64(0)
	s.wall = func() int64 { return wall }
	s.tick(counters{})
	wall = 99 * int64(time.Millisecond) // too little for a step
	s.tick(counters{})
	wall = -5 * int64(time.Second)
	s.tick(counters{})
	s.tick(counters{})
	_, records, _ := tape()
	want := []capture.Kind{capture.KindTick, capture.KindTick, capture.KindClock, capture.KindTick, capture.KindTick}
	if !slices.Equal(kinds(records), want) {
		t.Fatalf("order %v", kinds(records))
	}
	if c := payload[capture.Clock](t, records[2]); c.Step != wall || c.Wall != wall {
		t.Errorf("clock %+v", c)
	}
}

// On a busy machine any time may pass between the readings of two clocks.
func TestSlowReadingOfTheClocksIsNoStep(t *testing.T) {
	s, tape := newTestSequencer(t, nil)
	now, steps := int64(0), int64(0)
	s.clock = func() int64 { now += int64(time.Second); return now }
	s.wall = func() int64 { now += int64(time.Second); return now + steps }
	s.offset = 0
	s.tick(counters{})
	steps = int64(time.Hour)
	s.tick(counters{})
	_, records, _ := tape()
	if want := []capture.Kind{capture.KindTick, capture.KindClock, capture.KindTick}; !slices.Equal(kinds(records), want) {
		t.Fatalf("order %v", kinds(records))
	}
	if c := payload[capture.Clock](t, records[1]); time.Duration(c.Step).Round(time.Minute) != time.Hour {
		t.Errorf("clock %+v", c)
	}
}

func TestBatchesAreReceivedUntilTheCollectorsHaveEnded(t *testing.T) {
	o := options(t)
	ct := &fake{run: func(ctx context.Context, out chan<- *collect.Batch) error {
		<-ctx.Done()
		for range 3 * queueLen { // what was pending
			out <- batch(event(1))
		}
		return nil
	}}
	if _, err := start(t, o, fakeMachine(conntrackSource(ct))).wait(t); err != nil {
		t.Fatal(err)
	}
	_, records, _ := readFile(t, o.Output)
	if n := len(find(records, capture.KindConntrack)); n != 3*queueLen {
		t.Errorf("%d of %d records", n, 3*queueLen)
	}
	if k := kinds(records); k[len(k)-1] != capture.KindEnd || !slices.Contains(k[len(k)-3:], capture.KindTick) {
		t.Errorf("the tape ends with %v", k[len(k)-3:])
	}
}
