package capture

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// input is a window over the bytes still to be read: frames are parsed in
// place, and after damage the search goes on inside what was taken for a
// payload.
type input struct {
	src    io.Reader
	buf    []byte
	lo, hi int   // buf[lo:hi] is read and not yet used
	base   int64 // offset of buf[lo] from the file's first byte
	err    error // of src; io.EOF at its end
	size   int   // of the frame that was parsed last, 0 if it was none
	vain   int64 // bytes of frames that were read for nothing
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

// use passes over n bytes that are available.
func (in *input) use(n int) []byte {
	b := in.buf[in.lo : in.lo+n]
	in.lo += n
	in.base += int64(n)
	return b
}

func (in *input) rest() []byte { return in.buf[in.lo:in.hi] }

// frame parses the frame at the window's head without using it up. It returns
// io.EOF when no byte is left and io.ErrUnexpectedEOF when the input ends
// inside the frame.
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

// begins reports whether what there is of a frame begins like one.
func (in *input) begins() bool {
	n := min(in.hi-in.lo, offMajor)
	return bytes.Equal(in.rest()[:n], frameTemplate[:n])
}

// readError is an error of the underlying reader: not the tape's fault.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// maxVain is how many bytes of bad frames are searched for others without
// asking what that costs.
const maxVain = 64 << 20

// search passes over bytes until a frame's header that ok accepts stands at
// the window's head, or the input ends. It passes over one byte at least: what
// was taken for a frame may have others in it. Where hostile ones have so many
// in them that reading costs more than the tape's length explains, it passes
// over the frame.
func (in *input) search(ok func(*frameHeader) bool) {
	in.vain += int64(in.size)
	skip := 1
	if in.vain > maxVain+16*in.base {
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
	zstd *zstd.Decoder
	buf  []byte
}

// unpack returns the frame's payload as it was before coding, valid until the
// next call.
func (u *unpacker) unpack(h *frameHeader, stored []byte) ([]byte, error) {
	switch h.coding {
	case codingPlain:
		if h.plain != h.stored {
			return nil, fmt.Errorf("plain frame of %d bytes announces %d", h.stored, h.plain)
		}
		return stored, nil
	case codingZstd:
		if u.zstd == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
				zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecoderMaxWindow(maxPayload))
			if err != nil {
				return nil, fmt.Errorf("zstd: %w", err)
			}
			u.zstd = d
		}
		plain, err := u.zstd.DecodeAll(stored, u.buf[:0])
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		u.buf = plain
		if len(plain) != int(h.plain) {
			return nil, fmt.Errorf("frame holds %d bytes and announces %d", len(plain), h.plain)
		}
		return plain, nil
	}
	return nil, &VersionError{Frame: h.kind, Coding: h.coding}
}
