package survey

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/replaytest"
)

func inputAt(name string, b []byte) replay.Input {
	return replay.Input{Name: name, Open: func() (io.ReadCloser, error) { return replaytest.File{Reader: bytes.NewReader(b)}, nil }}
}

// randomTape makes a tape in which sources open and close and lose records.
func randomTape(t testing.TB, rng *rand.Rand, segment uint32, id byte) []byte {
	t.Helper()
	return replaytest.Random(t, rng, segment, id, 50+rng.IntN(3000), 20, 1)
}

// longTape makes such a tape with an index of several pages, some of them without
// records to list.
func longTape(t testing.TB, rng *rand.Rand, segment uint32, id byte) []byte {
	t.Helper()
	return replaytest.Random(t, rng, segment, id, 8500+rng.IntN(5000), 1, []int{1, 20, 400}[rng.IntN(3)])
}

// checkSame compares a survey by the index with one by reading.
func checkSame(t *testing.T, name string, inputs []replay.Input) {
	t.Helper()
	fast, err := Read(inputs, true)
	if err != nil {
		t.Fatal(name, err)
	}
	slow, err := Read(inputs, false)
	if err != nil {
		t.Fatal(name, err)
	}
	for i := range fast.Tapes {
		if fast.Tapes[i].Reading != readFrames || slow.Tapes[i].Reading != readAll {
			t.Errorf("%s: tape %d was read: %v and %v", name, i, fast.Tapes[i].Reading, slow.Tapes[i].Reading)
		}
		fast.Tapes[i].Reading = readAll
	}
	if d := cmp.Diff(slow, fast); d != "" {
		t.Errorf("%s: read (-), index (+): %s", name, d)
	}
}

func TestIndexGivesSameSurvey(t *testing.T) {
	names, err := filepath.Glob("../../fixtures/*/*.tape")
	if more, _ := filepath.Glob("../../fixtures/*/*/*.tape"); err == nil {
		names = append(names, more...)
	}
	if len(names) < 5 {
		t.Fatal(names)
	}
	for _, name := range replaytest.Sample(names) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, name, []replay.Input{inputAt(name, b)})
	}
	for seed := range uint64(60 / replaytest.OneIn) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b, c := randomTape(t, rng, 0, 4), randomTape(t, rng, 1, 5), randomTape(t, rng, 0, 8)
		checkSame(t, fmt.Sprint(seed), []replay.Input{inputAt("a", a)})
		checkSame(t, fmt.Sprint(seed, "three"), []replay.Input{inputAt("a", a), inputAt("b", b), inputAt("c", c)})
		checkSame(t, fmt.Sprint(seed, "joined"), []replay.Input{inputAt("abc", bytes.Join([][]byte{a, b, c}, nil))})
	}
}

// A long index, which describes runs of chunks, gives the same survey as reading.
func TestLongIndexGivesSameSurvey(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 2))
		a, b := longTape(t, rng, 0, 4), longTape(t, rng, 1, 5)
		ix, err := tape.ReadIndex(bytes.NewReader(a), int64(len(a)))
		if err != nil || !slices.ContainsFunc(ix.Entries, func(e tape.Entry) bool { return e.Run() }) {
			t.Fatalf("%d: an index without runs: %v", seed, err)
		}
		checkSame(t, fmt.Sprint(seed), []replay.Input{inputAt("a", a), inputAt("b", b)})
		checkSame(t, fmt.Sprint(seed, "joined"), []replay.Input{inputAt("ab", bytes.Join([][]byte{a, b}, nil))})
	}
}

// If any byte of a tape is changed or missing, the survey by the index reports the
// same damage as the one by reading.
func TestIndexFindsSameDamage(t *testing.T) {
	tape := randomTape(t, rand.New(rand.NewPCG(3, 3)), 0, 4)
	same := func(what string, b []byte) {
		t.Helper()
		fast, err := Read([]replay.Input{inputAt("x", b)}, true)
		slow, serr := Read([]replay.Input{inputAt("x", b)}, false)
		if fmt.Sprint(err) != fmt.Sprint(serr) {
			t.Errorf("%s: %v, by reading %v", what, err, serr)
			return
		}
		if err == nil && (fast.Damage != slow.Damage || fast.DamageMore != slow.DamageMore) || err == nil && slow.Damage == "" && fast.Tapes[0].Ending != slow.Tapes[0].Ending {
			t.Errorf("%s: %v %s, by reading %v %s", what, fast.Tapes, fast.Damage, slow.Tapes, slow.Damage)
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

// Of a large tape the index is read, and the chunks with records to list. The survey
// says so.
func TestLargeTapeIsReadByIndexOnly(t *testing.T) {
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &capture.Header{TapeID: [16]byte{1}})
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
	input := func(b []byte) replay.Input {
		return replay.Input{Name: "x", Open: func() (io.ReadCloser, error) {
			return replaytest.File{Reader: bytes.NewReader(b), Count: &read}, nil
		}}
	}
	slow, err := Read([]replay.Input{input(whole)}, false)
	if err != nil {
		t.Fatal(err)
	}
	slow.Tapes[0].Reading = readIndex
	broken := bytes.Clone(whole)
	for at := len(broken) / 5; at < len(broken)*9/10; at += 5000 { // except the gap and the dump
		if at < 3000*4000 || at > 3600*4100 {
			broken[at] ^= 1
		}
	}
	for name, b := range map[string][]byte{"whole": whole, "damaged": broken} {
		read = 0
		fast, err := Read([]replay.Input{input(b)}, true)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(slow, fast); d != "" || read > 200_000 {
			t.Errorf("%s: %d bytes read, read (-), index (+): %s", name, read, d)
		}
	}
}
