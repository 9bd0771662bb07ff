package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/outfile"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// replayFlags are the flags of replay.
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
		Long: `Run tapes through the reporter core and print the reports that production made: the
last one by default. Several tapes are replayed in the order in which they are named,
the segments of one recording in the order of their numbers. A directory means all its
tapes, including one that is being written.

Below the connections are the attempts, "attempts" in JSON: what was tried and never
established, if socket events were recorded. A client, a server and an outcome are one
attempt: refused, unanswered (for longer than one interval), or gave-up (the client closed
its socket). "earlier" is how many of "count" an earlier report has, too.

--from and --to alone print every report in that window. --rate also prints every
report, each when it is due: 1x is the pace of the recording. Ctrl-C ends the replay.

--verify compares every report with the digest that production recorded of its own.
For the first report that differs it prints the parts that differ, and what changed in
them since the last identical report of that recording. A digest whose tick is missing
from the tape counts as a difference.

The scope formats are the wire formats of Weave Scope's probe: JSON, one report a
line, or MessagePack, one report after the other. The app accepts both at /api/report,
with the Content-Type application/json or application/msgpack, with or without gzip.
dot and mermaid draw one report: hosts and network namespaces are frames, the ports of
one client are one box, and the label of a line gives the evidence for who is the
client.`,
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
	s.Var(rulesFlag(&f.rules).or(reporter.RulesCurrent), "rules", "rule set of the core: current, or scope2016 for the rules of Weave Scope in 2016")
	addFormat(s, &f.format, "table", "json", "ndjson", "scope-json", "scope-msgpack", "dot", "mermaid")
	s.VarP(fileFlag(&f.out).or("-"), "output", "o", "write the reports to a file, or to standard output (-)")
	s.Var(timeFlag(&f.at), "at", "print the last report at or before this time (default end)")
	s.BoolVar(&f.all, "all", false, "print every report")
	s.BoolVar(&f.whole, "whole", false, "print one report of all connections ever seen")
	s.Var(timeFlag(&f.window.From), "from", "only reports at or after this time")
	s.Var(timeFlag(&f.window.To), "to", "only reports before this time")
	s.Var(selectorFlag(&f.match), "match", "only these connections; may be repeated")
	s.BoolVar(&f.verify, "verify", false, "compare the reports with those of production")
	s.BoolVar(&f.strict, "strict", false, "exit with 3 if a source lost data")
	s.Var(rateFlag(&f.rate), "rate", "print every report when it is due, at this multiple of the recording's pace (10x, 0.5x)")
	s.Var(countFlag(&f.maxConnections).or("1000000"), "max-connections", "with --whole: the most connections to keep in memory")
	return cmd
}

// check rejects combinations of flags that exclude each other.
func (f *replayFlags) check() error {
	switch window := f.inWindow(); {
	case pictures[f.format] != nil && (f.all || window && !f.whole):
		return usage("--format %s is a picture of one report; choose the report with --at, or combine a window with --whole", f.format)
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
		return usage("standard output is a terminal and MessagePack is binary: redirect it, or name a file with -o")
	}
	return nil
}

// inWindow reports whether --from or --to is given.
func (f *replayFlags) inWindow() bool { return !f.window.From.IsZero() || !f.window.To.IsZero() }

