package replay

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/replaytest"
)

// stepwise is memory that is read like a file, a few bytes at a time.
func stepwise(b []byte, step int) Input {
	return Input{Name: "x", Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return &steps{bytes.NewReader(b), step}, nil }}
}

type steps struct {
	*bytes.Reader
	step int
}

func (s *steps) Read(b []byte) (int, error) { return s.Reader.Read(b[:min(len(b), s.step)]) }
func (s *steps) Close() error               { return nil }

// told is everything that reading the inputs tells.
func told(inputs ...Input) (lines []string) {
	t := NewTapes(inputs)
	defer t.Close()
	for {
		r, err := t.Next()
		var damage *capture.DamageError
		switch {
		case err == nil:
			lines = append(lines, fmt.Sprint(t.Number(), t.Continues(), t.Position(&r), r.Kind, r.Source, crc32.ChecksumIEEE(r.Payload)))
			continue
		case errors.As(err, &damage):
			lines = append(lines, err.Error())
			continue
		}
		lines = append(lines, err.Error())
		for _, e := range t.Ends() {
			lines = append(lines, fmt.Sprintf("%s %x %s %d", e.Name, e.Header.TapeID, e.Ending, e.Unknown))
		}
		return lines
	}
}

// Chunks that other cores decode give what one core alone reads: of whole,
// damaged and several tapes, in pieces of any size.
func TestDecodersChangeNothing(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	before := runtime.NumGoroutine()
	tape := replaytest.Busy(t, 12_000, 1000) // 10 chunks
	check := func(name string, b []byte) {
		t.Helper()
		want := told(memory("x", b))
		for _, step := range []int{1 << 20, 7777} {
			if got := told(stepwise(b, step)); !slices.Equal(got, want) {
				t.Fatalf("%s: other records or errors", name)
			}
		}
	}
	check("whole", tape)
	check("twice", slices.Concat(tape, tape))
	for i := range 8 {
		check("a prefix", tape[:len(tape)*i/8+i])
	}
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 12 {
		b := slices.Concat(tape, tape)
		for range 1 + random.IntN(3) {
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		}
		check(fmt.Sprintf("mutation %d", i), b)
	}
	two := told(seekable("a", tape), seekable("b", tape[:len(tape)/2]), seekable("c", tape))
	if want := told(memory("a", tape), memory("b", tape[:len(tape)/2]), memory("c", tape)); !slices.Equal(two, want) {
		t.Error("several: other records or errors")
	}
	// Given up in the middle, nothing stays behind.
	for n := range 5 {
		r := NewTapes([]Input{seekable("x", tape)})
		for range n * 2000 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	for range 500 { // one that is waited for may still be on its way out
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines more than before: %s", after-before, buf[:runtime.Stack(buf, true)])
	}
}

// A tape that fails in the middle says so at the same place.
func TestDecodersAndReadErrors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	tape := replaytest.Busy(t, 12_000, 1000)
	failing := func(size int64) Input {
		return Input{Name: "x", Size: size, Open: func() (io.ReadCloser, error) {
			return struct {
				io.Reader
				io.ReaderAt
				io.Closer
			}{io.MultiReader(bytes.NewReader(tape[:len(tape)/3]), failure{}), bytes.NewReader(tape), io.NopCloser(nil)}, nil
		}}
	}
	want, got := told(failing(0)), told(failing(int64(len(tape))))
	if !slices.Equal(got, want) || len(got) < 2000 || !strings.Contains(strings.Join(got, "\n"), "disk on fire") {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
}

type failure struct{}

func (failure) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// What is no tape says what to do.
func TestNotATape(t *testing.T) {
	for content, want := range map[string]string{
		"\x1f\x8b\x08\x00 and so on": "x: not a tape: offset 0: no frame begins here; it is compressed: unpack it, or gzip -dc x | topotape VERB -",
		"\x28\xb5\x2f\xfd and so on": "zstd -dc x |",
		"{\"tape\":{}}":              "topotape build makes a tape of a script",
		"":                           "x: not a tape: it is empty",
	} {
		if got := told(seekable("x", []byte(content))); !strings.Contains(got[0], want) {
			t.Errorf("%q: %q", content, got)
		}
	}
}
