package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/replay"
)

func cutCommand() *cobra.Command {
	var out string
	var force bool
	var from, to timeFlag
	cmd := &cobra.Command{
		Use:   "cut TAPE... -o TAPE",
		Short: "Cut a window out of a tape, also of one that is being written",
		Long: `Cut a window out of a tape. The result is a tape of its own that replays to the same
reports, byte for byte, as the whole one does in that window: it begins with what
was known by then. Records keep their numbers and times. Several tapes of one
recording are cut as one.

A tape that is still being written is cut as far as it has been written, which
is up to a quarter of a second ago.`,
		Example: `  topotape cut --from -10m x.tape.partial -o incident.tape
  topotape cut --from mark:bug --to mark:fixed x.tape -o bug.tape
  topotape cut --from 2026-01-02T03:00:00Z --to 2026-01-02T03:10:00Z x.tape -o - | ssh me@there topotape replay -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w := replay.Window{From: from.Time, To: to.Time}
			if err := w.Check(); err != nil {
				return usage("%w", err)
			}
			if (out == "-" || out == "/dev/stdout") && isTerminal(os.Stdout) {
				return usage("a tape is not for a terminal: redirect standard output, or name a file with -o")
			}
			return cut(cmd, args, w, out, force)
		},
	}
	s := cmd.Flags()
	s.StringVarP(&out, "output", "o", "", "the tape: a file, or - for standard output (required)")
	s.BoolVar(&force, "force", false, "replace an existing tape")
	s.Var(&from, "from", "from this time on (default the tape's start)")
	s.Var(&to, "to", "up to before this time (default the tape's end)")
	if err := cmd.MarkFlagRequired("output"); err != nil {
		panic(err)
	}
	return cmd
}

func cut(cmd *cobra.Command, args []string, w replay.Window, out string, force bool) error {
	inputs, err := tapeInputs(args, true)
	if err != nil {
		return err
	}
	var files frozenFiles
	defer files.close()
	for i := range inputs {
		if err := files.freeze(&inputs[i]); err != nil {
			return err
		}
	}
	o, err := createOutput(out, onlyForced(force))
	if err != nil {
		return err
	}
	options := replay.CutOptions{Window: w, Tool: toolVersion(), Growing: files.growing}
	for _, t := range []struct {
		flag string
		at   replay.Time
	}{{"--from", w.From}, {"--to", w.To}} {
		if !t.at.IsZero() {
			options.Args = append(options.Args, t.flag, t.at.String())
		}
	}
	s, err := replay.Cut(o, inputs, options)
	if err := o.finish(err); err != nil {
		return err
	}
	return cutOutcome(cmd, s, out)
}

// cutOutcome says what was made, to a person, and what was missing.
func cutOutcome(cmd *cobra.Command, s *replay.CutSummary, out string) error {
	if isTerminal(os.Stderr) {
		at := func(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000Z") }
		warn(cmd, "%s: %d records and %d ticks from %s to %s, and %d records of before; %s", out, s.Records, s.Ticks, at(s.From), at(s.To), s.Evidence, sizeText(uint64(s.Size)))
	}
	if s.Unknown > 0 {
		s.Missing = append(s.Missing, fmt.Sprintf("%d records of unknown kinds are left out; a newer version wrote them", s.Unknown))
	}
	if s.Differ > 0 {
		for _, m := range s.Missing {
			warn(cmd, "%s", m)
		}
		return &exitError{exitDifference, fmt.Errorf("%d of %d reports of the window differ from production's: their witnesses are left as they were", s.Differ, s.Witnesses)}
	}
	if len(s.Missing) > 0 {
		return &exitError{exitLoss, errors.New(strings.Join(s.Missing, "; "))}
	}
	return nil
}

// frozenFiles are tapes as they were when they were opened: what is written to
// them meanwhile does not count, and that they get another name does no harm.
type frozenFiles struct {
	files []*os.File
	sizes map[string]int64
	names map[string]*os.File
}

// freeze makes an input the same whenever it is read.
func (z *frozenFiles) freeze(in *replay.Input) error {
	r, err := in.Open()
	if err != nil {
		return err
	}
	f, ok := r.(*os.File)
	if !ok { // kept already
		return r.Close()
	}
	z.files = append(z.files, f)
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		in.Open, err = spool(f)
		return err
	}
	if z.sizes == nil {
		z.sizes, z.names = map[string]int64{}, map[string]*os.File{}
	}
	size := st.Size()
	z.sizes[in.Name], z.names[in.Name] = size, f
	in.Open = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, size)), nil }
	return nil
}

// growing reports whether a tape is still being written, or was when it was
// opened.
func (z *frozenFiles) growing(name string) bool {
	f := z.names[name]
	if f == nil {
		return false
	}
	st, err := f.Stat()
	return strings.HasSuffix(name, ".partial") || err == nil && st.Size() > z.sizes[name]
}

func (z *frozenFiles) close() {
	for _, f := range z.files {
		f.Close()
	}
}
