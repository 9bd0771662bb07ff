package tape

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// frameOf makes a frame with right checksums around any payload.
func frameOf(kind frameKind, coding uint8, number, fileID uint64, plain uint32, payload []byte) []byte {
	h := frameHeader{kind: kind, coding: coding, number: number, fileID: fileID, plain: plain,
		stored: uint32(len(payload)), crc: crc32.Checksum(payload, castagnoli)}
	return append(h.append(nil), payload...)
}

// afterHead is a sound head followed by the bytes that more returns.
func afterHead(t testing.TB, more func(fileID uint64) []byte) []byte {
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
	cases := map[string][]byte{
		"stored 4 GiB": afterHead(t, func(id uint64) []byte {
			b := frameOf(frameChunk, codingPlain, 1, id, 0, nil)
			binary.BigEndian.PutUint32(b[offStored:], 1<<32-1)
			binary.BigEndian.PutUint32(b[offHeaderCRC:], headerCRC(b))
			return b
		}),
		"stored 8 MiB, nothing there": afterHead(t, func(id uint64) []byte {
			b := frameOf(frameChunk, codingPlain, 1, id, 8<<20, nil)
			binary.BigEndian.PutUint32(b[offStored:], 8<<20)
			binary.BigEndian.PutUint32(b[offHeaderCRC:], headerCRC(b))
			return b
		}),
		"plain 4 GiB": afterHead(t, func(id uint64) []byte {
			return frameOf(frameChunk, codingZstd, 1, id, 1<<32-1, []byte("x"))
		}),
		"array of 4 G records' elements": afterHead(t, func(id uint64) []byte {
			return frameOf(frameChunk, codingPlain, 1, id, 12, []byte{0x95, 15, 1, 0, 1, 0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2})
		}),
		"payload of 4 GiB": afterHead(t, func(id uint64) []byte {
			return frameOf(frameChunk, codingPlain, 1, id, 12, []byte{0x95, 3, 1, 0, 1, 0xc6, 0xff, 0xff, 0xff, 0xff, 1, 2})
		}),
		"deep nesting": afterHead(t, func(id uint64) []byte {
			deep := append([]byte{0x95, 15, 1, 0, 1}, bytes.Repeat([]byte{0x91}, 4<<20)...)
			return frameOf(frameChunk, codingPlain, 1, id, uint32(len(deep)), deep)
		}),
		"index with 4 G entries": afterHead(t, func(id uint64) []byte {
			return frameOf(frameIndex, codingPlain, 1, id, 7, []byte{0x92, 0, 0xdd, 0xff, 0xff, 0xff, 0xff})
		}),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			var damage []*DamageError
			var err error
			var records []capture.Record
			grew := allocated(func() { records, damage, _, err = readAll(b) })
			if err != nil || len(damage) == 0 || len(records) > 0 {
				t.Errorf("%d records, damage %v, error %v", len(records), damage, err)
			}
			if limit := uint64(16<<20 + 4*len(b)); grew > limit { // the window grows to the input's length
				t.Errorf("%d bytes allocated for %d", grew, len(b))
			}
		})
	}
}

// A reader skips values that are nested to any depth.
func TestDeepNesting(t *testing.T) {
	for name, nest := range map[string][]byte{
		"arrays": append(bytes.Repeat([]byte{0x91}, 2<<20), 0xc0),
		"maps":   append(bytes.Repeat([]byte{0x81, 0xa0}, 1<<20), 0xc0),
	} {
		t.Run(name, func(t *testing.T) {
			more := func(array []byte) []byte { // an array with one element more
				array = append(bytes.Clone(array), nest...)
				array[0]++
				return array
			}
			known := capture.Record{Seq: 2, Kind: capture.KindGap, Payload: more(capture.AppendPayload(nil, &capture.Gap{Lost: 7, Since: 1}))}
			var chunk []byte
			chunk = appendRecord(chunk, &capture.Record{Seq: 1, Kind: 99, Payload: nest})
			chunk = append(chunk, more(appendRecord(nil, &known))...)
			page := more([]byte{0x94, 0, 0x90, 0, 0x90})
			b := afterHead(t, func(id uint64) []byte {
				return append(frameOf(frameChunk, codingPlain, 1, id, uint32(len(chunk)), chunk), frameOf(frameIndex, codingPlain, 2, id, uint32(len(page)), page)...)
			})
			meter := newHeapMeter()
			records, damage, ending, err := readAll(b)
			meter.look()
			if err != nil || len(damage) > 0 || len(records) != 1 || ending != Cut {
				t.Fatalf("%d records, %v, %v, %v", len(records), damage, ending, err)
			}
			var g capture.Gap
			if err := records[0].Decode(&g); err != nil || g.Lost != 7 {
				t.Errorf("%v, %v", g, err)
			}
			if meter.above() > heapLimit {
				t.Errorf("the heap grew by %d bytes", meter.above())
			}
			inner := capture.Record{Kind: capture.KindGap, Payload: append([]byte{0x93}, append(bytes.Clone(nest), 0, 0xa0)...)}
			if err := inner.Decode(&g); err == nil {
				t.Error("a nest was read as a number")
			}
		})
	}
}

