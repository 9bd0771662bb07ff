package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

// replayFlags are the command line of replay.
type replayFlags struct {
	rules, format, out string
	at                 replay.Time
	window             replay.Window
	all, whole         bool
	match              []*fold.Selector
	verify, strict     bool
	maxConnections     int
	rate               float64
}

func replayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay TAPE...",
		Short: "Make the reports of a tape",
		Long: `Run tapes through the reporter core and print the reports that production made:
the last one, or those that are asked for. Several tapes are replayed in the order
in which they are named, the segments of one recording in their own; a directory
means its tapes, also the one that is being written.

--from and --to alone print every report of that window. So does --rate, which
prints each when it is due: 1x is the tape's own pace. Ctrl-C ends it.

--verify holds every report against the digests that production left of its own.
Of the first one that differs it says in which part, and what changed there since
the last one of that recording that does not. Digests of a tick that the tape
should have and lacks count as different.

The scope formats are what Weave Scope's probe posts: JSON, one report a line, or
MessagePack, one report behind the other. The app takes either at /api/report, with
the Content-Type application/json or application/msgpack, gzip or not. dot
and mermaid draw one report: hosts and network namespaces are frames, the ports
of one client are one box, the line says who is known to be the client, and how.`,
		Example: `  topotape replay x.tape
  topotape replay --all --format ndjson x.tape
  topotape replay --at mark:bug --match 'nginx :443' x.tape
  topotape replay --whole --from +1m --to +2m x.tape
  topotape replay --rate 10x x.tape
  topotape replay --verify x.tape
  topotape replay --whole --format dot x.tape | dot -Tsvg >x.svg
  topotape replay --format scope-msgpack x.tape | gzip >report.msgpack.gz
  curl -H 'Content-Type: application/msgpack' -H 'Content-Encoding: gzip' \
    --data-binary @report.msgpack.gz http://SCOPE:4040/api/report`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.run(cmd, args)
		},
	}
	s := cmd.Flags()
	s.Var(rulesFlag(&f.rules).or(reporter.RulesCurrent), "rules", "which semantics the core follows: current, or those of Weave Scope in 2016 (scope2016)")
	addFormat(s, &f.format, "table", "json", "ndjson", "scope-json", "scope-msgpack", "dot", "mermaid")
	s.VarP(fileFlag(&f.out).or("-"), "output", "o", "where the reports go: a file, or - for standard output")
	s.Var(timeFlag(&f.at), "at", "the last report at or before this time (default end)")
	s.BoolVar(&f.all, "all", false, "every report")
	s.BoolVar(&f.whole, "whole", false, "one report of every connection that was ever seen")
	s.Var(timeFlag(&f.window.From), "from", "only reports from this time on")
	s.Var(timeFlag(&f.window.To), "to", "only reports before this time")
	s.Var(selectorFlag(&f.match), "match", "only these connections; may be repeated")
	s.BoolVar(&f.verify, "verify", false, "compare the reports with those of production")
	s.BoolVar(&f.strict, "strict", false, "exit 3 if the sources lost anything")
	s.Var(rateFlag(&f.rate), "rate", "print every report when it is due, at this many times the tape's own pace (10x, 0.5x)")
	s.Var(countFlag(&f.maxConnections).or("1000000"), "max-connections", "the most that --whole keeps")
	return cmd
}

func (f *replayFlags) check() error {
	switch window := f.inWindow(); {
	case pictures[f.format] != nil && (f.all || window && !f.whole):
		return usage("--format %s is a picture of one report; choose it with --at, or see a window with --whole", f.format)
	case f.all && f.whole:
		return usage("--all and --whole exclude each other")
	case !f.at.IsZero() && (f.all || f.whole):
		return usage("--at is one report; leave out --all and --whole")
	case f.rate > 0 && (f.whole || !f.at.IsZero() || pictures[f.format] != nil):
		return usage("--rate is for every report; leave out --at, --whole and formats of one report")
	case !f.at.IsZero() && window:
		return usage("--at is one report; leave out --from and --to")
	}
	if err := f.window.Check(); err != nil {
		return usage("%w", err)
	}
	if f.format == "scope-msgpack" && f.out == "-" && isTerminal(os.Stdout) {
		return usage("MessagePack is not for a terminal: redirect standard output, or name a file with -o")
	}
	return nil
}

// inWindow reports whether the reports of a window are wanted.
func (f *replayFlags) inWindow() bool { return !f.window.From.IsZero() || !f.window.To.IsZero() }

// options are those of the replay. Verifying prints no report unless one is
// asked for.
func (f *replayFlags) options() replay.Options {
	o := replay.Options{Rules: f.rules, At: f.at, Window: f.window, Verify: f.verify, MaxConnections: f.maxConnections}
	switch {
	case f.whole:
		o.Reports = replay.Whole
	case f.all || f.inWindow() || f.rate > 0:
		o.Reports = replay.All
	case f.verify && f.at.IsZero():
		o.Reports = replay.None
	}
	return o
}

