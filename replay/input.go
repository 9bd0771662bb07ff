package replay

import (
	"errors"
	"fmt"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// An Input is a file with one tape, or with several tapes one after the other. If
// Open returns an io.ReaderAt and Size is set, the tape's index is used to read
// less.
type Input struct {
	Name string
	Open func() (io.ReadCloser, error)
	Size int64 // bytes; 0 if unknown
}

// Head reads the header of the input's first tape.
func (in Input) Head() (*capture.Header, error) {
	f, err := in.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := tape.NewReader(f)
	if err != nil {
		return nil, in.headError(err)
	}
	return r.Header(), nil
}

// Part returns a section of the input: size bytes from an offset. With it, one of
// many tapes in a file is read without those before it, if the file can seek.
func (in Input) Part(from, size int64) Input {
	return Input{Name: in.Name, Open: func() (io.ReadCloser, error) {
		f, err := in.Open()
		if err != nil {
			return nil, err
		}
		part := io.LimitReader(f, size)
		if at, ok := f.(io.ReaderAt); ok {
			part = io.NewSectionReader(at, from, size)
		} else if _, err := io.CopyN(io.Discard, f, from); err != nil {
			f.Close()
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{part, f}, nil
	}}
}

// compressions are the first bytes of compressed files, and the tool for each.
var compressions = []struct{ magic, tool string }{
	{"\x28\xb5\x2f\xfd", "zstd"},
	{"\x1f\x8b", "gzip"},
	{"\xfd7zXZ", "xz"},
}

// headError adds to the error of a tape's header what to do about it.
func (in *Input) headError(err error) error {
	if !errors.Is(err, tape.ErrNotTape) {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	for _, c := range compressions {
		if in.Size > 0 && in.beginsWith(c.magic) {
			return fmt.Errorf("%s: %w; it is compressed: unpack it, or %s -dc %[1]s | topotape VERB -", in.Name, err, c.tool)
		}
	}
	return fmt.Errorf("%s: %w; topotape build makes a tape of a script", in.Name, err)
}

func (in *Input) beginsWith(magic string) bool {
	f, err := in.Open()
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == magic
}
