package edit

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A soundTape is a tape without damage, with its frames and their records.
type soundTape struct {
	tape    []byte
	id      uint64
	frames  []tape.Frame
	byFrame [][]capture.Record // records of each frame
	bySeq   map[uint64]capture.Record
}

func newSoundTape(t testing.TB, recorded []byte) *soundTape {
	t.Helper()
	v := &soundTape{tape: recorded, bySeq: map[uint64]capture.Record{}}
	s := tape.NewFrameScanner(bytes.NewReader(recorded))
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
	v.byFrame = make([][]capture.Record, len(v.frames))
	r, err := tape.NewReader(bytes.NewReader(recorded))
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
		v.byFrame[i] = append(v.byFrame[i], rec)
		v.bySeq[rec.Seq] = rec
	}
}

// left returns the numbers of the records whose frames are intact in a file.
func (v *soundTape) left(file []byte) map[uint64]bool {
	seqs := map[uint64]bool{}
	for i, f := range v.frames {
		if bytes.Contains(file, v.tape[f.Offset:f.Offset+f.Size]) {
			for _, r := range v.byFrame[i] {
				seqs[r.Seq] = true
			}
		}
	}
	return seqs
}

// damage damages a file in one of the ways in which disks, people and programs do.
// It returns the damaged file and what was done.
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