// A zstd bomb costs no more than the largest sound frame.
func TestZstdBomb(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := enc.EncodeAll(make([]byte, 128<<20), nil)
	enc.Close()
	for _, kind := range []frameKind{frameChunk, frameIndex} {
		for _, plain := range []uint32{0, 1 << 20, maxPayload} {
			b := afterHead(t, func(id uint64) []byte { return frameOf(kind, codingZstd, 1, id, plain, bomb) })
			meter := newHeapMeter()
			_, damage, ending, err := readAll(b)
			meter.look()
			if meter.above() > heapLimit || len(damage) != 1 || ending != Torn || err != nil {
				t.Errorf("kind %d, %d announced: the heap grew by %d, %v, %v, %v", kind, plain, meter.above(), damage, ending, err)
			}
		}
	}
}

// An element of one byte on tape can take a hundred in memory, so lists have a
// bound.
func TestListsOfManyElements(t *testing.T) {
	many := func(element byte) []byte {
		n := 4 << 20
		return append([]byte{0xdd, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, bytes.Repeat([]byte{element}, n)...)
	}
	for name, r := range map[string]capture.Record{
		"processes":  {Kind: capture.KindProcSockets, Payload: append([]byte{0x94, 0, 0, 0}, many(0x90)...)},
		"interfaces": {Kind: capture.KindHost, Payload: append([]byte{0x95, 0xa0, 0xa0, 0xa0, 0xa0}, many(0x90)...)},
		"routes":     {Kind: capture.KindHost, Payload: append([]byte{0x96, 0xa0, 0xa0, 0xa0, 0xa0, 0x90}, many(0xa0)...)},
		"inodes":     {Kind: capture.KindProcSockets, Payload: append([]byte{0x94, 0, 0, 0, 0x91, 0x96, 0, 0, 0, 0xa0, 0xc4, 0}, many(0)...)},
		"totals":     {Kind: capture.KindEnd, Payload: append([]byte{0x92, 0xa0}, many(0x90)...)},
	} {
		meter := newHeapMeter()
		err := r.Decode(r.Kind.New())
		meter.look()
		if err == nil || !strings.Contains(err.Error(), "more than 16 MiB") || meter.above() > heapLimit {
			t.Errorf("%s: %v; the heap grew by %d bytes", name, err, meter.above())
		}
	}
	page := append([]byte{0x92, 0}, many(0x90)...)
	b := afterHead(t, func(id uint64) []byte {
		return frameOf(frameIndex, codingPlain, 1, id, uint32(len(page)), page)
	})
	meter := newHeapMeter()
	_, damage, _, err := readAll(b)
	if meter.look(); len(damage) != 1 || err != nil || meter.above() > heapLimit {
		t.Errorf("index: %v, %v; the heap grew by %d bytes", damage, err, meter.above())
	}
}

func TestTimeAndNumbersGoBack(t *testing.T) {
	mark := capture.AppendPayload(nil, &capture.Mark{Text: "x"})
	first := capture.Record{Seq: 5, At: 10, Kind: capture.KindMark, Payload: mark}
	for name, second := range map[string]capture.Record{
		"time":            {Seq: 6, At: 9, Kind: capture.KindMark, Payload: mark},
		"time of a carry": {At: 9, Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &capture.Carry{})},
		"number":          {Seq: 4, At: 10, Kind: capture.KindMark, Payload: mark},
		"same number":     {Seq: 5, At: 10, Kind: capture.KindMark, Payload: mark},
		"no number":       {At: 10, Kind: capture.KindMark, Payload: mark},
		"unknown kind":    {Seq: 4, At: 10, Kind: 99, Payload: mark},
	} {
		third := capture.Record{Seq: 7, At: 11, Kind: capture.KindMark, Payload: mark}
		back := appendRecord(appendRecord(appendRecord(nil, &first), &second), &third)
		last := appendRecord(nil, &capture.Record{Seq: 8, At: 11, Kind: capture.KindMark, Payload: mark})
		b := afterHead(t, func(id uint64) []byte {
			return append(frameOf(frameChunk, codingPlain, 1, id, uint32(len(back)), back), frameOf(frameChunk, codingPlain, 2, id, uint32(len(last)), last)...)
		})
		got, damage, ending, err := readAll(b)
		if len(got) != 2 || got[0].Seq != 5 || got[1].Seq != 8 || len(damage) != 1 || damage[0].record != 5 || ending != Torn || err != nil {
			t.Errorf("%s: %d records, damage %v, %v, %v", name, len(got), damage, ending, err)
		}
	}
}

