package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/replay/survey"
)

func infoCommand() *cobra.Command {
	var format string
	var top, most int
	cmd := &cobra.Command{
		Use:   "info TAPE...",
		Short: "Say what is on a tape",
		Long: `Say what is on a tape: sources, counts, rates, gaps, coverage, versions, from what it
was derived, and whether it is whole. Several tapes, or a directory of them, are told
of one by one and then together.

A closed tape is not decoded for that: its index tells, and the few records that speak
of sources, gaps and marks. Up to 32 MiB its checksums are compared too; of a larger one
it is said that the records between were not looked at, and --top reads them. A tape
without an index, and one from a pipe, is read to its end.

With --top the tape is replayed, and what its connections add up to is said too: who
talks most, which processes, servers and names there are, how many connections came and
went a second, what NAT did, how sure their directions are, and how many lack a process
or a name, and why.

A source's coverage is drawn over the time of the recording: █ it saw all, ▒ a gap may
hide something, ░ it was open for a part, · it was closed.`,
		Example: "  topotape info x.tape\n  topotape info --top 10 x.tape\n  topotape info --format json x.tape",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return info(cmd, args, format, top, most)
		},
	}
	addFormat(cmd.Flags(), &format, "text", "json")
	cmd.Flags().Var(countFlag(&top), "top", "replay too, and list the so many first of talkers, servers, processes and names")
	cmd.Flags().Var(countFlag(&most).or("1000000"), "max-connections", "with --top: how many connections to keep in memory")
	return cmd
}

func info(cmd *cobra.Command, args []string, format string, top, most int) error {
	inputs, err := tapeInputs(args, top > 0)
	if err != nil {
		return err
	}
	progress := readProgress(inputs)
	defer progress.done()
	surveyed, err := survey.Look(inputs, top == 0)
	if err != nil {
		return err
	}
	facts := survey.FactsOf(surveyed)
	if top > 0 {
		if err := facts.Measure(inputs, surveyed, top, most); err != nil {
			return err
		}
	}
	progress.done()
	out, err := createOutput("-", nil)
	if err != nil {
		return err
	}
	if format == "json" {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(facts)
	} else {
		_, err = io.WriteString(out, facts.Text(columns()))
	}
	if err := out.finish(err); err != nil {
		return err
	}
	var left uint64
	if facts.Top != nil {
		left = facts.Top.LeftOut
	}
	return surveyOutcome(cmd, surveyed, left)
}

// surveyOutcome is 3 where something of the tapes is missing, or connections
// were left out.
func surveyOutcome(cmd *cobra.Command, v *survey.Survey, left uint64) error {
	s := replay.Summary{}
	for _, t := range v.Tapes {
		s.Ends = append(s.Ends, replay.TapeEnd{Name: t.Name, Header: t.Header, Ending: t.Ending, Unknown: t.Unknown})
	}
	if n := s.Unknown(); n > 0 {
		warn(cmd, "warning: %s of unknown kind skipped; a newer version wrote the tape", render.Plural(n, "record"))
	}
	var loss []string
	if len(v.Damage) > 0 {
		loss = append(loss, v.Damage[0].Error())
		if more := len(v.Damage) - 1; more > 0 {
			loss = append(loss, "damaged at "+render.Plural(more, "more place"))
		}
	}
	if len(v.Damage) > 0 {
		loss = append(loss, "topotape recover saves what is left")
	}
	if cut := s.Unclean(); cut != "" {
		loss = append(loss, cut)
	}
	if left > 0 {
		loss = append(loss, fmt.Sprintf("%d connections or more are not counted in; raise --max-connections", left))
	}
	if len(loss) > 0 {
		return &exitError{exitLoss, errors.New(strings.Join(loss, "; "))}
	}
	return nil
}

// columns is how wide a line may be: the terminal's width, or 80.
func columns() int {
	n, _ := strconv.Atoi(os.Getenv("COLUMNS"))
	if n <= 0 {
		n = cmp.Or(windowColumns(os.Stdout), 80)
	}
	return min(max(n, 60), 200)
}
