package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// A victim is a sound tape, its frames and the records that each holds.
type victim struct {
	tape   []byte
	id     uint64
	frames []capture.Frame
	held   [][]capture.Record // by frame
	bySeq  map[uint64]capture.Record
}

func newVictim(t testing.TB, tape []byte) *victim {
	t.Helper()
	v := &victim{tape: tape, bySeq: map[uint64]capture.Record{}}
	s := capture.NewFrameScanner(bytes.NewReader(tape))
	at := map[int64]int{}
	for {
		f, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		at[f.Offset] = len(v.frames)
		v.frames = append(v.frames, f)
	}
	v.id = v.frames[0].FileID
	v.held = make([][]capture.Record, len(v.frames))
	r, err := capture.NewReader(bytes.NewReader(tape))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return v
		}
		if err != nil {
			t.Fatal(err)
		}
		rec.Payload = bytes.Clone(rec.Payload)
		i := at[r.Offset()]
		v.held[i] = append(v.held[i], rec)
		v.bySeq[rec.Seq] = rec
	}
}

// left lists the numbers of the records whose frames stand whole in a file.
func (v *victim) left(file []byte) map[uint64]bool {
	seqs := map[uint64]bool{}
	for i, f := range v.frames {
		if bytes.Contains(file, v.tape[f.Offset:f.Offset+f.Size]) {
			for _, r := range v.held[i] {
				seqs[r.Seq] = true
			}
		}
	}
	return seqs
}

// damage does one thing to a file that disks, people and programs do to files.
func damage(rng *rand.Rand, file, other []byte) ([]byte, string) {
	part := func(f []byte, most int) (int, int) {
		if len(f) == 0 {
			return 0, 0
		}
		from := rng.IntN(len(f))
		return from, min(len(f), from+1+rng.IntN(most))
	}
	most := max(1, len(file)/4)
	from, to := part(file, most)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	spoil := func(what func(byte) byte) []byte {
		out := join(file)
		for i := from; i < to; i++ {
			out[i] = what(out[i])
		}
		return out
	}
	switch rng.IntN(9) {
	case 0:
		return join(file[:from]), fmt.Sprint("cut at ", from)
	case 1:
		to = min(to, from+1)
		return spoil(func(b byte) byte { return b ^ 1<<rng.IntN(8) }), fmt.Sprint("flip at ", from)
	case 2:
		return spoil(func(byte) byte { return 0 }), fmt.Sprint("zeros ", from, " ", to)
	case 3:
		return spoil(func(byte) byte { return byte(rng.Uint32()) }), fmt.Sprint("noise ", from, " ", to)
	case 4:
		noise := make([]byte, 1+rng.IntN(5000))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		return join(file[:from], noise, file[from:]), fmt.Sprint(len(noise), " inserted at ", from)
	case 5:
		return join(file[:from], file[to:]), fmt.Sprint("deleted ", from, " ", to)
	case 6:
		a, b := part(other, most)
		return join(file[:from], other[a:b], file[from:]), fmt.Sprint("other tape's ", a, " ", b, " at ", from)
	case 7:
		return join(file[:from], file[from:to], file[from:]), fmt.Sprint("twice ", from, " ", to)
	}
	mid := from + rng.IntN(to-from+1)
	return join(file[:from], file[mid:to], file[from:mid], file[to:]), fmt.Sprint("swapped ", from, " ", mid, " ", to)
}

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
	summary, err := Run([]Input{memory("out", out)}, Options{Reports: None, Verify: true}, func(*reporter.Report) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if n := summary.Verification; n.First != nil || n.Witnesses != n.Identical || summary.Panic != nil {
		t.Fatalf("the new tape does not verify: %+v\n%s", n, strings.Join(said, "\n"))
	}
	return r.Whole
}

