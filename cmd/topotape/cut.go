package main

import (
	"errors"
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
		Short: "Cut a window out of a tape, also of one that is being written",
		Long: `Cut a window out of a tape. The result is a tape of its own that replays to the same
reports, byte for byte, as the whole one does in that window: it begins with what
was known by then. Records keep their numbers and times. Several tapes of one
recording, or a directory of them, are cut as one.

A tape that is still being written is cut as far as it has been written, which
is up to a quarter of a second ago.`,
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
	cmd.Flags().Var(timeFlag(&w.From), "from", "from this time on (default the tape's start)")
	cmd.Flags().Var(timeFlag(&w.To), "to", "up to before this time (default the tape's end)")
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
	options := edit.CutOptions{Window: w, Tool: toolVersion(), Growing: func(name string) bool { return growing(inputs, name) }}
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

// cutOutcome says what was made, to a person, and what was missing.
func cutOutcome(cmd *cobra.Command, s *edit.CutSummary, out string) error {
	if isTerminal(os.Stderr) {
		at := func(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000Z") }
		warn(cmd, "%s: %d records and %d ticks from %s to %s, and %d records of before; %s", out, s.Records, s.Ticks, at(s.From), at(s.To), s.Evidence, render.Size(uint64(s.Size)))
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

// growing reports whether a tape is still being written, or was when its size
// was looked at.
func growing(inputs []replay.Input, name string) bool {
	for i := range inputs {
		if inputs[i].Name == name && inputs[i].Size > 0 {
			st, err := os.Stat(name)
			return strings.HasSuffix(name, partialName) || err == nil && st.Size() > inputs[i].Size
		}
	}
	return false
}
