package replay

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
)

func TestVerifyFindsTheFirstDifference(t *testing.T) {
	tape := replaytest.Busy(t, 2000, 500)
	h := capture.Header{HostID: "h", TapeID: [16]byte{2}, Start: 1767323045e9}
	witness := func(change func(n int, w *capture.Witness)) []byte {
		n := 0
		return replaytest.Rewrite(t, tape, h, func(r *capture.Record) bool {
			if r.Kind != capture.KindWitness {
				return true
			}
			var w capture.Witness
			if err := r.Decode(&w); err != nil {
				t.Fatal(err)
			}
			change(n, &w)
			n++
			r.Payload = capture.AppendPayload(nil, &w)
			return true
		})
	}
	_, s := ndjson(t, Options{Reports: None, Verify: true}, tape)
	if v := s.Verification; v.Witnesses != 4 || v.Identical != 4 || v.First != nil {
		t.Errorf("%+v", v)
	}
	_, s = ndjson(t, Options{Reports: None, Verify: true}, witness(func(n int, w *capture.Witness) {
		if n >= 2 {
			w.Digests.Connections[3]++
			w.Digests.Names++
		}
	}))
	v := s.Verification
	if v.Witnesses != 4 || v.Identical != 2 || v.First.Tick != 3 || !slices.Equal(v.First.Sections, []string{"connections bucket 3", "names"}) {
		t.Errorf("%+v %+v", v, v.First)
	}
	for _, c := range v.First.Connections() {
		if c.Bucket() != 3 {
			t.Errorf("%+v is in bucket %d", c, c.Bucket())
		}
	}
	if len(v.First.Connections()) == 0 {
		t.Error("no connections of the bucket")
	}
	_, s = ndjson(t, Options{Reports: None, Verify: true}, witness(func(n int, w *capture.Witness) { w.Core, w.Digests.Coverage = 99, uint64(n) }))
	if v := s.Verification; v.Witnesses != 0 || v.Others != 4 || v.Unchanged != 0 || v.OtherCore != 99 {
		t.Errorf("%+v", v)
	}
	lines, s := ndjson(t, Options{Verify: true}, witness(func(_ int, w *capture.Witness) { w.Rules = "scope2016" }))
	if v := s.Verification; v.Witnesses != 0 || v.OtherRules != 4 || len(lines) != 1 {
		t.Errorf("%+v", v)
	}
}

// A mismatch is compared with the last report that is as production made it.
func TestVerifyShowsWhatChangedSince(t *testing.T) {
	b, err := os.ReadFile("../fixtures/lab-gateway/capture.tape")
	if err != nil {
		t.Fatal(err)
	}
	without := func(seq ...uint64) *Mismatch {
		r, err := tape.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		tape := replaytest.Rewrite(t, b, *r.Header(), func(r *capture.Record) bool { return !slices.Contains(seq, r.Seq) })
		_, s := ndjson(t, Options{Reports: None, Verify: true}, tape)
		d := s.Verification.First
		if d == nil || d.Before == nil || d.Before.Tick != d.Tick-1 || s.Verification.Identical == 0 {
			t.Fatalf("%+v", s.Verification)
		}
		return d
	}
	var text strings.Builder
	tick, flow, destroys := messagesAfterTheFirstTick(t, b)
	d := without(flow...)
	if err := d.Since.WriteGroups(&text, false); err != nil || d.Tick != tick || !strings.Contains(text.String(), "+ ") || !strings.Contains(text.String(), " -> ") {
		t.Errorf("tick %d: %+v: %s", tick, d, &text)
	}
	for _, g := range d.Since.Groups {
		for _, e := range g.Examples {
			if g.Section == diff.Connections && !strings.Contains(fmt.Sprint(d.Sections), "bucket") || g.Change == diff.Removed {
				t.Errorf("%+v %s", g, e.B)
			}
		}
	}
	// A message that changes only the count of records: that of a flow which had ended.
	for _, destroy := range destroys {
		if d = without(destroy.seq); slices.Equal(d.Sections, []string{"coverage"}) {
			tick = destroy.tick
			break
		}
	}
	text.Reset()
	if err := d.Since.WriteGroups(&text, false); err != nil || d.Tick != tick || !slices.Equal(d.Sections, []string{"coverage"}) || !strings.Contains(text.String(), "~ coverage of conntrack\n    records: ") {
		t.Errorf("tick %d: %+v: %s", tick, d, &text)
	}
	// There may be no equal report before the first mismatch.
	_, s := ndjson(t, Options{Reports: None, Verify: true}, replaytest.Rewrite(t, b, capture.Header{HostID: "another", TapeID: [16]byte{1}}, func(r *capture.Record) bool { return r.Kind != capture.KindProcSockets }))
	if d := s.Verification.First; d == nil || d.Before != nil || d.Since != nil {
		t.Errorf("%+v", d)
	}
}

