package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/replay/edit"
)

func recoverCommand() *cobra.Command {
	var tape newTape
	cmd := &cobra.Command{
		Use:   "recover TAPE -o TAPE",
		Short: "Save what can be saved of a torn or damaged tape",
		Long: `Save what can be saved of a tape that is torn, cut, overwritten or put together
wrongly: every record of every frame that is whole, wherever it stands, with its
number. A frame that fails its checksum is left out as a whole: no record is
guessed. What is lost is said on standard error, and by gap records on the new
tape, so that a replay knows where its sources have a hole. The new tape is read
back before it gets its name; the damaged one is never touched.

The exit code is 3 when anything is lost or may be, 0 when the tape is whole.`,
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

func recoverTape(cmd *cobra.Command, name, out string, force bool) error {
	in, size, err := openWhole(name)
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
	say := func(line string) {
		progress.clear()
		warn(cmd, "%s: %s", name, line)
	}
	r, err := edit.Recover(watched, size, o, edit.RecoverOptions{Tool: toolVersion(), Say: say})
	progress.done()
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
		return &exitError{exitDifference, fmt.Errorf("%s: %v; of the witnesses before any loss %d are not what this version makes: see replay --verify", name, r, r.Differ)}
	case !r.Whole:
		return &exitError{exitLoss, fmt.Errorf("%s: %v", name, r)}
	}
	if r.Sound {
		warn(cmd, "%s is whole: %v", name, r)
	} else {
		warn(cmd, "%s: %v", name, r)
	}
	return nil
}

// openWhole opens a file to be read more than once and anywhere. A pipe is
// kept in a file meanwhile.
func openWhole(name string) (*os.File, int64, error) {
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
	kept, size, err := spoolFile(f)
	if err != nil {
		err = fmt.Errorf("keep %s: %w", name, err)
	}
	return kept, size, err
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