// options returns the options of the replay. --verify prints no report unless another
// flag asks for reports.
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
	out, err := createOutput(f.out, outfile.Reports)
	if err != nil {
		return err
	}
	progress := newProgress(inputs)
	p := &reportPrinter{out: out, format: f.format, match: f.match, list: o.Reports == replay.All}
	if f.format == "table" && o.Reports == replay.Last {
		p.ended = new(endCounter)
	}
	o.Each = func(h *capture.Header, r *capture.Record) {
		progress.record(r)
		p.record(h, r)
	}
	if f.rate > 0 {
		wait := newPacer(f.rate, out.target())
		defer wait.stop()
		o.Due = wait.until
	}
	summary, err := replay.Run(inputs, o, func(r *report.Report) error {
		if out.file == nil {
			progress.yield()
		}
		err := p.print(r)
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
		var to io.Writer = out
		if o.Reports != replay.None { // beside the reports it is for people
			to, v.format = cmd.ErrOrStderr(), "table"
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

// outcome reports what went wrong in the replay, and returns the error with the exit
// code.
func (f *replayFlags) outcome(cmd *cobra.Command, s *replay.Summary, v *verification) error {
	warnings(cmd, s)
	if s.Reports == 0 && s.Verification == nil {
		where := ""
		if s.Ticks > 0 {
			where = " in that window"
		}
		warn(cmd, "warning: there is no report to print%s", where)
	}
	var loss []string
	if s.Damage != nil {
		loss = append(loss, stoppedAt(s.Damage))
	}
	if cut := s.Unclean(); cut != "" {
		loss = append(loss, cut)
	}
	if s.LeftOut > 0 {
		loss = append(loss, fmt.Sprintf("at least %s left out of the report; raise --max-connections (%d)", render.Count(s.LeftOut, "connection"), f.maxConnections))
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
		return lossError(loss)
	}
	if s.Gaps > 0 {
		warn(cmd, "warning: %s", gapText(s))
	}
	return nil
}

// stoppedAt returns where a replay ended, and which verb helps.
func stoppedAt(err error) string {
	var damage *tape.DamageError
	if errors.As(err, &damage) && !damage.Torn {
		return fmt.Sprintf("stopped at the damage: %v; topotape recover also saves the records after it", err)
	}
	return fmt.Sprintf("stopped at the damage: %v; topotape recover or cut makes a closed tape of the records before it", err)
}

func gapText(s *replay.Summary) string {
	gaps := render.Count(s.Gaps, "gap")
	if s.Lost == 0 {
		return gaps + " on the tape: its sources lost records"
	}
	return fmt.Sprintf("%s on the tape: its sources lost %s", gaps, render.Count(s.Lost, "record"))
}

// warnings reports what does not change the exit code.
func warnings(cmd *cobra.Command, s *replay.Summary) {
	warnUnknown(cmd, s)
	var jumps render.List
	for i := 1; i < len(s.Ends); i++ {
		a, b := s.Ends[i-1].Header, s.Ends[i].Header
		if a.Recording == b.Recording && a.Recording != [16]byte{} && b.Segment != a.Segment+1 {
			jumps.Add(fmt.Sprintf("%s is segment %d of a recording and follows segment %d: the core started again", s.Ends[i].Name, b.Segment, a.Segment))
		}
	}
	for _, text := range jumps.Texts() {
		warn(cmd, "warning: %s", text)
	}
	if s.Uncarried {
		warn(cmd, "warning: this version (core %d) cannot read the core's state that the tape starts with: reports are made from its records alone, and may lack connections", reporter.CoreVersion)
	}
	if s.Foreseen() {
		warn(cmd, "warning: the core panics on record %d, as in production: %v; reports end there", s.Panic.Record, s.Panic.Value)
	}
	for _, f := range s.Faults {
		if s.Panic == nil || s.Panic.Record != f.Record {
			warn(cmd, "warning: the core panicked on record %d in production (%s) but does not in this replay", f.Record, f.Message)
		}
	}
	if s.FaultsMore > 0 {
		warn(cmd, "warning: %s of production not listed", render.Count(s.FaultsMore, "more panic"))
	}
	if s.Undecodable > 0 {
		warn(cmd, "warning: %s not in the reports, at least in part: malformed, or beyond a limit; the coverage shows of which source", render.Count(s.Undecodable, "record"))
	}
	if v := s.Verification; v != nil {
		if v.OtherRules > 0 {
			warn(cmd, "warning: %s made under other rules not compared", render.Count(v.OtherRules, "witness"))
		}
		if v.Elsewhere > 0 {
			warn(cmd, "warning: %s not compared: the tick may be on another tape, or the witness cannot be read", render.Count(v.Elsewhere, "witness"))
		}
		if v.Witnesses+v.Others+v.OtherRules+v.Elsewhere == 0 {
			warn(cmd, "warning: no witnesses on this tape: nothing was compared")
		}
	}
}
