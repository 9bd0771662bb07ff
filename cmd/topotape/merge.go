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
		Short: "Merge segments or tapes of one host into one tape",
		Long: `Merge tapes of one host, or a directory of them, into one tape. Segments and cuts of
one recording are joined by the numbers of their records, in any order of the
arguments: a record on several of them is kept once, and missing records are reported.

Different recordings are merged by time, and their records are renumbered. Where they
overlap, ticks and steps of the wall clock come from the tape that is named first.`,
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
	report := func(line string) {
		progress.clear()
		warn(cmd, "%s", line)
	}
	m, err := edit.Merge(inputs, o, edit.Options{Tool: version, Say: report})
	progress.done()
	if err == nil {
		err = o.check(m.Check)
	}
	if err := o.finish(err); err != nil {
		return err
	}
	if m.Recordings > 1 {
		warn(cmd, "%d recordings are merged by time, and all %d records are renumbered", m.Recordings, m.Records)
	}
	switch {
	case len(m.Differ) > 0:
		return &exitError{exitDifference, fmt.Errorf("witnesses differ on %s; replay --verify shows how", strings.Join(m.Differ, ", "))}
	case len(m.Cut) > 0:
		return &exitError{exitLoss, fmt.Errorf("tapes that were not closed, so records at their ends may be missing: %s", strings.Join(m.Cut, ", "))}
	}
	return nil
}
