package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The outcomes of a mutant.
const (
	killed    = "killed"
	timeout   = "killed by the time limit"
	survived  = "survived"
	unreached = "never reached"
)

// A checker runs the check with the program that has all mutants.
type checker struct {
	check   string        // a shell command
	limit   time.Duration // of one run
	workers int
}

// run runs the check with one mutant switched on, 0 for none. It reports whether the check
// passed, and whether it exceeded the time limit.
func (c *checker) run(ctx context.Context, id int, env ...string) (passed, late bool, output string) {
	if c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	// A mutant may allocate without limit.
	cmd := exec.CommandContext(ctx, "sh", "-c", "ulimit -v 8000000; "+c.check)
	cmd.Env = append(os.Environ(), append(env, "MUTANT="+strconv.Itoa(id), "GOMAXPROCS=1", "GOMEMLIMIT=1GiB")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	return err == nil, errors.Is(ctx.Err(), context.DeadlineExceeded), out.String()
}

// first runs the check without a mutant: it must pass. It returns the mutants that were
// reached and the duration of the check, and sets the time limit.
func (c *checker) first(ctx context.Context, dir string) (map[int]bool, time.Duration, error) {
	began := time.Now()
	if passed, _, output := c.run(ctx, 0); !passed {
		return nil, 0, fmt.Errorf("the check fails without a mutant: %s\n%s", c.check, output)
	}
	took := time.Since(began)
	c.limit = 10*took + time.Second
	reached := filepath.Join(dir, "reached")
	if passed, _, output := c.run(ctx, 0, "MUTANT_REACHED="+reached); !passed {
		return nil, 0, fmt.Errorf("the check fails while it records the mutants that it reaches: %s\n%s", c.check, output)
	}
	b, err := os.ReadFile(reached)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	ids := map[int]bool{}
	for line := range strings.Lines(string(b)) {
		if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			ids[n] = true
		}
	}
	return ids, took, nil
}

// all returns the outcome of every mutant.
func (c *checker) all(ctx context.Context, mutants []mutant, reached map[int]bool, progress func(done int)) []string {
	out := make([]string, len(mutants))
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range c.workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(mutants) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				out[i] = c.one(ctx, mutants[i].id, reached)
				progress(int(done.Add(1)))
			}
		})
	}
	wg.Wait()
	return out
}

func (c *checker) one(ctx context.Context, id int, reached map[int]bool) string {
	if !reached[id] {
		return unreached
	}
	passed, late, _ := c.run(ctx, id)
	switch {
	case late:
		return timeout
	case passed:
		return survived
	}
	return killed
}

// build compiles the program with the overlay.
func build(command, overlay string) error {
	cmd := exec.Command("sh", "-c", command)
	flags := slices.DeleteFunc([]string{os.Getenv("GOFLAGS"), "-overlay=" + overlay}, func(s string) bool { return s == "" })
	cmd.Env = append(os.Environ(), "GOFLAGS="+strings.Join(flags, " "))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return nil
}
