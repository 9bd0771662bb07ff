package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture/live"
	"github.com/topotape/topotape/reporter"
)

func recordCommand() *cobra.Command {
	o := live.Options{}
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record what this host's network does onto a tape",
		Long: `Record conntrack events, /proc/net snapshots with the owners of sockets, and DNS
packets onto one tape, until Ctrl-C, for 10 minutes at most. What a source lacks
is said in one line, and the other sources go on.

The source rdns is off unless it is named: it asks the host's name servers for the
names of the addresses that the reports show, at most 10 a second, so these learn
whom the host talks to. The answers are on the tape; a replay asks nobody.

Nothing on the host is configured or flushed. Recording needs root.`,
		Example: `  topotape record
  topotape record -o incident.tape --duration 2m --note "checkout is slow"
  ssh HOST sudo topotape record -o - --duration 60s >host.tape
  topotape record --sources conntrack,proc,dns,rdns
  topotape record --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Output == "/dev/stdout" { // which may be a file
				o.Output = "-"
			}
			if !dryRun {
				if err := checkOutput(o.Output); err != nil {
					return usage("%w", err)
				}
			}
			return runRecord(cmd.Context(), &o, dryRun)
		},
	}
	f := cmd.Flags()
	f.VarP(fileFlag(&o.Output), "output", "o", "the tape: a file, or - for standard output (default HOST-20260102T030405Z.tape)")
	f.Var(lengthFlag(&o.Duration).or("10m"), "duration", "stop after this long")
	f.Var(durationFlag(&o.Interval).or("3s"), "interval", "time between reports")
	f.Var(durationFlag(&o.ProcInterval).or("3s"), "proc-interval", "time between walks of /proc")
	f.Var(sourcesFlag(&o.Sources), "sources", "what to record; rdns only if asked for: it looks up names of addresses in reports")
	f.StringVar(&o.Note, "note", "", "a note that stands in the tape's header")
	f.StringVar(&o.HostID, "host-id", "", "the host's id in reports (default made from /etc/machine-id)")
	f.Var(networkFlag(&o.LocalNetworks), "local-network", "a network (CIDR) to count as local, beside those of the interfaces")
	f.Var(bufferFlag(&o.ConntrackBuffer).or("64MiB"), "conntrack-buffer", "socket buffer for conntrack events")
	f.Var(limitFlag(&o.MaxSize).or("1GiB"), "max-size", "stop when the tape is this large, 0 never")
	f.Var(limitFlag(&o.MinFree).or("512MiB"), "min-free", "stop when the disk has less than this left, 0 never")
	f.BoolVar(&o.Force, "force", false, "replace an existing tape")
	f.BoolVar(&dryRun, "dry-run", false, "say what every source would see, and record nothing")
	return cmd
}

// checkOutput refuses a ring and a terminal.
func checkOutput(name string) error {
	if isRing(name) {
		return fmt.Errorf("%s: a ring of segments is not available in this version: name a file", name)
	}
	return checkTapeOutput(name)
}

// isRing reports whether the name means a directory.
func isRing(name string) bool {
	if strings.HasSuffix(name, "/") {
		return true
	}
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && live.IsTerminal(f)
}

func runRecord(ctx context.Context, o *live.Options, dryRun bool) error {
	o.Command, o.Recorder, o.Tool = os.Args, userName(), toolVersion()
	o.NewCore, o.CoreVersion, o.Rules = newRecorderCore, reporter.CoreVersion, reporter.RulesCurrent
	o.Log = os.Stderr
	if isTerminal(os.Stderr) {
		o.Status = os.Stderr
	}
	if dryRun {
		return live.DryRun(*o, os.Stdout)
	}
	limitRuntime()
	ctx, stop := stopOnSignal(ctx)
	defer stop()
	summary, err := live.Record(ctx, *o)
	if summary != nil {
		summary.WriteTo(os.Stderr)
	}
	if err == nil && summary.Gaps() > 0 {
		return &exitError{exitLoss, fmt.Errorf("%d gaps were recorded", summary.Gaps())}
	}
	return err
}

// limitRuntime bounds what the recorder takes of the host, unless the
// environment says otherwise: one core at most, and a heap that is collected
// hard from 1 GiB on. One core is also the cheapest: between two threads an
// event costs a fifth more.
func limitRuntime() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(1 << 30)
	}
}

// sameSignal is how soon another signal is still the first one: timeout(1) sends
// its own twice, to the program and to its group.
const sameSignal = 100 * time.Millisecond

// stopOnSignal ends the context at the first signal, and the program at a
// second one. A hang-up often comes twice, and a closed pipe after another
// signal: neither counts as the second.
func stopOnSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		var first time.Time
		for s := range signals {
			again := ctx.Err() != nil && time.Since(first) > sameSignal
			if first.IsZero() {
				first = time.Now()
			}
			cancel(fmt.Errorf("stopped by %s", signalName(s)))
			if again && s != syscall.SIGPIPE && s != syscall.SIGHUP {
				fmt.Fprintln(os.Stderr, "topotape: quit at once; the tape is not closed")
				os.Exit(exitFailed)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGPIPE:
		return "SIGPIPE"
	}
	return s.String()
}

// userName is who records: behind sudo, who called it.
func userName() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
