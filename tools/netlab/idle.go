//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Idlers are idle network namespaces, each with one sleeping process that listens on port
// 7000. The namespaces have no names, and end with their process.
type Idlers struct {
	cmds []*exec.Cmd
	in   *os.File // their standard input: they end when it ends
}

// Idle makes n idle namespaces. Close removes them, and so does the end of this process.
func Idle(n int) (*Idlers, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("a network namespace needs root: %w", os.ErrPermission)
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	ready, out, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer ready.Close()
	d := &Idlers{in: in}
	for range n {
		cmd := exec.Command(exe)
		cmd.Args[0] = "lab-idle"
		// One thread and a small heap are enough to sleep.
		cmd.Env = append(os.Environ(), workerEnv+"=idle lab-idle", "GOMAXPROCS=1")
		cmd.Stdin, cmd.Stdout = stdin, out
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNET}
		if err := cmd.Start(); err != nil {
			out.Close()
			return nil, errors.Join(fmt.Errorf("start idle namespace %d: %w", len(d.cmds)+1, err), d.Close())
		}
		d.cmds = append(d.cmds, cmd)
	}
	out.Close()
	ready.SetReadDeadline(time.Now().Add(30 * time.Second))
	if got, err := io.ReadFull(ready, make([]byte, n)); err != nil {
		return nil, errors.Join(fmt.Errorf("%d of %d idle namespaces came up: %w", got, n, err), d.Close())
	}
	return d, nil
}

// pids returns the processes, one in each namespace.
func (d *Idlers) pids() []int {
	pids := make([]int, len(d.cmds))
	for i, cmd := range d.cmds {
		pids[i] = cmd.Process.Pid
	}
	return pids
}

// Close ends the processes. The kernel removes their namespaces a little later.
func (d *Idlers) Close() error {
	d.in.Close()
	late := time.AfterFunc(5*time.Second, func() {
		for _, cmd := range d.cmds {
			cmd.Process.Kill()
		}
	})
	defer late.Stop()
	errs := make([]error, len(d.cmds))
	var wg sync.WaitGroup
	for i, cmd := range d.cmds {
		wg.Go(func() { errs[i] = cmd.Wait() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
