//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/topotape/topotape/tools/netlab"
	"golang.org/x/sys/unix"
)

const (
	// readyWait bounds how long a recorder takes to subscribe.
	readyWait = 10 * time.Second
	// drainWait bounds how long it takes to read the queued events after a load.
	drainWait = 30 * time.Second
	// stopWait bounds how long it takes to end.
	stopWait = 20 * time.Second
)

// process is a process that is measured.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	begun  time.Time
	exited chan error
	drops  uint64 // of its socket, when last read
}

// usage is the resources that a process has used until its end.
type usage struct {
	cpu    time.Duration // user and system, all threads
	wall   time.Duration
	memory int64 // bytes, the most that were resident
}

// start starts a command.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, begun: time.Now(), exited: make(chan error, 1)}
	cmd.Stderr = &p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.exited <- cmd.Wait() }()
	return p, nil
}

// plainEnv returns the environment without variables that tune a Go program.
func plainEnv(extra ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG"}, name)
	})
	return append(env, extra...)
}

// record starts topotape in the gateway.
func (b *bench) record(tape string, flags ...string) (*process, error) {
	args := append([]string{"record", "-o", tape, "--force", "--duration", "10m"}, flags...)
	cmd := b.lab.Command(b.lab.Gateway, b.topotape, args...)
	cmd.Env = plainEnv()
	return start(cmd)
}

// conntrack starts conntrack -E in the gateway, with its output in a file.
func (b *bench) conntrack(file, format string) (*process, error) {
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := b.lab.Command(b.lab.Gateway, "conntrack", "-E", "-o", format)
	cmd.Stdout = out
	return start(cmd)
}

// runIn runs a command of the lab to its end.
func (b *bench) runIn(place netlab.Netns, name string, args ...string) error {
	if out, err := b.lab.Command(place, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// flush empties the gateway's conntrack table.
func (b *bench) flush() error { return b.runIn(b.lab.Gateway, "conntrack", "-F") }

// sysctl sets a sysctl of a namespace.
func (b *bench) sysctl(place netlab.Netns, setting string) error {
	return b.runIn(place, "sysctl", "-q", "-w", setting)
}

// stop ends the process as a Ctrl-C does and returns its usage.
func (p *process) stop() (usage, error) {
	p.cmd.Process.Signal(syscall.SIGINT)
	p.cmd.Process.Signal(syscall.SIGCONT)
	return p.wait(stopWait)
}

// peak reads the memory of a process until it ends, and returns the peak in bytes. The
// figure of wait4(2) includes the memory of this program, from between fork and exec.
func (p *process) peak() func() int64 {
	result := make(chan int64, 1)
	go func() {
		greatest := int64(0)
		for {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
			_, text, ok := strings.Cut(string(status), "VmHWM:")
			if err != nil || !ok {
				result <- greatest
				return
			}
			if f := strings.Fields(text); len(f) > 0 {
				kib, _ := strconv.ParseInt(f[0], 10, 64)
				greatest = max(greatest, kib<<10)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() int64 { return <-result }
}

// kill kills the process.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.wait(time.Second)
}

func (p *process) wait(limit time.Duration) (usage, error) {
	late := time.AfterFunc(limit, func() { p.cmd.Process.Kill() })
	err := <-p.exited
	wall := time.Since(p.begun)
	p.exited <- err
	var exit *exec.ExitError
	if !late.Stop() {
		return usage{}, fmt.Errorf("%s did not end within %v", p.cmd.Args[3], limit)
	}
	if errors.As(err, &exit) && exit.ExitCode() == exitLoss {
		err = nil
	}
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w: %s", strings.Join(p.cmd.Args, " "), err, bytes.TrimSpace(p.stderr.Bytes()))
	}
	r := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return usage{
		cpu:    time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		wall:   wall,
		memory: r.Maxrss << 10,
	}, nil
}

// exitLoss is topotape's exit code for a tape with gaps.
const exitLoss = 3

// cpu returns the CPU time of a running process so far, in steps of 10 ms.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may have spaces; after it comes the third field.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.Atoi(f[14-3])
	system, err2 := strconv.Atoi(f[15-3])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// ready waits until the process has subscribed to events.
func (p *process) ready() error {
	return p.until(readyWait, "subscribe to events", func(int) bool { return true })
}

// drained waits until the process has read all queued events, and sets p.drops.
func (p *process) drained() error {
	empty := 0 // how often the queue was empty
	return p.until(drainWait, "read the queued events", func(queued int) bool {
		if empty++; queued > 0 {
			empty = 0
		}
		return empty >= 5
	})
}

func (p *process) until(limit time.Duration, what string, done func(queued int) bool) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-p.exited:
			p.exited <- err
			return fmt.Errorf("%s ended: %s", strings.Join(p.cmd.Args, " "), bytes.TrimSpace(p.stderr.Bytes()))
		default:
		}
		_, queued, drops, ok := eventSocket(p.cmd.Process.Pid)
		if ok {
			p.drops = drops
		}
		if ok && done(queued) {
			return nil
		}
	}
	return fmt.Errorf("%s did not %s within %v", strings.Join(p.cmd.Args, " "), what, limit)
}

// eventSocket finds the process's netfilter socket that has joined groups. It returns its
// descriptor, the bytes in its queue, and the number of lost messages.
func eventSocket(pid int) (fd, queued int, drops uint64, ok bool) {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netlink", pid))
	if err != nil {
		return 0, 0, 0, false
	}
	own := sockets(pid)
	for line := range strings.Lines(string(table)) {
		// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		f := strings.Fields(line)
		if len(f) < 10 || f[1] != netlinkNetfilter || f[3] == "00000000" {
			continue
		}
		if fd, ok := own[f[9]]; ok {
			queued, _ = strconv.Atoi(f[4])
			drops, _ = strconv.ParseUint(f[8], 10, 64)
			return fd, queued, drops, true
		}
	}
	return 0, 0, 0, false
}

const netlinkNetfilter = "12" // NETLINK_NETFILTER of linux/netlink.h

// sockets returns a process's descriptors of sockets, by inode.
func sockets(pid int) map[string]int {
	fds := map[string]int{}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		to, err := os.Readlink(l)
		inode, ok := strings.CutPrefix(to, "socket:[")
		if fd, errNumber := strconv.Atoi(filepath.Base(l)); err == nil && ok && errNumber == nil {
			fds[strings.TrimSuffix(inode, "]")] = fd
		}
	}
	return fds
}

// enlarge sets the buffer of the process's event socket from outside: option -b of
// conntrack 1.4.7 sets the buffer of another socket.
func (p *process) enlarge(bytes int) error {
	pid := p.cmd.Process.Pid
	number, _, _, ok := eventSocket(pid)
	if !ok {
		return errors.New("it has no event socket")
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(process)
	fd, err := unix.PidfdGetfd(process, number, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_getfd", err)
	}
	defer unix.Close(fd)
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes))
}
