package live

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
)

func TestTapeIsNumberedInOrderAndClosed(t *testing.T) {
	ct := newFakeConntrack()
	proc := &fake{run: func(ctx context.Context, out chan<- *collect.Batch) error {
		for i := range 50 { // stamps that decrease, as they do between two sources
			out <- &collect.Batch{Records: []capture.Record{of(capture.KindProcUnchanged, 2, int64(50-i)*1e5, &capture.ProcUnchanged{Table: "tcp"})}}
		}
		<-ctx.Done()
		return nil
	}}
	ct.queue(event(1), event(2))
	o := options(t)
	o.Interval = 20 * time.Millisecond
	o.Note, o.Recorder, o.Command, o.Tool, o.LocalNetworks = "note", "me", []string{"topotape", "record"}, "1.2.3", []string{"10.0.0.0/8"}
	summary, err := start(t, o, fakeMachine(conntrackSource(ct), procSource(proc))).after(t, 600*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}

	h, records, ending := readFile(t, o.Output)
	if ending != tape.Closed {
		t.Errorf("tape is %v", ending)
	}
	if h.HostID != "id1" || h.HostName != "host1" || h.Note != "note" || h.Recorder != "me" || h.Tool != "1.2.3" ||
		h.Core != fakeCoreVersion || h.Start == 0 || h.TapeID == [16]byte{} || h.Recording == h.TapeID ||
		!slices.Equal(h.Command, o.Command) || !slices.Equal(h.LocalNetworks, o.LocalNetworks) {
		t.Errorf("header %+v", h)
	}
	if records[0].Kind != capture.KindHost {
		t.Errorf("the first record is of %v", records[0].Kind)
	}
	at := int64(0)
	for i, r := range records {
		if r.Seq != uint64(i+1) || r.At < at {
			t.Fatalf("record %d at %d ns is in place %d, after one at %d ns", r.Seq, r.At, i, at)
		}
		at = r.At
	}
	if n := len(find(records, capture.KindTick)); n < 3 {
		t.Errorf("%d ticks", n)
	}
	end := payload[capture.End](t, records[len(records)-1])
	want := []capture.Total{
		{Source: 1, Kind: "conntrack", Received: 2, Recorded: 2, Undecodable: 2, Bytes: 40},
		{Source: 2, Kind: "proc", Recorded: 50, Bytes: end.Totals[1].Bytes},
	}
	if end.Why != errStop.Error() || !slices.Equal(end.Totals, want) {
		t.Errorf("end %+v", end)
	}
	if summary.Why != end.Why || !summary.Closed || summary.File != o.Output || summary.Records != uint64(len(records)) || len(summary.Sources) != 2 || summary.CPU <= 0 || summary.Memory <= 0 {
		t.Errorf("summary %+v", summary)
	}
	if st, _ := os.Stat(o.Output); st.Size() != summary.Bytes {
		t.Errorf("%d bytes in the summary, %d in the file", summary.Bytes, st.Size())
	}
}

// A core that gets the records of the tape makes the reports whose digests are
// in the witnesses.
func TestWitnessesAreTheReportsOfTheTape(t *testing.T) {
	ct := newFakeConntrack()
	o := options(t)
	o.Interval = 10 * time.Millisecond
	s := start(t, o, fakeMachine(conntrackSource(ct)))
	for i := range 20 {
		ct.queue(event(0), of(capture.KindGap, 1, 0, &capture.Gap{Lost: uint64(i + 1), Exact: true}))
		time.Sleep(3 * time.Millisecond)
	}
	if _, err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	h, records, _ := readFile(t, o.Output)
	core, err := newFakeCore(&h)
	if err != nil {
		t.Fatal(err)
	}
	var digests capture.Digests
	ticks, lastTick, due := uint64(0), int64(0), false
	for _, r := range records {
		if due != (r.Kind == capture.KindWitness) {
			t.Fatalf("record %d is of %v; a witness is due: %v", r.Seq, r.Kind, due)
		}
		switch r.Kind {
		case capture.KindTick:
			p := payload[capture.Tick](t, r)
			if ticks++; p.Number != ticks || p.Interval != r.At-lastTick {
				t.Errorf("tick %+v at %d after %d", p, r.At, lastTick)
			}
			lastTick = r.At
		case capture.KindWitness:
			w := payload[capture.Witness](t, r)
			if w.Tick != ticks || w.Rules != fakeRules || w.Core != fakeCoreVersion || w.Digests != digests {
				t.Errorf("witness %+v, the tape's records give %+v", w, digests)
			}
		}
		if due = core.Step(&r); due {
			digests = core.Report(false).Digests
		}
	}
	if ticks < 3 {
		t.Errorf("%d ticks", ticks)
	}
}

