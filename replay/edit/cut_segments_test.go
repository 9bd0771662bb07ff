package edit_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/edit"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// carries returns the carries of cores that have seen the records.
func carries(t testing.TB, h *capture.Header, list []capture.Record) (out []capture.Record) {
	t.Helper()
	for _, rules := range allRules {
		r, err := reporter.New(h, rules)
		if err != nil {
			t.Fatal(err)
		}
		at := int64(0)
		for i := range list {
			r.Step(&list[i])
			at = list[i].At
		}
		for p := range r.Carry() {
			out = append(out, capture.Record{At: at, Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &p)})
		}
	}
	return out
}

func segment(t testing.TB, h *capture.Header, number uint32, list ...[]capture.Record) []byte {
	own := *h
	own.Recording, own.Segment, own.TapeID[0] = [16]byte{1}, number, byte(number)
	return written(t, &own, slices.Concat(list...))
}

// A replay reads a segment's carry only if records before the segment are missing.
func TestCarryOfASegment(t *testing.T) {
	h, list, _ := records(t, tapeOf(t, "../../fixtures/lab-gateway/capture.tape"))
	head, tail := list[:250], list[250:]
	known := carries(t, h, head)
	whole := reports(t, "", replay.Window{}, segment(t, h, 0, list))
	first, second := segment(t, h, 0, head), segment(t, h, 1, known, tail)
	if got := reports(t, "", replay.Window{}, first, second); !slices.Equal(got, whole) {
		t.Error("two segments have other reports than one tape")
	}
	wrong := carries(t, h, nil)
	if got := reports(t, "", replay.Window{}, first, segment(t, h, 1, wrong, tail)); !slices.Equal(got, whole) {
		t.Error("the carry was read although no record is missing before it")
	}
	from := window(t, "#251", "end")
	want := reports(t, "", from, segment(t, h, 0, list))
	if len(want) < 2 || len(want) == len(whole) {
		t.Fatal(len(want), len(whole))
	}
	for name, tapes := range map[string][][]byte{
		"alone":                 {second},
		"records are missing":   {segment(t, h, 0, head[:200]), second},
		"a segment is missing":  {segment(t, h, 0, head[:100]), segment(t, h, 5, known, tail)},
		"one record is missing": {segment(t, h, 0, head[:249]), second},
	} {
		if got := reports(t, "", from, tapes...); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %.300s\nwant %.300s", name, got, want)
		}
	}
}

