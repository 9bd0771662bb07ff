package replay

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// shippedTapes is tapes of all sorts.
func shippedTapes(t testing.TB) map[string][]byte {
	t.Helper()
	tapes := map[string][]byte{"lab": labTape(t), "small": smallTape(t, 1, 3), "busy": busyTape(t, 2000, 300)}
	names, err := filepath.Glob("../fixtures/generated/*/capture.tape")
	if err != nil || len(names) == 0 {
		t.Fatal("no generated tapes", err)
	}
	for _, name := range Some(names) {
		tape, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tapes[name] = tape
	}
	return tapes
}

// reframed is a tape with a frame for every few records.
func reframed(t testing.TB, tape []byte, every int) []byte {
	t.Helper()
	h, records := parsed(t, tape)
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, &h)
	for i := range records {
		if err == nil {
			err = w.Write(&records[i])
		}
		if err == nil && i%every == 0 {
			err = w.Flush()
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
