package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/fixtures"
	"github.com/topotape/topotape/reporter"
)

func fixtureCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fixture",
		Short: "Keep tapes as regression fixtures and check them",
		Long: `Make a regression fixture from a tape, check fixtures, and update their expected
reports. "topotape help fixtures" describes fixtures.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usage("want add, check or update") },
	}
	cmd.AddCommand(fixtureAddCommand(), fixtureCheckCommand(), fixtureUpdateCommand())
	for _, verb := range cmd.Commands() {
		setExitCode(verb)
	}
	return cmd
}

func fixtureAddCommand() *cobra.Command {
	var dir string
	f := fixtures.Fixture{Tool: version}
	cmd := &cobra.Command{
		Use:   "add NAME TAPE... --expect 'SELECTOR present|absent'...",
		Short: "Make a fixture from a tape or a script",
		Long: `Make a fixture from a tape or a tape script: a folder NAME with the tape, the
expectations, and the reports that the core makes from it. Nothing is written if an
expectation fails. Several tapes, or a directory of them, become one file.`,
		Example: `  topotape fixture add dnat x.tape --expect '10.0.0.1->172.17.0.2:8080 present once'
  topotape fixture add ghost x.tape --expect ':443 absent at end' --shows 'no ghost after a reset'
  topotape fixture add later x.tape --known-bad 'curl->nginx present'`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAdd(args[0], &f); err != nil {
				return err
			}
			inputs, err := tapeInputs(args[1:], true)
			if err != nil {
				return err
			}
			if dir == "" {
				dir = fixtures.DefaultDir()
			}
			err = fixtures.Add(dir, args[0], &f, oneInput(inputs))
			var refused *fixtures.ExpectationError
			if errors.As(err, &refused) {
				return &exitError{exitDifference, fmt.Errorf("no fixture is made: %w", err)}
			}
			return err
		},
	}
	s := cmd.Flags()
	s.Var(expectationFlag(&f.Expectations), "expect", "expectation: a selector and present or absent; may be repeated")
	s.Var(expectationFlag(&f.KnownBad), "known-bad", "expectation that is right but fails today; may be repeated")
	s.Var(rulesFlag(&f.Rules).or(reporter.RulesCurrent), "rules", "rule set of the core: current or scope2016")
	s.StringVar(&f.Shows, "shows", "", "what the fixture shows, in one sentence")
	s.StringSliceVar(&f.Covers, "covers", nil, "numbers of the known behaviours that it shows, like b23")
	s.StringVar(&dir, "dir", "", "folder of the fixtures (default fixtures, or testdata/fixtures if only that exists)")
	return cmd
}

// checkAdd checks the command line of fixture add.
func checkAdd(name string, f *fixtures.Fixture) error {
	if err := fixtures.CheckName(name); err != nil {
		return usage("%w", err)
	}
	if len(f.Expectations)+len(f.KnownBad) == 0 {
		return usage("no expectation; say what is right with --expect, like --expect '10.0.0.1->10.0.0.2:80 present': expected reports alone would also keep errors")
	}
	if err := f.Check(); err != nil {
		return usage("%w", err)
	}
	return nil
}

func fixtureCheckCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check [DIR|NAME]...",
		Short: "Replay fixtures and compare the reports with the expected ones",
		Long: `Replay all fixtures below a folder (default fixtures, or testdata/fixtures if only
that exists). Their expectations must hold, and their reports must equal the expected
reports.`,
		Example: `  topotape fixture check
  topotape fixture check --format github fixtures/corpus`,
		RunE: func(cmd *cobra.Command, args []string) error {
			results, err := fixtures.Check(args...)
			if err != nil {
				return err
			}
			if err := fixtures.WriteResults(os.Stdout, format, results); err != nil {
				return err
			}
			return outcomeOf(results)
		},
	}
	addFormat(cmd.Flags(), &format, fixtures.Formats...)
	return cmd
}

func fixtureUpdateCommand() *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "update --why TEXT [DIR|NAME]...",
		Short: "Update the expected reports of fixtures",
		Long: `Update the expected reports of those fixtures whose reports have changed and whose
expectations hold. Print what changed, and add the reason to each fixture's history.`,
		Example: `  topotape fixture update --why 'a reset ends a connection at once'
  topotape fixture update --why 'aliases have ports' dnat`,
		RunE: func(_ *cobra.Command, args []string) error {
			if strings.TrimSpace(why) == "" {
				return usage("no reason; say with --why why the expected reports change: it is added to each fixture's history")
			}
			results, err := fixtures.Update(why, version, args...)
			if err != nil {
				return err
			}
			if err := writeUpdate(results); err != nil {
				return err
			}
			return outcomeOf(results)
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "why the expected reports change (required)")
	return cmd
}

// writeUpdate prints what changed.
func writeUpdate(results []fixtures.Result) error {
	w := bufio.NewWriter(os.Stdout)
	updated := 0
	for i := range results {
		r := &results[i]
		if len(r.Changes) > 0 {
			updated++
			quote.Line(w, "%s", r.Name)
		}
		for _, c := range r.Changes {
			quote.Line(w, "  %s", c)
		}
	}
	for i := range results {
		for _, f := range results[i].Failures {
			quote.Line(w, "FAIL  %s: %s", results[i].Name, f.Text)
		}
	}
	quote.Line(w, "%d of %d fixtures updated", updated, len(results))
	return w.Flush()
}

// outcomeOf returns the error of failed fixtures, nil if none failed. Its exit code is
// that of a difference if one was found.
func outcomeOf(results []fixtures.Result) error {
	code, failed := exitFailed, 0
	for i := range results {
		if len(results[i].Failures) > 0 {
			failed++
		}
		if results[i].Differs() {
			code = exitDifference
		}
	}
	if failed == 0 {
		return nil
	}
	return &exitError{code, fmt.Errorf("%d of %d fixtures failed", failed, len(results))}
}
