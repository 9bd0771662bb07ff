package tape

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/topotape/topotape/capture"
)

// conformanceTapes are the bytes of the tapes in testdata/conformance.
func conformanceTapes(t testing.TB) (tapes [][]byte) {
	t.Helper()
	names, err := filepath.Glob("testdata/conformance/*.tape*")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tapes = append(tapes, b)
	}
	return tapes
}

// framesOf are the sound frames that a file begins with, decoded.
func framesOf(b []byte) (headers []frameHeader, payloads [][]byte) {
	in := input{src: bytes.NewReader(b)}
	for {
		h, stored, err := in.frame()
		if err != nil {
			return headers, payloads
		}
		var u unpacker
		if plain, err := u.unpack(&h, stored); err == nil {
			headers, payloads = append(headers, h), append(payloads, bytes.Clone(plain))
		}
		in.use(frameHeaderLen + len(stored))
	}
}

func known(err error) bool {
	var v *VersionError
	var d *DamageError
	return err == nil || errors.As(err, &v) || errors.As(err, &d) || errors.Is(err, ErrNotTape) || errors.Is(err, io.ErrUnexpectedEOF)
}

// FuzzReader reads any bytes as a tape: any result is right, in bounded time and
// without a panic.
func FuzzReader(f *testing.F) {
	for _, b := range conformanceTapes(f) {
		f.Add(b)
	}
	f.Add([]byte("\x99\xa9topotape1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, damage, _, err := readAll(b)
		if !known(err) {
			t.Errorf("%T: %v", err, err)
		}
		if len(records)+len(damage) > len(b) {
			t.Errorf("%d records and %d damages in %d bytes", len(records), len(damage), len(b))
		}
	})
}

// FuzzFrame reads any frame with correct checksums, between a head and a chunk:
// the chunk is read, or a newer version is needed.
func FuzzFrame(f *testing.F) {
	for _, b := range conformanceTapes(f) {
		headers, payloads := framesOf(b)
		for i, h := range headers[min(1, len(headers)):] {
			f.Add(uint8(h.kind), h.coding, h.number, h.plain, payloads[i+1])
		}
	}
	want := capture.Record{Seq: 1 << 63, At: 1 << 62, Kind: capture.KindConntrack, Payload: []byte("the chunk after it")}
	f.Fuzz(func(t *testing.T, kind, coding uint8, number uint64, plain uint32, payload []byte) {
		b := afterHead(t, func(id uint64) []byte {
			chunk := appendRecord(nil, &want)
			return append(frameOf(frameKind(kind), coding, number, id, plain, payload),
				frameOf(frameChunk, codingPlain, number+1, id, uint32(len(chunk)), chunk)...)
		})
		records, _, ending, err := readAll(b)
		var v *VersionError
		switch {
		case !known(err):
			t.Errorf("%T: %v", err, err)
		case ending == Closed:
			t.Error("the tape is closed")
		case errors.As(err, &v):
			if known := frameKind(kind) <= frameFoot && kind != 0 && coding <= codingZstd; known || kind >= uint8(frameOptional) {
				t.Errorf("kind %d, coding %d: %v", kind, coding, err)
			}
		case number != 0 && number < 1<<63 && ending == Cut && kind != uint8(frameChunk):
			if len(records) != 1 || !reflect.DeepEqual(records[0], want) {
				t.Errorf("read %v", records)
			}
		}
	})
}

// FuzzChunk reads any bytes as the records of a chunk.
func FuzzChunk(f *testing.F) {
	for _, b := range conformanceTapes(f) {
		headers, payloads := framesOf(b)
		for i, h := range headers {
			if h.kind == frameChunk {
				f.Add(payloads[i])
			}
		}
	}
	f.Add([]byte{0x95, 15, 1, 0, 1, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, plain []byte) {
		for at := 0; at < len(plain); {
			var r, again capture.Record
			n, err := readRecord(plain[at:], &r)
			if err != nil {
				return
			}
			if n <= 0 || at+n > len(plain) {
				t.Fatalf("a record of %d bytes in %d", n, len(plain)-at)
			}
			b := appendRecord(nil, &r)
			if m, err := readRecord(b, &again); err != nil || m != len(b) || !reflect.DeepEqual(r, again) {
				t.Fatalf("record %v was written as %x and read as %v, %v", r, b, again, err)
			}
			at += n
		}
	})
}

// FuzzIndex reads any two index pages and any foot, with correct checksums.
func FuzzIndex(f *testing.F) {
	add := func(b []byte) {
		headers, payloads := framesOf(b)
		page, foot := []byte(nil), foot{}
		for i, h := range headers {
			if h.kind == frameIndex {
				page = payloads[i]
			}
			if h.kind == frameFoot && foot.parse(payloads[i]) == nil {
				f.Add(page, payloads[i], foot.chunks, foot.records, uint64(foot.lastAt), int64(0))
			}
		}
	}
	for _, b := range conformanceTapes(f) {
		add(b)
	}
	f.Fuzz(func(t *testing.T, first, second []byte, chunks, records, lastAt uint64, off int64) {
		b := afterHead(t, func(id uint64) (b []byte) { return nil })
		var h frameHeader
		if err := h.parse(b); err != nil {
			t.Fatal(err)
		}
		b = append(b, frameOf(frameIndex, codingPlain, 1, h.fileID, uint32(len(first)), first)...)
		index := uint64(len(b))
		b = append(b, frameOf(frameIndex, codingPlain, 2, h.fileID, uint32(len(second)), second)...)
		ft := foot{offset: uint64(len(b)), index: index + uint64(off), chunks: chunks, records: records, lastAt: lastAt}
		b = append(b, frameOf(frameFoot, codingPlain, 3, h.fileID, footPayloadLen, ft.append(nil))...)
		ix, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if len(ix.Entries) > len(b)/frameHeaderLen {
			t.Errorf("%d chunks in %d bytes", len(ix.Entries), len(b))
		}
		end := uint64(0)
		for _, e := range ix.Entries {
			if e.Offset < end || e.Offset+e.Stored > uint64(len(b)) {
				t.Errorf("chunk of %d bytes at %d after %d, in %d bytes", e.Stored, e.Offset, end, len(b))
			}
			end = e.Offset + e.Stored
		}
	})
}
