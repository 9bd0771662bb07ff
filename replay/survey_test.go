package replay

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
)

type anywhere struct{ *bytes.Reader }

func (anywhere) Close() error { return nil }

func inputAt(name string, b []byte) Input {
	return Input{Name: name, Open: func() (io.ReadCloser, error) { return anywhere{bytes.NewReader(b)}, nil }}
}

// surveyedTape is a random tape in which sources come and go and lose things.
func surveyedTape(t testing.TB, rng *rand.Rand, segment uint32, id byte) []byte {
	t.Helper()
	return chunkyTape(t, rng, segment, id, 50+rng.IntN(3000), 20, 1)
}

// longTape is such a tape with an index of several pages. On some of them little
// happens.
func longTape(t testing.TB, rng *rand.Rand, segment uint32, id byte) []byte {
	t.Helper()
	return chunkyTape(t, rng, segment, id, 8500+rng.IntN(5000), 1, []int{1, 20, 400}[rng.IntN(3)])
}

// chunkyTape has that many records, about so many in a chunk; of what is told one
// by one it has the less the duller it is.
func chunkyTape(t testing.TB, rng *rand.Rand, segment uint32, id byte, records, chunk, dull int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, &capture.Header{TapeID: [16]byte{id}, Recording: [16]byte{id / 4}, Segment: segment, Start: 1e18})
	if err != nil {
		t.Fatal(err)
	}
	seq, at := uint64(0), int64(segment)*1e12
	put := func(k capture.Kind, source uint32, payload []byte) {
		at += rng.Int64N(3) * 1e9
		if seq += 1; rng.IntN(200) == 0 {
			seq += 3
		}
		r := capture.Record{Seq: seq, At: at, Kind: k, Source: source, Payload: payload}
		if k == capture.KindCarry {
			r.Seq = 0
			seq--
		}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(chunk) == 0 {
			w.Flush()
		}
	}
	encoded := func(p capture.Payload) []byte { return capture.AppendPayload(nil, p) }
	if rng.IntN(3) == 0 {
		put(capture.KindCarry, 0, encoded(&capture.Carry{Core: 1}))
	}
	kinds := []string{"", capture.SourceConntrack, capture.SourceProc, capture.SourceDNS, capture.SourceRDNS}
	for range records {
		source := uint32(1 + rng.IntN(4))
		reason := []string{"", "why"}[rng.IntN(2)]
		n := rng.IntN(200)
		if n < 4 && rng.IntN(dull) > 0 {
			n = 50
		}
		switch {
		case n == 0:
			put(capture.KindSource, source, encoded(&capture.Source{Open: rng.IntN(3) > 0, Kind: kinds[source], Why: reason}))
		case n == 1:
			put(capture.KindGap, source, encoded(&capture.Gap{Lost: rng.Uint64N(9), Why: reason}))
		case n == 2:
			put(capture.KindMark, 0, encoded(&capture.Mark{Text: "m"}))
		case n == 3 && rng.IntN(5) == 0:
			put(capture.KindHost, 0, encoded(&capture.Host{Sysctls: []capture.Sysctl{{Name: "nf_conntrack_events", Value: fmt.Sprint(rng.IntN(2))}}}))
		case n == 3 && rng.IntN(4) == 0:
			put(capture.KindClock, 0, encoded(&capture.Clock{Step: rng.Int64N(9e9) - 4e9}))
		case n < 20:
			put(capture.KindTick, 0, encoded(&capture.Tick{Number: seq}))
		case n < 30:
			put([]capture.Kind{capture.KindDumpBegin, capture.KindDumpEnd}[rng.IntN(2)], 1, encoded(&capture.ConntrackDump{Failed: reason}))
		case n < 40:
			put([]capture.Kind{capture.KindWalkBegin, capture.KindWalkEnd}[rng.IntN(2)], 2, encoded(&capture.ProcWalk{Failed: reason}))
		case n < 45:
			put(200, source, []byte{0x90})
		case n < 100:
			put(capture.KindDNS, 3, encoded(&capture.DNS{}))
		default:
			put(capture.KindConntrack, 1, []byte("x"))
		}
	}
	put(capture.KindEnd, 0, encoded(&capture.End{Totals: []capture.Total{{Source: 1, Undecodable: 7}, {Source: 3}}}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sameEitherWay surveys by the index and by reading, and compares.
func sameEitherWay(t *testing.T, name string, inputs []Input) {
	t.Helper()
	fast, err := Look(inputs, true)
	if err != nil {
		t.Fatal(name, err)
	}
	slow, err := Look(inputs, false)
	if err != nil {
		t.Fatal(name, err)
	}
	for i := range fast.Tapes {
		if fast.Tapes[i].Reading != ReadFrames || slow.Tapes[i].Reading != ReadAll {
			t.Errorf("%s: tape %d was read: %v and %v", name, i, fast.Tapes[i].Reading, slow.Tapes[i].Reading)
		}
		fast.Tapes[i].Reading = ReadAll
	}
	if d := cmp.Diff(slow, fast); d != "" {
		t.Errorf("%s: read (-), index (+): %s", name, d)
	}
}

func TestIndexTellsWhatReadingTells(t *testing.T) {
	names, err := filepath.Glob("../fixtures/*/*.tape")
	if more, _ := filepath.Glob("../fixtures/*/*/*.tape"); err == nil {
		names = append(names, more...)
	}
	if len(names) < 5 {
		t.Fatal(names)
	}
	for _, name := range Some(names) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sameEitherWay(t, name, []Input{inputAt(name, b)})
	}
	for seed := range uint64(60 / Sparse) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b, c := surveyedTape(t, rng, 0, 4), surveyedTape(t, rng, 1, 5), surveyedTape(t, rng, 0, 8)
		sameEitherWay(t, fmt.Sprint(seed), []Input{inputAt("a", a)})
		sameEitherWay(t, fmt.Sprint(seed, "three"), []Input{inputAt("a", a), inputAt("b", b), inputAt("c", c)})
		sameEitherWay(t, fmt.Sprint(seed, "joined"), []Input{inputAt("abc", bytes.Join([][]byte{a, b, c}, nil))})
	}
}

