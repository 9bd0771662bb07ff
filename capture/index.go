package capture

import (
	"fmt"
	"io"
)

// An Entry of the index describes one chunk.
type Entry struct {
	Offset   uint64 // of its frame, from the tape's first byte
	Stored   uint64 // bytes of the frame
	Plain    uint64 // bytes of its records
	FirstSeq uint64
	LastSeq  uint64
	FirstAt  int64
	LastAt   int64
	Counts   []Count
}

// Count is how many records of a kind from a source a chunk holds.
type Count struct {
	Kind    uint8
	Source  uint32
	Records uint64
	Bytes   uint64 // of payload
}

func (e *Entry) fields(c *coder) {
	c.uint64(&e.Offset)
	c.uint64(&e.Stored)
	c.uint64(&e.Plain)
	c.uint64(&e.FirstSeq)
	c.uint64(&e.LastSeq)
	c.int64(&e.FirstAt)
	c.int64(&e.LastAt)
	list(c, &e.Counts, (*Count).fields)
}

func (n *Count) fields(c *coder) {
	c.uint8(&n.Kind)
	c.uint32(&n.Source)
	c.uint64(&n.Records)
	c.uint64(&n.Bytes)
}

// add counts a record; a chunk sees few kinds, most often the same again.
func (e *Entry) add(r *Record) {
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

// indexPage is the payload of an index frame: at most maxEntries chunks and
// the offset of the index frame before it, 0 for none.
type indexPage struct {
	previous uint64
	entries  []Entry
}

const maxEntries = 4096

func (p *indexPage) fields(c *coder) {
	c.uint64(&p.previous)
	list(c, &p.entries, (*Entry).fields)
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
		v, n := readUint(b[at:])
		if n == 0 {
			return fmt.Errorf("foot lacks a number at byte %d", at)
		}
		*p, at = v, at+n
	}
	return nil
}

// An Index is what the end of a closed tape says of its chunks.
type Index struct {
	Entries []Entry
	Records uint64
	LastAt  int64
	Base    int64 // where in the file the tape begins
}

// ReadIndex reads a closed tape's index from its end. It returns an error when
// the tape has none (it was cut) or the index is damaged; the tape can then
// still be read from its start. Size is that of the file, in bytes.
func ReadIndex(f io.ReaderAt, size int64) (*Index, error) {
	const footLen = frameHeaderLen + footPayloadLen
	if size < footLen {
		return nil, fmt.Errorf("%d bytes are too few for a foot: %w", size, io.ErrUnexpectedEOF)
	}
	var ft foot
	payload, h, err := readFrameAt(f, size-footLen, size)
	if err == nil && h.kind != frameFoot {
		err = errNoSync
	}
	if err == nil {
		err = ft.parse(payload)
	}
	if err != nil {
		return nil, fmt.Errorf("foot: %w", err)
	}
	base := size - footLen - int64(ft.offset) // where this tape begins in the file
	if base < 0 || ft.records > 1<<62 || ft.lastAt > 1<<62 {
		return nil, fmt.Errorf("foot: its own offset is %d, it stands at %d", ft.offset, size-footLen)
	}
	ix := &Index{Records: ft.records, LastAt: int64(ft.lastAt), Base: base}
	var pages []indexPage
	for at, limit := ft.index, ft.offset; at != 0; {
		if at >= limit { // each page stands before the one that names it
			return nil, fmt.Errorf("index at offset %d: named by a frame at %d", at, limit)
		}
		var p indexPage
		payload, ph, err := readFrameAt(f, base+int64(at), size)
		if err == nil && (ph.kind != frameIndex || ph.fileID != h.fileID) {
			err = errNoSync
		}
		if err == nil {
			err = p.decode(payload)
		}
		if err != nil {
			return nil, fmt.Errorf("index at offset %d: %w", at, err)
		}
		pages = append(pages, p)
		limit, at = at, p.previous
	}
	for i := len(pages) - 1; i >= 0; i-- {
		ix.Entries = append(ix.Entries, pages[i].entries...)
	}
	if uint64(len(ix.Entries)) != ft.chunks {
		return nil, fmt.Errorf("index lists %d chunks, the foot %d", len(ix.Entries), ft.chunks)
	}
	return ix, nil
}

func readFrameAt(f io.ReaderAt, at, size int64) ([]byte, *frameHeader, error) {
	var head [frameHeaderLen]byte
	if _, err := f.ReadAt(head[:], at); err != nil {
		return nil, nil, err
	}
	var h frameHeader
	if err := h.parse(head[:]); err != nil {
		return nil, nil, err
	}
	if at+frameHeaderLen+int64(h.stored) > size {
		return nil, nil, io.ErrUnexpectedEOF
	}
	stored := make([]byte, h.stored)
	if _, err := f.ReadAt(stored, at+frameHeaderLen); err != nil {
		return nil, nil, err
	}
	var d unpacker
	plain, err := d.unpack(&h, stored)
	return plain, &h, err
}
