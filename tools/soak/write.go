//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/vmihailenco/msgpack/v5"
)

// A writer writes tapes to a file. It stops, without an error, where the file would be
// larger than a stranger's tape needs to be to do harm.
type writer struct {
	out    io.Writer
	zstd   *zstd.Encoder
	stored int64 // bytes that may still be written
	plain  int64 // and bytes of records

	// Of the open tape.
	offset, number  uint64
	chunks, records uint64
	lastAt          uint64
	entries         []any  // of the open page of the index
	runs            []any  // one for each chunk of the pages before it
	page            uint64 // offset of the last page
}

const (
	maxStored  = 8 << 20
	maxRecords = 512 << 20 // bytes
)

// write writes the tapes of a file.
func write(out io.Writer, tapes []*tape) error {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err
	}
	defer enc.Close()
	w := &writer{out: out, zstd: enc, stored: maxStored, plain: maxRecords}
	for _, t := range tapes {
		err := w.tape(t)
		if errors.Is(err, errFull) {
			break
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errFull = errors.New("the file is large enough")

func (w *writer) tape(t *tape) error {
	w.offset, w.number, w.chunks, w.records, w.lastAt, w.entries, w.runs, w.page = 0, 0, 0, 0, 0, []any{}, []any{}, 0
	var id uint64
	if len(t.frames) > 0 {
		id = t.frames[0].fileID
	}
	var full error
	for i := 0; i < len(t.frames) && full == nil; i++ {
		err := w.content(t, t.frames[i])
		if errors.Is(err, errFull) {
			full, w.stored = err, 1<<20 // for its index and its foot
		} else if err != nil {
			return err
		}
	}
	if !t.closed {
		return full
	}
	if err := w.index(t, id, true); err != nil {
		return err
	}
	foot := any([]any{w.offset, w.page, w.chunks, w.records, w.lastAt})
	if t.lieFoot != nil {
		foot = t.lieFoot(foot)
	}
	if err := w.frame(&frame{kind: frameFoot, fileID: id, payload: footBytes(foot)}); err != nil {
		return err
	}
	return full
}

// footBytes encodes the foot's numbers in their longest form, as the format wants.
func footBytes(v any) []byte {
	b := []byte{0x90}
	a, _ := v.([]any)
	for _, n := range a[:min(len(a), 15)] {
		b[0]++
		b = binary.BigEndian.AppendUint64(append(b, 0xcf), number(n))
	}
	return b
}

// content writes a frame, or the chunks of its records.
func (w *writer) content(t *tape, f *frame) error {
	if f.records == nil {
		return w.frame(f)
	}
	for range max(f.times, 1) {
		list := f.records
		for first := true; first || len(list) > 0; first = false {
			n, err := w.records1(t, f, list)
			if err != nil {
				return err
			}
			list = list[n:]
		}
	}
	return nil
}

// records1 writes one chunk and returns how many of the records are in it.
func (w *writer) records1(t *tape, f *frame, list []*record) (int, error) {
	var b []byte
	n, sum := 0, entry{}
	for n < len(list) && (n == 0 || len(b) < t.chunk) {
		was := len(b)
		size, err := appendRecord(&b, list[n])
		if err != nil {
			return 0, err
		}
		if len(b) > maxPayload && n > 0 {
			b = b[:was]
			break
		}
		sum.add(list[n], size)
		n++
	}
	if w.plain -= int64(len(b)); w.plain < 0 || len(b) > maxPayload {
		return 0, errFull
	}
	offset := w.offset
	one := *f
	one.records, one.payload, one.times = nil, b, 1
	if err := w.frame(&one); err != nil {
		return 0, err
	}
	w.entries = append(w.entries, sum.value(offset, w.offset-offset, len(b)))
	w.chunks++
	w.records += uint64(n)
	if n > 0 {
		w.lastAt = list[n-1].at
	}
	if len(w.entries) >= t.page {
		return n, w.index(t, f.fileID, false)
	}
	return n, nil
}

// index writes the open page. The last has a run for each chunk of the others.
func (w *writer) index(t *tape, id uint64, last bool) error {
	if len(w.entries) == 0 && (!last || len(w.runs) == 0) {
		return nil
	}
	page := []any{w.page, w.entries, uint64(0), []any{}}
	if last && len(w.runs) <= 4096 {
		page[3] = w.runs
	}
	for _, e := range w.entries {
		w.runs = append(w.runs, append(append([]any(nil), e.([]any)...), uint64(1), w.offset))
	}
	v := any(page)
	if t.lieIndex != nil {
		v = t.lieIndex(v)
	}
	b, err := encode(v)
	if err != nil {
		return err
	}
	at := w.offset
	if err := w.frame(&frame{kind: frameIndex, coding: zstds, fileID: id, payload: b}); err != nil {
		return err
	}
	w.page, w.entries = at, []any{}
	return nil
}

// frame writes a frame as often as it says, with right checksums.
func (w *writer) frame(f *frame) error {
	stored := f.payload
	if f.coding == zstds {
		stored = w.zstd.EncodeAll(f.payload, nil)
	}
	if f.kind == 0 { // no frame
		return w.bytes(stored)
	}
	h := []byte(syncBytes + "\xcc\x00\xcc\x00\xcf--------\xcf--------\xce----\xce----\xce----\xc6----")
	h[12], h[14] = f.kind, f.coding
	if f.major != 0 {
		h[10] = f.major
	}
	id := f.fileID
	if f.otherFile {
		id++
	}
	binary.BigEndian.PutUint64(h[25:], id)
	binary.BigEndian.PutUint32(h[34:], uint32(int64(len(f.payload))+f.longer))
	binary.BigEndian.PutUint32(h[39:], crc32.Checksum(stored, castagnoli))
	binary.BigEndian.PutUint32(h[49:], uint32(int64(len(stored))+f.stored))
	for range max(f.times, 1) {
		if f.restart {
			w.number = 0
		}
		binary.BigEndian.PutUint64(h[16:], w.number+uint64(f.skip))
		w.number++
		binary.BigEndian.PutUint32(h[44:], crc32.Update(crc32.Checksum(h[:44], castagnoli), castagnoli, h[48:]))
		if err := w.bytes(h); err != nil {
			return err
		}
		if err := w.bytes(stored); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) bytes(b []byte) error {
	if w.stored -= int64(len(b)); w.stored < 0 {
		return errFull
	}
	n, err := w.out.Write(b)
	w.offset += uint64(n)
	return err
}

// An entry of the index counts the records of a chunk.
type entry struct {
	firstSeq, lastSeq, firstAt, lastAt uint64
	counts                             []any
	place                              map[[2]uint64]int // in counts, by kind and source
}

func (e *entry) add(r *record, size int) {
	if len(e.counts) == 0 {
		e.firstAt, e.place = r.at, map[[2]uint64]int{}
	}
	if e.firstSeq == 0 {
		e.firstSeq = r.seq
	}
	e.lastAt = r.at
	if r.seq != 0 {
		e.lastSeq = r.seq
	}
	key := [2]uint64{r.kind, r.source}
	i, ok := e.place[key]
	if !ok {
		i = len(e.counts)
		e.place[key] = i
		e.counts = append(e.counts, []any{r.kind, r.source, uint64(0), uint64(0)})
	}
	c := e.counts[i].([]any)
	c[2], c[3] = c[2].(uint64)+1, c[3].(uint64)+uint64(size)
}

func (e *entry) value(offset, stored uint64, plain int) any {
	if e.counts == nil {
		e.counts = []any{}
	}
	return []any{offset, stored, uint64(plain), e.firstSeq, e.lastSeq, e.firstAt, e.lastAt, e.counts}
}

// appendRecord appends a record to b and returns the length of its payload.
func appendRecord(b *[]byte, r *record) (int, error) {
	payload, err := encode(r.payload)
	if err != nil {
		return 0, err
	}
	size := len(payload)
	if raw, ok := r.payload.([]byte); ok {
		size = len(raw)
	}
	array := append([]any{r.kind, r.seq, r.at, r.source, msgpack.RawMessage(payload)}, r.more...)
	whole, err := encode(array)
	*b = append(*b, whole...)
	return size, err
}

// encode encodes a value with integers in their shortest form.
func encode(v any) ([]byte, error) {
	if raw, ok := v.(msgpack.RawMessage); ok {
		return raw, nil
	}
	var b bytes.Buffer
	enc := msgpack.NewEncoder(&b)
	enc.UseCompactInts(true)
	enc.SetSortMapKeys(true)
	err := enc.Encode(v)
	return b.Bytes(), err
}