func (f *replayFlags) run(cmd *cobra.Command, args []string) error {
	o := f.options()
	inputs, err := tapeInputs(args, needScan(o.At, o.Window.From, o.Window.To))
	if err != nil {
		return err
	}
	out, err := createOutput(f.out, unlessTape)
	if err != nil {
		return err
	}
	progress := newProgress(inputs)
	p := &reportPrinter{out: out, format: f.format, list: o.Reports == replay.All}
	var ended endCounter
	each := p.note
	if f.format == "table" && o.Reports == replay.Last {
		each, p.ended = ended.count, &ended
	}
	o.Each = func(h *capture.Header, r *capture.Record) {
		progress.record(r)
		each(h, r)
	}
	if f.rate > 0 {
		wait := newPacer(f.rate, out.target())
		defer wait.stop()
		o.Due = wait.until
	}
	summary, err := replay.Run(inputs, o, func(r *reporter.Report) error {
		ended.seen(r)
		if out.file == nil {
			progress.yield()
		}
		err := p.print(fold.Filter(r, f.match))
		if err == nil && f.rate > 0 {
			err = out.Flush()
		}
		return err
	})
	progress.done()
	if err == nil {
		err = p.finish()
	}
	v := verification{Verification: summary.Verification, format: f.format, several: len(inputs) > 1}
	if err == nil && f.verify {
		to := cmd.ErrOrStderr()
		if o.Reports == replay.None {
			to = out
		}
		err = v.write(to)
	}
	if err = out.finish(err); err != nil {
		if errors.Is(err, replay.ErrNoReport) {
			warnings(cmd, summary)
		}
		return err
	}
	return f.outcome(cmd, summary, &v)
}

// outcome says what the replay met, and with which code that ends.
func (f *replayFlags) outcome(cmd *cobra.Command, s *replay.Summary, v *verification) error {
	warnings(cmd, s)
	if s.Reports == 0 && s.Verification == nil {
		warn(cmd, "warning: there is no report to print%s", map[bool]string{true: " in that window"}[s.Ticks > 0])
	}
	var loss []string
	if s.Damage != nil {
		loss = append(loss, stoppedAt(s.Damage))
	}
	if cut := s.Unclean(); cut != "" {
		loss = append(loss, cut)
	}
	if s.LeftOut > 0 {
		loss = append(loss, fmt.Sprintf("%d connections or more are left out of the report; raise --max-connections (%d)", s.LeftOut, f.maxConnections))
	}
	if s.Gaps > 0 && f.strict {
		loss = append(loss, fmt.Sprintf("%s (--strict)", gapText(s)))
	}
	if f.verify {
		if err := v.difference(); err != nil {
			for _, l := range loss {
				warn(cmd, "%s", l)
			}
			return err
		}
	}
	if s.Panic != nil && !s.Foreseen() {
		for _, l := range loss {
			warn(cmd, "%s", l)
		}
		return fmt.Errorf("the core panics on record %d: %v; reports end there", s.Panic.Record, s.Panic.Value)
	}
	if len(loss) > 0 {
		return &exitError{exitLoss, errors.New(strings.Join(loss, "; "))}
	}
	if s.Gaps > 0 {
		warn(cmd, "warning: %s", gapText(s))
	}
	return nil
}

// stoppedAt says where a replay ended, and what saves the rest.
func stoppedAt(err error) string {
	var damage *capture.DamageError
	if errors.As(err, &damage) && !damage.Torn {
		return fmt.Sprintf("stopped at the damage: %v; topotape recover saves what is behind it", err)
	}
	return fmt.Sprintf("stopped at the damage: %v; topotape recover or cut makes a closed tape of what is before it", err)
}

func gapText(s *replay.Summary) string {
	if s.Lost == 0 {
		return fmt.Sprintf("%d gaps on the tape: its sources lost records", s.Gaps)
	}
	return fmt.Sprintf("%d gaps on the tape: its sources lost %d records", s.Gaps, s.Lost)
}

// warnings are what does not change the code.
func warnings(cmd *cobra.Command, s *replay.Summary) {
	if n := s.Unknown(); n > 0 {
		warn(cmd, "warning: %s of unknown kind skipped; a newer version wrote the tape", render.Plural(n, "record"))
	}
	for i := 1; i < len(s.Ends); i++ {
		a, b := s.Ends[i-1].Header, s.Ends[i].Header
		if a.Recording == b.Recording && a.Recording != [16]byte{} && b.Segment != a.Segment+1 {
			warn(cmd, "warning: %s is segment %d of a recording and stands behind segment %d: the core began anew", s.Ends[i].Name, b.Segment, a.Segment)
		}
	}
	if s.Uncarried {
		warn(cmd, "warning: what the core knew at the tape's begin cannot be read by this version (core %d): reports are made of the records that stand before it, and may lack some", reporter.CoreVersion)
	}
	if s.Foreseen() {
		warn(cmd, "warning: the core panics on record %d, as it did in production: %v; reports end there", s.Panic.Record, s.Panic.Value)
	}
	for _, f := range s.Faults {
		if s.Panic == nil || s.Panic.Record != f.Record {
			warn(cmd, "warning: the core panicked on record %d in production (%s); here it does not", f.Record, f.Message)
		}
	}
	if v := s.Verification; v != nil {
		if v.OtherRules > 0 {
			warn(cmd, "warning: %d witnesses were made under other rules and are not compared", v.OtherRules)
		}
		if v.Elsewhere > 0 {
			warn(cmd, "warning: witnesses of ticks that may stand on another tape, or cannot be read: %d; they are not compared", v.Elsewhere)
		}
		if v.Witnesses+v.Others+v.OtherRules+v.Elsewhere == 0 {
			warn(cmd, "warning: no witnesses on this tape: nothing was compared")
		}
	}
}