// A cut of several tapes replays as the tapes do in that window, also if parts of
// them are missing.
func TestCutOfSegments(t *testing.T) {
	names, tapes := shipped(t)
	made := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		h, list, _ := records(t, tapes[names[len(names)-1-rng.IntN(20)]])
		var parts [][]byte
		for at, number := 0, uint32(0); at < len(list); number++ {
			end := min(len(list), at+1+rng.IntN(len(list)))
			var known []capture.Record
			if rng.IntN(3) > 0 {
				known = carries(t, h, list[:at])
			}
			kept := list[at:end]
			if rng.IntN(3) == 0 {
				kept = kept[:rng.IntN(len(kept))]
			}
			if rng.IntN(4) == 0 {
				number += uint32(rng.IntN(2))
			}
			parts = append(parts, segment(t, h, number, known, kept))
			at = end
		}
		from, to := randomWindow(rng, h, list)
		w := window(t, from, to)
		part, _ := cut(t, w, parts...)
		if part == nil {
			continue
		}
		made++
		for _, rules := range allRules {
			var want []string
			_, err := replay.Run(inputs(parts...), replay.Options{Rules: rules, Reports: replay.All, Window: w}, func(r *report.Report) error {
				want = append(want, fmt.Sprintf("%s\n%+v", r.AppendJSON(nil), *r.Scope()))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := reports(t, rules, replay.Window{}, part); !slices.Equal(got, want) {
				t.Fatalf("seed %d from %s to %s under %s:\n got %s\nwant %s", seed, from, to, rules, got, want)
			}
		}
	}
	if made < 30 {
		t.Errorf("only %d cuts", made)
	}
}

// A cut of two adjacent cuts replays as the whole tape does in both windows.
func TestCutsJoin(t *testing.T) {
	tape := tapeOf(t, "../../fixtures/lab-gateway/capture.tape")
	a, _ := cut(t, window(t, "+2s", "#200"), tape)
	b, _ := cut(t, window(t, "#200", "+9s"), tape)
	w := window(t, "+2s", "+9s")
	joined, s := cut(t, replay.Window{}, a, b)
	for _, rules := range allRules {
		if got, want := reports(t, rules, replay.Window{}, joined), reports(t, rules, w, tape); !slices.Equal(got, want) || len(want) < 3 {
			t.Errorf("under %s: %d reports, want %d", rules, len(got), len(want))
		}
	}
	if len(s.Header.Derived.Others) != 1 || len(s.Missing) > 0 {
		t.Error(s.Header.Derived, s.Missing)
	}
	other := tapeOf(t, "../../fixtures/generated/generated-00/capture.tape")
	if _, err := edit.Cut(new(bytes.Buffer), inputs(tape, other), edit.CutOptions{}); err == nil || !strings.Contains(err.Error(), "different recordings") {
		t.Error(err)
	}
}

// Without its carry, a cut still replays, and most of its reports are right.
func TestCutWithoutCarry(t *testing.T) {
	names, tapes := shipped(t)
	same, all := 0, 0
	for i, name := range names {
		rng := rand.New(rand.NewPCG(uint64(i), 5))
		_, list, _ := records(t, tapes[name])
		w := window(t, fmt.Sprintf("#%d", list[rng.IntN(len(list))].Seq), "end")
		part, _ := cut(t, w, tapes[name])
		h, inner, _ := records(t, part)
		for _, foreign := range []bool{false, true} {
			var bare []capture.Record
			for _, r := range inner {
				if r.Kind == capture.KindCarry {
					if !foreign {
						continue
					}
					var p capture.Carry
					if err := r.Decode(&p); err != nil {
						t.Fatal(err)
					}
					p.Core++
					r.Payload = capture.AppendPayload(nil, &p)
				}
				bare = append(bare, r)
			}
			var got [][]report.Connection
			s, err := replay.Run(inputs(written(t, h, bare)), replay.Options{Reports: replay.All}, func(r *report.Report) error {
				got = append(got, r.Connections)
				return nil
			})
			if err != nil {
				t.Fatal(name, err)
			}
			if carried := slices.ContainsFunc(inner, func(r capture.Record) bool { return r.Kind == capture.KindCarry }); s.Uncarried != (foreign && carried && len(got) > 0) {
				t.Errorf("%s: Uncarried is %v", name, s.Uncarried)
			}
			var want [][]report.Connection
			if _, err := replay.Run(inputs(tapes[name]), replay.Options{Reports: replay.All, Window: w}, func(r *report.Report) error {
				want = append(want, r.Connections)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				all++
				if fmt.Sprint(got[i]) == fmt.Sprint(want[i]) {
					same++
				}
			}
		}
	}
	t.Logf("%d of %d reports have the same connections without the carry", same, all)
	if same*10 < all*8 {
		t.Errorf("only %d of %d reports have the same connections without the carry", same, all)
	}
}

// Cut reports what is missing, and adds gaps and an end to the new tape.
func TestCutOfADamagedTape(t *testing.T) {
	recorded := tapeOf(t, "../../fixtures/lab-gateway/capture.tape")
	torn := recorded[:9000]
	damaged := slices.Clone(recorded)
	for i := range 50 {
		damaged[12000+i] ^= 0x55
	}
	good := uint64(0) // the last record before the damage
	r, err := tape.NewReader(bytes.NewReader(damaged))
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := r.Next(); err == nil; rec, err = r.Next() {
		good = rec.Seq
	}
	after := fmt.Sprintf("damaged after record %d", good)
	grows := func(string) bool { return true }
	for name, test := range map[string]struct {
		tape     []byte
		from, to string
		growing  func(string) bool
		missing  string
		gaps     bool
	}{
		"torn":                       {torn, "start", "end", nil, "torn after record", false},
		"torn, being written":        {torn, "start", "end", grows, "", false},
		"torn after the window":      {torn, "start", "+2s", nil, "", false},
		"damaged":                    {damaged, "start", "end", nil, after, true},
		"damaged before the window":  {damaged, "+9s", "end", nil, after, true},
		"damaged, being written":     {damaged, "start", "end", grows, after, true},
		"damaged after the window":   {damaged, "start", fmt.Sprint("#", good), nil, "", false},
		"damaged at the window's to": {damaged, "start", fmt.Sprint("#", good+1), nil, after, true},
	} {
		var out bytes.Buffer
		s, err := edit.Cut(&out, inputs(test.tape), edit.CutOptions{Window: window(t, test.from, test.to), Growing: test.growing})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(s.Missing, "; "); !strings.Contains(got, test.missing) || (got == "") != (test.missing == "") {
			t.Errorf("%s: missing %q, want %q", name, got, test.missing)
		}
		if s.Differ > 0 { // records missing before a witness are a loss, not a difference
			t.Errorf("%s: %d of %d witnesses differ", name, s.Differ, s.Witnesses)
		}
		verified, err := replay.Run(inputs(out.Bytes()), replay.Options{Reports: replay.None, Verify: true}, nil)
		if err != nil || verified.Verification.Identical != verified.Verification.Witnesses {
			t.Errorf("%s: %+v, %v", name, verified.Verification, err)
		}
		_, list, ending := records(t, out.Bytes())
		if ending != tape.Closed {
			t.Errorf("%s: the cut is %s", name, ending)
		}
		if gaps := slices.ContainsFunc(list, func(r capture.Record) bool { return r.Kind == capture.KindGap && r.Seq > 1 }); gaps != test.gaps {
			t.Errorf("%s: the cut has gaps: %v", name, gaps)
		}
		if name == "torn" {
			var end capture.End
			if last := list[len(list)-1]; last.Kind != capture.KindEnd || last.Decode(&end) != nil || end.Why != "cut; "+s.Missing[0] {
				t.Errorf("its end is %+v", end)
			}
		}
	}
	if _, err := edit.Cut(new(bytes.Buffer), inputs(recorded), edit.CutOptions{Window: window(t, "+1h", "")}); !errors.Is(err, edit.ErrEmptyWindow) {
		t.Error(err)
	}
}