// smallTape is a tape of few records in many frames.
func smallTape(t testing.TB, id byte, flush int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, &capture.Header{TapeID: [16]byte{id, 1, 2, 3, 4, 5, 6, 7, 8}, Start: 1e18, HostID: "host1", HostName: "host1"})
	if err != nil {
		t.Fatal(err)
	}
	core, _ := reporter.New(&capture.Header{Start: 1e18, HostID: "host1", HostName: "host1"}, "")
	seq := uint64(0)
	add := func(kind capture.Kind, source uint32, p capture.Payload) {
		seq++
		r := capture.Record{Seq: seq, At: int64(seq) * 1e7, Kind: kind, Source: source, Payload: capture.AppendPayload(nil, p)}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
		if core.Step(&r) {
			report := core.Report()
			seq++
			r = capture.Record{Seq: seq, At: r.At, Kind: capture.KindWitness,
				Payload: capture.AppendPayload(nil, &capture.Witness{Tick: report.Tick, Rules: reporter.RulesCurrent, Core: reporter.CoreVersion, Digests: report.Digests()})}
			if err := w.Write(&r); err != nil {
				t.Fatal(err)
			}
		}
		if seq%uint64(flush) == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(capture.KindHost, 0, &capture.Host{ID: "host1", Name: "host1"})
	add(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceProc})
	add(capture.KindSource, 5, &capture.Source{Open: true, Kind: capture.SourceConntrack})
	for i := range 12 {
		n := uint64(i + 1)
		add(capture.KindWalkBegin, 1, &capture.ProcWalk{Number: n})
		add(capture.KindProcNet, 1, &capture.ProcNet{Netns: 1, Table: "tcp", Text: fmt.Appendf(nil,
			"  0: 0100000A:%04X 0200000A:0050 01 00000000:00000000 00:00000000 00000000  1000 0 %d 1 0 20 4 30 10 -1\n", 40000+i, 100+i)})
		if i == 0 {
			add(capture.KindDumpBegin, 5, &capture.ConntrackDump{Number: n})
			add(capture.KindDumpEnd, 5, &capture.ConntrackDump{Number: n})
		}
		add(capture.KindWalkEnd, 1, &capture.ProcWalk{Number: n})
		add(capture.KindClock, 0, &capture.Clock{Step: 1e9, Wall: 1e18 + int64(seq+1)*1e7 + int64(i+1)*1e9})
		add(capture.KindTick, 0, &capture.Tick{Number: n, Interval: 1e8})
	}
	add(capture.KindEnd, 0, &capture.End{Why: "test"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func labTape(t testing.TB) []byte {
	t.Helper()
	tape, err := os.ReadFile("../fixtures/lab-gateway/capture.tape")
	if err != nil {
		t.Fatal(err)
	}
	return tape
}

// Whatever is done to a tape: the records of every frame that stands somewhere
// whole are saved, in order, none twice and none wrong; the new tape is closed
// and replays.
func TestRecoverSavesEveryWholeFrame(t *testing.T) {
	lab, small, coarse := newVictim(t, labTape(t)), newVictim(t, smallTape(t, 1, 3)), newVictim(t, smallTape(t, 2, 17))
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		v, other := small, coarse
		switch {
		case seed%5 == 0:
			v, other = lab, small
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

func TestRecoverOfEveryPrefix(t *testing.T) {
	for _, flush := range []int{1, 5} {
		v := newVictim(t, smallTape(t, 1, flush))
		ends := map[int]bool{}
		for _, f := range v.frames {
			ends[int(f.Offset)] = true
		}
		records := int(v.frames[len(v.frames)-2].Offset) // of the index: all records stand before it
		for n := range len(v.tape) + 1 {
			if flush == 1 && !ends[n] && n%7 != 0 {
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
	a, b := newVictim(t, smallTape(t, 1, 3)), newVictim(t, smallTape(t, 2, 4))
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
	v := newVictim(t, smallTape(t, 1, 4))
	lost := 6
	file := append(bytes.Clone(v.tape[:v.frames[lost].Offset]), v.tape[v.frames[lost+1].Offset:]...)
	tapes, r, said, out := recoverAll(t, file)
	first, n := v.held[lost][0].Seq, uint64(len(v.held[lost]))
	var gaps []capture.Record
	for _, rec := range tapes[0].records {
		if rec.Kind == capture.KindGap {
			gaps = append(gaps, rec)
		}
	}
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
	if _, err := Run([]Input{memory("out", out)}, Options{Reports: All}, func(r *reporter.Report) error {
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
