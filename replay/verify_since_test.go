package replay

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/replay/replaytest"
)

// headOf returns a tape's header.
func headOf(t testing.TB, recorded []byte) capture.Header {
	t.Helper()
	r, err := tape.NewReader(bytes.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	return *r.Header()
}

// withWitnesses returns the tape with changed witnesses, and with another header if
// h is not nil.
func withWitnesses(t testing.TB, tape []byte, h *capture.Header, change func(*capture.Witness)) []byte {
	t.Helper()
	if h == nil {
		own := headOf(t, tape)
		h = &own
	}
	return replaytest.Rewrite(t, tape, *h, func(r *capture.Record) bool {
		var w capture.Witness
		if r.Kind == capture.KindWitness && r.Decode(&w) == nil {
			change(&w)
			r.Payload = capture.AppendPayload(nil, &w)
		}
		return true
	})
}

// wrong changes the digests in the witnesses of ticks.
func wrong(ticks ...uint64) func(*capture.Witness) {
	return func(w *capture.Witness) {
		if slices.Contains(ticks, w.Tick) {
			w.Digests.Coverage++
			w.Digests.Connections[0]++
			w.Digests.Connections[5]++
		}
	}
}

func verify(t testing.TB, o Options, tapes ...[]byte) *Verification {
	t.Helper()
	o.Verify = true
	_, s := ndjson(t, o, tapes...)
	return s.Verification
}

// witnessesOf is how many witnesses a tape has, one a tick.
func witnessesOf(t testing.TB, tape []byte) uint64 {
	t.Helper()
	n := uint64(0)
	replaytest.Rewrite(t, tape, headOf(t, tape), func(r *capture.Record) bool {
		if r.Kind == capture.KindWitness {
			n++
		}
		return true
	})
	if n < 6 {
		t.Fatalf("only %d witnesses", n)
	}
	return n
}

func parseTime(t testing.TB, text string) Time {
	t.Helper()
	at, err := ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func groupsOf(t testing.TB, d *diff.Difference) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteGroups(&b, true); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The first mismatch, and the changes since the last equal report before it, do not
// depend on which reports are yielded.
func TestVerifyDoesNotDependOnTheReports(t *testing.T) {
	tape := withWitnesses(t, replaytest.Lab(t), nil, wrong(4, 6))
	n := witnessesOf(t, tape)
	want := verify(t, Options{Reports: None}, tape)
	if d := want.First; d == nil || d.Tick != 4 || d.Before == nil || d.Before.Tick != 3 || want.Identical != n-2 {
		t.Fatalf("%+v", want)
	}
	for name, o := range map[string]Options{"at": {At: parseTime(t, "+3s")}, "last": {}, "all": {Reports: All}, "whole": {Reports: Whole},
		"from": {Reports: All, Window: Window{From: parseTime(t, "+9s")}}, "window": {Reports: Whole, Window: Window{From: parseTime(t, "+5s"), To: parseTime(t, "+9s")}}} {
		got := verify(t, o, tape)
		if d := got.First; d == nil || d.Tick != 4 || d.Record != want.First.Record || !reflect.DeepEqual(d.Before, want.First.Before) || !reflect.DeepEqual(d.Connections(), want.First.Connections()) {
			t.Errorf("%s: %+v", name, got)
		} else if a, b := groupsOf(t, d.Since), groupsOf(t, want.First.Since); a != b {
			t.Errorf("%s: %s\nnot: %s", name, a, b)
		}
	}
}

// Mismatch.Before is a report of the same recording: of the segment before, but not
// of another recording.
func TestVerifyKeepsRecordingsApart(t *testing.T) {
	a := replaytest.Lab(t)
	h := headOf(t, a)
	h.TapeID, h.Recording, h.Start = [16]byte{9}, [16]byte{9}, h.Start+30*24*3600e9
	d := verify(t, Options{Reports: None}, a, withWitnesses(t, a, &h, wrong(1))).First
	if d == nil || d.Tick != 1 || d.Before != nil || d.Since != nil || d.Tape != "tape1" || d.Header.Start != h.Start {
		t.Errorf("%+v", d)
	}
	d = verify(t, Options{Reports: None}, a, withWitnesses(t, a, &h, wrong(2)), a).First
	if d == nil || d.Tick != 2 || d.Tape != "tape1" || d.Before == nil || d.Before.Tick != 1 || d.Before.At != diff.Wall(d.Report.At-d.Report.Window) {
		t.Errorf("%+v", d)
	}
	tape := withWitnesses(t, a, nil, wrong(4))
	n, tick := witnessesOf(t, a), uint64(0)
	part := func(segment uint32, within func() bool) []byte {
		h := headOf(t, a)
		h.Segment, h.TapeID[0], tick = segment, byte(segment), 0
		return replaytest.Rewrite(t, tape, h, func(r *capture.Record) bool {
			if r.Kind == capture.KindTick {
				tick++
			}
			return within() && r.Kind != capture.KindEnd
		})
	}
	first, second := part(0, func() bool { return tick < 4 }), part(1, func() bool { return tick >= 4 })
	v := verify(t, Options{Reports: None}, first, second)
	if d := v.First; v.Witnesses != n || v.Identical != n-1 || d.Tape != "tape1" || d.Before == nil || d.Before.Tick != 3 {
		t.Errorf("%+v %+v", v, v.First)
	}
}

// The mismatch of this core version is shown before an earlier one of another
// version.
func TestVerifyShowsTheDifferenceThatCounts(t *testing.T) {
	n := witnessesOf(t, replaytest.Lab(t))
	for _, order := range [][2]uint64{{1, 3}, {3, 1}} {
		v := verify(t, Options{Reports: None}, withWitnesses(t, replaytest.Lab(t), nil, func(w *capture.Witness) {
			wrong(order[:]...)(w)
			if w.Tick == order[0] {
				w.Core = 99
			}
		}))
		if d := v.First; v.Witnesses != n-1 || v.Identical != n-2 || v.Others != 1 || v.Unchanged != 0 || d == nil || d.Tick != order[1] || d.Core == 99 ||
			d.Tick == 3 && (d.Before == nil || d.Before.Tick != 2) {
			t.Errorf("%v: %+v %+v", order, v, d)
		}
	}
}

// Every witness counts. One whose tick is missing is equal to no report, unless the
// tick may be elsewhere.
func TestVerifyCountsWitnessesWithoutTheirTick(t *testing.T) {
	a := replaytest.Lab(t)
	n := witnessesOf(t, a)
	v := verify(t, Options{Reports: None}, withWitnesses(t, a, nil, func(w *capture.Witness) { w.Tick += n }))
	if d := v.First; v.Witnesses != n || v.Identical != 0 || v.Unticked != n || d.Tick != n+1 || d.Report != nil || d.Connections() != nil || d.Tape != "tape0" {
		t.Errorf("%+v %+v", v, d)
	}
	for lacking := range n + 1 {
		for _, h := range []struct {
			segment uint32
			verb    string
		}{{0, ""}, {0, "build"}, {3, ""}, {0, "recover"}, {0, "cut"}} {
			head := headOf(t, a)
			head.Segment, head.Derived.Verb = h.segment, h.verb
			record := uint64(0)
			v := verify(t, Options{Reports: None}, replaytest.Rewrite(t, a, head, func(r *capture.Record) bool {
				var tick capture.Tick
				if r.Kind != capture.KindTick || r.Decode(&tick) != nil || tick.Number != lacking {
					return true
				}
				record = r.Seq + 1
				return false
			}))
			switch elsewhere := h.verb != "" && h.verb != "build" || h.segment > 0 && lacking == 1; {
			case lacking == 0:
				if v.Witnesses != n || v.Identical != n || v.Unticked+v.Elsewhere != 0 {
					t.Errorf("%+v: %+v", h, v)
				}
			case elsewhere:
				if v.Witnesses != n-1 || v.Elsewhere != 1 || v.Unticked != 0 {
					t.Errorf("%d %+v: %+v", lacking, h, v)
				}
			case v.Witnesses != n || v.Identical == n || v.Unticked != 1 || v.Elsewhere != 0 || v.First.Tick != lacking || v.First.Record != record:
				t.Errorf("%d %+v: %+v %+v", lacking, h, v, v.First)
			}
		}
	}
	// It may follow its tick at a greater distance than is read ahead.
	d := &driver{options: Options{Reports: None, Verify: true}, newCore: NewCore, verify: newVerifier(""),
		feed: feed{tapes: &Tapes{inputs: []Input{memory("x", farWitnesses(t, a))}}, limit: 1}}
	if err := d.run(); err != nil || d.verify.result.Witnesses != n || d.verify.result.Identical != n {
		t.Errorf("%v %+v", err, d.verify.result)
	}
	// The number of a tick that cannot be decoded is not known.
	ticks := 0
	v = verify(t, Options{Reports: None}, replaytest.Rewrite(t, a, headOf(t, a), func(r *capture.Record) bool {
		if r.Kind != capture.KindTick {
			return true
		}
		if ticks++; ticks > 3 {
			r.Payload = []byte{0xc0}
		}
		return true
	}))
	if v.Unticked != 0 || v.Elsewhere == 0 || v.Witnesses+v.Elsewhere != n || v.First != nil {
		t.Errorf("%+v", v)
	}
}

// farWitnesses returns the tape with a mark before every witness.
func farWitnesses(t testing.TB, recorded []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	h := headOf(t, recorded)
	w, err := tape.NewWriter(&out, &h)
	replaytest.Rewrite(t, recorded, h, func(r *capture.Record) bool {
		if at := *r; err == nil && r.Kind == capture.KindWitness {
			at.Seq, at.Kind, at.Payload = 2*r.Seq-1, capture.KindMark, capture.AppendPayload(nil, &capture.Mark{Text: "between"})
			err = w.Write(&at)
		}
		if err == nil {
			moved := *r
			moved.Seq *= 2
			err = w.Write(&moved)
		}
		return true
	})
	if err != nil || w.Close() != nil {
		t.Fatal("not written", err)
	}
	return out.Bytes()
}

// Mismatch.Since has only changes that can be the reason of the mismatch: no times of
// connections, but counts; and only endpoints of connections that may differ.
func TestVerifyShowsOnlyWhatMayDiffer(t *testing.T) {
	a := replaytest.Lab(t)
	since := func(change func(*capture.Witness)) *diff.Difference {
		d := verify(t, Options{Reports: None}, withWitnesses(t, a, nil, change)).First
		if d == nil || d.Since == nil {
			t.Fatal("no difference")
		}
		return d.Since
	}
	records, n := false, witnessesOf(t, a)
	for tick := uint64(2); tick <= n; tick++ {
		for _, g := range since(wrong(tick)).Groups {
			for _, f := range g.Fields {
				records = records || g.Section == diff.Coverage && f.Name == "records" && f.How == "more"
				if strings.HasSuffix(f.Name, "_seen") {
					t.Errorf("tick %d: %+v", tick, g)
				}
			}
		}
	}
	if !records {
		t.Error("no counts")
	}
	// Endpoints that differ come with the connections of their buckets.
	own, with := 0, 0
	for tick := uint64(2); tick <= n; tick++ {
		for bucket := range 8 {
			for _, g := range since(func(w *capture.Witness) {
				if w.Tick == tick {
					w.Digests.Connections[bucket]++
					w.Digests.Endpoints++
				}
			}).Groups {
				switch {
				case g.Section == diff.Endpoints && g.Follows:
					with++
				case g.Section == diff.Endpoints:
					own++
				}
			}
		}
	}
	if own > 0 || with == 0 {
		t.Errorf("%d groups of endpoints of their own, %d with connections", own, with)
	}
	// All endpoints, if no connection differs.
	if text := groupsOf(t, since(func(w *capture.Witness) {
		if w.Tick == 2 {
			w.Digests.Endpoints++
		}
	})); !strings.Contains(text, "endpoint") {
		t.Errorf("%q", text)
	}
}