// The runs of a long index tell what reading tells, read whole and by its pages.
func TestLongIndexTellsWhatReadingTells(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 2))
		a, b := longTape(t, rng, 0, 4), longTape(t, rng, 1, 5)
		ix, err := capture.ReadIndex(bytes.NewReader(a), int64(len(a)))
		if err != nil || !slices.ContainsFunc(ix.Entries, func(e capture.Entry) bool { return e.Run() }) {
			t.Fatalf("%d: an index without runs: %v", seed, err)
		}
		sameEitherWay(t, fmt.Sprint(seed), []Input{inputAt("a", a), inputAt("b", b)})
		sameEitherWay(t, fmt.Sprint(seed, "joined"), []Input{inputAt("ab", bytes.Join([][]byte{a, b}, nil))})
	}
}

// On a long tape what is found by the runs of its index is what a reading finds.
func TestWindowsOfALongTape(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	b := chunkyTape(t, rng, 0, 4, 13_000, 1, 10)
	skipped := 0
	for range 40 {
		text := []string{fmt.Sprintf("+%ds", rng.IntN(13_000)), fmt.Sprintf("-%ds", rng.IntN(13_000)), fmt.Sprintf("#%d", rng.IntN(13_000)), "mark:m", "mark:no", time.Unix(1e9+rng.Int64N(13_000), 0).UTC().Format(time.RFC3339)}[rng.IntN(6)]
		from, err := ParseTime(text)
		if err != nil {
			t.Fatal(err)
		}
		sought := Input{Name: "x", Size: int64(len(b)), Open: inputAt("x", b).Open}
		want, got := windowed([]Input{memory("x", b)}, Window{From: from}), windowed([]Input{sought}, Window{From: from})
		if !slices.Equal(got, want) {
			t.Errorf("from %s: %d lines, want %d", text, len(got), len(want))
		}
		if len(want) > 2 && len(want) < 12_000 {
			skipped++
		}
	}
	if skipped < 10 {
		t.Errorf("only %d windows begin on the way", skipped)
	}
}

