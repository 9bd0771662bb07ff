package tape

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// Ending is how a tape ended.
type Ending uint8

const (
	// Unfinished: the end was not reached yet.
	Unfinished Ending = iota
	// Closed: the tape has an end record and a foot, and nothing is missing.
	Closed
	// Cut: the input ends at a frame's boundary without them.
	Cut
	// Torn: the input ends inside a frame, or was damaged before its end.
	Torn
)

func (e Ending) String() string {
	return [...]string{"unfinished", "closed", "cut", "torn"}[e]
}

// A Reader reads one tape, or several that follow one another in one input. It
// needs no index: Next returns every record that can be read, in order.
type Reader struct {
	in       input
	unpack   unpacker
	header   capture.Header
	fileID   uint64
	number   uint64 // of the frame that is expected next
	lastSeq  uint64
	lastAt   int64
	chunk    []byte // records of the current chunk, not yet returned
	chunkAt  int64  // offset of its frame
	chunkNo  uint64 // number of its frame
	end      bool   // the last record was an end record
	foot     bool   // the foot was read
	damaged  bool
	ending   Ending
	unknown  uint64 // records of unknown kinds
	records  uint64 // all records of the tape so far
	chunks   uint64 // of the tape so far
	skipped  bool   // Skip was used: the counts are incomplete
	copying  bool   // records of unknown kinds are returned too
	pending  error  // Next returns it first
	tapeBase int64  // offset of this tape's head
	tapes    int    // heads so far, damaged ones too
}

// maxTapes is how many tapes one input can have. Each costs far more to read than its head is
// long.
const maxTapes = 1 << 16

// NewReader reads the head of the tape. The error wraps ErrNotTape if the input
// is something else; it is a *VersionError if a newer version wrote the tape, and
// a *DamageError if the head is damaged.
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
	if err == nil && (h.kind != frameHead || h.number != 0) {
		err = fmt.Errorf("the first frame has kind %d and number %d and is no head", h.kind, h.number)
	}
	if err == nil {
		plain, err = r.unpack.unpack(&h, stored)
	}
	if err == nil {
		r.header = capture.Header{}
		err = wire.Decode(plain, r.header.Fields)
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

// Header returns the current tape's header. It is valid until NextTape.
func (r *Reader) Header() *capture.Header { return &r.header }

// Ending returns how the tape ended, Unfinished before Next has returned io.EOF.
func (r *Reader) Ending() Ending { return r.ending }

// Copying makes Next also return records of unknown kinds, for callers that copy
// records without decoding them.
func (r *Reader) Copying() { r.copying = true }

// Unknown returns how many records of unknown kinds the tape has so far.
func (r *Reader) Unknown() uint64 { return r.unknown }

// Base returns where the current tape's head begins, from the input's first byte.
func (r *Reader) Base() int64 { return r.tapeBase }

// Offset returns where the frame of the last record begins, from the input's
// first byte.
func (r *Reader) Offset() int64 { return r.chunkAt }

// Next reads the next record. Its payload is valid until the next call.
//
// At the tape's end Next returns io.EOF, and Ending returns how it ended. Damage
// is reported once, as a *DamageError; the next call goes on with the next intact
// record. Errors of the underlying reader and *VersionError are final.
func (r *Reader) Next() (capture.Record, error) {
	var rec capture.Record
	for {
		if r.pending != nil {
			err := r.pending
			var damage *DamageError
			if errors.As(err, &damage) {
				r.pending = nil
			}
			return capture.Record{}, err
		}
		if len(r.chunk) == 0 {
			if err := r.nextChunk(); err != nil {
				r.pending = err
			}
			continue
		}
		if err := r.record(&rec); err != nil {
			r.damaged = true
			r.pending = &DamageError{Offset: r.chunkAt, Ignored: int64(len(r.chunk)), Frame: r.chunkNo, record: r.lastSeq, Err: err}
			r.chunk = nil
			continue
		}
		r.records++
		r.end = rec.Kind == capture.KindEnd
		if !rec.Kind.Known() {
			r.unknown++
			if !r.copying {
				continue
			}
		}
		return rec, nil
	}
}

// record reads the next record of the chunk. After an error the chunk begins with
// that record.
func (r *Reader) record(rec *capture.Record) error {
	n, err := readRecord(r.chunk, rec)
	if err == nil {
		err = r.order(rec)
	}
	if err == nil {
		r.chunk = r.chunk[n:]
	}
	return err
}

// order checks that a record's number and time follow those of the record before
// it.
func (r *Reader) order(rec *capture.Record) error {
	switch {
	case rec.At < r.lastAt:
		return fmt.Errorf("record %d at %d ns follows one at %d ns", rec.Seq, rec.At, r.lastAt)
	case rec.Kind == capture.KindCarry && rec.Seq == 0:
	case rec.Seq <= r.lastSeq:
		return fmt.Errorf("record %d follows record %d", rec.Seq, r.lastSeq)
	default:
		r.lastSeq = rec.Seq
	}
	r.lastAt = rec.At
	return nil
}

// nextChunk reads frames until one has records. It returns io.EOF at the tape's
// end, with ending set.
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

// otherMajor returns the newer major version that err names, or 0. After the foot
// it begins another tape; before the foot it is damage, because a tape has only
// one version.
func otherMajor(err error) int {
	var v *VersionError
	if errors.As(err, &v) {
		return v.Major
	}
	return 0
}

// check checks that a sound frame is of this tape, and the expected one.
func (r *Reader) check(h *frameHeader) error {
	switch {
	case h.fileID != r.fileID:
		return errors.New("frame of another tape")
	case h.number > r.number:
		missing := h.number - r.number
		r.number = h.number
		return &missingError{missing}
	case h.number < r.number:
		return fmt.Errorf("frame %d, expected frame %d", h.number, r.number)
	case r.foot:
		return errors.New("a frame follows the foot")
	case h.kind > frameFoot && h.kind < frameOptional || h.kind == 0:
		return &VersionError{Offset: r.in.base, frame: h.kind}
	}
	return nil
}

// missingError says that frames are missing before a sound one.
type missingError struct{ frames uint64 }

func (e *missingError) Error() string {
	if e.frames == 1 {
		return "a frame is missing"
	}
	return fmt.Sprintf("%d frames are missing", e.frames)
}

// accept applies a frame: it sets the chunk, or checks the index page or foot.
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
		if r.damaged { // records are missing: the foot must differ
			return nil
		}
		if int64(f.offset) != r.in.base-r.tapeBase {
			return fmt.Errorf("foot has its own offset as %d, it is at %d", f.offset, r.in.base-r.tapeBase)
		}
		if !r.skipped && (f.records != r.records || f.chunks != r.chunks) {
			return fmt.Errorf("foot counts %d records in %d chunks; there are %d in %d", f.records, f.chunks, r.records, r.chunks)
		}
	}
	return nil
}

