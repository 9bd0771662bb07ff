package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/topotape/topotape/replay"
)

// tapeInputs are the tapes that the arguments name, - being standard input. If
// they are to be read twice, standard input is kept in a file meanwhile.
func tapeInputs(args []string, twice bool) ([]replay.Input, error) {
	var inputs []replay.Input
	stdin := false
	for _, name := range args {
		in := replay.Input{Name: name, Open: func() (io.ReadCloser, error) { return openTape(name) }}
		if name == "-" {
			if stdin {
				return nil, usage("standard input is named twice")
			}
			stdin = true
			in = replay.Input{Name: "standard input", Open: func() (io.ReadCloser, error) { return io.NopCloser(os.Stdin), nil }}
			if twice {
				open, err := spool(os.Stdin)
				if err != nil {
					return nil, err
				}
				in.Open = open
			}
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

func openTape(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err == nil && st.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is a directory; name its tapes, in the order of their times", name)
	}
	return f, nil
}

// spool copies a stream into a file that has no name and goes with the
// program.
func spool(r io.Reader) (func() (io.ReadCloser, error), error) {
	f, err := os.CreateTemp("", "topotape-*.tape")
	if err != nil {
		return nil, fmt.Errorf("keep standard input: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	size, err := io.Copy(f, r)
	if err != nil {
		return nil, fmt.Errorf("keep standard input: %w", err)
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, size)), nil }, nil
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

// timeFlag is a flag that takes a time.
type timeFlag struct{ replay.Time }

func (f *timeFlag) Set(s string) (err error) {
	if s == "" {
		return errors.New("is empty")
	}
	f.Time, err = replay.ParseTime(s)
	return err
}

func (f *timeFlag) Type() string { return "time" }

// selectorFlag is a flag that takes selectors; given again, it adds one.
type selectorFlag []*replay.Selector

func (f *selectorFlag) Set(s string) error {
	sel, err := replay.ParseSelector(s)
	if err == nil {
		*f = append(*f, sel)
	}
	return err
}

func (f *selectorFlag) Type() string   { return "selector" }
func (f *selectorFlag) String() string { return "" }
