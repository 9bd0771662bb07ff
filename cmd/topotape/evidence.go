package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/fixtures/ingest"
	"github.com/topotape/topotape/replay/render"
)

// openEvidence opens an input of build. A pipe or a compressed file is copied to a
// temporary file, so that it can be read twice. cut is why not all could be
// decompressed.
func openEvidence(name string) (in ingest.Input, cut, err error) {
	in.Name = name
	file := os.Stdin
	if name == "-" {
		in.Name = "standard input"
	} else if file, err = os.Open(name); err != nil {
		return in, nil, err
	}
	st, err := file.Stat()
	switch {
	case err != nil:
		return in, nil, err
	case st.IsDir():
		in.Dir = os.DirFS(name)
		return in, nil, file.Close()
	}
	counted := &counter{from: file}
	stream := bufio.NewReaderSize(counted, 64<<10)
	plain, err := decompressed(stream)
	switch {
	case err != nil:
		return in, nil, fmt.Errorf("%s: %w", in.Name, err)
	case plain != nil:
		data := &untilError{from: plain}
		in.Data, in.Size, err = spoolFile(&inflated{from: data, packed: counted})
		cut = data.err
	case st.Mode().IsRegular() && st.Size() > 0 && name != "-": // the size of a file in /proc is 0
		in.Data, in.Size = file, st.Size()
	default:
		in.Data, in.Size, err = spoolFile(stream)
	}
	if err == nil && cut != nil && in.Size == 0 {
		err = cut
	}
	if err != nil {
		return in, nil, fmt.Errorf("%s: %w", in.Name, err)
	}
	return in, cut, nil
}

// decompressed returns a reader of the decompressed data, nil if r is not
// compressed.
func decompressed(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case strings.HasPrefix(string(head), "\x1f\x8b"):
		return gzip.NewReader(r)
	case strings.HasPrefix(string(head), "\x28\xb5\x2f\xfd"):
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
	}
	return nil, nil
}

// Data may be decompressed to freeSize, and beyond that to maxRatio times its size.
// gzip and zstd can make gigabytes of 62 KB, but not of the output of tools.
const (
	freeSize = 64 << 20
	maxRatio = 256
)

// inflated is decompressed data. Too much of it is an error.
type inflated struct {
	from   io.Reader
	packed *counter
	size   int64
}

func (f *inflated) Read(b []byte) (int, error) {
	n, err := f.from.Read(b)
	f.size += int64(n)
	if f.size > freeSize && f.size/maxRatio > f.packed.size {
		return n, fmt.Errorf("%s of it decompress to more than %s, %d times as much; if it is meant to, decompress it to a file and name that",
			render.Size(uint64(f.packed.size)), render.Size(uint64(f.size-1)), maxRatio)
	}
	return n, err
}

// A counter counts the bytes that are read.
type counter struct {
	from io.Reader
	size int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.size += int64(n)
	return n, err
}

// untilError ends at the first error of its reader, and keeps the error.
type untilError struct {
	from io.Reader
	err  error
}

func (u *untilError) Read(b []byte) (int, error) {
	n, err := u.from.Read(b)
	if err != nil && err != io.EOF {
		u.err = err
		err = io.EOF
	}
	return n, err
}