func TestCompareDigests(t *testing.T) {
	var report, witness capture.Digests
	if d := compareDigests(&report, &witness); d.sections() != nil {
		t.Errorf("%+v", d)
	}
	witness.Names, witness.Connections[2], witness.Connections[6] = 1, 1, 1
	if d := compareDigests(&report, &witness); !slices.Equal(d.sections(), []string{"connections bucket 2", "connections bucket 6", "names"}) {
		t.Error(d)
	}
	witness = capture.Digests{Coverage: 1, Endpoints: 1}
	if d := compareDigests(&report, &witness); !slices.Equal(d.sections(), []string{"coverage", "endpoints"}) {
		t.Error(d)
	}
}

// Endpoints are reduced to those of connections that differ, if any connection does.
func TestDifferingParts(t *testing.T) {
	a := replaytest.Connection("10.0.0.1:4000", "10.0.0.80:80", 1, 2)
	b := replaytest.Connection("10.0.0.7:4000", "10.0.0.8:80", 1, 2)
	if a.Bucket() == b.Bucket() {
		t.Fatal("both connections are in one bucket")
	}
	r := replaytest.Report(a, b)
	r.Endpoints = []report.Endpoint{{Addr: a.From.Addr}, {Addr: b.From.Addr}}
	r.Names, r.Coverage = []report.Names{{}}, []report.Coverage{{}}
	counts := func(d differing) string {
		part, _ := d.parts(r, replaytest.Report())
		return fmt.Sprint(len(part.Coverage), len(part.Connections), len(part.Endpoints), len(part.Names))
	}
	for want, d := range map[string]differing{
		"0 0 0 0": {},
		"1 0 0 1": {coverage: true, names: true},
		"0 1 0 0": {buckets: []int{a.Bucket()}},
		"0 1 1 0": {buckets: []int{a.Bucket()}, endpoints: true},
		"0 0 2 0": {endpoints: true},
	} {
		if got := counts(d); got != want {
			t.Errorf("%+v: %s, want %s", d, got, want)
		}
	}
	d := differing{buckets: []int{a.Bucket()}, endpoints: true}
	if _, part := d.parts(replaytest.Report(a), r); len(part.Endpoints) != 1 {
		t.Errorf("%d endpoints on the other side", len(part.Endpoints))
	}
}

func TestCountWitnesses(t *testing.T) {
	var v Verification
	v.count(reporter.CoreVersion, true)
	v.count(reporter.CoreVersion, false)
	v.count(1, true)
	v.count(2, false)
	if v.Witnesses != 2 || v.Identical != 1 || v.Others != 2 || v.Unchanged != 1 || v.OtherCore != 2 {
		t.Errorf("%+v", v)
	}
}

// A placed record is one before a tick.
type placedRecord struct{ seq, tick uint64 }

// messagesAfterTheFirstTick finds the first flow that opens after the first tick of a tape:
// the next tick, and the numbers of all messages of the flow; and the destroy messages that
// follow the first tick.
func messagesAfterTheFirstTick(t testing.TB, tape []byte) (tick uint64, flow []uint64, destroys []placedRecord) {
	t.Helper()
	var opened *ctmsg.Tuple
	next := uint64(1)
	replaytest.Rewrite(t, tape, headOf(t, tape), func(r *capture.Record) bool {
		var m ctmsg.Message
		switch {
		case r.Kind == capture.KindTick:
			next++
		case r.Kind != capture.KindConntrack || next == 1 || m.Decode(r.Payload, headOf(t, tape).BigEndian) != nil || m.Orig.Proto != 6:
		case m.Type == ctmsg.Destroy:
			destroys = append(destroys, placedRecord{r.Seq, next})
		case opened == nil && m.Type == ctmsg.New:
			opened, tick = &m.Orig, next
		}
		if m.Orig.Proto == 6 && opened != nil && m.Orig == *opened {
			flow = append(flow, r.Seq)
		}
		return true
	})
	if len(flow) < 3 || len(destroys) == 0 {
		t.Fatalf("no flow in %v, %v", flow, destroys)
	}
	return tick, flow, destroys
}
