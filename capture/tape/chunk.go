package tape

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// ReadChunk reads the records of a chunk of the index, without those of unknown
// kinds. It is an error if the chunk differs from its entry; the tape can then
// still be read from its start.
func (ix *Index) ReadChunk(f io.ReaderAt, e *Entry) ([]capture.Record, error) {
	fail := func(err error) ([]capture.Record, error) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("chunk at offset %d: %w", e.Offset, err)
	}
	in := input{src: io.NewSectionReader(f, ix.Base+int64(e.Offset), int64(e.Stored))}
	h, stored, err := in.frame()
	if err != nil {
		return fail(err)
	}
	var u unpacker
	plain, err := u.unpack(&h, stored)
	if err != nil {
		return fail(err)
	}
	if h.kind != frameChunk || uint64(len(stored)+frameHeaderLen) != e.Stored || uint64(len(plain)) != e.Plain {
		return fail(fmt.Errorf("frame of kind %d with %d bytes of records, the index says %d", h.kind, len(plain), e.Plain))
	}
	var list []capture.Record
	var seen Entry
	for len(plain) > 0 {
		var r capture.Record
		n, err := readRecord(plain, &r)
		if err != nil {
			return fail(err)
		}
		plain = plain[n:]
		seen.add(&r)
		if r.Kind.Known() {
			list = append(list, r)
		}
	}
	if seen.FirstSeq != e.FirstSeq || seen.LastSeq != e.LastSeq || seen.FirstAt != e.FirstAt || seen.LastAt != e.LastAt || !slices.Equal(seen.Counts, e.Counts) {
		return fail(fmt.Errorf("records %d to %d, the index says %d to %d", seen.FirstSeq, seen.LastSeq, e.FirstSeq, e.LastSeq))
	}
	return list, nil
}

// CheckFrames checks the checksums and numbers of the tape's frames, without
// decoding them. The tape ends at an offset of the file.
func (ix *Index) CheckFrames(f io.ReaderAt, end int64) error {
	in := input{src: io.NewSectionReader(f, ix.Base, end-ix.Base)}
	var fileID uint64
	for number := uint64(0); ; number++ {
		h, stored, err := in.frame()
		if err == io.EOF {
			return nil
		}
		if number == 0 {
			fileID = h.fileID
		}
		if err == nil && (h.number != number || h.fileID != fileID || h.coding > codingZstd) {
			err = fmt.Errorf("frame %d of %x, expected frame %d", h.number, h.fileID, number)
		}
		if err == nil && h.kind > frameFoot && h.kind < frameOptional {
			err = &VersionError{frame: h.kind}
		}
		if err != nil {
			return fmt.Errorf("offset %d: %w", ix.Base+in.base, err)
		}
		in.use(frameHeaderLen + len(stored))
	}
}

// decode decodes a page. When info reads the index of a large tape, most of the
// time goes into this, so pages in the form that this version writes have a
// decoder of their own, nine times as fast as the general one.
func (p *indexPage) decode(payload []byte) error {
	q := quickPage{b: payload}
	if page, ok := q.page(); ok {
		*p = page
		return nil
	}
	return wire.Decode(payload, p.fields)
}

// quickPage decodes a page that consists of arrays and unsigned integers, and
// gives up on anything else.
type quickPage struct {
	b      []byte
	at     int
	bad    bool    // it has given up
	counts []Count // block of memory from which the entries get theirs
}

func (q *quickPage) page() (p indexPage, ok bool) {
	fields := q.array() // two in version 1.0
	q.bad = q.bad || fields != 2 && fields != 4
	p.previous = q.uint()
	n := q.array()
	q.bad = q.bad || n > maxEntries
	for p.entries = make([]Entry, 0, min(n, maxEntries)); n > 0 && !q.bad; n-- {
		q.fields(8)
		p.entries = append(p.entries, q.entry())
	}
	if fields == 4 {
		p.earlier = q.uint()
		for n = q.array(); n > 0 && !q.bad; n-- {
			q.fields(10)
			e := q.entry()
			e.chunks, e.page = q.uint(), q.uint()
			p.runs = append(p.runs, run(e))
		}
	}
	return p, !q.bad && q.at == len(q.b)
}

// entry reads the fields that a chunk and a run have in common.
func (q *quickPage) entry() Entry {
	e := Entry{Offset: q.uint(), Stored: q.uint(), Plain: q.uint(), FirstSeq: q.uint(), LastSeq: q.uint(),
		FirstAt: q.time(), LastAt: q.time()}
	m := q.array()
	if m > len(q.counts) {
		q.counts = make([]Count, max(m, 512))
	}
	e.Counts, q.counts = q.counts[:m:m], q.counts[m:]
	for i := range e.Counts {
		if q.fields(4); q.bad {
			break
		}
		e.Counts[i] = Count{Kind: uint8(q.upTo(1<<8 - 1)), Source: uint32(q.upTo(1<<32 - 1)), Records: q.uint(), Bytes: q.uint()}
	}
	return e
}

func (q *quickPage) uint() uint64 {
	b := q.b[q.at:]
	if len(b) >= 9 {
		switch c := b[0]; {
		case c < 0x80:
			q.at++
			return uint64(c)
		case c == 0xcc:
			q.at += 2
			return uint64(b[1])
		case c == 0xcd:
			q.at += 3
			return uint64(binary.BigEndian.Uint16(b[1:]))
		case c == 0xce:
			q.at += 5
			return uint64(binary.BigEndian.Uint32(b[1:]))
		}
	}
	v, n := wire.Uint(b)
	q.at, q.bad = q.at+n, q.bad || n == 0
	return v
}

func (q *quickPage) upTo(limit uint64) uint64 {
	v := q.uint()
	q.bad = q.bad || v > limit
	return v
}

func (q *quickPage) time() int64 { return int64(q.upTo(1<<63 - 1)) }

// array reads the length of an array. Each element takes a byte at least.
func (q *quickPage) array() int {
	n, b := 0, q.b[q.at:]
	switch {
	case len(b) > 0 && b[0]&0xf0 == 0x90:
		n, q.at = int(b[0]&0x0f), q.at+1
	case len(b) > 2 && b[0] == 0xdc:
		n, q.at = int(b[1])<<8|int(b[2]), q.at+3
	default:
		q.bad = true
	}
	q.bad = q.bad || n > len(b)
	return n
}

// fields reads the length of an array, which must be n.
func (q *quickPage) fields(n int) {
	q.bad = q.array() != n || q.bad
}
