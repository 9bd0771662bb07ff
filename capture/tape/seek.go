package tape

import (
	"errors"
	"fmt"
	"io"

	"github.com/topotape/topotape/capture"
)

// errEntry is the error of an index that is wrong about a chunk.
var errEntry = errors.New("the chunk is not what the index says")

// Skip moves the Reader to a chunk of the index, forward or back. The index must
// be that of the file's only tape, and src the file from the chunk's offset on.
// Skipped records and damage are not read. It is an error if the chunk differs
// from its entry in its place or its first record; the Reader then stays where it
// was.
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
	var first capture.Record
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
