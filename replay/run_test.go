package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// ndjson returns the reports of a run, one a line.
func ndjson(t testing.TB, o Options, tapes ...[]byte) (lines []string, s *Summary) {
	t.Helper()
	var inputs []Input
	for i, tape := range tapes {
		inputs = append(inputs, memory(fmt.Sprintf("tape%d", i), tape))
	}
	s, err := Run(inputs, o, func(r *report.Report) error {
		lines = append(lines, string(r.AppendJSON(nil)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, s
}

type plainReport struct {
	seq  uint64
	at   int64
	line string
}

// plainReports makes every report of a tape in a plain loop.
func plainReports(t testing.TB, recorded []byte) (list []plainReport) {
	t.Helper()
	r, err := tape.NewReader(bytes.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	core, err := reporter.New(r.Header(), "")
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if core.Step(&rec) {
			list = append(list, plainReport{rec.Seq, rec.At, string(core.Report().AppendJSON(nil))})
		}
	}
}

// Last yields the report that a plain loop makes, for any Options.At, and also if
// nothing can be read ahead.
func TestLastEqualsThePlainLoop(t *testing.T) {
	recorded := replaytest.Busy(t, 3000, 250)
	all := plainReports(t, recorded)
	if got, s := ndjson(t, Options{Reports: All}, recorded); len(got) != 12 || s.Ticks != 12 || s.Ends[0].Ending != tape.Closed {
		t.Fatal(len(got), s)
	} else {
		for i := range got {
			if got[i] != all[i].line {
				t.Fatalf("report %d: %s", i, cmp.Diff(all[i].line, got[i]))
			}
		}
	}
	check := func(time string, want int) {
		t.Helper()
		at, err := ParseTime(time)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := ndjson(t, Options{At: at}, recorded)
		if len(got) != 1 || got[0] != all[want].line {
			t.Errorf("at %s: not report %d: %.200s", time, want, got)
		}
	}
	check("", 11)
	check("end", 11)
	check("-0s", 11)
	for i, tick := range all {
		check(fmt.Sprintf("#%d", tick.seq), i)
		check(fmt.Sprintf("+%dns", tick.at), i)
		check(fmt.Sprintf("+%dns", tick.at+1), i)
		if i > 0 {
			check(fmt.Sprintf("#%d", tick.seq-1), i-1)
			check(fmt.Sprintf("+%dns", tick.at-1), i-1)
		}
	}
	d := &driver{newCore: NewCore, yield: func(*report.Report) error { return nil }, feed: feed{tapes: &Tapes{inputs: []Input{memory("x", recorded)}}, limit: 1}}
	if err := d.run(); err != nil || string(d.last.AppendJSON(nil)) != all[11].line {
		t.Error("without room to read ahead:", err)
	}
	at, _ := ParseTime("start")
	if _, err := Run([]Input{memory("x", recorded)}, Options{At: at}, nil); !errors.Is(err, ErrNoReport) {
		t.Error(err)
	}
}

func TestWindowIsHalfOpen(t *testing.T) {
	tape := replaytest.Busy(t, 3000, 250)
	all := plainReports(t, tape)
	parse := func(s string) Time {
		v, err := ParseTime(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	got, _ := ndjson(t, Options{Reports: All, Window: Window{parse(fmt.Sprintf("+%dns", all[2].at)), parse(fmt.Sprintf("#%d", all[5].seq))}}, tape)
	if len(got) != 3 || got[0] != all[2].line || got[2] != all[4].line {
		t.Errorf("%d reports", len(got))
	}
	if got, _ := ndjson(t, Options{Reports: All, Window: Window{From: parse("end")}}, tape); len(got) != 0 {
		t.Errorf("%d reports", len(got))
	}
	if got, _ := ndjson(t, Options{Reports: All, Window: Window{From: parse("start"), To: parse("end")}}, tape); len(got) != 12 {
		t.Errorf("%d reports", len(got))
	}
}

// Every prefix of a tape gives a prefix of its reports, and the summary says that the
// tape is damaged or not closed.
func TestPrefixesGiveAPrefixOfTheReports(t *testing.T) {
	tape := replaytest.Busy(t, 60, 20)
	all, _ := ndjson(t, Options{Reports: All}, tape)
	for n := 1; n < len(tape); n++ {
		lines, s := ndjson(t, Options{Reports: All, Verify: true}, tape[:n])
		if len(lines) > len(all) || !slices.Equal(lines, all[:len(lines)]) {
			t.Fatalf("%d bytes: other reports", n)
		}
		if s.Damage == nil && s.Unclean() == "" {
			t.Fatalf("%d bytes: neither damaged nor unclean", n)
		}
		if v := s.Verification; v.Identical != v.Witnesses {
			t.Fatalf("%d bytes: %+v", n, v)
		}
		if last, _ := ndjson(t, Options{}, tape[:n]); s.Damage != nil && len(lines) > 0 && (len(last) != 1 || last[0] != lines[len(lines)-1]) {
			t.Fatalf("%d bytes: the last report before the damage is missing", n)
		}
	}
}

// Segments of one recording go through one core, at whichever record the second one
// begins. Other tapes do not.
func TestSegmentsAreOneRecording(t *testing.T) {
	tape := replaytest.Busy(t, 2000, 200)
	want, _ := ndjson(t, Options{Reports: All, Verify: true}, tape)
	segment := func(number uint32, recording byte, from, to uint64) []byte {
		h := capture.Header{HostID: "h", TapeID: [16]byte{byte(number), recording, 7}, Start: 1767323045e9, Recording: [16]byte{recording}, Segment: number}
		return replaytest.Rewrite(t, tape, h, func(r *capture.Record) bool {
			return r.Seq >= from && r.Seq < to
		})
	}
	first, second := segment(0, 5, 0, 777), segment(1, 5, 777, 1<<60)
	for name, tapes := range map[string][][]byte{"two files": {first, second}, "one file": {slices.Concat(first, second)}} {
		got, s := ndjson(t, Options{Reports: All, Verify: true}, tapes...)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if v := s.Verification; v.Identical != 10 || len(s.Ends) != 2 {
			t.Errorf("%s: %+v", name, v)
		}
		if last, _ := ndjson(t, Options{}, tapes...); !slices.Equal(last, want[9:]) {
			t.Errorf("%s: another last report", name)
		}
	}
	if got, _ := ndjson(t, Options{Reports: All}, first, segment(2, 5, 777, 1<<60)); slices.Equal(got, want) {
		t.Error("a missing segment went unnoticed")
	}
}

// A fakeReporter panics on a record.
type fakeReporter struct {
	*reporter.Reporter
	on uint64
}

func (f *fakeReporter) Step(r *capture.Record) bool {
	if r.Seq == f.on {
		panic("boom")
	}
	return f.Reporter.Step(r)
}

func TestPanicsEndTheReports(t *testing.T) {
	tape := replaytest.Busy(t, 2000, 200)
	all := plainReports(t, tape)
	panicking := func(h *capture.Header, rules string) (*Core, error) {
		r, err := reporter.New(h, rules)
		return &Core{&fakeReporter{r, 1234}}, err
	}
	faulty := replaytest.Rewrite(t, tape, capture.Header{HostID: "h", TapeID: [16]byte{3}, Start: 1767323045e9}, func(r *capture.Record) bool {
		if r.Kind == capture.KindEnd {
			*r = capture.Record{Seq: r.Seq, At: r.At, Kind: capture.KindFault, Payload: capture.AppendPayload(nil, &capture.Fault{Record: 1234, Message: "boom"})}
		}
		return true
	})
	for name, tape := range map[string][]byte{"unforeseen": tape, "foreseen": faulty} {
		for _, o := range []Options{{}, {Reports: All}, {Reports: None, Verify: true}} {
			var lines []string
			s, err := run([]Input{memory("x", tape)}, o, func(r *report.Report) error {
				lines = append(lines, string(r.AppendJSON(nil)))
				return nil
			}, panicking)
			if err != nil || s.Panic == nil || s.Panic.Record != 1234 || s.Panic.Value != "boom" || s.Foreseen() != (name == "foreseen") {
				t.Fatalf("%s: %v %+v", name, err, s)
			}
			if o.Reports != None && (len(lines) == 0 || lines[len(lines)-1] != all[5].line) {
				t.Errorf("%s: %d lines", name, len(lines))
			}
			if v := s.Verification; v != nil && (v.Witnesses != 6 || v.Identical != 6) {
				t.Errorf("%+v", v)
			}
		}
	}
	if _, s := ndjson(t, Options{}, faulty); s.Panic != nil || len(s.Faults) != 1 || s.Foreseen() {
		t.Errorf("%+v", s)
	}
}

func TestSummary(t *testing.T) {
	h := capture.Header{HostID: "h", TapeID: [16]byte{4}}
	recorded := replaytest.Rewrite(t, replaytest.Busy(t, 100, 50), h, func(r *capture.Record) bool {
		if r.Kind == capture.KindWitness {
			r.Kind, r.Source, r.Payload = capture.KindGap, 1, capture.AppendPayload(nil, &capture.Gap{Lost: 21})
		}
		return true
	})
	var seen uint64
	_, s := ndjson(t, Options{Each: func(_ *capture.Header, r *capture.Record) { seen++ }}, recorded)
	if s.Gaps != 2 || s.Lost != 42 || s.Records != seen || s.Ticks != 2 || s.Unclean() != "" || s.Reports != 1 {
		t.Errorf("%+v", s)
	}
	stop := errors.New("stop")
	if _, err := Run([]Input{memory("x", recorded)}, Options{Reports: All}, func(*report.Report) error { return stop }); err != stop {
		t.Error(err)
	}
	if _, err := Run([]Input{memory("x", []byte(strings.Repeat("hello ", 20)))}, Options{}, nil); !errors.Is(err, tape.ErrNotTape) || !strings.Contains(err.Error(), "x: ") {
		t.Error(err)
	}
	lines, s := ndjson(t, Options{ReadOn: true}, recorded[:len(recorded)/2])
	if s.Damage == nil {
		t.Errorf("%+v %d", s, len(lines))
	}
}

// A report is due when the time between the window's first record and its tick has
// passed. The time between two recordings does not count.
func TestDue(t *testing.T) {
	tape := replaytest.Busy(t, 1000, 250)
	later := replaytest.Rewrite(t, tape, capture.Header{TapeID: [16]byte{9}, Start: 1767400000e9}, func(*capture.Record) bool { return true })
	all := plainReports(t, tape)
	from, _ := ParseTime(fmt.Sprintf("#%d", all[1].seq-10))
	first := all[1].at - 9*20e3 // 20 us a record, none for the tick
	var got []time.Duration
	o := Options{Reports: All, Window: Window{From: from}, Due: func(at time.Duration) error {
		got = append(got, at)
		return nil
	}}
	ndjson(t, o, tape, later)
	span := all[3].at - first
	var want []time.Duration
	for _, a := range all[1:] {
		want = append(want, time.Duration(a.at-first))
	}
	for _, a := range all {
		want = append(want, time.Duration(span+a.at-20e3))
	}
	if !slices.Equal(got, want) {
		t.Errorf("due at %v, want %v", got, want)
	}
	stop := errors.New("stop")
	o.Due = func(time.Duration) error { return stop }
	yielded := 0
	if _, err := Run([]Input{memory("x", tape)}, o, func(*report.Report) error { yielded++; return nil }); err != stop || yielded > 0 {
		t.Error(err, yielded)
	}
}

func TestFoldIsBounded(t *testing.T) {
	tape := replaytest.Busy(t, 7000, 500)
	full, s := ndjson(t, Options{Reports: Whole}, tape)
	if n := strings.Count(full[0], `"proto"`); n != 1000 || s.LeftOut != 0 {
		t.Fatal(n, s.LeftOut)
	}
	some, s := ndjson(t, Options{Reports: Whole, MaxConnections: 300}, tape)
	if n := strings.Count(some[0], `"proto"`); n != 300 || s.LeftOut != 300 {
		t.Fatal(n, s.LeftOut)
	}
	if again, _ := ndjson(t, Options{Reports: Whole}, tape); again[0] != full[0] {
		t.Error("another report of the same tape")
	}
}
