package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// programEnv makes this test binary the program itself.
const programEnv = "TOPOTAPE_TEST_PROGRAM"

func init() {
	if os.Getenv(programEnv) != "" {
		os.Exit(run(os.Args[1:]))
	}
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to record")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), programEnv+"=1")
	cmd.Dir = t.TempDir()
	return cmd
}

// begin starts a recording and returns when its file exists.
func begin(t *testing.T, cmd *exec.Cmd, file string) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if st, err := os.Stat(filepath.Join(cmd.Dir, file+".partial")); err == nil && st.Size() > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no file")
		}
	}
	time.Sleep(100 * time.Millisecond)
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// ending returns how the tape ends, and why.
func ending(t *testing.T, r io.Reader) (tape.Ending, string) {
	t.Helper()
	tape, err := tape.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var end capture.End
	for {
		rec, err := tape.Next()
		if err == io.EOF {
			return tape.Ending(), end.Why
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == capture.KindEnd {
			if err := rec.Decode(&end); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSignalsCloseTheTape(t *testing.T) {
	for sig, name := range map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP"} {
		cmd := program(t, "record", "-o", "a.tape", "--min-free", "0", "--note", "a note")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		begin(t, cmd, "a.tape")
		cmd.Process.Signal(sig)
		if code := exitCode(cmd.Wait()); code != exitOK {
			t.Errorf("%s: exit code %d: %s", name, code, &stderr)
		}
		b, err := os.ReadFile(filepath.Join(cmd.Dir, "a.tape"))
		if err != nil {
			t.Fatal(err)
		}
		if e, why := ending(t, bytes.NewReader(b)); e != tape.Closed || why != "stopped by "+name {
			t.Errorf("%s: %v tape, %q", name, e, why)
		}
		for _, want := range []string{"a.tape: ", "conntrack", "memory"} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%s: no %q in the summary:\n%s", name, want, &stderr)
			}
		}
		if strings.Contains(stderr.String(), "\r") {
			t.Errorf("%s: a status line without a terminal", name)
		}
	}
}

func TestTapeStreamsToAPipe(t *testing.T) {
	cmd := program(t, "record", "-o", "-", "--duration", "500ms", "--interval", "100ms")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if e, why := ending(t, bytes.NewReader(out)); e != tape.Closed || !strings.Contains(why, "duration") {
		t.Errorf("%v tape, %q", e, why)
	}
}

func TestClosedPipeEndsTheRecording(t *testing.T) {
	cmd := program(t, "record", "-o", "-", "--interval", "50ms")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(out, make([]byte, 10))
	out.Close()
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if code := exitCode(cmd.Wait()); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestSecondSignalQuitsAtOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	// the pipe is full, so the recorder blocks in its first write
	w.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	w.Write(make([]byte, 1<<20))
	cmd := program(t, "record", "-o", "-")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	for deadline := time.Now().Add(30 * time.Second); !hasSocket(cmd.Process.Pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the recorder opens no source")
		}
	}
	quit := make(chan struct{})
	defer close(quit)
	go func() { // signals within sameSignal count as one
		for range 30 {
			cmd.Process.Signal(syscall.SIGINT)
			select {
			case <-quit:
				return
			case <-time.After(time.Second):
			}
		}
		cmd.Process.Kill()
	}()
	if code := exitCode(cmd.Wait()); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
}

// timeout(1) sends its signal to the program and to its group.
func TestSignalThatComesTwiceClosesTheTape(t *testing.T) {
	cmd := program(t, "record", "-o", "a.tape", "--sources", "proc", "--min-free", "0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	partial := filepath.Join(cmd.Dir, "a.tape.partial")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if st, err := os.Stat(partial); err == nil && st.Size() > 0 {
			break
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(time.Millisecond) // two pending signals are one
	cmd.Process.Signal(syscall.SIGTERM)
	if code := exitCode(cmd.Wait()); code != exitOK {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	f, err := os.Open(filepath.Join(cmd.Dir, "a.tape"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if e, why := ending(t, f); e != tape.Closed || why != "stopped by SIGTERM" {
		t.Errorf("%v tape, %q", e, why)
	}
}

func TestDryRunLeavesNoFile(t *testing.T) {
	cmd := program(t, "record", "--dry-run")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"conntrack: ", "entries", "socket buffer", "proc: ", "dns: ", "sockets: "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if left, _ := os.ReadDir(cmd.Dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
}

func hasSocket(pid int) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return slices.ContainsFunc(fds, func(fd string) bool {
		to, _ := os.Readlink(fd)
		return strings.HasPrefix(to, "socket:")
	})
}
