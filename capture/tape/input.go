package tape

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// input is a window over the bytes that are still to be read. Frames are parsed
// in place, so that after damage the search for a frame can go on inside what
// seemed to be a payload.
type input struct {
	src    io.Reader
	buf    []byte
	lo, hi int   // buf[lo:hi] was read and is not used yet
	base   int64 // offset of buf[lo] from the file's first byte
	err    error // of src; io.EOF at its end
	size   int   // of the frame that was parsed last, 0 if there was none
	wasted int64 // bytes of frames that were read and not accepted
}

const readSize = 64 << 10

// fill makes at least n bytes available, unless the input ends. It grows the
// window as bytes arrive, never ahead of them.
func (in *input) fill(n int) bool {
	for in.hi-in.lo < n && in.err == nil {
		if in.lo > 0 && (in.lo == in.hi || len(in.buf)-in.hi < readSize) {
			in.hi = copy(in.buf, in.buf[in.lo:in.hi])
			in.lo = 0
		}
		if len(in.buf)-in.hi < readSize {
			in.buf = append(in.buf, make([]byte, max(readSize, len(in.buf)))...)
		}
		m, err := in.src.Read(in.buf[in.hi:])
		in.hi += m
		in.err = err
	}
	return in.hi-in.lo >= n
}

// use removes n available bytes from the window and returns them.
func (in *input) use(n int) []byte {
	b := in.buf[in.lo : in.lo+n]
	in.lo += n
	in.base += int64(n)
	return b
}

func (in *input) rest() []byte { return in.buf[in.lo:in.hi] }

// frame parses the frame at the window's start and leaves it there. It returns
// io.EOF if no byte is left, and io.ErrUnexpectedEOF if the input ends inside the
// frame.
func (in *input) frame() (h frameHeader, stored []byte, err error) {
	in.size = 0
	if !in.fill(frameHeaderLen) {
		switch {
		case in.err != io.EOF && in.err != io.ErrUnexpectedEOF:
			return h, nil, &readError{in.err}
		case in.hi == in.lo:
			return h, nil, io.EOF
		}
		return h, nil, io.ErrUnexpectedEOF
	}
	if err := h.parse(in.rest()[:frameHeaderLen]); err != nil {
		var v *VersionError
		if errors.As(err, &v) {
			v.Offset = in.base
		}
		return h, nil, err
	}
	size := frameHeaderLen + int(h.stored)
	if !in.fill(size) {
		if in.err != io.EOF && in.err != io.ErrUnexpectedEOF {
			return h, nil, &readError{in.err}
		}
		return h, nil, io.ErrUnexpectedEOF
	}
	in.size = size
	stored = in.rest()[frameHeaderLen:size]
	if crc32.Checksum(stored, castagnoli) != h.crc {
		return h, stored, errPayloadCRC
	}
	return h, stored, nil
}

// begins reports whether the window begins like a frame, as far as it goes.
func (in *input) begins() bool {
	n := min(in.hi-in.lo, offMajor)
	return bytes.Equal(in.rest()[:n], frameTemplate[:n])
}

// readError is an error of the underlying reader, which is no damage.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// maxWasted is how many bytes may be read for frames that are not accepted,
// besides 16 times the length of the input so far.
const maxWasted = 64 << 20

// search skips bytes until the window begins with a frame header that ok
// accepts, or the input ends. It skips only one byte of a frame that was not
// accepted, because there can be other frames in it. A hostile input could have
// very many frames in one another; beyond maxWasted it skips the whole frame, so
// that the time to read stays proportional to the input's length.
func (in *input) search(ok func(*frameHeader) bool) {
	in.wasted += int64(in.size)
	skip := 1
	if in.wasted > maxWasted+16*in.base {
		skip = max(skip, in.size)
	}
	in.use(min(skip, in.hi-in.lo))
	mark := frameTemplate[:offMajor+1]
	for in.fill(frameHeaderLen) {
		at := bytes.Index(in.rest(), mark)
		if at < 0 {
			in.use(in.hi - in.lo - len(mark) + 1)
			continue
		}
		in.use(at)
		if !in.fill(frameHeaderLen) {
			break
		}
		var h frameHeader
		if h.parse(in.rest()[:frameHeaderLen]) == nil && ok(&h) {
			return
		}
		in.use(1)
	}
	in.use(in.hi - in.lo)
}

// unpacker decodes payloads. Its memory is bounded by maxPayload.
type unpacker struct {
	zstd     *zstd.Decoder
	buf      []byte
	expanded int // bytes of expanding payloads so far
}

var errExpanding = fmt.Errorf("payload decodes to more than %d times its frame, after %d MiB of such payloads", maxRatio, maxExpanding>>20)

// unpack returns the frame's decoded payload, valid until the next call.
func (u *unpacker) unpack(h *frameHeader, stored []byte) ([]byte, error) {
	switch h.coding {
	case codingPlain:
		if h.plain != h.stored {
			return nil, fmt.Errorf("plain payload of %d bytes has the decoded length %d", h.stored, h.plain)
		}
		return stored, nil
	case codingZstd:
		if expanding(int(h.plain), len(stored)) {
			if u.expanded += int(h.plain); u.expanded > maxExpanding {
				return nil, errExpanding
			}
		}
		if u.zstd == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
				zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecoderMaxWindow(maxPayload))
			if err != nil {
				return nil, fmt.Errorf("zstd: %w", err)
			}
			u.zstd = d
		}
		if cap(u.buf) < int(h.plain) {
			u.buf = make([]byte, h.plain)
		}
		plain, err := u.zstd.DecodeAll(stored, u.buf[:0:h.plain]) // never more than announced
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		if len(plain) != int(h.plain) {
			return nil, fmt.Errorf("payload decodes to %d bytes, not to %d", len(plain), h.plain)
		}
		return plain, nil
	}
	return nil, &VersionError{frame: h.kind, coding: h.coding}
}
