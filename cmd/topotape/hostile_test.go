package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/edit"
	"github.com/topotape/topotape/replay/survey"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
	"github.com/vmihailenco/msgpack/v5"
)

// mutated returns a tape whose frames are intact, while payloads, kinds, sources and
// times of its records are wrong.
func mutated(t *testing.T, rng *rand.Rand, recorded []byte) []byte {
	t.Helper()
	r, err := tape.NewReader(bytes.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	var list []capture.Record
	for {
		rec, err := r.Next()
		var damage *tape.DamageError
		if err == io.EOF {
			break
		}
		if errors.As(err, &damage) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		rec.Payload = bytes.Clone(rec.Payload)
		list = append(list, rec)
	}
	if len(list) == 0 {
		return nil
	}
	h := *r.Header()
	if rng.IntN(4) == 0 {
		h.Start = []int64{math.MinInt64, math.MaxInt64, 0, -1}[rng.IntN(4)]
	}
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &h)
	if err != nil {
		t.Fatal(err)
	}
	rate := 2 + rng.IntN(30)
	seq, at := uint64(0), int64(0)
	for i := range list {
		rec := list[i]
		for range 1 + rng.IntN(rate)/(rate-1) {
			if was := rec; rng.IntN(rate) == 0 {
				if mutate(rng, &rec, list); !framed(&rec) {
					rec = was
				}
			}
			if seq == math.MaxUint64 && rec.Kind != capture.KindCarry {
				break
			}
			rec.At = max(rec.At, at)
			switch {
			case rec.Kind == capture.KindCarry:
				rec.Seq = 0
			case seq == math.MaxUint64: // no sequence number is left
				continue
			default:
				rec.Seq = max(rec.Seq, seq+1)
				seq = rec.Seq
			}
			at = rec.At
			if err := w.Write(&rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// framed reports whether the payload is exactly one value. The reader of a tape
// accepts no other.
func framed(r *capture.Record) bool {
	if r.Kind == capture.KindConntrack || r.Kind == capture.KindDumpEntry {
		return true
	}
	b := bytes.NewReader(r.Payload)
	return msgpack.NewDecoder(b).Skip() == nil && b.Len() == 0
}

func mutate(rng *rand.Rand, r *capture.Record, others []capture.Record) {
	r.Payload = bytes.Clone(r.Payload)
	o := &others[rng.IntN(len(others))]
	switch rng.IntN(9) {
	case 0:
		r.Payload = r.Payload[:rng.IntN(len(r.Payload)+1)]
	case 1:
		r.Payload = bytes.Clone(o.Payload)
	case 2:
		r.Kind, r.Payload = o.Kind, bytes.Clone(o.Payload)
	case 3:
		r.Kind = capture.Kind(1 + rng.IntN(25))
	case 4:
		r.Source = []uint32{0, 1, 2, 3, math.MaxUint32, rng.Uint32()}[rng.IntN(6)]
	case 5: // far into the future; rarely, because times never decrease
		if rng.IntN(20) == 0 {
			r.At = []int64{math.MaxInt64, 1 << 62, r.At + 1e15}[rng.IntN(3)]
		}
	case 6:
		r.Payload = append(r.Payload, o.Payload...)
	default:
		for range 1 + rng.IntN(4) {
			if n := len(r.Payload); n > 0 {
				r.Payload[rng.IntN(n)] = []byte{0, 0xff, 0x7f, 0x80, byte(rng.Uint32())}[rng.IntN(5)]
			}
		}
	}
}

// For any content of the records, every verb that reads an intact tape ends without a
// panic, in the core neither, and every tape made from it is intact and replays to the
// same reports.
func TestVerbsOnHostileRecords(t *testing.T) {
	tapes := tapesOfTheRepository(t)
	var names []string
	for name := range tapes {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		if i%(2*sparse) != 0 && !strings.Contains(name, "lab-") {
			continue
		}
		seed := uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			tape := mutated(t, rand.New(rand.NewPCG(seed, 23)), tapes[name])
			if tape == nil { // no records
				return
			}
			in := []replay.Input{inputOf("tape", tape)}
			whole := map[string][]string{}
			for _, rules := range []string{reporter.RulesCurrent, reporter.RulesScope2016} {
				whole[rules] = replayedLines(t, rules, in)
			}
			measured(t, in)
			for _, format := range []string{"text", "pcapng"} {
				catTo(t, name, tape, format)
			}
			var again, cut, merged, saved bytes.Buffer
			if err := script.Build(&again, bytes.NewReader(catTo(t, name, tape, "jsonl")), script.Options{Name: name}); err != nil {
				t.Errorf("build: %v", err)
			} else if want, got := intact(t, tape), intact(t, again.Bytes()); !slices.Equal(want[0], got[0]) {
				t.Error("build makes other records of the script")
			}
			middle := intact(t, tape)[0]
			from, err := replay.ParseTime(fmt.Sprintf("#%d", middle[len(middle)/2].seq))
			if err != nil {
				t.Fatal(err)
			}
			w := replay.Window{From: from}
			if _, err := edit.Cut(&cut, in, edit.CutOptions{Window: w}); err != nil {
				t.Errorf("cut: %v", err)
			}
			m, err := edit.Merge([]replay.Input{in[0], inputOf("cut", cut.Bytes())}, &merged, edit.Options{})
			if err == nil {
				err = m.Check(bytes.NewReader(merged.Bytes()))
			}
			if err != nil {
				t.Errorf("merge: %v", err)
			}
			s, err := edit.Recover(bytes.NewReader(tape), int64(len(tape)), &saved, edit.Options{})
			if err == nil {
				err = s.Check(bytes.NewReader(saved.Bytes()))
			}
			if err != nil {
				t.Errorf("recover: %v", err)
			}
			for _, rules := range []string{reporter.RulesCurrent, reporter.RulesScope2016} {
				for what, b := range map[string][]byte{"merge": merged.Bytes(), "recover": saved.Bytes()} {
					if got := replayedLines(t, rules, []replay.Input{inputOf(what, b)}); !slices.Equal(got, whole[rules]) {
						t.Errorf("%s, under %s, makes %d other reports, want %d", what, rules, len(got), len(whole[rules]))
					}
				}
				tail := replayedLines(t, rules, []replay.Input{inputOf("cut", cut.Bytes())})
				if n := len(whole[rules]); len(tail) > n || !slices.Equal(tail, whole[rules][n-len(tail):]) {
					t.Errorf("cut, under %s, makes %d other reports", rules, len(tail))
				}
			}
		})
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func replayedLines(t *testing.T, rules string, in []replay.Input) (lines []string) {
	t.Helper()
	s, err := replay.Run(in, replay.Options{Rules: rules, Reports: replay.All, Verify: true}, func(r *report.Report) error {
		lines = append(lines, string(r.AppendJSON(nil)))
		return nil
	})
	if err != nil {
		t.Errorf("replay under %s: %v", rules, err)
	}
	if s.Panic != nil {
		t.Errorf("the core panics under %s: %v\n%s", rules, s.Panic.Value, s.Panic.Stack)
	}
	return lines
}

func measured(t *testing.T, in []replay.Input) {
	t.Helper()
	surveyed, err := survey.Read(in, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := surveyed.AddTop(in, 5, 0); err != nil {
		t.Fatal(err)
	}
	if surveyed.Text(80) == "" {
		t.Error("info prints nothing")
	}
}
