//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/topotape/topotape/tools/netlab"
)

// common are the options that run and load share.
type common struct {
	truth  string        // file of the truth
	settle time.Duration // between the command's start or end and the traffic
	args   []string      // the command that runs in the gateway during the traffic
}

func (c *common) parse(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(os.Stderr)
	flags.StringVar(&c.truth, "truth", "", "")
	flags.DurationVar(&c.settle, "settle", 2*time.Second, "")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	c.args = flags.Args()
	return nil
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	file := flags.String("plan", "", "")
	var c common
	if err := c.parse(flags, args); err != nil {
		return err
	}
	p := netlab.DefaultPlan()
	if *file != "" {
		var err error
		if p, err = readFile(*file, netlab.ReadPlan); err != nil {
			return err
		}
	}
	return c.run(ctx, func(lab *netlab.Lab) ([]netlab.Conn, error) {
		conns, err := lab.Run(ctx, p)
		fmt.Fprintf(os.Stderr, "%d connections\n", len(conns))
		return conns, err
	})
}

func load(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	var o netlab.LoadOptions
	flags.Float64Var(&o.Rate, "rate", 0, "")
	flags.IntVar(&o.Count, "count", 0, "")
	flags.DurationVar(&o.Duration, "duration", 0, "")
	flags.StringVar(&o.Kind, "kind", netlab.Routed, "")
	flags.IntVar(&o.Parallel, "parallel", 0, "")
	flags.IntVar(&o.Bytes, "bytes", 0, "")
	flags.BoolVar(&o.Reset, "reset", false, "")
	var c common
	if err := c.parse(flags, args); err != nil {
		return err
	}
	o.Record = c.truth != ""
	return c.run(ctx, func(lab *netlab.Lab) ([]netlab.Conn, error) {
		r, err := lab.Load(ctx, o)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%d connections in %v, %.0f/s; connect p50 %v p90 %v p99 %v slowest %v; %d failed %s\n", r.Made,
			r.Elapsed.Round(time.Millisecond), r.PerSecond, r.P50, r.P90, r.P99, r.Slow, r.Failed, r.FirstError)
		if r.Failed > 0 {
			err = fmt.Errorf("%d connections failed, the first by: %s", r.Failed, r.FirstError)
		}
		return r.Truth, err
	})
}

// run makes the traffic in a new lab while the command runs, and writes the truth.
func (c *common) run(ctx context.Context, traffic func(*netlab.Lab) ([]netlab.Conn, error)) error {
	lab, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer lab.Close()
	var cmd *exec.Cmd
	ended := make(chan error, 1)
	if len(c.args) > 0 {
		cmd = lab.Command(lab.Gateway, c.args[0], c.args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		go func() { ended <- cmd.Wait() }()
		wait(ctx, c.settle)
	}
	conns, err := traffic(lab)
	if cmd != nil {
		wait(ctx, c.settle)
		cmd.Process.Signal(syscall.SIGINT)
		if e := <-ended; e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", c.args[0], e))
		}
	}
	if c.truth != "" {
		err = errors.Join(err, writeTruth(c.truth, conns))
	}
	return errors.Join(err, lab.Close())
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func writeTruth(path string, conns []netlab.Conn) error {
	if path == "-" {
		return netlab.WriteTruth(os.Stdout, conns)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(netlab.WriteTruth(f, conns), f.Close())
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
