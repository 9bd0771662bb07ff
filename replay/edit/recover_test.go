package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
)

// recovered is a tape written by Recover.
type recovered struct {
	header  capture.Header
	records []capture.Record
}

func recoverAll(t testing.TB, file []byte) (tapes []recovered, r *Recovery, lines []string, out []byte) {
	t.Helper()
	var b bytes.Buffer
	r, err := Recover(bytes.NewReader(file), int64(len(file)), &b, Options{Tool: "test", Say: func(s string) { lines = append(lines, s) }})
	if errors.Is(err, errNothing) {
		return nil, nil, lines, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	from, err := tape.NewReader(bytes.NewReader(b.Bytes()))
	for more := true; more; more, err = from.NextTape() {
		if err != nil {
			t.Fatal(err)
		}
		recorded := recovered{header: *from.Header()}
		for {
			rec, err := from.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			rec.Payload = bytes.Clone(rec.Payload)
			recorded.records = append(recorded.records, rec)
		}
		if from.Ending() != tape.Closed {
			t.Fatalf("it is %s", from.Ending())
		}
		tapes = append(tapes, recorded)
	}
	return tapes, r, lines, b.Bytes()
}

// check compares a recovered tape with the intact one: it must have exactly the
// records that are left, unchanged, and records that Recover adds with free numbers.
func (v *soundTape) check(tape *recovered, left map[uint64]bool) error {
	saved := 0
	for i := range tape.records {
		got := &tape.records[i]
		want, there := v.bySeq[got.Seq]
		switch {
		case there && reflect.DeepEqual(*got, want):
			saved++
			if !left[got.Seq] {
				return fmt.Errorf("record %d was not left", got.Seq)
			}
		case there && got.Kind == capture.KindWitness && want.Kind == got.Kind && got.At == want.At:
			saved++
		case got.Kind == capture.KindGap || got.Kind == capture.KindEnd || got.Kind == capture.KindSource:
			if left[got.Seq] {
				return fmt.Errorf("record %d was left, but an added %s has its number", got.Seq, got.Kind)
			}
		default:
			return fmt.Errorf("record %d (%s) is wrong", got.Seq, got.Kind)
		}
	}
	if saved != len(left) {
		return fmt.Errorf("%d of %d records saved", saved, len(left))
	}
	return nil
}

// checkAll recovers a file and compares the new tapes with the intact ones.
func checkAll(t testing.TB, file []byte, intact ...*soundTape) (whole bool) {
	t.Helper()
	tapes, r, lines, out := recoverAll(t, file)
	for i, v := range intact {
		left := v.left(file)
		found := false
		for k := range tapes {
			if tape := &tapes[k]; bytes.HasPrefix(tape.header.Derived.Parent[:], v.tape[25:33]) {
				found = true
				if err := v.check(tape, left); err != nil {
					t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
				}
				if r.Whole && len(left) != len(v.bySeq) {
					t.Fatalf("Whole is set, with %d of %d records", len(left), len(v.bySeq))
				}
			}
		}
		if !found && i == 0 && len(left) > 0 {
			t.Fatalf("%d records were left, none saved\n%s", len(left), strings.Join(lines, "\n"))
		}
	}
	if out == nil {
		if len(lines) == 0 && len(file) > 0 {
			t.Fatal("no loss was reported")
		}
		return false
	}
	summary, err := replay.Run([]replay.Input{tapeInput("out", out)}, replay.Options{Reports: replay.None, Verify: true}, func(*report.Report) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if p := summary.Panic; p != nil {
		t.Fatalf("record %d: the core panicked: %v", p.Record, p.Value)
	}
	if n := summary.Verification; n.First != nil || n.Witnesses != n.Identical {
		t.Fatalf("the new tape does not verify: %+v, panic %+v\n%s", n, summary.Panic, strings.Join(lines, "\n"))
	}
	return r.Whole
}

// For any damage, Recover saves the records of every intact frame, in order, each
// once and unchanged. The new tape is closed and verifies.
func TestRecoverSavesEveryWholeFrame(t *testing.T) {
	lab, small, coarse := newSoundTape(t, replaytest.Lab(t)), newSoundTape(t, replaytest.Small(t, 1, 3)), newSoundTape(t, replaytest.Small(t, 2, 17))
	generated, err := os.ReadFile("../../fixtures/generated/generated-05/capture.tape")
	if err != nil {
		t.Fatal(err)
	}
	made := newSoundTape(t, replaytest.Reframe(t, generated, 10))
	for seed := range uint64(1000 / replaytest.OneIn) {
		rng := rand.New(rand.NewPCG(seed, 0))
		v, other := small, coarse
		switch {
		case seed%5 == 0:
			v, other = lab, small
		case seed%7 == 0:
			v, other = made, coarse
		case seed%3 == 0:
			v, other = coarse, small
		}
		file := v.tape
		var what []string
		for range 1 + rng.IntN(3) {
			var how string
			file, how = damage(rng, file, other.tape)
			what = append(what, how)
		}
		t.Run(fmt.Sprint(seed, " ", what), func(t *testing.T) { checkAll(t, file, v, other) })
	}
}

// A tape without damage keeps all its records; only witnesses are replaced.
func TestRecoverOfWholeTapes(t *testing.T) {
	for name, tape := range replaytest.Tapes(t) {
		v := newSoundTape(t, tape)
		if whole := checkAll(t, tape, v); !whole && name != "busy" { // which has no end
			t.Errorf("%s: Whole is not set", name)
		}
	}
}

// Recover handles every prefix of a tape. Prefixes that end in a frame's header or at
// its end are all tried, of those that end in a payload only some.
func TestRecoverOfPrefixes(t *testing.T) {
	const header = 64
	for _, flush := range []int{1, 5} {
		v := newSoundTape(t, replaytest.Small(t, 1, flush))
		tried := map[int]bool{len(v.tape): true}
		for i, f := range v.frames {
			for n := range header {
				tried[int(f.Offset)+n] = n < 2 || flush > 1 && i%replaytest.OneIn == 0
			}
			tried[int(f.Offset)-1] = true
		}
		records := int(v.frames[len(v.frames)-2].Offset) // of the index: all records are before it
		for n := range len(v.tape) + 1 {
			if !tried[n] && n%(11*replaytest.OneIn) != 0 {
				continue
			}
			whole := checkAll(t, v.tape[:n], v)
			if want := n >= records; whole != want {
				t.Fatalf("%d of %d bytes: whole is %v", n, len(v.tape), whole)
			}
		}
	}
}

// Recover separates the frames of two tapes in one file.
func TestRecoverOfTwoTapes(t *testing.T) {
	a, b := newSoundTape(t, replaytest.Small(t, 1, 3)), newSoundTape(t, replaytest.Small(t, 2, 4))
	one, two := a.tape, b.tape
	whole := checkAll(t, bytes.Join([][]byte{one, two}, nil), a, b)
	if !whole {
		t.Error("Whole is not set for two intact tapes in one file")
	}
	headless := two[b.frames[1].Offset:]
	tapes, _, lines, _ := recoverAll(t, bytes.Join([][]byte{one, headless}, nil))
	if len(tapes) != 2 || len(tapes[1].records) < len(b.bySeq) {
		t.Fatalf("%d tapes: %q", len(tapes), lines)
	}
	h := tapes[1].header
	if h.HostID != "host1" || h.HostName != "host1" || h.Start != 1e18 {
		t.Errorf("the restored header: %+v", h)
	}
	mid := a.frames[5].Offset
	inside := bytes.Join([][]byte{one[:mid], two[b.frames[2].Offset:b.frames[4].Offset], one[mid:]}, nil)
	tapes, r, lines, _ := recoverAll(t, inside)
	if len(tapes) != 1 || r.Whole || r.Lost != 0 || !strings.Contains(strings.Join(lines, "\n"), "2 frames of another tape") {
		t.Errorf("%d tapes, %+v: %q", len(tapes), r, lines)
	}
}

// Recover adds a gap record of every open source where records are missing. The
// gaps have the first missing numbers, and degrade the sources there.
func TestRecoverWritesGaps(t *testing.T) {
	v := newSoundTape(t, replaytest.Small(t, 1, 4))
	lost := 6
	index := v.frames[len(v.frames)-2]
	file := slices.Concat(v.tape[:v.frames[lost].Offset], v.tape[v.frames[lost+1].Offset:index.Offset])
	tapes, r, lines, out := recoverAll(t, file)
	first, n := v.byFrame[lost][0].Seq, uint64(len(v.byFrame[lost]))
	gaps := gapsOf(&tapes[0])
	if len(gaps) != 2 || gaps[0].Seq != first || gaps[0].Source != 5 || gaps[1].Seq != first+1 || gaps[1].Source != 1 {
		t.Fatalf("gaps %v, from record %d on", gaps, first)
	}
	var g capture.Gap
	if err := gaps[0].Decode(&g); err != nil || g.Lost != 0 || g.Exact || g.Why != fmt.Sprintf("%d records lost with the damaged part of the tape", n) {
		t.Errorf("%+v", g)
	}
	if r.Lost != n || r.Whole || len(lines) == 0 || !strings.Contains(lines[0], fmt.Sprintf("records %d to %d (%d) are lost", first, first+n-1, n)) {
		t.Errorf("%+v: %q", r, lines)
	}
	degraded := false
	if _, err := replay.Run([]replay.Input{tapeInput("out", out)}, replay.Options{Reports: replay.All}, func(r *report.Report) error {
		for _, c := range r.Coverage {
			degraded = degraded || c.Source == capture.SourceConntrack && c.State == report.CoverageDegraded && strings.Contains(c.Why, g.Why)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !degraded {
		t.Error("conntrack is never degraded")
	}
}

func gapsOf(tape *recovered) (gaps []capture.Record) {
	for _, rec := range tape.records {
		if rec.Kind == capture.KindGap {
			gaps = append(gaps, rec)
		}
	}
	return gaps
}

// If the index is intact, gaps have the number of records lost of each source, and
// sources that lost nothing have no gap.
func TestRecoverCountsByTheIndex(t *testing.T) {
	v := newSoundTape(t, replaytest.Small(t, 1, 4))
	for lost, records := range v.byFrame {
		if len(records) == 0 {
			continue
		}
		want := map[uint32]uint64{}
		for _, rec := range records {
			if rec.Kind.Source() != "" {
				want[rec.Source]++
			} else if rec.Kind == capture.KindSource {
				want[rec.Source] += 0
			}
		}
		file := slices.Concat(v.tape[:v.frames[lost].Offset], v.tape[v.frames[lost+1].Offset:])
		tapes, r, lines, _ := recoverAll(t, file)
		got := map[uint32]uint64{}
		for _, rec := range gapsOf(&tapes[0]) {
			var g capture.Gap
			if err := rec.Decode(&g); err != nil || g.Exact {
				t.Fatalf("%+v, %v", g, err)
			}
			got[rec.Source] = g.Lost
		}
		if !maps.Equal(got, want) || r.Lost != uint64(len(records)) || r.Whole {
			t.Errorf("chunk %d: gaps %v, want %v; %+v\n%s", lost, got, want, r, strings.Join(lines, "\n"))
		}
	}
}

// Segments in one file stay one recording for any damage.
func TestRecoverOfSegments(t *testing.T) {
	list, _ := segmentsAt(t, replaytest.Small(t, 1, 3), map[int]bool{20: true, 50: true})
	var whole []byte
	var intact []*soundTape
	for _, tape := range list {
		tape = replaytest.Reframe(t, tape, 4)
		whole = append(whole, tape...)
		intact = append(intact, newSoundTape(t, tape))
	}
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		file, how := damage(rng, whole, nil)
		t.Run(how, func(t *testing.T) { checkAll(t, file, intact...) })
	}
}

// Recover does not report a tape of a newer format as damaged.
func TestRecoverOfNewerFormat(t *testing.T) {
	recorded := bytes.Clone(replaytest.Small(t, 1, 100))
	recorded[10]++ // the major version, and the kind, as another layout has it
	recorded[12] ^= 0x55
	var newer *tape.VersionError
	if _, err := Recover(bytes.NewReader(recorded[:100]), 100, io.Discard, Options{}); !errors.As(err, &newer) || newer.Major != tape.Format+1 {
		t.Error(err)
	}
	if _, err := Recover(bytes.NewReader(recorded[11:60]), 49, io.Discard, Options{}); !errors.Is(err, errNothing) {
		t.Error(err)
	}
}
