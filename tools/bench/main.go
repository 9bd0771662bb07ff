//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/topotape/topotape/tools/netlab"
	"golang.org/x/sys/unix"
)

// init keeps the main goroutine on the main thread. A child gets its parent-death signal
// when the thread ends that started it.
func init() { runtime.LockOSThread() }

func main() {
	netlab.RunWorkerIfAsked()
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // not started by nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	err := benchMain(ctx, os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	ctx      context.Context
	lab      *netlab.Lab
	topotape string // the program
	dir      string // for tapes
	out      io.Writer
	plan     plan
	began    time.Time
}

// plan is how much to measure.
type plan struct {
	rounds      int
	variants    []variant     // for section events
	rate        float64       // connections a second of the steady traffic
	steady      time.Duration // duration of the steady traffic
	burst       int           // connections of the burst
	sizeRates   []float64     // connections a second for section size
	size        time.Duration // duration of traffic for sections size and formats
	watchers    []recorder    // for section host; the first is nobody
	host        time.Duration
	hostRounds  int
	tape        int   // connections to record for sections replay and verbs
	tapeRecords int   // records of the tape for section replay
	large       int64 // bytes of the tape for section verbs
	namespaces  int   // for section idle
	idle        time.Duration
}

var fullPlan = plan{
	rounds: 3, variants: allVariants, rate: 1000, steady: 15 * time.Second, burst: 40_000,
	sizeRates: []float64{150, 1500}, size: 15 * time.Second,
	watchers: []recorder{nobody, stopped, everything, conntracks, withEvents, plain}, host: 5 * time.Second, hostRounds: 5,
	tape: 20_000, tapeRecords: 2_000_000, large: 1 << 30, namespaces: 250, idle: 60 * time.Second,
}

var quickPlan = plan{
	rounds: 1, variants: quickVariants, rate: 500, steady: time.Second, burst: 1000,
	sizeRates: []float64{150}, size: time.Second,
	watchers: []recorder{nobody, stopped, conntracks}, host: time.Second / 2, hostRounds: 1,
	tape: 1000, tapeRecords: 50_000, large: 1 << 20, namespaces: 20, idle: 4 * time.Second,
}

type section struct {
	name string
	run  func(*bench) error
}

var sections = []section{
	// idle is first: traffic leaves sockets in TIME_WAIT, which walks read for a minute.
	{"idle", (*bench).idle}, {"size", (*bench).sizes}, {"events", (*bench).events}, {"host", (*bench).host}, {"replay", (*bench).replay},
	{"formats", (*bench).formats}, {"verbs", (*bench).verbs},
}

func benchMain(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := f.Bool("quick", false, "a quick run that tests the program; its figures mean nothing")
	only := f.String("only", "", "measure only these sections: idle,size,events,host,replay,formats,verbs")
	rounds := f.Int("rounds", 0, "rounds of each comparison (default 3, host 5)")
	program := f.String("topotape", "", "the program to measure; empty: build it")
	out := f.String("o", "", "write the tables to this file too")
	if err := f.Parse(args); err != nil {
		return err
	}
	b := &bench{ctx: ctx, topotape: *program, out: os.Stdout, plan: fullPlan, began: time.Now()}
	if *quick {
		b.plan = quickPlan
	}
	if *rounds > 0 {
		b.plan.rounds, b.plan.hostRounds = *rounds, *rounds
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if *out != "" {
		file, err := os.Create(*out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		b.out = io.MultiWriter(os.Stdout, file)
	}
	return b.run(chosen)
}

func choose(only string) ([]section, error) {
	if only == "" {
		return sections, nil
	}
	var chosen []section
	for _, s := range sections {
		for name := range strings.SplitSeq(only, ",") {
			if name == s.name {
				chosen = append(chosen, s)
			}
		}
	}
	if len(chosen) != strings.Count(only, ",")+1 {
		return nil, fmt.Errorf("-only %s: the sections are idle,size,events,host,replay,formats,verbs", only)
	}
	return chosen, nil
}

func (b *bench) run(chosen []section) (err error) {
	for _, t := range [][2]string{{"conntrack", "conntrack"}, {"taskset", "util-linux"}} {
		if _, err := exec.LookPath(t[0]); err != nil {
			return fmt.Errorf("measuring needs %s (Debian package %s)", t[0], t[1])
		}
	}
	if b.dir, err = os.MkdirTemp("", "topotape-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.topotape == "" {
		if b.topotape, err = build(b.ctx, b.dir); err != nil {
			return err
		}
	} else if b.topotape, err = filepath.Abs(b.topotape); err != nil {
		return err
	}
	if b.lab, err = netlab.New(b.ctx, netlab.Options{Log: io.Discard, KeepSignals: true}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.lab.Close()) }()
	if err := b.sysctl(b.lab.Gateway, "net.netfilter.nf_conntrack_tcp_timeout_time_wait=5"); err != nil {
		return err
	}
	if err := b.sysctl(b.lab.Client, "net.ipv4.tcp_max_tw_buckets=15000"); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%s\n", machine())
	for _, s := range chosen {
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.note("done")
	return nil
}

// build builds the program like a release.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "topotape")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/topotape/topotape/cmd/topotape")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build topotape: %w: %s", err, msg)
	}
	return path, nil
}

// note prints the progress on standard error.
func (b *bench) note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// machine describes the machine and its load.
func machine() string {
	var u unix.Utsname
	release := "?"
	if unix.Uname(&u) == nil {
		release, _, _ = strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	}
	load := "?"
	if avg, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(avg), " ")
	}
	spaces := map[string]bool{}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil {
			spaces[to] = true
		}
	}
	return fmt.Sprintf("%d cores, Linux %s, %s. Before the run: load %s, %d processes in %d network namespaces, the lab's among them.",
		runtime.NumCPU(), release, runtime.Version(), load, len(links), len(spaces))
}
