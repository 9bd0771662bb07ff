package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Ending says how a tape ended.
type Ending uint8

const (
	// Unfinished: the end was not reached yet.
	Unfinished Ending = iota
	// Closed: the end record and the foot were seen, and nothing is missing.
	Closed
	// Cut: the input ends at a frame's boundary without them.
	Cut
	// Torn: the input ends inside a frame, or was damaged on the way.
	Torn
)

func (e Ending) String() string {
	return [...]string{"unfinished", "closed", "cut", "torn"}[e]
}

// A Reader reads one tape, or several that stand one behind the other.
// It needs no index: Next returns every record that can be had, in order.
type Reader struct {
	in       input
	unpack   unpacker
	header   Header
	fileID   uint64
	number   uint64 // of the frame that is expected next
	lastSeq  uint64
	lastAt   int64
	chunk    []byte // records of the current chunk, not yet returned
	chunkAt  int64  // offset of its frame
	chunkNo  uint64
	end      bool // the end record was seen
	foot     bool
	damaged  bool
	ending   Ending
	unknown  uint64
	records  uint64 // of the tape, with the unknown ones
	chunks   uint64
	skipped  bool  // some of them were
	copying  bool  // records of unknown kinds are returned too
	pending  error // to be returned before anything else
	tapeBase int64 // offset of this tape's head
}

// NewReader reads the head of the tape. The error wraps ErrNotTape when the
// input is something else, and is a *VersionError when a newer version wrote
// it, a *DamageError when the head is damaged.
func NewReader(src io.Reader) (*Reader, error) {
	r := &Reader{in: input{src: src}}
	return r, r.head()
}

func (r *Reader) head() error {
	r.tapeBase = r.in.base
	h, stored, err := r.in.frame()
	var plain []byte
	var version *VersionError
	var read *readError
	switch {
	case errors.As(err, &read):
		return read.err
	case errors.As(err, &version):
		return err
	case err == io.EOF:
		return fmt.Errorf("%w: it is empty", ErrNotTape)
	case err == errNoSync || err == io.ErrUnexpectedEOF && !r.in.begins():
		return fmt.Errorf("%w: offset %d: %w", ErrNotTape, r.in.base, errNoSync)
	}
	if err == nil && h.kind != frameHead {
		err = fmt.Errorf("frame %d stands where the head belongs", h.number)
	}
	if err == nil {
		plain, err = r.unpack.unpack(&h, stored)
	}
	if err == nil {
		r.header = Header{}
		err = decode(plain, r.header.fields)
	}
	if err == nil && binary.BigEndian.Uint64(r.header.TapeID[:]) != h.fileID {
		err = errors.New("the head's tape id is not its file id")
	}
	if err != nil {
		if errors.As(err, &version) {
			version.Offset = r.in.base
			return version
		}
		return &DamageError{Offset: r.in.base, Torn: err == io.ErrUnexpectedEOF, Ignored: int64(len(r.in.rest())), Err: err}
	}
	r.in.use(frameHeaderLen + len(stored))
	r.fileID, r.number = h.fileID, h.number+1
	return nil
}

// Header is the current tape's. It stays valid when reading goes on.
func (r *Reader) Header() *Header { return &r.header }

// Ending is how the tape ended, Unfinished before Next has returned io.EOF.
func (r *Reader) Ending() Ending { return r.ending }

// Copying makes Next return records of unknown kinds too: who only copies them
// need not know them.
func (r *Reader) Copying() { r.copying = true }

// Unknown is how many records of unknown kinds were met.
func (r *Reader) Unknown() uint64 { return r.unknown }

// Base is where the current tape's head begins, from the input's first byte.
func (r *Reader) Base() int64 { return r.tapeBase }

// Offset is where the frame of the last record begins, from the input's first
// byte.
func (r *Reader) Offset() int64 { return r.chunkAt }

// Next reads the next record. Its payload is valid until the next call.
//
// At the tape's end, closed or cut, Next returns io.EOF; Ending tells them
// apart. Damage is reported once, as a *DamageError, then Next goes on with
// the next record that is intact. Errors of the underlying reader and
// *VersionError are final.
func (r *Reader) Next() (Record, error) {
	var rec Record
	for {
		if r.pending != nil {
			err := r.pending
			var damage *DamageError
			if errors.As(err, &damage) {
				r.pending = nil
			}
			return Record{}, err
		}
		if len(r.chunk) == 0 {
			if err := r.nextChunk(); err != nil {
				r.pending = err
			}
			continue
		}
		if err := r.record(&rec); err != nil {
			r.damaged = true
			r.pending = &DamageError{Offset: r.chunkAt, Ignored: int64(len(r.chunk)), Frame: r.chunkNo, Record: r.lastSeq, Err: err}
			r.chunk = nil
			continue
		}
		r.records++
		r.end = rec.Kind == KindEnd
		if !rec.Kind.Known() {
			r.unknown++
			if !r.copying {
				continue
			}
		}
		return rec, nil
	}
}

// record takes the next record off the chunk. After an error the chunk begins
// with that record.
func (r *Reader) record(rec *Record) error {
	n, err := readRecord(r.chunk, rec)
	if err == nil {
		err = r.order(rec)
	}
	if err == nil {
		r.chunk = r.chunk[n:]
	}
	return err
}