// Whatever byte of a tape is changed or missing, the survey says what reading
// says.
func TestDamageIsSeenPastTheIndex(t *testing.T) {
	tape := surveyedTape(t, rand.New(rand.NewPCG(3, 3)), 0, 4)
	same := func(what string, b []byte) {
		t.Helper()
		fast, err := Look([]Input{inputAt("x", b)}, true)
		slow, serr := Look([]Input{inputAt("x", b)}, false)
		if fmt.Sprint(err) != fmt.Sprint(serr) {
			t.Errorf("%s: %v, reading says %v", what, err, serr)
			return
		}
		if err == nil && fmt.Sprint(fast.Damage) != fmt.Sprint(slow.Damage) || err == nil && len(slow.Damage) == 0 && fast.Tapes[0].Ending != slow.Tapes[0].Ending {
			t.Errorf("%s: %v %v, reading says %v %v", what, fast.Tapes, fast.Damage, slow.Tapes, slow.Damage)
		}
	}
	for i := 0; i < len(tape); i += 1 + len(tape)/700 {
		broken := bytes.Clone(tape)
		broken[i] ^= 0x20
		same(fmt.Sprint("byte ", i), broken)
		same(fmt.Sprint("cut at ", i), tape[:i])
		same(fmt.Sprint("without byte ", i), append(bytes.Clone(tape[:i]), tape[i+1:]...))
	}
}

// A large tape's middle is not read, neither its chunks nor their index pages,
// and the survey says so.
func TestLargeTapeIsSurveyedByItsIndexAlone(t *testing.T) {
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, &capture.Header{TapeID: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{})
	packet := make([]byte, 4000)
	seq := uint64(0)
	put := func(k capture.Kind, source uint32, payload []byte) {
		seq++
		if err := w.Write(&capture.Record{Seq: seq, At: int64(seq) * 1e9, Kind: k, Source: source, Payload: payload}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	put(capture.KindSource, 1, capture.AppendPayload(nil, &capture.Source{Open: true, Kind: capture.SourceConntrack}))
	for out.Len() <= maxChecked {
		noise.Read(packet)
		put(capture.KindConntrack, 1, packet)
		switch seq {
		case 3000:
			put(capture.KindGap, 1, capture.AppendPayload(nil, &capture.Gap{Lost: 7}))
		case 3500, 3501:
			put(capture.KindDumpBegin, 1, capture.AppendPayload(nil, &capture.ConntrackDump{}))
			put(capture.KindDumpEnd, 1, capture.AppendPayload(nil, &capture.ConntrackDump{}))
		}
	}
	put(capture.KindEnd, 0, capture.AppendPayload(nil, &capture.End{}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := out.Bytes()
	read := 0
	input := func(b []byte) Input {
		return Input{Name: "x", Open: func() (io.ReadCloser, error) { return countedReads{bytes.NewReader(b), &read}, nil }}
	}
	slow, err := Look([]Input{input(whole)}, false)
	if err != nil {
		t.Fatal(err)
	}
	slow.Tapes[0].Reading = ReadIndex
	broken := bytes.Clone(whole)
	for at := len(broken) / 5; at < len(broken)*9/10; at += 5000 { // but for the gap and the dump
		if at < 3000*4000 || at > 3600*4100 {
			broken[at] ^= 1
		}
	}
	for name, b := range map[string][]byte{"whole": whole, "damaged": broken} {
		read = 0
		fast, err := Look([]Input{input(b)}, true)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(slow, fast); d != "" || read > 200_000 {
			t.Errorf("%s: %d bytes read, read (-), index (+): %s", name, read, d)
		}
	}
}
