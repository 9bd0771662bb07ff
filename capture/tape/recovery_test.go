package tape

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/topotape/topotape/capture"
)

// tiles scans an input: frames and damage must cover every byte of it, in order.
// It returns the frames.
func tiles(t testing.TB, b []byte) map[string]bool {
	t.Helper()
	s := NewFrameScanner(bytes.NewReader(b))
	found := map[string]bool{}
	at := int64(0)
	damaged := false
	for {
		f, err := s.Next()
		var d *DamageError
		switch {
		case err == io.EOF && at == int64(len(b)):
			return found
		case err == io.EOF:
			t.Fatalf("%d of %d bytes", at, len(b))
		case errors.As(err, &d):
			if d.Offset != at || d.Ignored <= 0 || damaged {
				t.Fatalf("%v after offset %d, after damage: %v", d, at, damaged)
			}
			at, damaged = at+d.Ignored, true
		case err != nil:
			t.Fatal(err)
		case f.Offset != at:
			t.Fatalf("a frame at %d, expected at %d", f.Offset, at)
		default:
			found[string(b[at:at+f.Size])] = true
			at, damaged = at+f.Size, false
		}
	}
}

func FuzzFrameScanner(f *testing.F) {
	whole := writeTape(f, testHeader(), testRecords(), 4)
	f.Add(whole)
	f.Add(append(whole[100:len(whole)-5:len(whole)-5], whole...))
	f.Fuzz(func(t *testing.T, b []byte) { tiles(t, b) })
}

// Every sound frame is found, with any bytes before it.
func TestFrameScannerFindsEveryFrame(t *testing.T) {
	whole := writeTape(t, testHeader(), testRecords(), 2)
	ends := frameEnds(t, whole)
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		b := bytes.Clone(whole)
		for range rng.IntN(4) {
			b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		}
		if rng.IntN(3) == 0 {
			at := rng.IntN(len(b))
			b = append(append(bytes.Clone(b[:at]), make([]byte, rng.IntN(300))...), b[at:]...)
		}
		b = b[:len(b)-rng.IntN(2)*rng.IntN(len(b))]
		found := tiles(t, b)
		from := 0
		for to := range len(whole) + 1 {
			if ends[to] {
				if frame := whole[from:to]; bytes.Contains(b, frame) != found[string(frame)] {
					t.Fatalf("seed %d: the frame of bytes %d to %d: found %v", seed, from, to, found[string(frame)])
				}
				from = to
			}
		}
	}
}

// With Copying, Next returns records of unknown kinds.
func TestCopyingKeepsUnknownKinds(t *testing.T) {
	records := []capture.Record{{Seq: 1, Kind: capture.KindTick, Payload: capture.AppendPayload(nil, &capture.Tick{})}, {Seq: 2, Kind: 200, Payload: []byte{0x92, 1, 2}}}
	r, err := NewReader(bytes.NewReader(writeTape(t, testHeader(), records, 0)))
	if err != nil {
		t.Fatal(err)
	}
	r.Copying()
	for _, want := range records {
		if got, err := r.Next(); err != nil || got.Seq != want.Seq || got.Kind != want.Kind || !bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}
