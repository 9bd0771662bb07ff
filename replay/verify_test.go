package replay

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

func TestVerifyFindsTheFirstDifference(t *testing.T) {
	tape := busyTape(t, 2000, 500)
	h := capture.Header{HostID: "h", TapeID: [16]byte{2}, Start: 1767323045e9}
	witness := func(change func(n int, w *capture.Witness)) []byte {
		n := 0
		return rewrite(t, tape, h, func(r *capture.Record) bool {
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

// A difference is shown against the last report that is as production made it.
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
		tape := rewrite(t, b, *r.Header(), func(r *capture.Record) bool { return !slices.Contains(seq, r.Seq) })
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
			if g.Section == Connections && !strings.Contains(fmt.Sprint(d.Sections), "bucket") || g.Change == Removed {
				t.Errorf("%+v %s", g, e.B)
			}
		}
	}
	// A message that was only counted: that of a flow which had ended.
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
	// Before the first tick that differs there may be none.
	_, s := ndjson(t, Options{Reports: None, Verify: true}, rewrite(t, b, capture.Header{HostID: "another", TapeID: [16]byte{1}}, func(r *capture.Record) bool { return r.Kind != capture.KindProcSockets }))
	if d := s.Verification.First; d == nil || d.Before != nil || d.Since != nil {
		t.Errorf("%+v", d)
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
	rewrite(t, tape, headOf(t, tape), func(r *capture.Record) bool {
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
