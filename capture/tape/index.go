package tape

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// An Entry of the index describes a chunk, or several consecutive chunks
// together (a run).
type Entry struct {
	Offset   uint64 // of its frame, from the tape's first byte
	Stored   uint64 // bytes of the frame
	Plain    uint64 // bytes of its records
	FirstSeq uint64 // 0: no record has a number
	LastSeq  uint64
	FirstAt  int64
	LastAt   int64
	Counts   []Count
	chunks   uint64 // run: number of chunks
	page     uint64 // run: offset of the index page that lists the chunks
}

// A Count is the number of records of one kind from one source in a chunk.
type Count struct {
	Kind    uint8
	Source  uint32
	Records uint64
	Bytes   uint64 // of payload
}

func (e *Entry) fields(c *wire.Coder) {
	c.Uint64(&e.Offset)
	c.Uint64(&e.Stored)
	c.Uint64(&e.Plain)
	c.Uint64(&e.FirstSeq)
	c.Uint64(&e.LastSeq)
	c.Int64(&e.FirstAt)
	c.Int64(&e.LastAt)
	wire.List(c, &e.Counts, (*Count).fields)
}

func (n *Count) fields(c *wire.Coder) {
	c.Uint8(&n.Kind)
	c.Uint32(&n.Source)
	c.Uint64(&n.Records)
	c.Uint64(&n.Bytes)
}

// add counts a record.
func (e *Entry) add(r *capture.Record) {
	if len(e.Counts) == 0 || e.FirstSeq == 0 {
		e.FirstSeq = r.Seq
	}
	if len(e.Counts) == 0 {
		e.FirstAt = r.At
	}
	e.LastAt = r.At
	if r.Seq != 0 {
		e.LastSeq = r.Seq
	}
	for i := range e.Counts {
		if n := &e.Counts[i]; n.Kind == uint8(r.Kind) && n.Source == r.Source {
			n.Records++
			n.Bytes += uint64(len(r.Payload))
			return
		}
	}
	e.Counts = append(e.Counts, Count{Kind: uint8(r.Kind), Source: r.Source, Records: 1, Bytes: uint64(len(r.Payload))})
}

// indexPage is the payload of an index frame. The last page has runs of the
// chunks of all pages before it. If they are too many for one page, an earlier
// page has some of them.
type indexPage struct {
	previous uint64  // offset of the page before it, 0 for none
	entries  []Entry // at most maxEntries
	earlier  uint64  // offset of the last page before it that has runs, 0 for none
	runs     []run   // of that page's chunks, and of those of the pages after it
}

// A page is full with maxEntries chunks, or when its chunks and their counts
// together are maxListed: so it is far smaller than maxPayload, even with many
// sources.
const (
	maxEntries = 4096
	maxListed  = 64 << 10
)

func (p *indexPage) fields(c *wire.Coder) {
	c.Uint64(&p.previous)
	wire.List(c, &p.entries, (*Entry).fields)
	c.Uint64(&p.earlier)
	wire.List(c, &p.runs, (*run).fields)
}

// foot is the payload of the last frame, of fixed size.
type foot struct {
	offset  uint64 // of its own frame
	index   uint64 // of the last index frame
	chunks  uint64
	records uint64
	lastAt  uint64
}

const footPayloadLen = 1 + 5*9