func TestGapsAreCounted(t *testing.T) {
	ct := newFakeConntrack()
	ct.queue(event(0), of(capture.KindGap, 1, 0, &capture.Gap{Lost: 3, Exact: true}), of(capture.KindGap, 1, 0, &capture.Gap{Lost: 4, Exact: true}))
	summary, err := start(t, options(t), fakeMachine(conntrackSource(ct))).wait(t)
	if err != nil {
		t.Fatal(err)
	}
	if src := summary.Sources[0]; src.Lost != 7 || src.Gaps != 2 || summary.Gaps() != 2 || src.Recorded != 1 {
		t.Errorf("summary %+v", src)
	}
}

func TestSourceThatCannotBeOpenedIsReportedAndTheOthersGoOn(t *testing.T) {
	o := options(t)
	var log strings.Builder
	o.Log = &log
	proc := &fake{openErr: errors.New("mount /proc")}
	summary, err := start(t, o, fakeMachine(procSource(proc), conntrackSource(newFakeConntrack()))).wait(t)
	if err != nil {
		t.Fatal(err)
	}
	_, records, _ := readFile(t, o.Output)
	closed := find(records, capture.KindSource)
	if len(closed) != 1 || closed[0].Source != 2 {
		t.Fatalf("source records %+v", closed)
	}
	if p := payload[capture.Source](t, closed[0]); p.Open || p.Kind != capture.SourceProc || p.Why != "mount /proc" {
		t.Errorf("source record %+v", p)
	}
	if log.String() != "proc is not recorded: mount /proc\n" {
		t.Errorf("logged %q", log.String())
	}
	if last := summary.Sources[len(summary.Sources)-1]; last.Kind != capture.SourceProc || !strings.Contains(last.Why, "mount /proc") {
		t.Errorf("summary %+v", summary.Sources)
	}
}

func TestNothingIsLeftWhenNoSourceCanBeOpened(t *testing.T) {
	o := options(t)
	s := start(t, o, fakeMachine(procSource(&fake{openErr: errors.New("mount /proc")})))
	<-s.done
	if s.err == nil || s.summary != nil {
		t.Errorf("summary %v, error %v", s.summary, s.err)
	}
	if _, err := os.Stat(o.Output + partial); err == nil {
		t.Error("a partial file is left")
	}
}

func TestSourceThatEndsIsReportedAndTheLastOneEndsTheRecording(t *testing.T) {
	o := options(t)
	ct := newFakeConntrack()
	die := make(chan struct{})
	broken := errors.New("socket is gone")
	ct.run = func(ctx context.Context, out chan<- *collect.Batch) error {
		out <- &collect.Batch{Records: []capture.Record{event(1)}}
		return broken
	}
	proc := &fake{run: func(context.Context, chan<- *collect.Batch) error { <-die; return broken }}
	s := start(t, o, fakeMachine(conntrackSource(ct), procSource(proc)))
	time.Sleep(50 * time.Millisecond)
	select {
	case <-s.done:
		t.Fatal("the recording ended with its first source")
	default:
	}
	close(die)
	<-s.done
	if s.err == nil || !s.summary.Closed || s.summary.Sources[0].Why == "" {
		t.Errorf("error %v, summary %+v", s.err, s.summary)
	}
	_, records, ending := readFile(t, o.Output)
	closed := find(records, capture.KindSource)
	if ending != tape.Closed || len(closed) != 2 || payload[capture.Source](t, closed[0]).Why != broken.Error() {
		t.Errorf("%v tape with source records %+v", ending, closed)
	}
	if len(find(records, capture.KindConntrack)) != 1 {
		t.Error("what it sent before is lost")
	}
}

func TestHostIsRecordedAgainOnlyWhenItChanged(t *testing.T) {
	s, tape := newTestSequencer(t, nil)
	s.putHost(&capture.Host{Name: "a"})
	s.putHost(&capture.Host{Name: "a"})
	s.putHost(&capture.Host{Name: "b"})
	_, records, _ := tape()
	if len(records) != 2 || payload[capture.Host](t, records[1]).Name != "b" {
		t.Errorf("records %+v", records)
	}
}