func TestHeadTwice(t *testing.T) {
	want := testRecords()
	whole := writeTape(t, testHeader(), want, 3)
	head := whole[:boundary(t, whole, 0)]
	for i := range 3 {
		at := boundary(t, whole, i)
		got, damage, ending, err := readAll(slices.Concat(whole[:at], head, whole[at:]))
		if err != nil || len(damage) != 1 || damage[0].Offset != int64(at) || damage[0].Ignored != int64(len(head)) || ending != Torn || !reflect.DeepEqual(got, want) {
			t.Errorf("after frame %d: %d records, damage %v, %v, %v", i, len(got), damage, ending, err)
		}
	}
}

func TestFrameKinds(t *testing.T) {
	b := afterHead(t, func(id uint64) []byte { return frameOf(200, codingPlain, 1, id, 3, []byte("new")) })
	if _, damage, ending, err := readAll(b); err != nil || damage != nil || ending != Cut {
		t.Errorf("frame kind 200: %v, %v, %v", damage, ending, err)
	}
	b = afterHead(t, func(id uint64) []byte { return frameOf(9, codingPlain, 1, id, 3, []byte("new")) })
	var v *VersionError
	if _, _, _, err := readAll(b); !errors.As(err, &v) || v.frame != 9 || v.Offset == 0 {
		t.Errorf("frame kind 9: %v", err)
	}
	b = afterHead(t, func(id uint64) []byte { return frameOf(frameChunk, 2, 1, id, 3, []byte("new")) })
	if _, _, _, err := readAll(b); !errors.As(err, &v) {
		t.Errorf("coding 2: %v", err)
	}
}