func (f *foot) append(b []byte) []byte {
	b = append(b, 0x95)
	for _, v := range [...]uint64{f.offset, f.index, f.chunks, f.records, f.lastAt} {
		b = append(b, 0xcf, byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return b
}

func (f *foot) parse(b []byte) error {
	if len(b) < footPayloadLen || b[0]&0xf0 != 0x90 {
		return fmt.Errorf("foot of %d bytes", len(b))
	}
	at := 1
	for _, p := range [...]*uint64{&f.offset, &f.index, &f.chunks, &f.records, &f.lastAt} {
		v, n := wire.Uint(b[at:])
		if n == 0 {
			return fmt.Errorf("foot lacks a number at byte %d", at)
		}
		*p, at = v, at+n
	}
	return nil
}

// An Index describes the chunks of a closed tape. The entries of a long tape can
// be runs; Chunks reads the chunks of a run.
type Index struct {
	Base    int64   // where the tape begins in the file; not 0 if another tape precedes it
	Entries []Entry // those of chunks with records
	Records uint64

	foot   foot
	fileID uint64
	page   []Entry // the page that Chunks read last
	pageAt uint64  // its offset
}

// ReadIndex reads a closed tape's index from its end; size is the file's, in
// bytes. It is an error if the tape has no index (it was cut) or if the index is
// damaged or contradicts itself; the tape can then still be read from its start.
// The places in the index are in order and within the file, but ReadIndex does
// not check that there are chunks.
func ReadIndex(f io.ReaderAt, size int64) (*Index, error) {
	ix, err := openIndex(f, size)
	if err != nil {
		return nil, fmt.Errorf("foot: %w", err)
	}
	if ix.readRuns(f) == nil {
		return ix, nil
	}
	if err := ix.readPages(f); err != nil {
		return nil, err
	}
	return ix, nil
}

// openIndex reads the foot of a tape and returns an index without entries.
func openIndex(f io.ReaderAt, size int64) (*Index, error) {
	ft, fileID, base, err := readFoot(f, size)
	if err != nil {
		return nil, err
	}
	return &Index{Base: base, Records: ft.records, foot: ft, fileID: fileID}, nil
}

// readPages reads all pages, each with its chunks.
func (ix *Index) readPages(f io.ReaderAt) error {
	var pages []indexPage
	var d unpacker
	chunks := 0
	for at, limit := ix.foot.index, ix.foot.offset; at != 0; {
		p, err := readPage(f, &d, ix.fileID, ix.Base, at, limit)
		if err != nil {
			return fmt.Errorf("index at offset %d: %w", at, err)
		}
		chunks += len(p.entries)
		pages = append(pages, p)
		limit, at = at, p.previous
	}
	ix.Entries = make([]Entry, 0, chunks)
	for i := len(pages) - 1; i >= 0; i-- {
		ix.Entries, pages[i].entries = append(ix.Entries, pages[i].entries...), nil
	}
	return ix.check()
}

// readFoot reads the foot and computes where its tape begins in the file. The
// foot of a newer version may be longer than ours.
func readFoot(f io.ReaderAt, size int64) (ft foot, fileID uint64, base int64, err error) {
	tail := make([]byte, min(size, 4<<10))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return ft, 0, 0, err
	}
	at := bytes.LastIndex(tail, frameTemplate[:offMajor+1])
	if at < 0 || len(tail)-at < frameHeaderLen {
		return ft, 0, 0, errNoSync
	}
	here := size - int64(len(tail)-at)
	var d unpacker
	payload, h, err := readFrameAt(f, &d, here, size)
	switch {
	case err != nil:
	case h.kind != frameFoot || here+frameHeaderLen+int64(h.stored) != size:
		err = errNoSync
	default:
		err = ft.parse(payload)
	}
	if err != nil {
		return ft, 0, 0, err
	}
	if ft.offset > uint64(here) || ft.index >= ft.offset && ft.index != 0 || ft.lastAt > math.MaxInt64 {
		return ft, 0, 0, fmt.Errorf("it has its own offset as %d and the index's as %d; it is at %d", ft.offset, ft.index, here)
	}
	return ft, h.fileID, here - int64(ft.offset), nil
}

// readPage reads the index page at an offset of the tape that begins at base.
// The page must end before the frame that names it, at limit, and its chunks must
// be between the page before it and itself. So no page is read twice, and the
// file's size bounds what all pages list.
func readPage(f io.ReaderAt, d *unpacker, fileID uint64, base int64, at, limit uint64) (p indexPage, err error) {
	if at >= limit {
		return p, fmt.Errorf("named by a frame at %d", limit)
	}
	payload, h, err := readFrameAt(f, d, base+int64(at), base+int64(limit))
	if err == nil && (h.kind != frameIndex || h.fileID != fileID) {
		err = errNoSync
	}
	if err == nil {
		err = p.parse(payload)
	}
	if err != nil {
		return p, err
	}
	free := max(p.previous+1, frameHeaderLen) // the lowest offset that the next chunk can have
	for i := range p.entries {
		e := &p.entries[i]
		if e.Offset < free || e.Offset > at || e.Stored < frameHeaderLen || e.Stored > at-e.Offset || uint64(len(e.Counts)) > e.Stored {
			return p, fmt.Errorf("chunk %d of %d cannot be %d bytes with %d counts at offset %d", i+1, len(p.entries), e.Stored, len(e.Counts), e.Offset)
		}
		free = e.Offset + e.Stored
	}
	return p, nil
}

func (p *indexPage) parse(payload []byte) error {
	if err := p.decode(payload); err != nil {
		return err
	}
	if len(p.entries) > maxEntries || len(p.runs) > 2*maxEntries {
		return fmt.Errorf("index page of %d chunks and %d runs", len(p.entries), len(p.runs))
	}
	return nil
}

// check compares the entries with each other and with the foot. It removes the
// entries of chunks without records.
func (ix *Index) check() error {
	var records, seq, end, chunks uint64
	var at int64
	for i := range ix.Entries {
		chunks += max(ix.Entries[i].chunks, 1)
	}
	if chunks != ix.foot.chunks {
		return fmt.Errorf("index lists %d chunks, the foot %d", chunks, ix.foot.chunks)
	}
	for i := range ix.Entries {
		e := &ix.Entries[i]
		if e.Offset < end {
			return fmt.Errorf("index goes back at chunk %d, offset %d", i, e.Offset)
		}
		end = e.Offset + e.Stored
		if len(e.Counts) == 0 {
			continue
		}
		for _, n := range e.Counts {
			if records += n.Records; n.Records > ix.Records || records > ix.Records {
				return fmt.Errorf("index counts over %d records, the foot %d", records, ix.Records)
			}
			if n.Records == 0 {
				return fmt.Errorf("index counts no record of kind %d in chunk %d", n.Kind, i)
			}
		}
		numbered := e.FirstSeq != 0 || e.LastSeq != 0 // false if it has only carry records
		if e.FirstAt < at || e.LastAt < e.FirstAt || numbered && (e.FirstSeq <= seq || e.LastSeq < e.FirstSeq) {
			return fmt.Errorf("index goes back at chunk %d, records %d to %d", i, e.FirstSeq, e.LastSeq)
		}
		seq, at = max(seq, e.LastSeq), e.LastAt
	}
	if records != ix.Records {
		return fmt.Errorf("index counts %d records, the foot %d", records, ix.Records)
	}
	if at != int64(ix.foot.lastAt) {
		return fmt.Errorf("index ends at %d ns, the foot at %d ns", at, ix.foot.lastAt)
	}
	ix.Entries = slices.DeleteFunc(ix.Entries, empty)
	return nil
}

func empty(e Entry) bool { return len(e.Counts) == 0 }

// Holds reports whether the chunk has records of the kind.
func (e *Entry) Holds(k capture.Kind) bool {
	return slices.ContainsFunc(e.Counts, func(n Count) bool { return n.Kind == uint8(k) })
}

// readFrameAt reads the frame at an offset of the file. It must end before limit.
func readFrameAt(f io.ReaderAt, d *unpacker, at, limit int64) ([]byte, *frameHeader, error) {
	var head [frameHeaderLen]byte
	if at < 0 || at+frameHeaderLen > limit {
		return nil, nil, io.ErrUnexpectedEOF
	}
	if _, err := f.ReadAt(head[:], at); err != nil {
		return nil, nil, err
	}
	var h frameHeader
	if err := h.parse(head[:]); err != nil {
		return nil, nil, err
	}
	if at+frameHeaderLen+int64(h.stored) > limit {
		return nil, nil, io.ErrUnexpectedEOF
	}
	stored := make([]byte, h.stored)
	if _, err := f.ReadAt(stored, at+frameHeaderLen); err != nil && err != io.EOF {
		return nil, nil, err
	}
	if crc32.Checksum(stored, castagnoli) != h.crc {
		return nil, nil, errPayloadCRC
	}
	plain, err := d.unpack(&h, stored)
	return plain, &h, err
}
