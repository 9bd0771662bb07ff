package edit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/edit"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

var allRules = []string{reporter.RulesCurrent, reporter.RulesScope2016}

// shipped returns the tapes of all fixtures, by path.
func shipped(t testing.TB) (names []string, tapes map[string][]byte) {
	t.Helper()
	scripts, _ := filepath.Glob("../../fixtures/corpus/*/tape.jsonl")
	files, _ := filepath.Glob("../../fixtures/*/*/capture.tape")
	lab, _ := filepath.Glob("../../fixtures/*/capture.tape")
	names, tapes = slices.Concat(scripts, files, lab), map[string][]byte{}
	if len(scripts) < 50 || len(files) < 10 || len(lab) < 1 {
		t.Fatalf("only %d tapes were found", len(names))
	}
	names = replaytest.Sample(names)
	for _, path := range names {
		tapes[path] = tapeOf(t, path)
	}
	return names, tapes
}

// tapeOf returns the tape in a file. A script in it is built.
func tapeOf(t testing.TB, path string) []byte {
	t.Helper()
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
	return b
}

func input(name string, tape []byte) replay.Input {
	return replay.Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tape)), nil }}
}

func inputs(tapes ...[]byte) (out []replay.Input) {
	for i, b := range tapes {
		out = append(out, input(fmt.Sprintf("tape%d", i), b))
	}
	return out
}

func window(t testing.TB, from, to string) (w replay.Window) {
	t.Helper()
	var err, err2 error
	w.From, err = replay.ParseTime(from)
	w.To, err2 = replay.ParseTime(to)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return w
}

// reports returns the reports of a window, with all their fields.
func reports(t testing.TB, rules string, w replay.Window, tapes ...[]byte) (out []string) {
	t.Helper()
	s, err := replay.Run(inputs(tapes...), replay.Options{Rules: rules, Reports: replay.All, Window: w}, func(r *report.Report) error {
		out = append(out, fmt.Sprintf("%s\n%+v", r.AppendJSON(nil), *r.Scope()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Uncarried {
		t.Error("the carry was not read")
	}
	return out
}

// cut returns the cut of a window, nil if the window is empty.
func cut(t testing.TB, w replay.Window, tapes ...[]byte) ([]byte, *edit.CutSummary) {
	t.Helper()
	var out bytes.Buffer
	s, err := edit.Cut(&out, inputs(tapes...), edit.CutOptions{Window: w, Tool: "test"})
	if errors.Is(err, edit.ErrEmptyWindow) {
		if out.Len() > 0 {
			t.Error("bytes were written for an empty window")
		}
		return nil, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.Size != int64(out.Len()) {
		t.Errorf("%d bytes, want %d", s.Size, out.Len())
	}
	return out.Bytes(), s
}

func records(t testing.TB, recorded []byte) (h *capture.Header, out []capture.Record, ending tape.Ending) {
	t.Helper()
	r, err := tape.NewReader(bytes.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return r.Header(), out, r.Ending()
		}
		if err != nil {
			t.Fatal(err)
		}
		rec.Payload = bytes.Clone(rec.Payload)
		out = append(out, rec)
	}
}

func written(t testing.TB, h *capture.Header, list []capture.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if err := w.Write(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A cut has the reports of the whole tape in its window, and so has a cut of a
// cut.
func TestCutReplaysAsTheWhole(t *testing.T) {
	names, tapes := shipped(t)
	cuts, equal := 0, 0
	for i, name := range names {
		rng := rand.New(rand.NewPCG(uint64(i), 3))
		recorded := tapes[name]
		h, list, _ := records(t, recorded)
		for range max(1, 3/replaytest.OneIn) {
			from, to := randomWindow(rng, h, list)
			w := window(t, from, to)
			part, s := cut(t, w, recorded)
			if part == nil {
				continue
			}
			cuts++
			_, inner, ending := records(t, part)
			if ending != tape.Closed || len(s.Missing) > 0 && s.Missing[0] == "" {
				t.Errorf("the cut is %s", ending)
			}
			checkRecords(t, list, inner, s)
			from2, to2 := randomWindow(rng, h, list)
			again, _ := cut(t, window(t, from2, to2), part)
			for _, rules := range allRules {
				got, want := reports(t, rules, replay.Window{}, part), reports(t, rules, w, recorded)
				if !slices.Equal(got, want) {
					t.Errorf("under %s:\n got %s\nwant %s", rules, got, want)
				}
				equal += len(want)
				if again != nil {
					got, want = reports(t, rules, replay.Window{}, again), reports(t, rules, window(t, from2, to2), part)
					if !slices.Equal(got, want) {
						t.Errorf("a cut from %s to %s of the cut, under %s:\n got %s\nwant %s", from2, to2, rules, got, want)
					}
				}
			}
			if t.Failed() {
				t.Fatalf("%s from %s to %s", name, from, to)
			}
		}
	}
	if cuts < 200/replaytest.OneIn/replaytest.OneIn || equal < 500/replaytest.OneIn/replaytest.OneIn {
		t.Errorf("only %d cuts with %d reports were made", cuts, equal)
	}
}

// randomWindow returns a window whose two times are record numbers, times since the
// start or wall times, sometimes of two kinds.
func randomWindow(rng *rand.Rand, h *capture.Header, list []capture.Record) (from, to string) {
	wall := make([]int64, len(list))
	for i, steps := 0, int64(0); i < len(list); i++ {
		var c capture.Clock
		if list[i].Kind == capture.KindClock && list[i].Decode(&c) == nil {
			steps += c.Step
		}
		wall[i] = h.Start + list[i].At + steps
	}
	kind := rng.IntN(4)
	at := func(i int) string {
		k := kind
		if k == 3 {
			k = rng.IntN(3)
		}
		switch k {
		case 0:
			return fmt.Sprintf("#%d", list[i].Seq)
		case 1:
			return fmt.Sprintf("+%dns", list[i].At+rng.Int64N(2))
		}
		return time.Unix(0, wall[i]).UTC().Format(time.RFC3339Nano)
	}
	i, j := rng.IntN(len(list)), rng.IntN(len(list))
	from, to = at(min(i, j)), at(max(i, j))
	if rng.IntN(3) == 0 {
		from = "start"
	}
	if rng.IntN(3) == 0 {
		to = "end"
	}
	if t, err := replay.ParseTime(from); err == nil {
		if u, err := replay.ParseTime(to); err == nil && (replay.Window{From: t, To: u}).Check() != nil {
			return to, from // the clock was stepped back
		}
	}
	return from, to
}

// checkRecords checks that all records of the cut are the tape's, with their numbers.
func checkRecords(t *testing.T, whole, part []capture.Record, s *edit.CutSummary) {
	t.Helper()
	bySeq := map[uint64]*capture.Record{}
	for i := range whole {
		bySeq[whole[i].Seq] = &whole[i]
	}
	n := uint64(0)
	for i := range part {
		r := &part[i]
		was := bySeq[r.Seq]
		switch {
		case r.Kind == capture.KindCarry:
			continue
		case was == nil && r.Kind == capture.KindEnd && i == len(part)-1:
			continue
		case was == nil || was.Kind != r.Kind || was.At != r.At || was.Source != r.Source || !bytes.Equal(was.Payload, r.Payload) && r.Kind != capture.KindWitness:
			if r.Kind != capture.KindEnd || i != len(part)-1 {
				t.Fatalf("record %d (%s) is not the tape's", r.Seq, r.Kind)
			}
			continue
		}
		n++
	}
	if n != s.Records+s.Evidence {
		t.Errorf("%d records of the tape, the summary says %d and %d", n, s.Evidence, s.Records)
	}
}
