package tape

import (
	"errors"
	"io"
)

// A Frame is a sound frame of an input: its checksums are correct.
type Frame struct {
	Offset int64 // of its first byte
	Size   int64 // bytes, header included
	FileID uint64
	Number uint64
	kind   frameKind
}

// Head reports whether the frame is a tape's first.
func (f *Frame) Head() bool { return f.kind == frameHead }

// Index reports whether the frame is a page of the index.
func (f *Frame) Index() bool { return f.kind == frameIndex }

// Foot reports whether the frame is a closed tape's last.
func (f *Frame) Foot() bool { return f.kind == frameFoot }

// Entries reads the entries of the page of the index that the frame is. Offsets
// count from the tape's head.
func (f *Frame) Entries(file io.ReaderAt) ([]Entry, error) {
	var d unpacker
	payload, h, err := readFrameAt(file, &d, f.Offset, f.Offset+f.Size)
	if err == nil && h.kind != frameIndex {
		err = errNoSync
	}
	var p indexPage
	if err == nil {
		err = p.parse(payload)
	}
	return p.entries, err
}

// A FrameScanner finds the sound frames of an input, of any tapes and in any
// order, and the damage between them. It decodes nothing.
type FrameScanner struct{ in input }

// NewFrameScanner returns a scanner of an input from its first byte.
func NewFrameScanner(src io.Reader) *FrameScanner { return &FrameScanner{in: input{src: src}} }

// Next finds the next frame. Bytes that are in no frame are reported once, as a
// *DamageError with their place and length; it wraps a *VersionError if a newer
// format seems to have written them. Next returns io.EOF at the input's end;
// errors of the underlying reader are final.
func (s *FrameScanner) Next() (Frame, error) {
	h, stored, err := s.in.frame()
	if err == nil {
		f := Frame{Offset: s.in.base, Size: int64(frameHeaderLen + len(stored)), FileID: h.fileID, Number: h.number, kind: h.kind}
		s.in.use(int(f.Size))
		return f, nil
	}
	damage := &DamageError{Offset: s.in.base, Err: err}
	for err != nil {
		var read *readError
		switch {
		case errors.As(err, &read):
			return Frame{}, read.err
		case err == io.EOF && s.in.base == damage.Offset:
			return Frame{}, io.EOF
		case err == io.EOF:
			damage.Torn = damage.Err == io.ErrUnexpectedEOF
			damage.Ignored = s.in.base - damage.Offset
			return Frame{}, damage
		}
		s.in.search(func(*frameHeader) bool { return true })
		_, _, err = s.in.frame()
	}
	damage.Ignored = s.in.base - damage.Offset
	return Frame{}, damage
}
