//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandEnv makes the test binary run the command.
const commandEnv = "NETLAB_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network lab needs root")
	}
	for _, c := range []string{"ip", "nft", "dnsmasq"} {
		if _, err := exec.LookPath(c); err != nil {
			t.Skip(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), commandEnv+"=1")
	return cmd
}

// left lists the namespaces of a process.
func left(pid int) []string {
	var names []string
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), fmt.Sprintf("ttlab-%d-", pid)) {
			names = append(names, e.Name())
		}
	}
	return names
}

// No namespaces are left after SIGTERM and SIGINT, and a moment after SIGKILL.
func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			cmd := command(t, "up")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for range 4 {
				if !lines.Scan() || !strings.HasPrefix(lines.Text(), "ttlab-") {
					t.Fatalf("netlab up prints %q", lines.Text())
				}
			}
			if n := len(left(cmd.Process.Pid)); n != 4 {
				t.Errorf("%d namespaces, not 4", n)
			}
			cmd.Process.Signal(s)
			err = cmd.Wait()
			if s != syscall.SIGKILL {
				if err != nil {
					t.Error(err)
				}
				if names := left(cmd.Process.Pid); len(names) != 0 {
					t.Errorf("left at the end: %v", names)
				}
			}
			for end := time.Now().Add(3 * time.Second); len(left(cmd.Process.Pid)) > 0; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("left 3 s later: %v", left(cmd.Process.Pid))
				}
			}
		})
	}
}

func TestInterruptedBuild(t *testing.T) {
	for _, after := range []time.Duration{5, 20, 40, 60, 90} {
		cmd := command(t, "up")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after * time.Millisecond)
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if names := left(cmd.Process.Pid); len(names) != 0 {
			t.Errorf("after %d ms: left %v", after, names)
		}
	}
}

func TestCleanKeepsRunningLabs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	dead := command(t, "help")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	gone := fmt.Sprintf("ttlab-%d-1-client", dead.Process.Pid)
	stays := fmt.Sprintf("ttlab-%d-99-client", os.Getpid())
	for _, name := range []string{gone, stays} {
		if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		defer exec.Command("ip", "netns", "delete", name).Run()
	}
	out, err := command(t, "clean").CombinedOutput()
	if err != nil || !strings.Contains(string(out), gone) || strings.Contains(string(out), stays) {
		t.Errorf("clean: %v: %s", err, out)
	}
	if _, err := os.Stat("/run/netns/" + gone); !errors.Is(err, os.ErrNotExist) {
		t.Error("the dead process's namespace is left:", err)
	}
	if _, err := os.Stat("/run/netns/" + stays); err != nil {
		t.Error("the running process's namespace is removed:", err)
	}
}

func TestRunWithACommand(t *testing.T) {
	dir := t.TempDir()
	plan := `{"duration":"200ms","patterns":[{"kind":"dnat","count":2,"hold":"whole"},{"kind":"routed","count":3,"over":"100ms"}]}`
	if err := os.WriteFile(dir+"/plan.json", []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "run", "--plan", dir+"/plan.json", "--truth", dir+"/truth", "--settle", "200ms", "--",
		"sh", "-c", "trap 'exit 0' INT; ip -o addr; while :; do sleep 0.1; done")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "198.18.1.1/24") {
		t.Errorf("the command in the gateway: %v: %s", err, out)
	}
	f, err := os.Open(dir + "/truth")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || strings.Count(string(b), "\n") != 5 {
		t.Errorf("truth: %v:\n%s", err, b)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"nosuch"}, {"run", "--nosuch"}, {"idle", "x"}, {"compare", "one"}} {
		cmd := command(t, args...)
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 2 {
			t.Errorf("netlab %v: exit %d", args, code)
		}
	}
}
