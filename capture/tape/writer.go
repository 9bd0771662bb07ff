package tape

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// chunkSize is the size of a full chunk, in bytes of records before compression.
const chunkSize = 256 << 10

// maxRecord bounds a record's payload, in bytes, so that a full chunk and one
// more record are less than maxPayload.
const maxRecord = 4 << 20

// window is how far back a compressed payload refers, in bytes: more than a full
// chunk, and less than the maxPayload that readers accept. The encoder's memory
// grows with it.
const window = 2 * chunkSize

// A Writer writes one tape. It writes every frame with one Write of the
// underlying writer. In memory it keeps the open chunk, one page of the index,
// and 2 MiB of the compressor's. After an error every call returns it.
type Writer struct {
	out     io.Writer
	zstd    *zstd.Encoder
	fileID  uint64
	frames  uint64
	offset  uint64
	lastSeq uint64
	lastAt  int64
	records uint64
	chunks  uint64
	plain   []byte // records of the open chunk
	entry   Entry  // of the open chunk
	pages   pageBuilder
	frame   []byte
	stored  []byte // the payload that was compressed last
	err     error
}

// NewWriter writes the head of a tape to out. The first 8 bytes of the
// header's TapeID mark every frame, so they must differ between tapes.
func NewWriter(out io.Writer, h *capture.Header) (*Writer, error) {
	enc, err := newCompressor()
	if err != nil {
		return nil, err
	}
	w := &Writer{out: out, zstd: enc, fileID: binary.BigEndian.Uint64(h.TapeID[:]), pages: pageBuilder{full: maxEntries}}
	if err := w.writeFrame(frameHead, codingPlain, wire.Append(nil, h.Fields)); err != nil {
		return nil, err
	}
	return w, nil
}

// newCompressor returns an encoder for EncodeAll, which starts no goroutine. Its
// frames have the length and a checksum of the payload, so that a reader notices
// if one decodes to other bytes.
func newCompressor() (*zstd.Encoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(window), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return enc, nil
}

// Write adds a record to the open chunk, and writes the chunk when it is full.
// Numbers must increase and times must not decrease; a carry record has number 0.
func (w *Writer) Write(r *capture.Record) error {
	if w.err != nil {
		return w.err
	}
	switch {
	case r.At < w.lastAt:
		return fmt.Errorf("record %d at %d ns is earlier than the one before it (%d ns)", r.Seq, r.At, w.lastAt)
	case r.Seq <= w.lastSeq && !(r.Seq == 0 && r.Kind == capture.KindCarry):
		return fmt.Errorf("record %d follows record %d", r.Seq, w.lastSeq)
	case len(r.Payload) > maxRecord:
		return fmt.Errorf("record %d (%s) has %d bytes; at most %d fit", r.Seq, r.Kind, len(r.Payload), maxRecord)
	}
	w.plain = appendRecord(w.plain, r)
	w.entry.add(r)
	w.lastAt = r.At
	if r.Seq != 0 {
		w.lastSeq = r.Seq
	}
	w.records++
	if len(w.plain) >= chunkSize {
		return w.Flush()
	}
	return nil
}

// Flush writes the open chunk, if it has records.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.plain) == 0 {
		return w.err
	}
	w.entry.Offset, w.entry.Plain = w.offset, uint64(len(w.plain))
	if err := w.writeFrame(frameChunk, codingZstd, w.plain); err != nil {
		return err
	}
	w.entry.Stored = w.offset - w.entry.Offset
	w.pages.add(w.entry)
	w.entry = Entry{}
	w.plain = w.plain[:0]
	w.chunks++
	if w.pages.pageIsFull() {
		return w.flushIndex(false)
	}
	return nil
}

// flushIndex writes the open page of the index.
func (w *Writer) flushIndex(last bool) error {
	p := w.pages.page(last)
	if len(p.entries) == 0 && len(p.runs) == 0 {
		return nil
	}
	at := w.offset
	if err := w.writeFrame(frameIndex, codingZstd, wire.Append(nil, p.fields)); err != nil {
		return err
	}
	w.pages.written(&p, at)
	return nil
}

// Close writes the open chunk, the index and the foot. The tape is closed only if
// its last record is of KindEnd. Close does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := w.flushIndex(true); err != nil {
		return err
	}
	f := foot{offset: w.offset, index: w.pages.previous, chunks: w.chunks, records: w.records, lastAt: uint64(w.lastAt)}
	if err := w.writeFrame(frameFoot, codingPlain, f.append(nil)); err != nil {
		return err
	}
	w.err = errClosed
	return nil
}

var errClosed = errors.New("tape is closed")

// Size returns how many bytes were written.
func (w *Writer) Size() int64 { return int64(w.offset) }

// Pending returns how many bytes of records are in the open chunk.
func (w *Writer) Pending() int { return len(w.plain) }

func (w *Writer) writeFrame(kind frameKind, coding uint8, plain []byte) error {
	stored := plain
	if coding == codingZstd {
		w.stored = w.zstd.EncodeAll(plain, w.stored[:0])
		stored = w.stored
		if expanding(len(plain), len(stored)) {
			coding, stored = codingPlain, plain
		}
	}
	if len(plain) > maxPayload || len(stored) > maxPayload {
		w.err = errTooLarge
		return w.err
	}
	w.frames++
	h := frameHeader{
		kind: kind, coding: coding, number: w.frames - 1, fileID: w.fileID,
		plain: uint32(len(plain)), stored: uint32(len(stored)), crc: crc32.Checksum(stored, castagnoli),
	}
	w.frame = append(h.append(w.frame[:0]), stored...)
	for b := w.frame; len(b) > 0; {
		n, err := w.out.Write(b)
		if n < 0 || n > len(b) {
			n = 0
		}
		w.offset += uint64(n)
		b = b[n:]
		if err != nil || n == 0 && len(b) > 0 {
			if err == nil {
				err = io.ErrShortWrite
			}
			w.err = fmt.Errorf("write tape at offset %d: %w", w.offset, err)
			return w.err
		}
	}
	return nil
}
