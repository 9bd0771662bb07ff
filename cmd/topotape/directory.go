package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
)

// tapeFile is an input and what is known of it before it is read.
type tapeFile struct {
	replay.Input
	regular bool            // its head can be read without using it up
	head    *capture.Header // nil until it was read
}

// directoryTapes are the tapes in a directory, not below it, in the order of
// their times.
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
		return nil, fmt.Errorf("%s holds no tape: there is no *.tape and no *.tape%s in it", dir, partialName)
	}
	if len(skipped) > 0 {
		fmt.Fprintf(os.Stderr, "topotape: warning: %s: skipped what is not named *.tape: %s\n", dir, some(skipped, 5))
	}
	slices.SortStableFunc(list, func(a, b tapeFile) int {
		return cmp.Or(cmp.Compare(a.head.Start, b.head.Start),
			bytes.Compare(a.head.Recording[:], b.head.Recording[:]),
			cmp.Compare(a.head.Segment, b.head.Segment))
	})
	return list, nil
}

// some lists the first names.
func some(names []string, most int) string {
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// directoryTape is a tape of a directory that a recorder may be writing into: nil
// if it is not there any more or has no byte yet. One that was closed since the
// directory was read has its final name.
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
		return nil, fmt.Errorf("%s is no file", path)
	}
	t := tapeFile{Input: fileInput(path, st.Size()), regular: true}
	if t.head, err = t.Head(); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return &t, err
}

// isLink tells a link that leads nowhere from a file that was removed.
func isLink(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// joinSegments puts the segments of one recording behind one another, in the
// order of their numbers, where the first of them stands. All else keeps its
// place. A tape whose head can't be read does too: the reading will tell.
func joinSegments(list []tapeFile) []tapeFile {
	place := map[[16]byte]int{} // of a recording, in groups
	var groups [][]tapeFile
	for _, t := range list {
		if t.head == nil && t.regular {
			t.head, _ = t.Head()
		}
		if t.head == nil || t.head.Recording == [16]byte{} {
			groups = append(groups, []tapeFile{t})
			continue
		}
		at, known := place[t.head.Recording]
		if !known {
			at = len(groups)
			place[t.head.Recording] = at
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
