package reporter_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockmsg"
)

var allRules = []string{reporter.RulesCurrent, reporter.RulesScope2016}

// A memoryTape is a tape in memory.
type memoryTape struct {
	name    string
	header  *capture.Header
	records []capture.Record
}

// fixtureTapes returns the tapes of all fixtures.
func fixtureTapes(t testing.TB) (out []memoryTape) {
	t.Helper()
	scripts, _ := filepath.Glob("../fixtures/corpus/*/tape.jsonl")
	tapes, _ := filepath.Glob("../fixtures/*/*/capture.tape")
	lab, _ := filepath.Glob("../fixtures/*/capture.tape")
	for _, path := range append(append(scripts, tapes...), lab...) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) == ".jsonl" {
			var w bytes.Buffer
			if err := script.Build(&w, bytes.NewReader(b), script.Options{Name: path}); err != nil {
				t.Fatal(err)
			}
			b = w.Bytes()
		}
		r, err := tape.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(path, err)
		}
		x := memoryTape{name: path, header: r.Header()}
		for {
			rec, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(path, err)
			}
			rec.Payload = bytes.Clone(rec.Payload)
			x.records = append(x.records, rec)
		}
		out = append(out, x)
	}
	if len(scripts) < 50 || len(tapes) < 10 || len(lab) < 1 {
		t.Fatalf("only %d tapes were found", len(out))
	}
	return out
}

// dnsStreams returns a tape with DNS over TCP: streams with segments out of order, or without a SYN.
func dnsStreams() memoryTape {
	const syn, fin, ack = 2, 1, 16
	x := memoryTape{"streams", &capture.Header{HostID: "h"}, nil}
	segment := func(client byte, seq uint32, flags byte, payload string) {
		b := []byte{0x45, 0, 0, byte(40 + len(payload)), 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 53, 10, 0, 0, client, 0, 53, 0x90, client}
		b = append(b, byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq), 0, 0, 0, 0, 5<<4, flags, 0, 0, 0, 0, 0, 0)
		n := uint64(len(x.records) + 1)
		x.records = append(x.records, capture.Record{Seq: n, At: int64(n) * 1e6, Kind: capture.KindDNS, Source: 3,
			Payload: capture.AppendPayload(nil, &capture.DNS{Direction: capture.DirectionIn, Packet: append(b, payload...)})})
	}
	for i := range byte(4) {
		segment(i, 100, syn|ack, "")
		segment(i, 113, fin|ack, "the end")
		segment(i, 101, ack, "\x00\x40")
		segment(i+10, 1, ack, "GET / HTTP/1.1\r\nHost: example.com")
	}
	return x
}

// lostEvents returns a tape with a loss of events while a SYN is unanswered.
func lostEvents() memoryTape {
	f := sockmsg.UsualFormat()
	e := sockmsg.Event{PID: 1, TID: 1, Time: 1, Socket: 1, Old: procnet.Close, New: procnet.SynSent, Protocol: sockmsg.TCP,
		Local: netip.MustParseAddrPort("10.0.0.1:0"), Remote: netip.MustParseAddrPort("10.0.0.2:80")}
	x := memoryTape{"lost events", &capture.Header{HostID: "h"}, nil}
	add := func(kind capture.Kind, payload []byte) {
		n := uint64(len(x.records) + 1)
		x.records = append(x.records, capture.Record{Seq: n, At: int64(n) * 1e9, Kind: kind, Source: 5, Payload: payload})
	}
	add(capture.KindSocketEvent, e.Append(nil, &f, false))
	add(capture.KindTick, capture.AppendPayload(nil, &capture.Tick{Number: 1, Interval: 5e8}))
	add(capture.KindGap, capture.AppendPayload(nil, &capture.Gap{Lost: 1}))
	add(capture.KindTick, capture.AppendPayload(nil, &capture.Tick{Number: 2, Interval: 5e8}))
	e.Old, e.New = procnet.SynSent, procnet.Close
	add(capture.KindSocketEvent, e.Append(nil, &f, false))
	add(capture.KindTick, capture.AppendPayload(nil, &capture.Tick{Number: 3, Interval: 5e8}))
	return x
}

func newReporter(t testing.TB, h *capture.Header, rules string) *reporter.Reporter {
	t.Helper()
	r, err := reporter.New(h, rules)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reportText returns a report and its view of Weave Scope as a text.
func reportText(r *report.Report) string {
	return fmt.Sprintf("%s\n%+v", r.AppendJSON(nil), *r.Scope())
}

// restore returns a new reporter that has read the state of r.
func restore(t testing.TB, r *reporter.Reporter, h *capture.Header, rules string) *reporter.Reporter {
	t.Helper()
	fresh := newReporter(t, h, rules)
	for p := range r.Carry() {
		fresh.Step(&capture.Record{Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &p)})
	}
	if !fresh.Carried() {
		t.Fatal("the state was not accepted")
	}
	return fresh
}

// A reporter that has read the state of another one, at any record, has the same state and makes
// the same reports from then on.
func TestCarryIsTheCompleteState(t *testing.T) {
	seen := map[string]bool{}
	tapes := fixtureTapes(t)
	for seed := range uint64(40) {
		tapes = append(tapes, memoryTape{fmt.Sprintf("seed %d", seed), &capture.Header{HostID: "h"}, reportertest.RandomRecords(seed)})
	}
	tapes = append(tapes, dnsStreams(), lostEvents())
	for _, x := range tapes {
		name := fnv.New64a()
		name.Write([]byte(x.name)) // so that another tape does not change the places of this one
		for _, rules := range allRules {
			checkCarry(t, &x, rules, rand.New(rand.NewPCG(name.Sum64(), 1)), seen)
			if t.Failed() {
				t.Fatalf("%s under %s", x.name, rules)
			}
		}
	}
	for field, nonzero := range seen {
		if !nonzero {
			t.Errorf("%s is zero on all tapes: the test does not show whether it is carried", field)
		}
	}
}

// checkCarry restores a reporter at some records of a tape, and compares all of them.
func checkCarry(t *testing.T, x *memoryTape, rules string, rng *rand.Rand, seen map[string]bool) {
	const places = 16
	r := newReporter(t, x.header, rules)
	var restored []*reporter.Reporter
	for i := range x.records {
		rec := &x.records[i]
		if rng.IntN(max(1, len(x.records)/places)) == 0 {
			other := restore(t, r, x.header, rules)
			if d := reporter.Difference(r, other); d != "" {
				t.Fatalf("before record %d the restored state differs:\n%s", rec.Seq, d)
			}
			reporter.Seen(r, seen)
			restored = append(restored, other)
		}
		tick := r.Step(rec)
		want := ""
		if tick {
			want = reportText(r.Report())
		}
		for _, other := range restored {
			if other.Step(rec) != tick {
				t.Fatalf("record %d is a tick for one reporter only", rec.Seq)
			}
			if tick {
				if got := reportText(other.Report()); got != want {
					t.Fatalf("tick %d:\n got %s\nwant %s", rec.Seq, got, want)
				}
			}
		}
	}
}
