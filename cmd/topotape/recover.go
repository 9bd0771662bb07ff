package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/replay/edit"
	"github.com/topotape/topotape/replay/render"
)

func recoverCommand() *cobra.Command {
	var tape newTape
	cmd := &cobra.Command{
		Use:   "recover TAPE -o TAPE",
		Short: "Save the intact records of a torn or damaged tape",
		Long: `Save the intact records of a tape that is torn, cut, overwritten or badly
concatenated: every record of every intact frame, anywhere in the file, with its
number. A frame that fails its checksum is left out completely; no record is guessed.
Losses are reported on standard error and written to the new tape as gap records, so
that a replay knows where its sources have a gap. The new tape is read back before it
gets its name; the damaged tape is never changed.

The exit code is 3 if anything is or may be lost, 0 if the tape is complete.`,
		Example: `  topotape recover x.tape.partial -o x.tape
  topotape recover damaged.tape -o saved.tape
  ssh HOST cat damaged.tape | topotape recover - -o saved.tape`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return recoverTape(cmd, args[0], tape.path, tape.force)
		},
	}
	tape.addFlags(cmd)
	return cmd
}

// maxRecoverLines is how many lines about damage and tapes recover writes.
const maxRecoverLines = 100

func recoverTape(cmd *cobra.Command, name, out string, force bool) error {
	in, size, err := openSeekable(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if sameFile(in, out) {
		return fmt.Errorf("%s is the damaged tape itself; name another file", out)
	}
	if name == "-" {
		name = "standard input"
	}
	o, err := createTape(out, onlyForced(force))
	if err != nil {
		return err
	}
	watched, progress := fileProgress(in, size)
	lines := 0
	report := func(line string) {
		if lines++; lines <= maxRecoverLines {
			progress.clear()
			warn(cmd, "%s: %s", name, line)
		}
	}
	r, err := edit.Recover(watched, size, o, edit.Options{Tool: version, Say: report})
	progress.done()
	if more := lines - maxRecoverLines; more > 0 {
		warn(cmd, "%s: and %s", name, render.Count(more, "more line")+" like these")
	}
	if err == nil {
		err = o.check(r.Check)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	if err := o.finish(err); err != nil {
		return err
	}
	switch {
	case r.Differ > 0:
		return &exitError{exitDifference, fmt.Errorf("%s: %v; %d witnesses before any loss differ from the reports of this version; replay --verify shows how", name, r, r.Differ)}
	case !r.Whole:
		return &exitError{exitLoss, fmt.Errorf("%s: %v", name, r)}
	}
	if r.Sound {
		warn(cmd, "%s is complete: %v", name, r)
	} else {
		warn(cmd, "%s: %v", name, r)
	}
	return nil
}

// openSeekable opens a file for random access. A pipe is copied to a temporary file.
func openSeekable(name string) (*os.File, int64, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, 0, err
		}
	}
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, errors.Join(err, f.Close())
	case st.IsDir():
		return nil, 0, errors.Join(fmt.Errorf("%s is a directory; name a tape", name), f.Close())
	case st.Mode().IsRegular() && name != "-":
		return f, st.Size(), nil
	}
	defer f.Close()
	copied, size, err := spoolFile(f)
	if err != nil {
		err = fmt.Errorf("copy %s to a temporary file: %w", name, err)
	}
	return copied, size, err
}

// sameFile reports whether a path names an open file.
func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
