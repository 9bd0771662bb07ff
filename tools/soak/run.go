//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxWall is how long a verb may take.
	maxWall = 10 * time.Second
	// busyFactor is how much longer it may take if it does not have the processor.
	busyFactor = 6
	// maxMemory is the memory that a verb may use: 256 MiB, and what the program uses
	// for a sound tape.
	maxMemory = (256 + 32) << 20
	// Where the kernel stops a process, so that the machine is not harmed.
	hardMemory = 1 << 30
	hardFile   = 1 << 30
)

// A run is one process of a verb.
type run struct {
	command string // as a user would type it
	code    int    // exit code, -1 if a signal ended it
	wall    time.Duration
	memory  int64 // bytes
	failed  []string
}

// A job is a tape that the verbs read, with a folder for what they write.
type job struct {
	program, tape, original, dir string
	wait                         time.Duration // for a process
}

// run runs a verb, and the one before it.
func (j *job) run(ctx context.Context, v *verb) (run, error) {
	if err := os.RemoveAll(j.dir); err != nil {
		return run{}, err
	}
	if err := os.MkdirAll(filepath.Join(j.dir, "fixtures"), 0o700); err != nil {
		return run{}, err
	}
	if v.before != nil {
		r, err := j.once(ctx, v.before)
		if err != nil || len(r.failed) > 0 {
			return r, err
		}
	}
	return j.once(ctx, v)
}

// once runs a verb. If it took too long it runs again, and then its own time counts: other
// processes may have had the processor.
func (j *job) once(ctx context.Context, v *verb) (run, error) {
	r, err := j.process(ctx, v, j.wait, 0)
	if err == nil && r.wall >= j.wait {
		os.Remove(filepath.Join(j.dir, "out.tape.new.partial"))
		r, err = j.process(ctx, v, busyFactor*j.wait, j.wait)
	}
	return r, err
}

// process runs a process and checks what it did. It may use this much time, by the clock
// and, unless that is 0, of the processor.
func (j *job) process(ctx context.Context, v *verb, wall, cpu time.Duration) (run, error) {
	limited, cancel := context.WithTimeout(ctx, wall)
	defer cancel()
	cmd := exec.CommandContext(limited, j.program, j.arguments(v)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+j.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	stdout, stderr := newReader(v.output), newReader(text)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if usesStdin(v) {
		f, err := os.Open(j.tape)
		if err != nil {
			return run{}, err
		}
		defer f.Close()
		cmd.Stdin = onlyReader{f}
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return run{}, err
	}
	limit(cmd.Process.Pid, cpu)
	err := cmd.Wait()
	r := run{command: "topotape " + strings.Join(v.args, " "), code: cmd.ProcessState.ExitCode(), wall: time.Since(begun)}
	r.memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, errEnough) && !errors.Is(err, syscall.EPIPE) && limited.Err() == nil && !errors.Is(err, exec.ErrWaitDelay) {
		return r, err
	}
	r.judge(v, limited.Err() != nil || cpu > 0 && r.code < 0, stdout, stderr)
	return r, nil
}

// onlyReader hides that a reader is a file, so that the process gets a pipe.
type onlyReader struct{ f *os.File }

// Read reads from the file.
func (r onlyReader) Read(b []byte) (int, error) { return r.f.Read(b) }

// limit bounds the process in the ways that harm the machine, and its time of the processor.
func limit(pid int, cpu time.Duration) {
	limits := map[int]uint64{unix.RLIMIT_DATA: hardMemory, unix.RLIMIT_FSIZE: hardFile, unix.RLIMIT_CORE: 0}
	if cpu > 0 {
		limits[unix.RLIMIT_CPU] = uint64(max(cpu, time.Second) / time.Second)
	}
	for resource, most := range limits {
		unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
	}
}

func usesStdin(v *verb) bool {
	for _, a := range v.args {
		if a == stdinArg {
			return true
		}
	}
	return false
}

func (j *job) arguments(v *verb) (list []string) {
	for _, a := range v.args {
		switch a {
		case tapeArg:
			a = j.tape
		case originalArg:
			a = j.original
		case outArg:
			a = filepath.Join(j.dir, "out.tape")
		case scriptArg:
			a = filepath.Join(j.dir, "script.jsonl")
		case dirArg:
			a = filepath.Join(j.dir, "fixtures")
		case stdinArg:
			a = "-"
		}
		list = append(list, a)
	}
	return list
}

// crashed finds what the Go runtime, or the verb itself, writes about a panic.
var crashed = regexp.MustCompile(`(?m)^(panic: |fatal error: |runtime: |goroutine \d+ |SIG[A-Z]+: )|the core panics on record`)

// judge adds what is wrong with a run.
func (r *run) judge(v *verb, killed bool, stdout, stderr *reader) {
	fail := func(format string, args ...any) { r.failed = append(r.failed, fmt.Sprintf(format, args...)) }
	message := strings.ToValidUTF8(string(stderr.first), "?")
	memory := strings.Contains(message, "out of memory") || strings.Contains(message, "cannot allocate memory")
	switch {
	case killed:
		fail("hang: takes more than %.0f s", r.wall.Seconds())
	case memory:
		fail("memory: needs more than %d MiB", hardMemory>>20)
	case crashed.MatchString(message):
		fail("panic: %.300q", message[crashed.FindStringIndex(message)[0]:])
	case r.code < 0 || r.code == 2 || r.code > 4:
		fail("exit: code %d: %.200q", r.code, message)
	case r.code != 0 && stderr.bytes == 0:
		fail("exit: code %d without a message", r.code)
	case v.same && r.code == 4:
		fail("exit: the tape differs from itself")
	case strings.Contains(message, "file too large"):
		fail("disk: writes more than %d MiB", hardFile>>20)
	}
	if r.memory > maxMemory && !memory {
		fail("memory: %d MiB", r.memory>>20)
	}
	if what := stdout.finish(killed || r.code == 1 || r.code < 0 || stdout.bytes > maxOutput || memory); what != "" {
		fail("output: %s", what)
	}
	if what := stderr.finish(killed || stderr.bytes > maxOutput); what != "" {
		fail("standard error: %s", what)
	}
}
