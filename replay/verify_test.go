package replay

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/replay/replaytest"
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
		r, err := capture.NewReader(bytes.NewReader(b))
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
	d := without(60, 61, 62)
	if err := d.Since.WriteGroups(&text, false); err != nil || d.Tick != 2 || !strings.Contains(text.String(), "+ 2 connections 198.18.0.2 -> 198.18.1.2:8080\n") {
		t.Errorf("%+v: %s", d, &text)
	}
	for _, g := range d.Since.Groups {
		for _, e := range g.Examples {
			if g.Section == diff.Connections && !strings.Contains(fmt.Sprint(d.Sections), "bucket") || g.Change == diff.Removed {
				t.Errorf("%+v %s", g, e.B)
			}
		}
	}
	// A message that changes only the count of records.
	text.Reset()
	d = without(301)
	if err := d.Since.WriteGroups(&text, false); err != nil || d.Tick != 4 || !slices.Equal(d.Sections, []string{"coverage"}) || !strings.Contains(text.String(), "~ coverage of conntrack\n    records: ") {
		t.Errorf("%+v: %s", d, &text)
	}
	// There may be no equal report before the first mismatch.
	_, s := ndjson(t, Options{Reports: None, Verify: true}, replaytest.Rewrite(t, b, capture.Header{HostID: "another", TapeID: [16]byte{1}}, func(r *capture.Record) bool { return r.Kind != capture.KindProcSockets }))
	if d := s.Verification.First; d == nil || d.Before != nil || d.Since != nil {
		t.Errorf("%+v", d)
	}
}
