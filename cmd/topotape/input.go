package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay"
)

// tapeInputs returns the tapes that the arguments name: - is standard input, a
// directory all the tapes in it. The segments of a recording are put into order. If
// the tapes are read twice, a stream is copied to a temporary file first.
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
		tapes, err := namedTapes(name, twice)
		if err != nil {
			return nil, err
		}
		list = append(list, tapes...)
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

// namedTapes returns the tapes that one argument names.
func namedTapes(name string, twice bool) ([]tapeFile, error) {
	if name == "-" {
		in, err := streamInput("standard input", os.Stdin, twice)
		return []tapeFile{{Input: in}}, err
	}
	st, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, other := os.Stat(name + partialName); other == nil {
			return nil, fmt.Errorf("%s does not exist, but %[1]s%s does: it is being written or was not closed; name that one", name, partialName)
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

// partialName ends the name of a tape until it is closed.
const partialName = ".partial"

// fileInput is a file at its current size, so that every read of a tape that is
// being written sees the same bytes. If the recorder has closed the tape since, it is
// found under its final name.
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

// streamInput is a pipe or a device, which can be read only once. If twice is set it
// is copied to a temporary file.
func streamInput(name string, f *os.File, twice bool) (replay.Input, error) {
	if twice {
		return spool(name, f)
	}
	opened := false
	return replay.Input{Name: name, Open: func() (io.ReadCloser, error) {
		if opened {
			return nil, fmt.Errorf("%s can be read only once; save it to a file and name that", name)
		}
		opened = true
		return f, nil
	}}, nil
}

// spool copies a stream to a temporary file, so that it can be read again.
func spool(name string, r io.Reader) (replay.Input, error) {
	fail := func(err error) (replay.Input, error) {
		return replay.Input{}, fmt.Errorf("copy %s to a temporary file to read it twice: %w", name, err)
	}
	f, size, err := spoolFile(r)
	if err != nil {
		return fail(err)
	}
	return replay.Input{Name: name, Size: size, Open: func() (io.ReadCloser, error) {
		return &section{io.NewSectionReader(f, 0, size), io.NopCloser(nil)}, nil
	}}, nil
}

// maxSpool bounds the copy of a stream, bytes.
const maxSpool = 64 << 30

// spoolFile copies a stream to a temporary file without a name, which disappears when
// the program ends. It returns the file and its size.
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
		err = fmt.Errorf("it has more than %d GiB; save it to a file and name that", maxSpool>>30)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// oneInput joins the inputs to one file.
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

// files are open files that are closed together.
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

// needScan reports whether resolving a time needs to read the tapes first.
func needScan(times ...replay.Time) bool {
	for _, t := range times {
		if t.NeedsScan() {
			return true
		}
	}
	return false
}

// tapeFile is an input with what is known before the tape is read.
type tapeFile struct {
	replay.Input
	regular bool            // its head can be read without consuming it
	head    *capture.Header // nil if it is not read
}

// directoryTapes returns the tapes in a directory, without its subdirectories, in the
// order of their start times.
func directoryTapes(dir string) ([]tapeFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []tapeFile
	var skipped []string
	known := map[string]bool{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !strings.HasSuffix(strings.TrimSuffix(path, partialName), ".tape") {
			if !e.IsDir() {
				skipped = append(skipped, e.Name())
			}
			continue
		}
		t, err := directoryTape(path)
		if err != nil {
			return nil, err
		}
		if t != nil && !known[t.Name] {
			known[t.Name] = true
			list = append(list, *t)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s contains no tape: it has no *.tape and no *.tape%s", dir, partialName)
	}
	if len(skipped) > 0 {
		quote.Line(os.Stderr, "topotape: warning: %s: skipped files not named *.tape: %s", dir, firstNames(skipped, 5))
	}
	slices.SortStableFunc(list, func(a, b tapeFile) int {
		return cmp.Or(cmp.Compare(a.head.Start, b.head.Start),
			bytes.Compare(a.head.Recording[:], b.head.Recording[:]),
			cmp.Compare(a.head.Segment, b.head.Segment))
	})
	return list, nil
}

// firstNames lists the first n names and counts the others.
func firstNames(names []string, n int) string {
	if more := len(names) - n; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), more)
	}
	return strings.Join(names, ", ")
}

// directoryTape returns a tape of a directory into which a recorder may be writing.
// It is nil if the tape was removed or is still empty. A tape that was closed after
// the directory was listed has its final name.
func directoryTape(path string) (*tapeFile, error) {
	final, partial := strings.CutSuffix(path, partialName)
	st, err := os.Stat(path)
	closed, other := os.Stat(final)
	switch {
	case partial && other == nil && (errors.Is(err, os.ErrNotExist) || err == nil && os.SameFile(st, closed)):
		path, st = final, closed
	case errors.Is(err, os.ErrNotExist) && !isLink(path):
		return nil, nil
	case err != nil:
		return nil, err
	case partial && st.Size() == 0:
		return nil, nil
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	t := tapeFile{Input: fileInput(path, st.Size()), regular: true}
	if t.head, err = t.Head(); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return &t, err
}

// isLink distinguishes a dangling link from a file that was removed.
func isLink(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// joinSegments puts the segments of a recording together, in the order of their
// numbers, at the place of the first one. Other tapes keep their places; so does a
// tape whose head cannot be read: the replay reports that error.
func joinSegments(list []tapeFile) []tapeFile {
	groupOf := map[[16]byte]int{} // index of a recording's group
	var groups [][]tapeFile
	for _, t := range list {
		if t.head == nil && t.regular {
			t.head, _ = t.Head()
		}
		if t.head == nil || t.head.Recording == [16]byte{} {
			groups = append(groups, []tapeFile{t})
			continue
		}
		at, known := groupOf[t.head.Recording]
		if !known {
			at = len(groups)
			groupOf[t.head.Recording] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], t)
	}
	for _, g := range groups {
		if len(g) > 1 {
			slices.SortStableFunc(g, func(a, b tapeFile) int { return cmp.Compare(a.head.Segment, b.head.Segment) })
		}
	}
	return slices.Concat(groups...)
}
