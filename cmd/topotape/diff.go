package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture/outfile"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

// diffFlags are the flags of diff.
type diffFlags struct {
	rules       perSide[string]
	from, to    perSide[replay.Time]
	whole       bool
	format, out string
	match       []*fold.Selector
}

func diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff A [B]",
		Short: "Compare the topologies of two tapes",
		Long: `Compare the reports of two tapes tick by tick and print the differences in the
topology: one line for each cause, with the first tick and record that show it. - marks
what is only in A, + what is only in B, ~ what is in both but differs.

A and B are tapes, directories of segments, or files of reports that "replay --all"
printed as ndjson or json, for example with another build. A alone is compared with
itself. --rules, --from and --to apply to both sides if given once; if given twice,
the first is for A and the second for B.

Reports of the same time are compared. If the sides have no tick in common, like two
windows or two recordings, all connections ever seen on one side are compared with all
on the other, without times and counts. --format dot draws that comparison, with
connections only in A in orange and those only in B in blue. Between two rule sets,
times, counts, NAT and the evidence for a direction are not compared.

The exit code is 0 if nothing differs and 4 if something does. "topotape help bisect"
shows how to find the commit that changed a report.`,
		Example: `  topotape diff x.tape --rules scope2016 --rules current
  topotape diff before.tape after.tape --match :443
  topotape diff x.tape --from +0s --to +1m --from +5m --to +6m
  topotape diff good.ndjson x.tape
  topotape diff before.tape after.tape --format dot | dot -Tsvg >diff.svg`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	s := cmd.Flags()
	s.Var(perSideFlag(&f.rules, rulesFlag), "rules", "rule set of the core: current or scope2016 (default current)")
	s.Var(perSideFlag(&f.from, timeFlag), "from", "only reports at or after this time")
	s.Var(perSideFlag(&f.to, timeFlag), "to", "only reports before this time")
	s.BoolVar(&f.whole, "whole", false, "compare all connections ever seen instead of tick by tick")
	addFormat(s, &f.format, "text", "json", "markdown", "dot")
	s.VarP(fileFlag(&f.out).or("-"), "output", "o", "write the differences to a file, or to standard output (-)")
	s.Var(selectorFlag(&f.match), "match", "only these connections, with their endpoints and names; may be repeated")
	return cmd
}

// sides returns the two sides that the arguments and flags name.
func (f *diffFlags) sides(args []string) (sides [2]*replay.Side, err error) {
	if len(args) == 1 {
		if len(f.rules) < 2 && len(f.from) < 2 && len(f.to) < 2 {
			return sides, usage("nothing to compare %s with; name B, or give --rules, or --from and --to, twice", args[0])
		}
		args = []string{args[0], args[0]}
	}
	var inputs [2][]replay.Input
	if inputs[0], err = tapeInputs(args[:1], true); err != nil {
		return sides, err
	}
	if inputs[1] = inputs[0]; args[0] != args[1] {
		if inputs[1], err = tapeInputs(args[1:], true); err != nil {
			return sides, err
		}
	}
	for i := range sides {
		in := inputs[i][0]
		s := &replay.Side{Inputs: inputs[i], Rules: f.rules.of(i), Window: replay.Window{From: f.from.of(i), To: f.to.of(i)}}
		if err := s.Window.Check(); err != nil {
			return sides, usage("%w", err)
		}
		if s.Rules == "" {
			s.Rules = reporter.RulesCurrent
		}
		if s.Reports, err = isReports(in); err != nil {
			return sides, err
		}
		if s.Reports && !(s.Window.From.IsZero() && s.Window.To.IsZero()) {
			return sides, usage("%s is a file of reports: --from and --to work on tapes; give them to the replay that prints the reports", in.Name)
		}
		sides[i] = s
	}
	if sides[0].Reports && sides[1].Reports && len(f.rules) > 0 {
		return sides, usage("%s and %s are files of reports: --rules works on tapes; reports name the rules that made them", args[0], args[1])
	}
	return sides, nil
}

