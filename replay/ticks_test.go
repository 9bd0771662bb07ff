package replay

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

func TestPlanTick(t *testing.T) {
	within := tickPlace{within: true, reached: true}
	bounded := tickPlace{within: true, bounded: true, reached: true}
	late := tickPlace{within: true, bounded: true}
	outside := tickPlace{reached: true}
	last, unknown := outlook{last: true}, outlook{last: true, unknown: true}
	for _, c := range []struct {
		name  string
		o     Options
		place tickPlace
		next  outlook
		want  tickPlan
	}{
		{"last: another follows", Options{}, within, outlook{}, tickPlan{}},
		{"last: none follows", Options{}, within, last, tickPlan{yield: true, final: true}},
		{"last: not known", Options{}, within, unknown, tickPlan{yield: true}},
		{"at: another follows", Options{}, bounded, outlook{}, tickPlan{}},
		{"at: none follows", Options{}, bounded, last, tickPlan{yield: true, final: true, stop: true}},
		{"at: none follows, read on", Options{ReadOn: true}, bounded, last, tickPlan{yield: true, final: true}},
		{"at: none follows, verify", Options{Verify: true}, bounded, last, tickPlan{yield: true, final: true}},
		{"at: not known", Options{}, bounded, unknown, tickPlan{yield: true}},
		{"at: too late", Options{}, late, outlook{}, tickPlan{stop: true}},
		{"at: too late, read on", Options{ReadOn: true}, late, outlook{}, tickPlan{}},
		{"at: too late, verify", Options{Verify: true}, late, outlook{}, tickPlan{}},
		{"at: too late, witness", Options{Verify: true}, late, outlook{witness: true}, tickPlan{compare: true}},
		{"all", Options{Reports: All}, within, outlook{}, tickPlan{yield: true}},
		{"all: outside", Options{Reports: All}, outside, outlook{}, tickPlan{}},
		{"all: witness", Options{Reports: All, Verify: true}, within, outlook{witness: true}, tickPlan{yield: true, compare: true}},
		{"all: witness outside", Options{Reports: All, Verify: true}, outside, outlook{witness: true}, tickPlan{compare: true}},
		{"all: a witness without verification", Options{Reports: All}, outside, outlook{witness: true}, tickPlan{}},
		{"whole", Options{Reports: Whole}, within, outlook{}, tickPlan{yield: true}},
		{"none", Options{Reports: None}, within, last, tickPlan{}},
		{"none: no witness", Options{Reports: None, Verify: true}, within, last, tickPlan{}},
		{"none: witness", Options{Reports: None, Verify: true}, within, outlook{witness: true}, tickPlan{compare: true}},
		{"none: not known", Options{Reports: None, Verify: true}, within, unknown, tickPlan{compare: true}},
	} {
		if got := planTick(&c.o, c.place, c.next); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// tapeOf returns a tape with records of those kinds. Record n is number n, at n
// seconds.
func tapeOf(t testing.TB, kinds ...capture.Kind) []byte {
	var records []capture.Record
	for i, kind := range kinds {
		n := uint64(i + 1)
		r := capture.Record{Seq: n, At: int64(n) * 1e9, Kind: kind}
		switch kind {
		case capture.KindMark:
			r.Payload = capture.AppendPayload(nil, &capture.Mark{Text: fmt.Sprint(n)})
		case capture.KindTick:
			r.Payload = capture.AppendPayload(nil, &capture.Tick{Number: n})
		case capture.KindWitness:
			r.Payload = capture.AppendPayload(nil, &capture.Witness{Rules: reporter.RulesCurrent, Tick: n - 1})
		}
		records = append(records, r)
	}
	return replaytest.Write(t, capture.Header{TapeID: [16]byte{1}, Start: 1e18}, records)
}

func TestLookAhead(t *testing.T) {
	const mark, tick, witness = capture.KindMark, capture.KindTick, capture.KindWitness
	for _, c := range []struct {
		name    string
		kinds   []capture.Kind
		reports Reports
		at      uint64 // Options.At: number of a record; 0 is none
		limit   int
		want    outlook
		read    int // records that were read ahead
	}{
		{"a tick", []capture.Kind{tick, mark, tick, mark}, Last, 0, 0, outlook{}, 2},
		{"the end", []capture.Kind{tick, mark, mark}, Last, 0, 0, outlook{last: true}, 2},
		{"a tick at the time", []capture.Kind{tick, mark, tick}, Last, 3, 0, outlook{}, 2},
		{"a tick after the time", []capture.Kind{tick, mark, tick}, Last, 2, 0, outlook{last: true}, 2},
		{"a witness", []capture.Kind{tick, witness, mark, tick}, None, 0, 0, outlook{witness: true, last: true}, 1},
		{"a witness and a tick", []capture.Kind{tick, witness, mark, tick}, Last, 0, 0, outlook{witness: true}, 3},
		{"the limit", []capture.Kind{tick, mark, mark, tick}, Last, 0, 1, outlook{last: true, unknown: true}, 1},
	} {
		d := &driver{options: Options{Reports: c.reports}, verify: newVerifier("")}
		d.feed = feed{tapes: &Tapes{inputs: []Input{memory("x", tapeOf(t, c.kinds...))}}, limit: c.limit}
		if c.at > 0 {
			d.options.At = Time{kind: timeRecord, seq: c.at}
		}
		if _, err := d.feed.next(); err != nil {
			t.Fatal(err)
		}
		d.verify.tick.number = 1
		got := d.lookAhead()
		if got != c.want || len(d.feed.queue) != c.read {
			t.Errorf("%s: %+v after %d records, want %+v after %d", c.name, got, len(d.feed.queue), c.want, c.read)
		}
		d.feed.tapes.Close()
	}
}

func TestDeliver(t *testing.T) {
	a, b := &report.Report{Tick: 1}, &report.Report{Tick: 2}
	var got []*report.Report
	yield := func(r *report.Report) error { got = append(got, r); return nil }
	d := &driver{yield: yield}
	if err := d.deliver(a, false); err != nil || d.last != a || d.yielded || len(got) != 0 || d.summary.Reports != 0 {
		t.Errorf("a report that may not be the last: %v %+v", err, d)
	}
	if err := d.deliver(b, true); err != nil || d.last != b || !d.yielded || len(got) != 1 || got[0] != b || d.summary.Reports != 1 {
		t.Errorf("the last report: %v %+v", err, d)
	}
	var due []time.Duration
	stop := errors.New("stop")
	d = &driver{yield: yield, options: Options{Reports: All, Due: func(at time.Duration) error { due = append(due, at); return stop }}}
	d.pace = pace{start: 3, last: 5}
	if err := d.deliver(a, false); err != stop || len(due) != 1 || due[0] != 2 || len(got) != 1 || d.summary.Reports != 0 {
		t.Errorf("%v: due at %v, %d reports", err, due, len(got))
	}
}

func TestPace(t *testing.T) {
	var p pace
	for _, c := range []struct {
		tape    int
		follows bool
		steady  int64
		want    time.Duration
	}{{1, true, 100, 0}, {1, true, 107, 7}, {2, true, 110, 10}, {3, false, 500, 10}, {3, false, 501, 11}} {
		p.step(&Item{Follows: c.follows, position: position{tape: c.tape, steady: c.steady}})
		if got := p.elapsed(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestWhyNoReport(t *testing.T) {
	at, from := parseTime(t, "#3"), Window{From: parseTime(t, "#5")}
	for _, c := range []struct {
		o    Options
		s    Summary
		want string // "" is no error
	}{
		{Options{}, Summary{}, "no report: the tape has no tick"},
		{Options{At: at}, Summary{}, "no report at or before #3: the tape's first tick is later"},
		{Options{At: at}, Summary{Ticks: 2}, "no report at or before #3: the tape's first tick is later"},
		{Options{Reports: Whole}, Summary{}, "no report: the tape has no tick"},
		{Options{Reports: Whole, Window: from}, Summary{}, "no report: no tick within the window"},
		{Options{Reports: Whole, Window: from}, Summary{Ticks: 9}, "no report: no tick within the window"},
		{Options{}, Summary{Reports: 1}, ""},
		{Options{Reports: All}, Summary{}, ""},
		{Options{Reports: None}, Summary{}, ""},
		{Options{ReadOn: true}, Summary{}, ""},
		{Options{}, Summary{Damage: errors.New("x")}, ""},
		{Options{}, Summary{Panic: new(Panic)}, ""},
		{Options{}, Summary{Ends: []TapeEnd{{Ending: tape.Cut}}}, ""},
	} {
		err := whyNoReport(&c.o, &c.s)
		switch {
		case c.want == "" && err != nil, c.want != "" && (!errors.Is(err, ErrNoReport) || err.Error() != c.want):
			t.Errorf("%+v: %v, want %q", c, err, c.want)
		}
	}
}
