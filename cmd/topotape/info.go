package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture/outfile"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/replay/survey"
)

func infoCommand() *cobra.Command {
	var format string
	var top, most int
	cmd := &cobra.Command{
		Use:   "info TAPE...",
		Short: "Summarize a tape",
		Long: `Summarize a tape: sources, counts, rates, gaps, coverage, versions, the tapes it was
derived from, and whether it is complete. Several tapes, or a directory of them, are
summarized one by one and then together.

A closed tape is not read completely: its index and the few records about sources, gaps
and marks suffice. Up to 32 MiB its checksums are verified too; for a larger tape the
summary says that the other records were not read. A tape without an index, or from a
pipe, is read to its end.

--top also replays the tape and adds statistics of its connections: the top talkers,
processes, servers and names, connections opened and closed per second, NAT, the
evidence for directions, and how many connections lack a process or a name, and why.

A bar shows each source's coverage over the time of the recording: █ complete, ▒ a gap
may hide something, ░ open for part of the time, · closed.`,
		Example: "  topotape info x.tape\n  topotape info --top 10 x.tape\n  topotape info --format json x.tape",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return info(cmd, args, format, top, most)
		},
	}
	addFormat(cmd.Flags(), &format, "text", "json")
	cmd.Flags().Var(countFlag(&top), "top", "replay the tape too, and list this many of the top talkers, servers, processes and names")
	cmd.Flags().Var(countFlag(&most).or("1000000"), "max-connections", "with --top: the most connections to keep in memory")
	return cmd
}

func info(cmd *cobra.Command, args []string, format string, top, most int) error {
	inputs, err := tapeInputs(args, top > 0)
	if err != nil {
		return err
	}
	progress := readProgress(inputs)
	defer progress.done()
	surveyed, err := survey.Read(inputs, top == 0)
	if err != nil {
		return err
	}
	if top > 0 {
		if err := surveyed.AddTop(inputs, top, most); err != nil {
			return err
		}
	}
	progress.done()
	out, err := createOutput("-", outfile.Nothing)
	if err != nil {
		return err
	}
	if format == "json" {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(surveyed)
	} else {
		_, err = io.WriteString(out, surveyed.Text(columns()))
	}
	if err := out.finish(err); err != nil {
		return err
	}
	return surveyOutcome(cmd, surveyed)
}

// surveyOutcome returns the error of what is missing from the tapes, or of
// connections that were left out.
func surveyOutcome(cmd *cobra.Command, v *survey.Survey) error {
	s := replay.Summary{}
	for _, t := range v.Tapes {
		s.Ends = append(s.Ends, t.End)
	}
	warnUnknown(cmd, &s)
	var loss []string
	if v.Damage != "" {
		loss = append(loss, v.Damage)
		if v.DamageMore > 0 {
			loss = append(loss, "damaged at "+render.Count(v.DamageMore, "more place"))
		}
		loss = append(loss, recoverHint)
	}
	if cut := s.Unclean(); cut != "" {
		loss = append(loss, cut)
	}
	if v.Top != nil && v.Top.LeftOut > 0 {
		loss = append(loss, fmt.Sprintf("at least %s not counted; raise --max-connections", render.Count(v.Top.LeftOut, "connection")))
	}
	return lossError(loss)
}

// columns returns the width of a line: COLUMNS or the terminal's width, else 80.
func columns() int {
	n, _ := strconv.Atoi(os.Getenv("COLUMNS"))
	if n <= 0 {
		n = cmp.Or(windowColumns(os.Stdout), 80)
	}
	return min(max(n, 60), 200)
}
