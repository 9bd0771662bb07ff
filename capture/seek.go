package capture

import (
	"errors"
	"fmt"
	"io"
)

// errEntry says that the index is wrong about a chunk.
var errEntry = errors.New("the chunk is not what the index says")

// Skip goes on at a chunk of the index, forward or back. The index must be that
// of the file's only tape, src the file from the chunk's offset on. What is
// skipped is not looked at, neither its records nor its damage. It is an error
// that the chunk is not the one that the index describes, by its place and its
// first record; the Reader stays where it was then.
func (r *Reader) Skip(src io.Reader, e *Entry) error {
	if r.tapeBase != 0 || e.Offset > 1<<62 || e.FirstSeq == 0 {
		return errEntry
	}
	to := Reader{in: input{src: src, base: int64(e.Offset)}, unpack: r.unpack, header: r.header, fileID: r.fileID, skipped: true, copying: r.copying}
	h, stored, err := to.in.frame()
	if err != nil {
		return fmt.Errorf("%w: offset %d: %w", errEntry, e.Offset, err)
	}
	if h.kind != frameChunk || h.fileID != r.fileID {
		return errEntry
	}
	plain, err := to.unpack.unpack(&h, stored)
	if err == nil {
		err = to.accept(&h, plain)
	}
	var first Record
	if err == nil {
		_, err = readRecord(plain, &first)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errEntry, err)
	}
	if first.Seq != e.FirstSeq || first.At != e.FirstAt || !first.Kind.Known() {
		return errEntry
	}
	to.lastSeq, to.lastAt = first.Seq-1, first.At
	to.in.use(frameHeaderLen + len(stored))
	to.number = h.number + 1
	*r = to
	return nil
}

// Check tells an index that contradicts itself.
func (ix *Index) Check() error {
	var records, end, seq uint64
	var at int64
	for i := range ix.Entries {
		e := &ix.Entries[i]
		if e.Offset < end || e.Stored > 1<<62 || e.FirstAt < at || e.LastAt < e.FirstAt || e.LastSeq < e.FirstSeq || e.FirstSeq != 0 && e.FirstSeq <= seq {
			return fmt.Errorf("the index's chunk %d does not follow the one before it", i)
		}
		end, at, seq = e.Offset+e.Stored, e.LastAt, max(seq, e.LastSeq)
		for _, c := range e.Counts {
			if records += c.Records; records < c.Records || c.Records == 0 {
				return fmt.Errorf("the index's chunk %d counts what cannot be", i)
			}
		}
	}
	if records != ix.Records || at != ix.LastAt {
		return fmt.Errorf("the index has %d records up to %d ns, the foot %d up to %d ns", records, at, ix.Records, ix.LastAt)
	}
	return nil
}

// Holds reports whether the chunk has records of the kind.
func (e *Entry) Holds(k Kind) bool {
	for _, c := range e.Counts {
		if c.Kind == uint8(k) && c.Records > 0 {
			return true
		}
	}
	return false
}
