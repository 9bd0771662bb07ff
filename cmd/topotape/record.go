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
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

func recordCommand() *cobra.Command {
	o := live.Options{}
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record the network activity of this host onto a tape",
		Long: `Record conntrack events, /proc/net snapshots with the owners of sockets, DNS packets,
and every TCP connect, listen and close with its process onto one tape, until Ctrl-C or
for 10 minutes. If a source lacks something, one line reports it and the other sources
continue.

The source sockets reads the kernel's tracepoint sock:inet_sock_set_state and its records
of processes, so that a connection has its process however short it lives. It needs Linux
4.16 and root, or CAP_PERFMON and a mounted tracefs; it loads no BPF program and mounts
nothing that others see. In a container it needs the host's pid namespace (hostPID). Each
connect then costs the host about 4 us more.

The source rdns runs only if --sources names it. It asks the host's name servers for
the names of the addresses in the reports, at most 10 a second, so the name servers
learn which addresses the host talks to. The answers are recorded; a replay sends no
queries.

The source closes, too, runs only if --sources names it. It records the bytes, the
retransmissions and the round trip time of every TCP socket that is closed in the
recorder's network namespace, also where conntrack counts no bytes. Each close then costs
the host about a third more: 8 us instead of 6.

The tape is NAME.partial until it is closed. A file that exists, or a NAME.partial that a
killed recorder left, is refused unless --force is given; a device, pipe or socket is
written in place, a block device only with --force. Links are not followed, except those
to open files (/dev/fd/3). A recording whose tape cannot be written any more, or that
another program removes, replaces or truncates, ends with exit code 1, and the last line
says what was saved.

The recorder changes no setting of the host and flushes no table. Recording needs root.`,
		Example: `  topotape record
  topotape record -o incident.tape --duration 2m --note "checkout is slow"
  ssh HOST sudo topotape record -o - --duration 60s >host.tape
  topotape record --sources conntrack,proc,dns,sockets,rdns,closes
  topotape record --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
	f.Var(lengthFlag(&o.Duration).or("10m"), "duration", "stop after this time")
	f.Var(durationFlag(&o.Interval).or("3s"), "interval", "time between reports")
	f.Var(durationFlag(&o.ProcInterval).or("3s"), "proc-interval", "time between walks of /proc")
	f.Var(sourcesFlag(&o.Sources), "sources", "sources to record, separated by commas; add rdns to look up the names of addresses in reports, closes to record what closed sockets carried")
	f.StringVar(&o.Note, "note", "", "a note for the tape's header")
	f.StringVar(&o.HostID, "host-id", "", "the host's id in reports (default derived from /etc/machine-id)")
	f.Var(networkFlag(&o.LocalNetworks), "local-network", "a network (CIDR) to treat as local, besides those of the interfaces; may be repeated")
	f.Var(bufferFlag(&o.ConntrackBuffer).or("64MiB"), "conntrack-buffer", "size of the socket buffer for conntrack events")
	f.Var(limitFlag(&o.MaxSize).or("1GiB"), "max-size", "stop when the tape reaches this size; 0 for no limit; each source has a share of it")
	f.Var(limitFlag(&o.MinFree).or("512MiB"), "min-free", "stop when the disk has less free space than this; 0 for no limit")
	f.BoolVar(&o.Force, "force", false, "replace an existing file, or a leftover .partial")
	f.BoolVar(&dryRun, "dry-run", false, "show what each source would see, and record nothing")
	return cmd
}

// checkOutput rejects a ring of segments and a terminal.
func checkOutput(name string) error {
	if isRing(name) {
		return fmt.Errorf("%s is a directory, and this version cannot record a ring of segments; name a file", name)
	}
	return checkTapeOutput(name)
}

// isRing reports whether the name denotes a directory.
func isRing(name string) bool {
	if strings.HasSuffix(name, "/") {
		return true
	}
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && live.IsTerminal(f)
}

func runRecord(ctx context.Context, o *live.Options, dryRun bool) error {
	o.Command, o.Recorder, o.Tool = os.Args, userName(), version
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
		return &exitError{exitLoss, fmt.Errorf("%s recorded: a source lost data there; topotape info lists them", render.Count(summary.Gaps(), "gap"))}
	}
	return err
}

// limitRuntime bounds the recorder's share of the host, unless the environment sets
// other limits: one core, and a memory limit of 1 GiB for the garbage collector. With
// two threads an event would also cost a fifth more CPU time.
func limitRuntime() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(1 << 30)
	}
}

// sameSignal is the time within which signals count as one: timeout(1) sends its
// signal twice, to the program and to its group.
const sameSignal = 100 * time.Millisecond

// stopOnSignal cancels the context at the first signal and ends the program at a
// second one. SIGHUP often comes twice, and SIGPIPE after another signal, so neither
// counts as the second.
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
				quote.Line(os.Stderr, "topotape: second signal: quit without closing the tape; topotape recover closes it")
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

// userName returns the name of the user who records; under sudo, of the user who
// called it.
func userName() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
