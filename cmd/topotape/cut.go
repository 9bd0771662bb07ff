package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/edit"
	"github.com/topotape/topotape/replay/render"
)

func cutCommand() *cobra.Command {
	var tape newTape
	var w replay.Window
	cmd := &cobra.Command{
		Use:   "cut TAPE... -o TAPE",
		Short: "Cut a window out of a tape, even while it is being written",
		Long: `Cut a window out of a tape. In that window the new tape replays to the same reports
as the original, byte for byte: it begins with the state of the core at that time.
Records keep their numbers and times. Several tapes of one recording, or a directory
of them, are cut as one.

A tape that is still being written is cut up to the records written so far, which
lag by at most a quarter of a second.`,
		Example: `  topotape cut --from -10m x.tape.partial -o incident.tape
  topotape cut --from mark:bug --to mark:fixed x.tape -o bug.tape
  topotape cut --from 2026-01-02T03:00:00Z --to 2026-01-02T03:10:00Z x.tape -o - | ssh me@there topotape replay -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.Check(); err != nil {
				return usage("%w", err)
			}
			return cut(cmd, args, w, tape.path, tape.force)
		},
	}
	tape.addFlags(cmd)
	cmd.Flags().Var(timeFlag(&w.From), "from", "start of the window (default the tape's start)")
	cmd.Flags().Var(timeFlag(&w.To), "to", "end of the window, exclusive (default the tape's end)")
	return cmd
}

func cut(cmd *cobra.Command, args []string, w replay.Window, out string, force bool) error {
	inputs, err := tapeInputs(args, true)
	if err != nil {
		return err
	}
	o, err := createOutput(out, onlyForced(force))
	if err != nil {
		return err
	}
	options := edit.CutOptions{Window: w, Tool: version, Growing: func(name string) bool { return growing(inputs, name) }}
	for _, t := range []struct {
		flag string
		at   replay.Time
	}{{"--from", w.From}, {"--to", w.To}} {
		if !t.at.IsZero() {
			options.Args = append(options.Args, t.flag, t.at.String())
		}
	}
	progress := readProgress(inputs)
	s, err := edit.Cut(o, inputs, options)
	progress.done()
	if err := o.finish(err); err != nil {
		return err
	}
	return cutOutcome(cmd, s, out)
}

// cutOutcome summarizes the new tape on a terminal, and returns the error of what
// is missing or differs.
func cutOutcome(cmd *cobra.Command, s *edit.CutSummary, out string) error {
	if isTerminal(os.Stderr) {
		at := func(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000Z") }
		warn(cmd, "%s: %s and %s from %s to %s, and %s; %s", out, render.Count(s.Records, "record"), render.Count(s.Ticks, "tick"),
			at(s.From), at(s.To), render.Count(s.Evidence, "earlier record"), render.Size(uint64(s.Size)))
	}
	if s.Differ > 0 {
		for _, m := range s.Missing {
			warn(cmd, "%s", m)
		}
		return &exitError{exitDifference, fmt.Errorf("%d of %d reports of the window differ from production's; their witnesses are kept unchanged", s.Differ, s.Witnesses)}
	}
	return lossError(s.Missing)
}

// growing reports whether the tape is being written, or was when its size was read.
func growing(inputs []replay.Input, name string) bool {
	for i := range inputs {
		if inputs[i].Name == name && inputs[i].Size > 0 {
			st, err := os.Stat(name)
			return strings.HasSuffix(name, partialName) || err == nil && st.Size() > inputs[i].Size
		}
	}
	return false
}