// isReports reports whether an input begins like a file of reports.
func isReports(in replay.Input) (bool, error) {
	file, err := in.Open()
	if err != nil {
		return false, err
	}
	defer file.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, fmt.Errorf("%s: %w", in.Name, err)
	}
	head = bytes.TrimLeft(head[:n], " \t\r\n")
	if bytes.HasPrefix(head, []byte(`{"tape"`)) {
		return false, fmt.Errorf("%s is a tape script; topotape build makes a tape from it", in.Name)
	}
	return len(head) > 0 && (head[0] == '{' || head[0] == '['), nil
}

func (f *diffFlags) run(cmd *cobra.Command, args []string) error {
	sides, err := f.sides(args)
	if err != nil {
		return err
	}
	out, err := createOutput(f.out, outfile.Reports)
	if err != nil {
		return err
	}
	a, b := sides[0], sides[1]
	progress := readProgress(a.Inputs)
	if progress != nil && &a.Inputs[0] != &b.Inputs[0] {
		progress.watch(b.Inputs)
	}
	defer progress.done()
	d, ofA, ofB, err := replay.Diff(a, b, replay.DiffOptions{Selectors: f.match, Whole: f.whole || f.format == "dot"})
	if err == nil {
		err = findLeads(a, b, d)
	}
	if err == nil {
		progress.clear()
		err = f.write(out, sides, d)
	}
	if err == nil && f.format == "dot" && !f.whole && d.Same() { // the exit code also reflects differences that the picture does not show
		d, ofA, ofB, err = replay.Diff(a, b, replay.DiffOptions{Selectors: f.match})
	}
	progress.done()
	if err = out.finish(err); err != nil {
		return err
	}
	return f.outcome(cmd, d, ofA, ofB)
}

// title returns the name of a side with its rules and window.
func title(s *replay.Side) string {
	text := s.Inputs[0].Name
	if more := len(s.Inputs) - 1; more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	if s.Reports {
		return text + " (reports)"
	}
	text += ", rules " + s.Rules
	if !s.Window.From.IsZero() {
		text += ", from " + s.Window.From.String()
	}
	if !s.Window.To.IsZero() {
		text += ", to " + s.Window.To.String()
	}
	return text
}

func (f *diffFlags) write(w io.Writer, sides [2]*replay.Side, d *diff.Difference) error {
	a, b := title(sides[0]), title(sides[1])
	switch f.format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			A    string `json:"a"`
			B    string `json:"b"`
			Same bool   `json:"same"`
			*diff.Difference
		}{a, b, d.Same(), d})
	case "markdown":
		return d.WriteMarkdown(w, a, b)
	case "dot":
		return d.WriteDot(w, f.match)
	}
	if err := cmp.Or(quote.Line(w, "--- %s", a), quote.Line(w, "+++ %s", b)); err != nil {
		return err
	}
	if d.Same() {
		return quote.Line(w, "%s", d.Verdict())
	}
	return d.WriteText(w)
}

// outcome reports what went wrong in the replays, and returns the error with the
// exit code.
func (f *diffFlags) outcome(cmd *cobra.Command, d *diff.Difference, ofA, ofB *replay.Summary) error {
	var loss, panics []string
	for _, s := range []*replay.Summary{ofA, ofB} {
		if s.Damage != nil {
			loss = append(loss, fmt.Sprintf("stopped at the damage: %v", s.Damage))
		}
		if cut := s.Unclean(); cut != "" {
			loss = append(loss, cut)
		}
		if s.LeftOut > 0 {
			loss = append(loss, fmt.Sprintf("at least %s left out of the comparison", render.Count(s.LeftOut, "connection")))
		}
		if s.Panic != nil {
			panics = append(panics, fmt.Sprintf("the core panics on record %d: %v; reports end there", s.Panic.Record, s.Panic.Value))
		}
	}
	loss, panics = slices.Compact(loss), slices.Compact(panics)
	switch {
	case !d.Same():
		for _, l := range append(loss, panics...) {
			warn(cmd, "%s", l)
		}
		where := ""
		if d.First != nil {
			where = fmt.Sprintf(", from tick %d on", d.First.Tick)
		}
		return &exitError{exitDifference, fmt.Errorf("the topologies differ%s", where)}
	case len(panics) > 0:
		return errors.New(strings.Join(panics, "; "))
	}
	return lossError(loss)
}
