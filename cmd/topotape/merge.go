package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/replay/edit"
)

func mergeCommand() *cobra.Command {
	var tape newTape
	cmd := &cobra.Command{
		Use:   "merge TAPE... -o TAPE",
		Short: "Put segments or tapes of one host onto one tape",
		Long: `Put tapes of one host, or a directory of them, onto one. Segments and cuts of one
recording become one by the numbers of their records: in whatever order they are
named, what several of them hold is there once, and what is on none of them is said.

Different recordings are put onto one line by their times, and their records are
numbered anew. Where they overlap, ticks and steps of the wall clock are those of
the tape that is named first.`,
		Example: `  topotape merge ring/*.tape -o whole.tape
  topotape merge conntrack.tape dns.tape -o both.tape`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return mergeTapes(cmd, args, tape.path, tape.force)
		},
	}
	tape.addFlags(cmd)
	return cmd
}

func mergeTapes(cmd *cobra.Command, args []string, out string, force bool) error {
	inputs, err := tapeInputs(args, true)
	if err != nil {
		return err
	}
	for _, name := range args {
		if a, err := os.Stat(name); err == nil && a.Mode().IsRegular() {
			if b, err := os.Stat(out); err == nil && os.SameFile(a, b) {
				return fmt.Errorf("%s is one of the tapes to be merged; name another file", out)
			}
		}
	}
	o, err := createTape(out, onlyForced(force))
	if err != nil {
		return err
	}
	progress := readProgress(inputs)
	say := func(line string) {
		progress.clear()
		warn(cmd, "%s", line)
	}
	m, err := edit.Merge(inputs, o, edit.MergeOptions{Tool: toolVersion(), Say: say})
	progress.done()
	if err == nil {
		err = o.check(m.Check)
	}
	if err := o.finish(err); err != nil {
		return err
	}
	if m.Recordings > 1 {
		warn(cmd, "%d recordings are on one line now: its %d records are numbered anew", m.Recordings, m.Records)
	}
	switch {
	case len(m.Differ) > 0:
		return &exitError{exitDifference, fmt.Errorf("witnesses differ on %s: see replay --verify", strings.Join(m.Differ, ", "))}
	case len(m.Cut) > 0:
		return &exitError{exitLoss, fmt.Errorf("not closed, what followed on it may be missing: %s", strings.Join(m.Cut, ", "))}
	}
	return nil
}
