package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// decoders decode a chunk when it is started, or when it is waited for.
type testDecoders struct {
	early   bool
	started int
	running int
}

func (d *testDecoders) Start(c *Chunk) {
	if d.started++; d.early {
		c.Decode()
	}
	if d.running++; d.running > MaxAhead {
		panic("more than MaxAhead chunks are ahead")
	}
}

func (d *testDecoders) Wait(c *Chunk) {
	if d.running--; !d.early {
		c.Decode()
	}
}

// story is everything that a Reader returns for an input, one item a line.
func story(src io.Reader, d Decoders) (lines []string) {
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	r, err := NewReader(src)
	if err != nil {
		say("head: %v", err)
		return lines
	}
	if d != nil {
		if err := r.Ahead(d); err != nil {
			say("%v", err)
		}
	}
	for {
		say("tape %x", r.Header().TapeID)
		for {
			rec, err := r.Next()
			var damage *DamageError
			if err == nil {
				say("%d: %+v", r.Offset(), rec)
				continue
			}
			say("%d: %v", r.Offset(), err)
			if err == io.EOF {
				break
			}
			if !errors.As(err, &damage) {
				return lines
			}
			say("%+v", damage)
		}
		say("%s, %d unknown", r.Ending(), r.Unknown())
		more, err := r.NextTape()
		if err != nil {
			say("head: %v", err)
			return lines
		}
		if !more {
			return lines
		}
	}
}

// sameStory reads bytes with and without decoding ahead.
func sameStory(t *testing.T, name string, b []byte) {
	t.Helper()
	want := story(bytes.NewReader(b), nil)
	for _, early := range []bool{true, false} {
		d := &testDecoders{early: early}
		got := story(bytes.NewReader(b), d)
		if !slices.Equal(got, want) {
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Fatalf("%s: line %d: with chunks decoded ahead %q, else %q", name, i, got[i:min(i+1, len(got))], want[i])
				}
			}
			t.Fatalf("%s: with chunks decoded ahead also: %q", name, got[len(want)])
		}
	}
}

// packed makes a compressed chunk frame of any bytes.
func packed(t testing.TB, number, fileID uint64, plain []byte, announced uint32) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return frameOf(frameChunk, codingZstd, number, fileID, announced, enc.EncodeAll(plain, nil))
}

func TestAheadChangesNothing(t *testing.T) {
	want := testRecords()
	whole := writeTape(t, testHeader(), want, 3)
	d := &testDecoders{}
	if story(bytes.NewReader(whole), d); d.started < 5 || d.running != 0 {
		t.Fatalf("%d chunks were started, %d were not waited for", d.started, d.running)
	}
	for n := 0; n <= len(whole); n += sparse {
		sameStory(t, fmt.Sprintf("%d bytes", n), whole[:n])
	}
	for at := 0; at < len(whole); at += sparse {
		b := bytes.Clone(whole)
		b[at] ^= 1 << (at % 8)
		sameStory(t, fmt.Sprintf("byte %d with bit %d flipped", at, at%8), b)
	}
	other := testHeader()
	other.TapeID[0]++
	behind := writeTape(t, other, want, 2)
	for at := range whole {
		if at%(7*sparse) == 0 {
			sameStory(t, fmt.Sprintf("another tape behind %d bytes", at), slices.Concat(whole[:at], behind))
		}
	}
	sameStory(t, "one behind the other", slices.Concat(whole, behind, whole))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 300 / sparse {
		b := slices.Concat(whole, behind)
		for range 1 + random.IntN(4) {
			at, n := random.IntN(len(b)), 1+random.IntN(200)
			switch random.IntN(3) {
			case 0: // cut out
				b = slices.Delete(b, at, min(at+n, len(b)))
			case 1: // doubled
				b = slices.Insert(b, at, bytes.Clone(b[at:min(at+n, len(b))])...)
			default: // overwritten
				for j := at; j < min(at+n, len(b)); j++ {
					b[j] = byte(random.Uint32())
				}
			}
			if len(b) == 0 {
				break
			}
		}
		sameStory(t, fmt.Sprintf("mutation %d", i), b)
	}
}

