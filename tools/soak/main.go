//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A soak is one run of the program.
type soak struct {
	self, program, root string
	dir                 string // for tapes that are being read
	keep                string // for tapes that make a verb fail
	verbs               int    // of each tape
	sum                 *summary
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := soakMain(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func soakMain(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	n := f.Int("n", 1000, "number of tapes")
	seed := f.Uint64("seed", 1, "seed of the first tape")
	one := f.Bool("one", false, "one tape, with every verb")
	count := f.Int("verbs", 4, "how many verbs read each tape")
	file := f.String("make", "", "write the tape of the seed to this file and run no verb")
	root := f.String("root", ".", "root of the repository")
	program := f.String("topotape", "", "the program to check; empty: build it")
	keep := f.String("keep", filepath.Join(os.TempDir(), "topotape-soak"), "folder for the tapes that make a verb fail")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *file != "" {
		return makeTape(*file, *root, *seed)
	}
	if *one {
		*n, *count = 1, len(verbs)
	}
	s := &soak{program: *program, root: *root, keep: *keep, verbs: *count, sum: newSummary()}
	if s.self, err = os.Executable(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "topotape-soak-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if s.program == "" {
		s.program = filepath.Join(s.dir, "topotape")
		cmd := exec.CommandContext(ctx, "go", "build", "-o", s.program, "./cmd/topotape")
		cmd.Dir, cmd.Env = s.root, append(os.Environ(), "CGO_ENABLED=0")
		if msg, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build topotape: %w: %s", err, msg)
		}
	} else if s.program, err = filepath.Abs(s.program); err != nil {
		return err
	}
	return s.all(ctx, *seed, *n, *one)
}

// makeTape writes a tape, and prints the name of the tape that it began as and what was
// changed.
func makeTape(file, root string, seed uint64) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	from, did, err := generate(out, root, seed)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	_, err = fmt.Println(strings.Join(append([]string{from}, did...), "\n"))
	return err
}

// all reads n tapes, on each processor one at a time.
func (s *soak) all(ctx context.Context, first uint64, n int, print bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seeds, errs := make(chan uint64), make(chan error)
	workers := min(runtime.NumCPU(), n)
	for w := range workers {
		go func() {
			runtime.LockOSThread() // children die with the thread that started them
			var err error
			for seed := range seeds {
				if err == nil {
					if err = s.one(ctx, filepath.Join(s.dir, fmt.Sprint(w)), seed, print); err != nil {
						cancel()
					}
				}
			}
			errs <- err
		}()
	}
	begun := time.Now()
	for i := range n {
		seeds <- first + uint64(i)
		if i%500 == 499 {
			fmt.Fprintf(os.Stderr, "%5.0f s  %d tapes\n", time.Since(begun).Seconds(), i+1)
		}
	}
	close(seeds)
	var err error
	for range workers {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return err
	}
	s.sum.print(os.Stdout)
	if failed := s.sum.failed(); failed > 0 {
		return fmt.Errorf("%d of %d tapes make a verb fail; they are in %s", failed, n, s.keep)
	}
	return nil
}

// one makes a tape and runs verbs on it.
func (s *soak) one(ctx context.Context, dir string, seed uint64, print bool) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tape := filepath.Join(dir, "soak.tape")
	makeCtx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(makeCtx, s.self, "-make", tape, "-root", s.root, "-seed", fmt.Sprint(seed))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("make tape %d: %w: %s", seed, err, bytes.TrimSpace(stderr.Bytes()))
	}
	did := strings.Split(strings.TrimSpace(string(out)), "\n")
	j := &job{program: s.program, tape: tape, original: did[0], dir: filepath.Join(dir, "out"), wait: maxWall}
	s.sum.tape(did[1:])
	rng := rand.New(rand.NewPCG(seed, 14))
	var failed []run
	for _, i := range rng.Perm(len(verbs))[:min(s.verbs, len(verbs))] {
		r, err := j.run(ctx, &verbs[i])
		if err != nil {
			return fmt.Errorf("tape %d: %s: %w", seed, strings.Join(verbs[i].args, " "), err)
		}
		s.sum.run(r)
		if print {
			fmt.Printf("%4d %6.2f s %5d MiB  %s\n", r.code, r.wall.Seconds(), r.memory>>20, r.command)
		}
		if len(r.failed) > 0 {
			failed = append(failed, r)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return s.save(tape, seed, did, failed)
}

// save keeps a tape that makes a verb fail, with a text about it.
func (s *soak) save(tape string, seed uint64, did []string, failed []run) error {
	if err := os.MkdirAll(s.keep, 0o700); err != nil {
		return err
	}
	name := filepath.Join(s.keep, fmt.Sprintf("%d.tape", seed))
	b, err := os.ReadFile(tape)
	if err != nil {
		return err
	}
	var note strings.Builder
	fmt.Fprintf(&note, "tape %d, %d bytes, was %s\nchanged: %s\nrepeat: go run ./tools/soak -seed %d -one\n", seed, len(b), did[0], strings.Join(did[1:], "; "), seed)
	for _, r := range failed {
		fmt.Fprintf(&note, "%s: %s\n", r.command, strings.Join(r.failed, "; "))
	}
	s.sum.note(note.String())
	return errors.Join(os.WriteFile(name, b, 0o600), os.WriteFile(name+".txt", []byte(note.String()), 0o600))
}