func (r *Reader) order(rec *Record) error {
	switch {
	case rec.At < r.lastAt:
		return fmt.Errorf("record %d at %d ns goes back behind %d ns", rec.Seq, rec.At, r.lastAt)
	case rec.Kind == KindCarry && rec.Seq == 0:
	case rec.Seq <= r.lastSeq:
		return fmt.Errorf("record %d follows record %d", rec.Seq, r.lastSeq)
	default:
		r.lastSeq = rec.Seq
	}
	r.lastAt = rec.At
	return nil
}

// nextChunk reads frames until one brings records. It returns io.EOF at the
// tape's end, with ending set.
func (r *Reader) nextChunk() error {
	for {
		h, stored, err := r.in.frame()
		major := otherMajor(err)
		if err == io.EOF || err == nil && h.kind == frameHead && (r.foot || h.fileID != r.fileID) || major != 0 && r.foot {
			return r.finish()
		}
		if major != 0 {
			err = fmt.Errorf("a frame of format %d in a tape of format %d", major, Format)
		}
		if err == nil {
			err = r.check(&h)
		}
		if err == nil && h.kind < frameOptional {
			var plain []byte
			if plain, err = r.unpack.unpack(&h, stored); err == nil {
				err = r.accept(&h, plain)
			}
		}
		if err != nil {
			return r.fail(err)
		}
		r.in.use(frameHeaderLen + len(stored))
		r.number = h.number + 1
		if len(r.chunk) > 0 {
			return nil
		}
	}
}

// otherMajor is the major version of which err says that it is not ours, or 0.
// A tape has only one: behind the foot another tape begins with it, before
// that it is damage.
func otherMajor(err error) int {
	var v *VersionError
	if errors.As(err, &v) {
		return v.Major
	}
	return 0
}

// check looks at a sound frame's place: is it ours, and the one expected?
func (r *Reader) check(h *frameHeader) error {
	switch {
	case h.fileID != r.fileID:
		return errors.New("frame of another tape")
	case h.number > r.number:
		missing := h.number - r.number
		r.number = h.number
		return &missingError{missing}
	case h.number < r.number:
		return fmt.Errorf("frame %d stands where frame %d belongs", h.number, r.number)
	case r.foot:
		return errors.New("a frame stands behind the foot")
	case h.kind > frameFoot && h.kind < frameOptional || h.kind == 0:
		return &VersionError{Offset: r.in.base, Frame: h.kind}
	}
	return nil
}

// missingError says that frames are missing before one that is itself sound.
type missingError struct{ frames uint64 }

func (e *missingError) Error() string {
	if e.frames == 1 {
		return "a frame is missing"
	}
	return fmt.Sprintf("%d frames are missing", e.frames)
}

func (r *Reader) accept(h *frameHeader, plain []byte) error {
	switch h.kind {
	case frameHead:
		return errors.New("a second head")
	case frameChunk:
		r.chunk, r.chunkAt, r.chunkNo = plain, r.in.base, h.number
		r.chunks++
	case frameIndex:
		var p indexPage
		return p.parse(plain)
	case frameFoot:
		var f foot
		if err := f.parse(plain); err != nil {
			return err
		}
		r.foot = true
		if r.damaged { // then what the foot says is that something is missing
			return nil
		}
		if int64(f.offset) != r.in.base-r.tapeBase {
			return fmt.Errorf("foot says it stands at %d, it stands at %d", f.offset, r.in.base-r.tapeBase)
		}
		if !r.skipped && (f.records != r.records || f.chunks != r.chunks) {
			return fmt.Errorf("foot counts %d records in %d chunks; there are %d in %d", f.records, f.chunks, r.records, r.chunks)
		}
	}
	return nil
}

// fail turns what is wrong at the window's head into the error for the caller
// and, for damage, moves on to the next sound frame.
func (r *Reader) fail(err error) error {
	var read *readError
	if errors.As(err, &read) {
		return fmt.Errorf("read tape at offset %d: %w", r.in.base, read.err)
	}
	var version *VersionError
	if errors.As(err, &version) {
		version.Offset = r.in.base
		if r.header.Minor > Minor {
			version.Minor = r.header.Minor
		}
		return version
	}
	r.damaged = true
	d := &DamageError{Offset: r.in.base, Frame: r.number, Record: r.lastSeq, Err: err, Torn: err == io.ErrUnexpectedEOF}
	var missing *missingError
	if errors.As(err, &missing) {
		d.Frame -= missing.frames
		return d // the frame itself is good: it is read next
	}
	r.in.search(func(h *frameHeader) bool {
		if h.fileID == r.fileID && h.number >= r.number {
			r.number = h.number // what is missing between is part of this damage
			return true
		}
		return h.kind == frameHead && h.fileID != r.fileID
	})
	d.Ignored = r.in.base - d.Offset
	d.Torn = d.Torn && r.in.hi == r.in.lo
	return d
}

func (r *Reader) finish() error {
	switch {
	case r.damaged:
		r.ending = Torn
	case r.foot && r.end:
		r.ending = Closed
	default:
		r.ending = Cut
	}
	return io.EOF
}

// NextTape goes on to the tape that stands behind the current one, after Next
// has returned io.EOF. It returns false when nothing is left; the error is
// that of NewReader.
func (r *Reader) NextTape() (bool, error) {
	if r.ending == Unfinished || !r.in.fill(1) {
		return false, nil
	}
	*r = Reader{in: r.in, unpack: r.unpack, copying: r.copying}
	return true, r.head()
}