// Errors inside chunks whose checksums are correct.
func TestAheadInsideAChunk(t *testing.T) {
	mark := AppendPayload(nil, &Mark{"x"})
	record := func(seq uint64, at int64, kind Kind) []byte {
		return appendRecord(nil, &Record{Seq: seq, At: at, Kind: kind, Payload: mark})
	}
	good := slices.Concat(record(1, 1, KindMark), record(2, 2, KindMark), record(3, 3, 99), record(4, 4, KindMark))
	many := make([]byte, 0, 20*maxSplit)
	for i := range 2 * maxSplit {
		many = append(many, record(uint64(i+10), int64(i+10), KindMark)...)
	}
	for name, plain := range map[string][]byte{
		"whole":                 good,
		"empty":                 {},
		"garbage behind":        append(bytes.Clone(good), 1, 2, 3),
		"cut":                   good[:len(good)-1],
		"time goes back":        slices.Concat(good, record(5, 1, KindMark), record(6, 9, KindMark)),
		"number goes back":      slices.Concat(good, record(2, 9, KindMark), record(6, 9, KindMark)),
		"first goes back":       record(0, 0, KindMark),
		"only unknown ones":     slices.Concat(record(5, 5, 98), record(6, 6, 99)),
		"more than is split":    many,
		"the same, and garbage": append(bytes.Clone(many), 7),
		"one goes back late":    slices.Concat(many, record(4, 4, KindMark), record(1<<20, 1<<20, KindMark)),
	} {
		sameStory(t, name, afterHead(t, func(id uint64) []byte {
			return slices.Concat(packed(t, 1, id, plain, uint32(len(plain))), packed(t, 2, id, record(1<<30, 1<<30, KindMark), uint32(len(record(1<<30, 1<<30, KindMark)))))
		}))
		for _, lie := range []int{-1, 1, 1 << 20, 1 << 31} {
			sameStory(t, fmt.Sprintf("%s, announced %+d", name, lie), afterHead(t, func(id uint64) []byte {
				return slices.Concat(packed(t, 1, id, plain, uint32(len(plain)+lie)), packed(t, 2, id, good, uint32(len(good))))
			}))
		}
	}
}

// Only few chunks are kept if they are large, or claim to be.
func TestAheadIsBounded(t *testing.T) {
	for _, size := range []int{8 << 20, maxAheadChunk - 1<<10} {
		b := afterHead(t, func(id uint64) (out []byte) {
			zeros := make([]byte, size)
			for i := range 20 {
				out = append(out, packed(t, uint64(i+1), id, zeros, uint32(size-i%2))...) // every other one lies
			}
			return out
		})
		r, err := NewReader(bytes.NewReader(b))
		d := &testDecoders{}
		if err == nil {
			err = r.Ahead(d)
		}
		if err != nil {
			t.Fatal(err)
		}
		for err != io.EOF {
			_, err = r.Next()
			held := 0
			for _, c := range append(r.ahead.queue, r.ahead.free...) {
				held += cap(c.plain) + cap(c.stored)
			}
			if r.ahead.bytes > maxAheadBytes || held > 2*maxAheadBytes {
				t.Fatalf("%d chunks of %d bytes are ahead, %d bytes are held", len(r.ahead.queue), size, held)
			}
		}
		if (d.started > 0) != (size <= maxAheadChunk) {
			t.Errorf("%d chunks of %d bytes were decoded ahead", d.started, size)
		}
		sameStory(t, "large chunks", b)
	}
}

// FuzzAhead reads any bytes with and without decoding ahead.
func FuzzAhead(f *testing.F) {
	whole := writeTape(f, testHeader(), testRecords(), 3)
	f.Add(whole)
	f.Add(whole[:len(whole)-99])
	f.Add(slices.Concat(whole[:900], whole))
	f.Fuzz(func(t *testing.T, b []byte) { sameStory(t, "fuzz", b) })
}
