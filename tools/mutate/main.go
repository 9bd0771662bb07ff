package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

type options struct {
	pkg, build, check, survivors, out string
	files                             []string // empty: all
	skip                              string   // pattern of files; empty: none
	sample, workers                   int
	seed                              uint64
}

func main() {
	var o options
	var files string
	flag.StringVar(&o.pkg, "pkg", "./reporter/current", "the package to change")
	flag.StringVar(&files, "files", "", "files of the package, separated by commas; empty: all")
	flag.StringVar(&o.skip, "skip", "carry*.go", "pattern of files to leave unchanged; the check of the fixtures does not read or write carries")
	flag.StringVar(&o.build, "build", "go build -o {bin} ./cmd/topotape", "shell command that compiles the program of the check")
	flag.StringVar(&o.check, "check", "{bin} fixture check fixtures/generated && {bin} fixture check fixtures/corpus fixtures/lab-gateway", "shell command that kills a mutant by failing")
	flag.IntVar(&o.sample, "n", 0, "size of a random sample of mutants; 0: all")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the sample")
	flag.IntVar(&o.workers, "parallel", runtime.NumCPU(), "number of checks at the same time")
	flag.StringVar(&o.survivors, "survivors", "tools/mutate/survivors.txt", "file of accepted survivors with reasons")
	flag.StringVar(&o.out, "o", "", "file for the report; empty: standard output")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "mutate has flags only: see mutate -help")
		os.Exit(2)
	}
	if files != "" {
		o.files = strings.Split(files, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := measure(ctx, o, os.Stderr)
	if err == nil {
		err = o.write(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func (o *options) write(r *result) error {
	var b bytes.Buffer
	if err := r.write(&b); err != nil {
		return err
	}
	if o.out == "" {
		_, err := os.Stdout.Write(b.Bytes())
		return err
	}
	return os.WriteFile(o.out, b.Bytes(), 0o666)
}

// measure makes the mutants and runs the check with each.
func measure(ctx context.Context, o options, progress io.Writer) (*result, error) {
	accepted, err := readAccepted(o.survivors)
	if err != nil {
		return nil, err
	}
	p, err := load(o.pkg)
	if err != nil {
		return nil, err
	}
	files, err := o.choose(p.names)
	if err != nil {
		return nil, err
	}
	m, err := p.mutate(files, nil)
	if err != nil {
		return nil, err
	}
	if len(m.mutants) == 0 {
		return nil, errors.New("the package has no code to change")
	}
	chosen := sample(m.mutants, o.sample, o.seed)
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	overlay, err := p.overlay(m, dir)
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(dir, "bin")
	if err := build(strings.ReplaceAll(o.build, "{bin}", bin), overlay); err != nil {
		return nil, err
	}
	began := time.Now()
	c := &checker{check: strings.ReplaceAll(o.check, "{bin}", bin), workers: max(o.workers, 1)}
	reached, took, err := c.first(ctx, dir)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "%d mutants, %d of them reached; one check takes %v\n", len(chosen), len(reached), took.Round(time.Millisecond))
	outcomes := c.all(ctx, chosen, reached, func(done int) {
		if done%100 == 0 {
			fmt.Fprintf(progress, "%d of %d after %v\n", done, len(chosen), time.Since(began).Round(time.Second))
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &result{pkg: p.path, check: strings.ReplaceAll(o.check, "{bin} ", ""), mutants: chosen, outcomes: outcomes,
		uncompilable: m.uncompilable, accepted: accepted, took: took, total: time.Since(began)}, nil
}

// choose returns the names of the files to change.
func (o *options) choose(names []string) (chosen []string, err error) {
	for _, name := range o.files {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("-files %s: the package %s has no such file", name, o.pkg)
		}
	}
	for _, name := range names {
		skip, err := filepath.Match(o.skip, name)
		if err != nil {
			return nil, fmt.Errorf("-skip %s: %w", o.skip, err)
		}
		if slices.Contains(o.files, name) || len(o.files) == 0 && !skip {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("the package has no file to change")
	}
	return chosen, nil
}

// sample chooses n mutants at random, all if n is 0.
func sample(all []mutant, n int, seed uint64) []mutant {
	if n <= 0 || n >= len(all) {
		return all
	}
	out := make([]mutant, 0, n)
	for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(len(all))[:n] {
		out = append(out, all[i])
	}
	return out
}
