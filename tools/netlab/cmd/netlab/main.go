//go:build linux

// Command netlab builds the network lab of package netlab, makes traffic in it and writes
// the truth.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/topotape/topotape/tools/netlab"
)

const usage = `netlab builds a small network of namespaces, makes real connections in it and writes the truth:
a list of the connections that it made.

  netlab run [--plan FILE] [--truth FILE] [--settle 2s] [-- COMMAND...]
      makes the traffic of a plan; netlab plan prints the default plan. COMMAND runs in the gateway
      from before the traffic until after it. SIGINT ends it
  netlab load [--rate N] [--count N | --duration 10s] [--kind routed|dnat|ipv6] [--parallel N]
              [--bytes N] [--reset] [--truth FILE] [--settle 2s] [-- COMMAND...]
      makes many short connections; without --rate as fast as possible
  netlab up       keeps a lab without traffic until interrupted
  netlab idle N   keeps N idle namespaces until interrupted
  netlab compare TRUTH REPORT
      compares a topotape report (replay --whole --format json) with a truth
  netlab plan     prints the default plan
  netlab clean    removes the namespaces of killed labs

It needs root, and the commands ip, nft and dnsmasq (Debian packages iproute2, nftables, dnsmasq-base).
Exit codes: 0 ok, 1 failed, 2 usage, 4 report and truth differ.
`

var verbs = map[string]func(context.Context, []string) error{
	"run": run, "load": load, "up": up, "idle": idle, "compare": compare, "plan": plan, "clean": clean,
}

// Errors with an exit code of their own.
var (
	errDiffer = errors.New("report and truth differ")
	errUsage  = errors.New("see netlab help")
)

func main() {
	netlab.RunWorkerIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(netlabMain(ctx, os.Args[1:]))
}

func netlabMain(ctx context.Context, args []string) int {
	if len(args) > 0 && (args[0] == "help" || args[0] == "--help" || args[0] == "-h") {
		fmt.Print(usage)
		return 0
	}
	if len(args) == 0 || verbs[args[0]] == nil {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	err := verbs[args[0]](ctx, args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "netlab:", err)
		return 2
	case errors.Is(err, errDiffer):
		fmt.Fprintln(os.Stderr, "netlab:", err)
		return 4
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "netlab: interrupted")
		return 1
	}
	fmt.Fprintln(os.Stderr, "netlab:", err)
	return 1
}

func plan(context.Context, []string) error { return writeJSON(os.Stdout, netlab.DefaultPlan()) }

func clean(context.Context, []string) error {
	removed, err := netlab.Clean()
	for _, name := range removed {
		fmt.Println("removed", name)
	}
	return err
}

func up(ctx context.Context, _ []string) error {
	lab, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer lab.Close()
	for _, ns := range []netlab.Netns{lab.Client, lab.Gateway, lab.Server, lab.DNS} {
		fmt.Printf("%s %d\n", ns.Name, ns.Inode)
	}
	<-ctx.Done()
	return lab.Close()
}

func idle(ctx context.Context, args []string) error {
	var n int
	if len(args) != 1 {
		return errUsage
	}
	if _, err := fmt.Sscan(args[0], &n); err != nil || n < 1 {
		return fmt.Errorf("%q is not a number of namespaces: %w", args[0], errUsage)
	}
	idlers, err := netlab.Idle(n)
	if err != nil {
		return err
	}
	fmt.Printf("%d idle namespaces\n", n)
	<-ctx.Done()
	return idlers.Close()
}

func compare(_ context.Context, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	truth, err := readFile(args[0], netlab.ReadTruth)
	if err != nil {
		return err
	}
	report, err := readFile(args[1], netlab.ReadReport)
	if err != nil {
		return err
	}
	result := netlab.Compare(truth, report, netlab.Window{})
	fmt.Print(result.Summary(20))
	if result.Err() != nil {
		return errDiffer
	}
	return nil
}

func readFile[T any](path string, read func(io.Reader) (T, error)) (T, error) {
	if path == "-" {
		return read(os.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	return read(f)
}

// newLab builds a lab. The context handles signals.
func newLab(ctx context.Context) (*netlab.Lab, error) {
	return netlab.New(ctx, netlab.Options{Log: os.Stderr, KeepSignals: true})
}
