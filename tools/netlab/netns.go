//go:build linux

package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	netnsDir   = "/run/netns" // where ip netns has its names
	namePrefix = "ttlab-"
)

// Netns is one network namespace of a lab.
type Netns struct {
	Name  string // of ip netns
	Inode uint64 // from stat(2) of /proc/PID/ns/net
}

func (n Netns) path() string { return filepath.Join(netnsDir, n.Name) }

// do runs f on a thread in the namespace. Processes that f starts are in the namespace,
// and /proc/sys/net has its settings.
func (n Netns) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is never unlocked, so it ends with this goroutine and no other
		// goroutine runs in the namespace. It must not be the main thread, which
		// cannot end and whose namespace /proc shows for the whole process.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- n.do(f)
			runtime.UnlockOSThread()
			return
		}
		done <- n.enter(f)
	}()
	return <-done
}

func (n Netns) enter(f func() error) error {
	ns, err := os.Open(n.path())
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", n.Name, err)
	}
	return f()
}

// sysctl writes settings, given as path under /proc/sys/net and value.
func (n Netns) sysctl(settings map[string]string) error {
	return n.do(func() error {
		for path, value := range settings {
			if err := os.WriteFile(filepath.Join("/proc/sys/net", path), []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n Netns) readSysctl(path string) (int, error) {
	var v int
	err := n.do(func() error {
		b, err := os.ReadFile(filepath.Join("/proc/sys/net", path))
		if err != nil {
			return err
		}
		v, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err
	})
	return v, err
}

// run runs a command in the namespace with the text as its standard input.
func (n Netns) run(stdin, name string, args ...string) error {
	return n.do(func() error { return runCommand(stdin, name, args...) })
}

func runCommand(stdin, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // only the lab gets a Ctrl-C
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args...), " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func netnsInode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	return st.Ino, nil
}

// deleteNetns removes the named namespaces that match, as ip netns delete does. It is no
// error if another process removes them at the same time.
func deleteNetns(match func(name string) bool) error {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, namePrefix) || !match(name) {
			continue
		}
		path := filepath.Join(netnsDir, name)
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Clean removes the namespaces of killed labs: those with the PID of a process that no
// longer exists. It returns their names.
func Clean() ([]string, error) {
	var removed []string
	err := deleteNetns(func(name string) bool {
		var pid int
		if _, err := fmt.Sscanf(name, namePrefix+"%d-", &pid); err != nil || pid <= 0 {
			return false
		}
		dead := errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
		if dead {
			removed = append(removed, name)
		}
		return dead
	})
	return removed, err
}
