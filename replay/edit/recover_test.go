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
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
)

// recovered is a new tape of what Recover makes of a file.
type recovered struct {
	header  capture.Header
	records []capture.Record
}

func recoverAll(t testing.TB, file []byte) (tapes []recovered, r *Recovery, said []string, out []byte) {
	t.Helper()
	var b bytes.Buffer
	r, err := Recover(bytes.NewReader(file), int64(len(file)), &b, RecoverOptions{Tool: "test", Say: func(s string) { said = append(said, s) }})
	if errors.Is(err, ErrNothing) {
		return nil, nil, said, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	from, err := capture.NewReader(bytes.NewReader(b.Bytes()))
	for more := true; more; more, err = from.NextTape() {
		if err != nil {
			t.Fatal(err)
		}
		tape := recovered{header: *from.Header()}
		for {
			rec, err := from.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			rec.Payload = bytes.Clone(rec.Payload)
			tape.records = append(tape.records, rec)
		}
		if from.Ending() != capture.Closed {
			t.Fatalf("it is %s", from.Ending())
		}
		tapes = append(tapes, tape)
	}
	return tapes, r, said, b.Bytes()
}

// check compares a recovered tape with the whole one: just the records that
// are left, as they were, and what recover adds under numbers that are free.
func (v *victim) check(tape *recovered, left map[uint64]bool) error {
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
				return fmt.Errorf("record %d was left, and is a new %s", got.Seq, got.Kind)
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

// checkAll recovers a file and holds the new tapes against the whole ones.
func checkAll(t testing.TB, file []byte, victims ...*victim) (whole bool) {
	t.Helper()
	tapes, r, said, out := recoverAll(t, file)
	for i, v := range victims {
		left := v.left(file)
		found := false
		for k := range tapes {
			if tape := &tapes[k]; bytes.HasPrefix(tape.header.Derived.Parent[:], v.tape[25:33]) {
				found = true
				if err := v.check(tape, left); err != nil {
					t.Fatalf("%v\n%s", err, strings.Join(said, "\n"))
				}
				if r.Whole && len(left) != len(v.bySeq) {
					t.Fatalf("it is called whole, with %d of %d records", len(left), len(v.bySeq))
				}
			}
		}
		if !found && i == 0 && len(left) > 0 {
			t.Fatalf("%d records were left, none saved\n%s", len(left), strings.Join(said, "\n"))
		}
	}
	if out == nil {
		if len(said) == 0 && len(file) > 0 {
			t.Fatal("nothing was said")
		}
		return false
	}
	summary, err := replay.Run([]replay.Input{tapeInput("out", out)}, replay.Options{Reports: replay.None, Verify: true}, func(*reporter.Report) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if p := summary.Panic; p != nil {
		t.Fatalf("record %d: the core panicked: %v", p.Record, p.Value)
	}
	if n := summary.Verification; n.First != nil || n.Witnesses != n.Identical {
		t.Fatalf("the new tape does not verify: %+v, panic %+v\n%s", n, summary.Panic, strings.Join(said, "\n"))
	}
	return r.Whole
}

// Whatever is done to a tape: the records of every frame that stands somewhere
// whole are saved, in order, none twice and none wrong; the new tape is closed
// and replays.
func TestRecoverSavesEveryWholeFrame(t *testing.T) {
	lab, small, coarse := newVictim(t, replaytest.Lab(t)), newVictim(t, replaytest.Small(t, 1, 3)), newVictim(t, replaytest.Small(t, 2, 17))
	generated, err := os.ReadFile("../../fixtures/generated/generated-05/capture.tape")
	if err != nil {
		t.Fatal(err)
	}
	made := newVictim(t, replaytest.Reframe(t, generated, 10))
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

// A tape that is not damaged comes out as it is, but for its witnesses.
func TestRecoverOfWholeTapes(t *testing.T) {
	for name, tape := range replaytest.Tapes(t) {
		v := newVictim(t, tape)
		if whole := checkAll(t, tape, v); !whole && name != "busy" { // which has no end
			t.Errorf("%s is not called whole", name)
		}
	}
}

// Every byte of the frames' headers and of their ends counts; inside a payload one
// is like another.
func TestRecoverOfPrefixes(t *testing.T) {
	const header = 64
	for _, flush := range []int{1, 5} {
		v := newVictim(t, replaytest.Small(t, 1, flush))
		telling := map[int]bool{len(v.tape): true}
		for i, f := range v.frames {
			for n := range header {
				telling[int(f.Offset)+n] = n < 2 || flush > 1 && i%replaytest.OneIn == 0
			}
			telling[int(f.Offset)-1] = true
		}
		records := int(v.frames[len(v.frames)-2].Offset) // of the index: all records stand before it
		for n := range len(v.tape) + 1 {
			if !telling[n] && n%(11*replaytest.OneIn) != 0 {
				continue
			}
			whole := checkAll(t, v.tape[:n], v)
			if want := n >= records; whole != want {
				t.Fatalf("%d of %d bytes: whole is %v", n, len(v.tape), whole)
			}
		}
	}
}

// What is put together of two tapes comes apart again.
func TestRecoverOfTwoTapes(t *testing.T) {
	a, b := newVictim(t, replaytest.Small(t, 1, 3)), newVictim(t, replaytest.Small(t, 2, 4))
	one, two := a.tape, b.tape
	whole := checkAll(t, bytes.Join([][]byte{one, two}, nil), a, b)
	if !whole {
		t.Error("two tapes, one behind the other, are not whole")
	}
	headless := two[b.frames[1].Offset:]
	tapes, _, said, _ := recoverAll(t, bytes.Join([][]byte{one, headless}, nil))
	if len(tapes) != 2 || len(tapes[1].records) < len(b.bySeq) {
		t.Fatalf("%d tapes: %q", len(tapes), said)
	}
	h := tapes[1].header
	if h.HostID != "host1" || h.HostName != "host1" || h.Start != 1e18 {
		t.Errorf("the head made anew: %+v", h)
	}
	mid := a.frames[5].Offset
	inside := bytes.Join([][]byte{one[:mid], two[b.frames[2].Offset:b.frames[4].Offset], one[mid:]}, nil)
	tapes, r, said, _ := recoverAll(t, inside)
	if len(tapes) != 1 || r.Whole || r.Lost != 0 || !strings.Contains(strings.Join(said, "\n"), "2 frames of another tape") {
		t.Errorf("%d tapes, %+v: %q", len(tapes), r, said)
	}
}

// A gap record stands for every open source where records are missing, with
// the first number that is, and degrades it there.
func TestRecoverWritesGaps(t *testing.T) {
	v := newVictim(t, replaytest.Small(t, 1, 4))
	lost := 6
	index := v.frames[len(v.frames)-2]
	file := slices.Concat(v.tape[:v.frames[lost].Offset], v.tape[v.frames[lost+1].Offset:index.Offset])
	tapes, r, said, out := recoverAll(t, file)
	first, n := v.held[lost][0].Seq, uint64(len(v.held[lost]))
	gaps := gapsOf(&tapes[0])
	if len(gaps) != 2 || gaps[0].Seq != first || gaps[0].Source != 5 || gaps[1].Seq != first+1 || gaps[1].Source != 1 {
		t.Fatalf("gaps %v, from record %d on", gaps, first)
	}
	var g capture.Gap
	if err := gaps[0].Decode(&g); err != nil || g.Lost != 0 || g.Exact || g.Why != fmt.Sprintf("%d records lost with the damaged part of the tape", n) {
		t.Errorf("%+v", g)
	}
	if r.Lost != n || r.Whole || len(said) == 0 || !strings.Contains(said[0], fmt.Sprintf("records %d to %d (%d) are lost", first, first+n-1, n)) {
		t.Errorf("%+v: %q", r, said)
	}
	degraded := false
	if _, err := replay.Run([]replay.Input{tapeInput("out", out)}, replay.Options{Reports: replay.All}, func(r *reporter.Report) error {
		for _, c := range r.Coverage {
			degraded = degraded || c.Source == capture.SourceConntrack && c.State == reporter.CoverageDegraded && strings.Contains(c.Why, g.Why)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !degraded {
		t.Error("conntrack is nowhere degraded")
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

// Where the index is left, gaps say how much each source has lost: the sources
// that lost nothing have none.
func TestRecoverCountsByTheIndex(t *testing.T) {
	v := newVictim(t, replaytest.Small(t, 1, 4))
	for lost, records := range v.held {
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
		tapes, r, said, _ := recoverAll(t, file)
		got := map[uint32]uint64{}
		for _, rec := range gapsOf(&tapes[0]) {
			var g capture.Gap
			if err := rec.Decode(&g); err != nil || g.Exact {
				t.Fatalf("%+v, %v", g, err)
			}
			got[rec.Source] = g.Lost
		}
		if !maps.Equal(got, want) || r.Lost != uint64(len(records)) || r.Whole {
			t.Errorf("chunk %d: gaps %v, want %v; %+v\n%s", lost, got, want, r, strings.Join(said, "\n"))
		}
	}
}

// Segments in one file are one recording, and replay so, whatever is lost.
func TestRecoverOfSegments(t *testing.T) {
	list, _ := segmentsAt(t, replaytest.Small(t, 1, 3), map[int]bool{20: true, 50: true})
	var whole []byte
	var victims []*victim
	for _, tape := range list {
		tape = replaytest.Reframe(t, tape, 4)
		whole = append(whole, tape...)
		victims = append(victims, newVictim(t, tape))
	}
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		file, how := damage(rng, whole, nil)
		t.Run(how, func(t *testing.T) { checkAll(t, file, victims...) })
	}
}

// What a newer version wrote is not called damaged.
func TestRecoverOfNewerFormat(t *testing.T) {
	tape := bytes.Clone(replaytest.Small(t, 1, 100))
	tape[10]++ // the major version, and the kind, as another layout has it
	tape[12] ^= 0x55
	var newer *capture.VersionError
	if _, err := Recover(bytes.NewReader(tape[:100]), 100, io.Discard, RecoverOptions{}); !errors.As(err, &newer) || newer.Major != capture.Format+1 {
		t.Error(err)
	}
	if _, err := Recover(bytes.NewReader(tape[11:60]), 49, io.Discard, RecoverOptions{}); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}
