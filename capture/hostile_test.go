package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// frameOf makes a frame with right checksums around any payload.
func frameOf(kind FrameKind, coding uint8, number, fileID uint64, plain uint32, payload []byte) []byte {
	h := frameHeader{kind: kind, coding: coding, number: number, fileID: fileID, plain: plain,
		stored: uint32(len(payload)), crc: crc32.Checksum(payload, castagnoli)}
	return append(h.append(nil), payload...)
}

// behindHead is a sound head followed by the bytes that more returns.
func behindHead(t *testing.T, more func(fileID uint64) []byte) []byte {
	h := testHeader()
	b := writeTape(t, h, nil, 0)
	var f frameHeader
	if err := f.parse(b); err != nil {
		t.Fatal(err)
	}
	return append(b[:frameHeaderLen+int(f.stored):frameHeaderLen+int(f.stored)], more(f.fileID)...)
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostileLengthsAllocateNothing(t *testing.T) {
	bomb := func() []byte {
		enc, _ := zstd.NewWriter(nil)
		return enc.EncodeAll(make([]byte, 1<<30), nil)
	}()
	cases := map[string][]byte{
		"stored 4 GiB": behindHead(t, func(id uint64) []byte {
			b := frameOf(frameChunk, codingPlain, 1, id, 0, nil)
			binary.BigEndian.PutUint32(b[offStored:], 1<<32-1)
			binary.BigEndian.PutUint32(b[offHeaderCRC:], headerCRC(b))
			return b
		}),
		"stored 8 MiB, nothing there": behindHead(t, func(id uint64) []byte {
			b := frameOf(frameChunk, codingPlain, 1, id, 8<<20, nil)
			binary.BigEndian.PutUint32(b[offStored:], 8<<20)
			binary.BigEndian.PutUint32(b[offHeaderCRC:], headerCRC(b))
			return b
		}),
		"plain 4 GiB": behindHead(t, func(id uint64) []byte {
			return frameOf(frameChunk, codingZstd, 1, id, 1<<32-1, []byte("x"))
		}),
		"array of 4 G records' elements": behindHead(t, func(id uint64) []byte {
			return frameOf(frameChunk, codingPlain, 1, id, 12, []byte{0x95, 15, 1, 0, 1, 0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2})
		}),
		"payload of 4 GiB": behindHead(t, func(id uint64) []byte {
			return frameOf(frameChunk, codingPlain, 1, id, 12, []byte{0x95, 3, 1, 0, 1, 0xc6, 0xff, 0xff, 0xff, 0xff, 1, 2})
		}),
		"deep nesting": behindHead(t, func(id uint64) []byte {
			deep := append([]byte{0x95, 15, 1, 0, 1}, bytes.Repeat([]byte{0x91}, 4<<20)...)
			return frameOf(frameChunk, codingPlain, 1, id, uint32(len(deep)), deep)
		}),
		"index with 4 G entries": behindHead(t, func(id uint64) []byte {
			return frameOf(frameIndex, codingPlain, 1, id, 7, []byte{0x92, 0, 0xdd, 0xff, 0xff, 0xff, 0xff})
		}),
	}
	for name, b := range cases {
		var damage []*DamageError
		var err error
		var records []Record
		grew := allocated(func() { records, damage, _, err = readAll(b) })
		if err != nil || len(damage) == 0 || len(records) > 0 {
			t.Errorf("%s: %d records, damage %v, error %v", name, len(records), damage, err)
		}
		if limit := uint64(16<<20 + 4*len(b)); grew > limit { // what is there may be held, growing
			t.Errorf("%s: %d bytes allocated for %d", name, grew, len(b))
		}
	}
	// A bomb may cost what the largest honest frame costs, not what it says.
	b := behindHead(t, func(id uint64) []byte {
		return frameOf(frameChunk, codingZstd, 1, id, 1<<20, bomb)
	})
	var damage []*DamageError
	if grew := allocated(func() { _, damage, _, _ = readAll(b) }); grew > 48<<20 || len(damage) != 1 {
		t.Errorf("zstd bomb: %d bytes allocated, damage %v", grew, damage)
	}
}

func TestFrameKinds(t *testing.T) {
	b := behindHead(t, func(id uint64) []byte { return frameOf(200, codingPlain, 1, id, 3, []byte("new")) })
	if _, damage, ending, err := readAll(b); err != nil || damage != nil || ending != Cut {
		t.Errorf("frame kind 200: %v, %v, %v", damage, ending, err)
	}
	b = behindHead(t, func(id uint64) []byte { return frameOf(9, codingPlain, 1, id, 3, []byte("new")) })
	var v *VersionError
	if _, _, _, err := readAll(b); !errors.As(err, &v) || v.Frame != 9 || v.Offset == 0 {
		t.Errorf("frame kind 9: %v", err)
	}
	b = behindHead(t, func(id uint64) []byte { return frameOf(frameChunk, 2, 1, id, 3, []byte("new")) })
	if _, _, _, err := readAll(b); !errors.As(err, &v) {
		t.Errorf("coding 2: %v", err)
	}
}

func TestUnknownKindsAreSkippedAndCounted(t *testing.T) {
	records := testRecords()
	unknown := Record{Seq: records[0].Seq, Kind: 99, Payload: []byte{0x93, 1, 2, 0xa1, 'x'}}
	for i := range records {
		if records[i].Seq > 0 {
			records[i].Seq++
		}
	}
	b := writeTape(t, testHeader(), append([]Record{unknown}, records...), 0)
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := r.Next(); err != nil || rec.Seq != 2 || r.Unknown() != 1 {
		t.Errorf("got record %d (%v), %d unknown", rec.Seq, err, r.Unknown())
	}
}

func TestSplicedFrames(t *testing.T) {
	want := testRecords()
	whole := writeTape(t, testHeader(), want, 3)
	var at []int
	for e := range frameEnds(t, whole) {
		at = append(at, e)
	}
	slices.Sort(at)
	missing := append(bytes.Clone(whole[:at[1]]), whole[at[2]:]...)
	got, damage, ending, err := readAll(missing)
	if err != nil || ending != Torn || len(damage) != 1 || !strings.Contains(damage[0].Error(), "1 frames are missing") || !isSubsequence(got, want) {
		t.Errorf("a frame left out: %v, %v, %v", damage, ending, err)
	}
	twice := append(bytes.Clone(whole[:at[2]]), whole[at[1]:]...)
	got, damage, ending, _ = readAll(twice)
	if ending != Torn || len(damage) == 0 || !isSubsequence(got, want) {
		t.Errorf("a frame twice: %v, %v", damage, ending)
	}
	other := testHeader()
	other.TapeID[0]++
	foreign := writeTape(t, other, want, 3)
	mixed := append(append(bytes.Clone(whole[:at[1]]), foreign[at[1]:at[2]]...), whole[at[2]:]...)
	got, damage, ending, _ = readAll(mixed)
	if ending != Torn || len(damage) != 1 || !isSubsequence(got, want) {
		t.Errorf("a frame of another tape: %v, %v", damage, ending)
	}
}

func TestConcatenated(t *testing.T) {
	want := testRecords()
	a := writeTape(t, testHeader(), want, 3)
	h := testHeader()
	h.TapeID[0]++
	b := writeTape(t, h, want[:7], 3)
	for name, first := range map[string][]byte{"closed": a, "cut": a[:boundary(t, a)], "itself": b} {
		r, err := NewReader(bytes.NewReader(append(bytes.Clone(first), b...)))
		if err != nil {
			t.Fatal(err)
		}
		var counts []int
		for more := true; more; {
			n := 0
			for {
				_, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				n++
			}
			counts = append(counts, n)
			if more, err = r.NextTape(); err != nil {
				t.Fatal(err)
			}
		}
		if len(counts) != 2 || counts[1] != 7 {
			t.Errorf("%s: read %v records", name, counts)
		}
	}
}

// boundary is the end of the second frame.
func boundary(t *testing.T, b []byte) int {
	var at []int
	for e := range frameEnds(t, b) {
		at = append(at, e)
	}
	slices.Sort(at)
	return at[1]
}

func TestOrderIsKept(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	mark := AppendPayload(nil, &Mark{"x"})
	ok := Record{Seq: 5, At: 10, Kind: KindMark, Payload: mark}
	if err := w.Write(&ok); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []Record{{Seq: 5, At: 10}, {Seq: 4, At: 10}, {Seq: 6, At: 9}, {Seq: 0, At: 10}, {Seq: 6, At: 10, Payload: make([]byte, maxRecord+1)}} {
		bad.Kind = KindMark
		if bad.Payload == nil {
			bad.Payload = mark
		}
		if err := w.Write(&bad); err == nil {
			t.Errorf("record %d at %d of %d bytes was taken", bad.Seq, bad.At, len(bad.Payload))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&ok); err == nil {
		t.Error("a closed tape took a record")
	}
	back := appendRecord(appendRecord(nil, &Record{Seq: 2, At: 5, Kind: KindMark, Payload: mark}), &Record{Seq: 3, At: 4, Kind: KindMark, Payload: mark})
	b := behindHead(t, func(id uint64) []byte {
		return frameOf(frameChunk, codingPlain, 1, id, uint32(len(back)), back)
	})
	if got, damage, _, _ := readAll(b); len(got) != 1 || len(damage) != 1 {
		t.Errorf("time going back: %d records, damage %v", len(got), damage)
	}
}

type failing struct{ after int }

func (f *failing) Write(b []byte) (int, error) {
	if f.after < len(b) {
		n := f.after
		f.after = 0
		return n, io.ErrClosedPipe
	}
	f.after -= len(b)
	return len(b), nil
}

func TestWriteErrorsSayWhereAndStay(t *testing.T) {
	w, err := NewWriter(&failing{after: 400}, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	r := Record{Seq: 1, Kind: KindConntrack, Payload: bytes.Repeat([]byte{1, 7, 9}, 3000)}
	for err == nil {
		err = w.Write(&r)
		r.Seq++
		if err == nil {
			err = w.Flush()
		}
	}
	if !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(err.Error(), "offset 400") {
		t.Errorf("got %v", err)
	}
	if again := w.Close(); again != err {
		t.Errorf("then %v", again)
	}
}
