package tape

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// stream is a tape that is too large for memory: a head, and frames that are made
// one by one.
type stream struct {
	frames int
	next   func(number uint64) []byte
	number uint64
	buf    []byte
}

func (s *stream) Read(b []byte) (int, error) {
	if len(s.buf) == 0 {
		if s.frames == 0 {
			return 0, io.EOF
		}
		s.frames--
		s.number++
		s.buf = s.next(s.number)
	}
	n := copy(b, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func TestManyEmptyFrames(t *testing.T) {
	var id uint64
	head := afterHead(t, func(fileID uint64) []byte { id = fileID; return nil })
	for name, next := range map[string]func(uint64) []byte{
		"chunks":        func(n uint64) []byte { return frameOf(frameChunk, codingPlain, n, id, 0, nil) },
		"packed chunks": func(n uint64) []byte { return frameOf(frameChunk, codingZstd, n, id, 0, nil) },
		"index pages":   func(n uint64) []byte { return frameOf(frameIndex, codingPlain, n, id, 3, []byte{0x92, 0, 0x90}) },
		"unknown":       func(n uint64) []byte { return frameOf(frameOptional, 9, n, id, 9, nil) },
		"damaged":       func(n uint64) []byte { return frameOf(frameChunk, codingPlain, n, id, 1, nil) },
		"missing":       func(n uint64) []byte { return frameOf(frameChunk, codingPlain, 2*n, id, 0, nil) },
	} {
		frames := 1_000_000 / sparse
		if !strings.HasSuffix(name, "chunks") {
			frames /= 10
		}
		meter := newHeapMeter()
		r, err := NewReader(&stream{frames: frames, next: next, buf: bytes.Clone(head)})
		if err != nil {
			t.Fatal(err)
		}
		damage := 0
		for err != io.EOF {
			_, err = r.Next()
			var d *DamageError
			if errors.As(err, &d) {
				damage++
			} else if err != io.EOF {
				t.Fatalf("%s: %v", name, err)
			}
			if damage%1000 == 0 {
				meter.look()
			}
		}
		if want := map[string]int{"damaged": frames, "missing": frames}[name]; damage != want {
			t.Errorf("%s: %d damages", name, damage)
		}
		if meter.above() > 16<<20 {
			t.Errorf("%s: the heap grew by %d bytes", name, meter.above())
		}
	}
}

// The time to read frames within frames, each with a correct header, is bounded
// by their length.
func TestFramesWithinFrames(t *testing.T) {
	b := afterHead(t, func(id uint64) (b []byte) {
		for n := range uint64(maxPayload / frameHeaderLen) { // each claims all that follow
			b = append(b, frameOf(frameChunk, codingPlain, n+1, id, 0, nil)...)
		}
		for at := 0; at < len(b); at += frameHeaderLen {
			binary.BigEndian.PutUint32(b[at+offStored:], uint32(len(b)-at-frameHeaderLen))
			binary.BigEndian.PutUint32(b[at+offHeaderCRC:], headerCRC(b[at:]))
		}
		return b
	})
	good := writeTape(t, testHeader(), testRecords(), 0)
	r, err := NewReader(bytes.NewReader(append(b, good...)))
	if err != nil {
		t.Fatal(err)
	}
	for err != io.EOF {
		if _, err = r.Next(); err != nil && err != io.EOF && !errors.As(err, new(*DamageError)) {
			t.Fatal(err)
		}
	}
	if limit := int64(maxWasted + 17*len(b) + maxPayload); r.Ending() != Torn || r.in.wasted > limit {
		t.Errorf("%s after %d bytes wasted; %d are the limit", r.Ending(), r.in.wasted, limit)
	}
}
