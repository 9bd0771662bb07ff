package edit_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/edit"
	"github.com/topotape/topotape/replay/survey"
)

// merge merges tapes and reads the new one back.
func merge(t testing.TB, tapes ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	m, err := edit.Merge(inputs(tapes...), &out, edit.Options{Tool: "test"})
	if err == nil {
		err = m.Check(bytes.NewReader(out.Bytes()))
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// saved recovers a file and reads back what was written.
func saved(t testing.TB, file []byte) ([]byte, *edit.Recovery) {
	t.Helper()
	var out bytes.Buffer
	s, err := edit.Recover(bytes.NewReader(file), int64(len(file)), &out, edit.Options{Tool: "test"})
	if err == nil {
		err = s.Check(bytes.NewReader(out.Bytes()))
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), s
}

// rebuilt prints a tape as a script and builds the script.
func rebuilt(t testing.TB, tape []byte) []byte {
	t.Helper()
	h, list, _ := records(t, tape)
	var text, out bytes.Buffer
	p := script.NewPrinter(&text)
	err := p.Header(h)
	for i := range list {
		if err == nil {
			err = p.Record(&list[i])
		}
	}
	if err == nil {
		err = script.Build(&out, &text, script.Options{Name: "script"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// verified returns the first witness that a replay does not reproduce, "" if none.
func verified(t testing.TB, w replay.Window, tape []byte) string {
	t.Helper()
	s, err := replay.Run(inputs(tape), replay.Options{Reports: replay.None, Verify: true, Window: w}, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := ""
	if f := s.Verification.First; f != nil {
		first = fmt.Sprint(f.Record, f.Sections)
	}
	return first
}

// places returns n random record numbers to cut a tape at, in order.
func places(rng *rand.Rand, list []capture.Record, n int) (seqs []uint64) {
	for range n {
		seqs = append(seqs, list[rng.IntN(len(list))].Seq)
	}
	slices.Sort(seqs)
	return seqs
}

func between(t testing.TB, from, to uint64) replay.Window {
	return window(t, fmt.Sprintf("#%d", from), fmt.Sprintf("#%d", to))
}

// laws calls law with every third of the shipped tapes, and n places on each.
func laws(t *testing.T, n int, law func(t *testing.T, tape []byte, at []uint64)) {
	names, tapes := shipped(t)
	for i, name := range names {
		if i%3 != 0 {
			continue
		}
		rng := rand.New(rand.NewPCG(uint64(i), 17))
		_, list, _ := records(t, tapes[name])
		at := places(rng, list, n)
		if at[0] == at[n-1] {
			continue
		}
		law(t, tapes[name], at)
		if t.Failed() {
			t.Fatalf("%s at %d", name, at)
		}
	}
}

func sameReports(t *testing.T, what string, want [2][]string, tapes ...[]byte) {
	t.Helper()
	for i, rules := range allRules {
		if got := reports(t, rules, replay.Window{}, tapes...); !slices.Equal(got, want[i]) {
			t.Errorf("%s, under %s: %d reports, want %d:\n got %.300s\nwant %.300s", what, rules, len(got), len(want[i]), got, want[i])
		}
	}
}

func bothReports(t *testing.T, w replay.Window, tapes ...[]byte) (out [2][]string) {
	t.Helper()
	for i, rules := range allRules {
		out[i] = reports(t, rules, w, tapes...)
	}
	return out
}

// Merged cuts replay as the whole tape does in their windows: cuts that are adjacent,
// overlap or are apart, in any order, and merged with the whole tape.
func TestMergedCutsReplayAsTheWhole(t *testing.T) {
	laws(t, 4, func(t *testing.T, tape []byte, at []uint64) {
		a, b, c, d := at[0], at[1], at[2], at[3]
		part := func(from, to uint64) []byte {
			p, _ := cut(t, between(t, from, to), tape)
			return p
		}
		whole := bothReports(t, between(t, a, d), tape)
		for what, parts := range map[string][][]byte{
			"adjacent":    {part(a, b), part(b, d)},
			"three":       {part(a, b), part(c, d), part(b, c)},
			"overlapping": {part(b, d), part(a, c)},
			"one within":  {part(a, d), part(b, c)},
		} {
			parts = slices.DeleteFunc(parts, func(p []byte) bool { return p == nil })
			slices.Reverse(parts)
			for range 2 {
				slices.Reverse(parts)
				sameReports(t, what, whole, merge(t, parts...))
			}
		}
		first, last := part(a, b), part(c, d)
		if first != nil && last != nil {
			apart := bothReports(t, between(t, a, b), tape)
			for i, more := range bothReports(t, between(t, c, d), tape) {
				apart[i] = append(apart[i], more...)
			}
			sameReports(t, "apart", apart, merge(t, last, first))
		}
		if last != nil {
			sameReports(t, "with the whole", bothReports(t, replay.Window{}, tape), merge(t, last, tape))
		}
	})
}

// Build, recover, merge, cut, diff and info handle a cut like any other tape.
func TestACutIsATape(t *testing.T) {
	laws(t, 4, func(t *testing.T, tape []byte, at []uint64) {
		w := between(t, at[0], at[3])
		part, _ := cut(t, w, tape)
		if part == nil {
			return
		}
		want := bothReports(t, w, tape)
		sameReports(t, "built from its script", want, rebuilt(t, part))
		again, r := saved(t, part)
		sameReports(t, "recovered", want, again)
		if _, list, _ := records(t, part); !r.Whole || !r.Sound || r.Saved != uint64(len(list)) {
			t.Errorf("recover of a cut: %+v", r)
		}
		sameReports(t, "merged alone", want, merge(t, part))
		inner := between(t, at[1], at[2])
		small, _ := cut(t, inner, part)
		for _, rules := range allRules {
			got := reports(t, rules, inner, part)
			if !slices.Equal(got, reports(t, rules, inner, tape)) {
				t.Errorf("a window of the cut, under %s", rules)
			}
			if small != nil && !slices.Equal(got, reports(t, rules, replay.Window{}, small)) {
				t.Errorf("a cut of the cut, under %s", rules)
			}
		}
		if small != nil {
			sameReports(t, "merged with a cut of it", want, merge(t, small, part))
		}
		if verified(t, replay.Window{}, part) != "" && verified(t, replay.Window{}, tape) == "" {
			t.Error("the cut does not verify")
		}
		if len(want[0]) > 0 {
			d, _, _, err := replay.Diff(&replay.Side{Inputs: []replay.Input{input("whole", tape)}, Window: w}, &replay.Side{Inputs: []replay.Input{input("cut", part)}}, replay.DiffOptions{})
			if err != nil || d.Differ > 0 {
				t.Errorf("diff: %v, %+v", err, d)
			}
		}
		sameSurveys(t, part)
	})
}

// sameSurveys checks that a survey of a tape is the same with its index and without.
func sameSurveys(t *testing.T, tape []byte) {
	t.Helper()
	in := replay.Input{Name: "tape", Size: int64(len(tape)), Open: func() (io.ReadCloser, error) { return file{bytes.NewReader(tape)}, nil }}
	var surveys [2]*survey.Survey
	for i, index := range [...]bool{true, false} {
		s, err := survey.Read([]replay.Input{in}, index)
		if err != nil {
			t.Fatal(err)
		}
		if byIndex := s.Tapes[0].Reading != "all"; byIndex != index {
			t.Errorf("the tape was read %s", s.Tapes[0].Reading)
		}
		s.Tapes[0].Reading = ""
		surveys[i] = s
	}
	if !reflect.DeepEqual(surveys[0], surveys[1]) {
		t.Errorf("with its index:\n%+v\nwithout:\n%+v", surveys[0], surveys[1])
	}
}

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

// A recovered tape can be recovered again, cut, and merged with its cut without a
// change of its reports. Merged with an intact copy it has the reports of that.
func TestCutOfARecoveredTape(t *testing.T) {
	laws(t, 2, func(t *testing.T, recorded []byte, at []uint64) {
		h, list, _ := records(t, recorded)
		var out bytes.Buffer
		w, err := tape.NewWriter(&out, h)
		head := out.Len()
		for i := range list {
			if err == nil && i%8 == 0 {
				err = w.Flush()
			}
			if err == nil {
				err = w.Write(&list[i])
			}
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		damaged := out.Bytes()
		rng := rand.New(rand.NewPCG(at[0], at[1]))
		damaged[head+rng.IntN(len(damaged)-head)] ^= 0x55
		whole, _ := saved(t, damaged)
		again, r := saved(t, whole)
		if !r.Whole || !r.Sound {
			t.Errorf("recovered twice: %+v", r)
		}
		want := bothReports(t, replay.Window{}, whole)
		sameReports(t, "recovered twice", want, again)
		window := between(t, at[0], at[1])
		if part, _ := cut(t, window, whole); part != nil {
			sameReports(t, "a cut of it", bothReports(t, window, whole), part)
			sameReports(t, "merged with a cut of it", want, merge(t, part, whole))
		}
		sameReports(t, "merged with the intact copy", bothReports(t, replay.Window{}, recorded), merge(t, whole, recorded))
	})
}

// Copies of a tape that are damaged in different places, merged, have all records
// that any of them has, in any order.
func TestMergeOfDamagedCopies(t *testing.T) {
	h, list, _ := records(t, tapeOf(t, "../../fixtures/lab-gateway/capture.tape"))
	without := func(from, to uint64) []byte {
		var out bytes.Buffer
		w, err := tape.NewWriter(&out, h)
		for i := range list {
			before, r := out.Len(), &list[i]
			if err == nil {
				err = w.Write(r)
			}
			if err == nil && (r.Seq == from-1 || r.Seq == to) {
				err = w.Flush()
			}
			if r.Seq == to {
				out.Bytes()[before+100] ^= 0x55
			}
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	short, long := without(200, 220), without(200, 240)
	a, r := saved(t, short)
	b, s := saved(t, long)
	if r.Lost != 21 || s.Lost != 41 {
		t.Fatalf("%d and %d lost", r.Lost, s.Lost)
	}
	part, _ := cut(t, between(t, 100, 300), long)
	_, want, _ := records(t, a)
	for what, tapes := range map[string][2][][]byte{
		"both":      {{a, b}, {b, a}},
		"and a cut": {{part, a}, {a, part}},
	} {
		one, other := merge(t, tapes[0]...), merge(t, tapes[1]...)
		_, got, _ := records(t, one)
		_, again, _ := records(t, other)
		if !reflect.DeepEqual(got, again) {
			t.Errorf("%s: the records depend on the order of the tapes", what)
		}
		gap := func(r capture.Record) bool { return r.Kind == capture.KindGap }
		got, want := slices.DeleteFunc(got, gap), slices.DeleteFunc(slices.Clone(want), gap)
		sameNumber := func(a, b capture.Record) bool { return a.Seq == b.Seq && a.Kind == b.Kind && a.At == b.At }
		if !slices.EqualFunc(got, want, sameNumber) {
			t.Errorf("%s: %d records, want %d", what, len(got), len(want))
		}
	}
	whole := tapeOf(t, "../../fixtures/lab-gateway/capture.tape")
	sameReports(t, "with the intact copy", bothReports(t, replay.Window{}, whole), merge(t, a, part, whole, b))
}

// A countedFile counts the bytes read.
type countedFile struct {
	*bytes.Reader
	read *int64
}

func (f countedFile) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	*f.read += int64(n)
	return n, err
}

func (f countedFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.Reader.ReadAt(b, at)
	*f.read += int64(n)
	return n, err
}

func (countedFile) Close() error { return nil }

// A file with many tapes is read a few times only, whether they are of one recording
// or of several. Merge writes the same records as for one file each.
func TestMergeOfManyTapesInAFile(t *testing.T) {
	whole := tapeOf(t, "../../fixtures/generated/generated-00/capture.tape")
	h, list, _ := records(t, whole)
	for _, one := range []bool{true, false} {
		var file []byte
		var apart [][]byte
		for i := range 60 {
			own := *h
			own.Segment, own.TapeID = uint32(i), [16]byte{byte(i + 1)}
			if one {
				own.Recording = [16]byte{1}
			} else {
				own.Recording, own.Segment = own.TapeID, 0
			}
			own.Start += int64(i) * 1e12
			if one {
				own.Start = h.Start
			}
			apart = append(apart, written(t, &own, list[i*len(list)/60:(i+1)*len(list)/60]))
			file = append(file, apart[i]...)
		}
		var read int64
		in := replay.Input{Name: "file", Size: int64(len(file)), Open: func() (io.ReadCloser, error) { return countedFile{bytes.NewReader(file), &read}, nil }}
		var out, want bytes.Buffer
		if _, err := edit.Merge([]replay.Input{in}, &out, edit.Options{}); err != nil {
			t.Fatal(err)
		}
		if read > 4*int64(len(file)) {
			t.Errorf("%d bytes were read from a file of %d", read, len(file))
		}
		if _, err := edit.Merge(inputs(apart...), &want, edit.Options{}); err != nil {
			t.Fatal(err)
		}
		_, got, _ := records(t, out.Bytes())
		if _, want, _ := records(t, want.Bytes()); !reflect.DeepEqual(got, want) {
			t.Error("other records than from one file each")
		}
	}
}
