package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/topotape/topotape/replay"
)

// tapeInputs are the tapes that the arguments name, - being standard input and a
// directory all the tapes in it. The segments of a recording are put into
// order. If the tapes are to be read twice, what is no file is kept in one
// meanwhile.
func tapeInputs(args []string, twice bool) ([]replay.Input, error) {
	var list []tapeFile
	stdin := false
	for _, name := range args {
		if name == "-" {
			if stdin {
				return nil, usage("standard input is named twice")
			}
			stdin = true
		}
		some, err := namedTapes(name, twice)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	if len(list) > 1 {
		list = joinSegments(list)
	}
	inputs := make([]replay.Input, len(list))
	for i := range list {
		inputs[i] = list[i].Input
	}
	return inputs, nil
}

// namedTapes are those that one argument names.
func namedTapes(name string, twice bool) ([]tapeFile, error) {
	if name == "-" {
		in, err := streamInput("standard input", os.Stdin, twice)
		return []tapeFile{{Input: in}}, err
	}
	st, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, other := os.Stat(name + partialName); other == nil {
			return nil, fmt.Errorf("%s does not exist, but %[1]s%s does: it is being written, or was not closed; name that", name, partialName)
		}
		return nil, err
	case err != nil:
		return nil, err
	case st.IsDir():
		return directoryTapes(name)
	case st.Mode().IsRegular():
		return []tapeFile{{Input: fileInput(name, st.Size()), regular: true}}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	in, err := streamInput(name, f, twice)
	return []tapeFile{{Input: in}}, err
}

// partialName is what the name of a tape ends with until it is closed.
const partialName = ".partial"

// fileInput is a file as large as it is now: of a tape that is being written
// every reading sees the same bytes. When it is closed meanwhile it is found
// under its final name.
func fileInput(name string, size int64) replay.Input {
	return replay.Input{Name: name, Size: size, Open: func() (io.ReadCloser, error) {
		f, err := os.Open(name)
		if final, partial := strings.CutSuffix(name, partialName); partial && errors.Is(err, fs.ErrNotExist) {
			if closed, other := os.Open(final); other == nil {
				f, err = closed, nil
			}
		}
		if err != nil {
			return nil, err
		}
		return &section{io.NewSectionReader(f, 0, size), f}, nil
	}}
}

// section is the beginning of a file.
type section struct {
	*io.SectionReader
	io.Closer
}

// streamInput is a pipe or a device, which can be read once.
func streamInput(name string, f *os.File, twice bool) (replay.Input, error) {
	if twice {
		return spool(name, f)
	}
	opened := false
	return replay.Input{Name: name, Open: func() (io.ReadCloser, error) {
		if opened {
			return nil, fmt.Errorf("%s can be read only once; name a file", name)
		}
		opened = true
		return f, nil
	}}, nil
}

// spool copies a stream into a file that has no name and goes with the
// program.
func spool(name string, r io.Reader) (replay.Input, error) {
	fail := func(err error) (replay.Input, error) {
		return replay.Input{}, fmt.Errorf("keep %s to read it twice: %w", name, err)
	}
	f, size, err := spoolFile(r)
	if err != nil {
		return fail(err)
	}
	return replay.Input{Name: name, Size: size, Open: func() (io.ReadCloser, error) {
		return &section{io.NewSectionReader(f, 0, size), io.NopCloser(nil)}, nil
	}}, nil
}

// maxSpool bounds what is kept of a stream.
const maxSpool = 64 << 30

// spoolFile copies a stream into a file that has no name and goes with the
// program.
func spoolFile(r io.Reader) (*os.File, int64, error) {
	f, err := os.CreateTemp("", "topotape-*")
	if err != nil {
		return nil, 0, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	size, err := io.Copy(f, io.LimitReader(r, maxSpool+1))
	if err == nil && size > maxSpool {
		err = fmt.Errorf("more than %d GiB; cut it first", maxSpool>>30)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// oneInput is all the inputs one behind the other, as one file.
func oneInput(inputs []replay.Input) replay.Input {
	if len(inputs) == 1 {
		return inputs[0]
	}
	name := fmt.Sprintf("%s and %d more", inputs[0].Name, len(inputs)-1)
	return replay.Input{Name: name, Open: func() (io.ReadCloser, error) {
		all := &files{}
		var readers []io.Reader
		for _, in := range inputs {
			f, err := in.Open()
			if err != nil {
				all.Close()
				return nil, err
			}
			all.list, readers = append(all.list, f), append(readers, f)
		}
		all.Reader = io.MultiReader(readers...)
		return all, nil
	}}
}

// files are open together.
type files struct {
	io.Reader
	list []io.Closer
}

func (f *files) Close() (err error) {
	for _, c := range f.list {
		err = errors.Join(err, c.Close())
	}
	return err
}

// needScan reports whether a time takes a reading of the tapes before theirs.
func needScan(times ...replay.Time) bool {
	for _, t := range times {
		if t.NeedsScan() {
			return true
		}
	}
	return false
}