func TestUnknownKindsAreSkippedAndCounted(t *testing.T) {
	records := testRecords()
	unknown := capture.Record{Seq: records[0].Seq, Kind: 99, Payload: []byte{0x93, 1, 2, 0xa1, 'x'}}
	for i := range records {
		if records[i].Seq > 0 {
			records[i].Seq++
		}
	}
	b := writeTape(t, testHeader(), append([]capture.Record{unknown}, records...), 0)
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
	if err != nil || ending != Torn || len(damage) != 1 || !strings.Contains(damage[0].Error(), "a frame is missing") || !isSubsequence(got, want) {
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
	for name, first := range map[string][]byte{"closed": a, "cut": a[:boundary(t, a, 1)], "itself": b} {
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

// boundary is the offset at which a frame ends; frames count from 0.
func boundary(t *testing.T, b []byte, frame int) int {
	var at []int
	for e := range frameEnds(t, b) {
		at = append(at, e)
	}
	slices.Sort(at)
	return at[frame]
}

func TestOrderIsKept(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	mark := capture.AppendPayload(nil, &capture.Mark{Text: "x"})
	ok := capture.Record{Seq: 5, At: 10, Kind: capture.KindMark, Payload: mark}
	if err := w.Write(&ok); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []capture.Record{{Seq: 5, At: 10}, {Seq: 4, At: 10}, {Seq: 6, At: 9}, {Seq: 0, At: 10}, {Seq: 6, At: 10, Payload: make([]byte, maxRecord+1)}} {
		bad.Kind = capture.KindMark
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
	r := capture.Record{Seq: 1, Kind: capture.KindConntrack, Payload: bytes.Repeat([]byte{1, 7, 9}, 3000)}
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

// A tape whose head is damaged is skipped, and reading goes on with the tape after it, however
// the head is damaged.
func TestDamagedHeadsAreSkipped(t *testing.T) {
	sound := writeTape(t, testHeader(), testRecords(), 0)
	other := *testHeader()
	other.TapeID[0]++
	id := binary.BigEndian.Uint64(other.TapeID[:])
	last := writeTape(t, &other, testRecords()[:1], 0)
	payload := wire.Append(nil, other.Fields)
	for name, head := range map[string][]byte{
		"undecodable": frameOf(frameHead, codingPlain, 0, id+1, 1, []byte{0xc1}),
		"empty":       frameOf(frameHead, codingPlain, 0, id+1, 0, nil),
		"numbered":    frameOf(frameHead, codingPlain, 7, id, uint32(len(payload)), payload),
		"not zstd":    frameOf(frameHead, codingZstd, 0, id, uint32(len(payload)), payload),
		"too long":    frameOf(frameHead, codingPlain, 0, id, uint32(len(payload)+1), payload),
		"other id":    frameOf(frameHead, codingPlain, 0, id+1, uint32(len(payload)), payload),
	} {
		for _, repeat := range []int{1, 3} {
			file := slices.Concat(sound, bytes.Repeat(head, repeat), last)
			r, err := NewReader(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			records, tapes, skipped := 0, 1, int64(0)
			for more := true; more; {
				for err == nil {
					if _, err = r.Next(); err == nil {
						records++
					}
				}
				if err != io.EOF {
					t.Fatalf("%s: %v", name, err)
				}
				var damage *DamageError
				if more, err = r.NextTape(); errors.As(err, &damage) {
					skipped += damage.Ignored
					more, err = true, nil
				} else if more {
					tapes++
				}
			}
			if want := len(testRecords()) + 1; records != want || tapes != 2 || skipped != int64(repeat*len(head)) {
				t.Errorf("%s, %d times: %d records of %d, %d tapes, %d bytes skipped of %d", name, repeat, records, want, tapes, skipped, repeat*len(head))
			}
		}
	}
}

// A Writer never writes a payload that decodes to very much more than its frame, and a Reader
// decodes a bounded number of them.
func TestExpandingPayloads(t *testing.T) {
	zeros := make([]byte, 2<<20)
	record := capture.Record{Seq: 1, Kind: capture.KindMark, Payload: capture.AppendPayload(nil, &capture.Mark{Text: string(zeros)})}
	b := writeTape(t, testHeader(), []capture.Record{record}, 0)
	if len(b) < len(zeros) {
		t.Errorf("%d bytes are stored in %d", len(zeros), len(b))
	}
	plain := appendRecord(nil, &record)
	enc, err := newCompressor()
	if err != nil {
		t.Fatal(err)
	}
	stored := enc.EncodeAll(plain, nil)
	const chunks = 100
	b = afterHead(t, func(id uint64) (b []byte) {
		for n := range uint64(chunks) {
			record.Seq = n + 1
			stored = enc.EncodeAll(appendRecord(nil, &record), stored[:0])
			b = append(b, frameOf(frameChunk, codingZstd, n+1, id, uint32(len(appendRecord(nil, &record))), stored)...)
		}
		return b
	})
	records, damage, _, err := readAll(b)
	if want := maxExpanding / len(plain); err != nil || len(records) != want || len(damage) != chunks-want {
		t.Errorf("%d records and %d places of damage, %v; want %d records", len(records), len(damage), err, want)
	}
}