// fail returns the caller's error for an error at the window's start. After
// damage it moves on to the next sound frame.
func (r *Reader) fail(err error) error {
	var read *readError
	if errors.As(err, &read) {
		return fmt.Errorf("read tape at offset %d: %w", r.in.base, read.err)
	}
	var version *VersionError
	if errors.As(err, &version) {
		version.Offset = r.in.base
		if r.header.Minor > Minor {
			version.minor = r.header.Minor
		}
		return version
	}
	r.damaged = true
	d := &DamageError{Offset: r.in.base, Frame: r.number, record: r.lastSeq, Err: err, Torn: err == io.ErrUnexpectedEOF}
	var missing *missingError
	if errors.As(err, &missing) {
		d.Frame -= missing.frames
		return d // the frame itself is sound: it is read next
	}
	r.in.search(func(h *frameHeader) bool {
		if h.fileID == r.fileID && h.number >= r.number {
			r.number = h.number // the frames between are part of this damage
			return true
		}
		return h.kind == frameHead && h.fileID != r.fileID
	})
	d.Ignored = r.in.base - d.Offset
	d.Torn = d.Torn && r.in.hi == r.in.lo
	return d
}

// finish sets the ending.
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

// NextTape goes on to the next tape of the input, after Next has returned io.EOF.
// It returns false if nothing is left. Its errors are those of NewReader. After a
// *DamageError, which says how much of the input it skipped, it can be called again;
// every other error is final.
func (r *Reader) NextTape() (bool, error) {
	if r.ending == Unfinished || !r.in.fill(1) {
		return false, nil
	}
	*r = Reader{in: r.in, unpack: r.unpack, copying: r.copying, tapes: r.tapes + 1}
	err := fmt.Errorf("offset %d: more than %d tapes follow one another: split the file there", r.in.base, maxTapes)
	if r.tapes < maxTapes {
		err = r.head()
	}
	if err == nil {
		return true, nil
	}
	r.pending = err
	var damage *DamageError
	if errors.As(err, &damage) {
		// Records without a head cannot be read.
		r.in.search(func(h *frameHeader) bool { return h.kind == frameHead })
		damage.Ignored = r.in.base - damage.Offset
		r.pending, r.ending = io.EOF, Torn
	}
	return false, err
}
