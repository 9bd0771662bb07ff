package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A recorder that was stopped says for how long. The kernel kept the events of that
// time, so there is no gap.
func TestStoppedRecorderSaysForHowLong(t *testing.T) {
	cmd := inOwnNetns(t, program(t, "record", "-o", "a.tape", "--min-free", "0", "--interval", "500ms"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begin(t, cmd, "a.tape")
	time.Sleep(time.Second)
	cmd.Process.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	quit := make(chan struct{})
	var made []visit
	var traffic sync.WaitGroup
	traffic.Go(func() { enterNetns(t, cmd.Process.Pid, func() { made = visits(t, quit) }) })
	time.Sleep(4 * time.Second)
	close(quit)
	traffic.Wait()
	cmd.Process.Signal(syscall.SIGCONT)
	took := time.Since(stopped)
	time.Sleep(time.Second)
	cmd.Process.Signal(syscall.SIGTERM)
	if code := exitCode(cmd.Wait()); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(stderr.String(), "the recorder stood still for") {
		t.Errorf("no stall in the summary:\n%s", &stderr)
	}
	f, err := os.Open(filepath.Join(cmd.Dir, "a.tape"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := tape.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	events, stalls := 0, 0
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch rec.Kind {
		case capture.KindStall:
			var s capture.Stall
			if err := rec.Decode(&s); err != nil {
				t.Fatal(err)
			}
			stalls++
			still := time.Duration(s.Duration)
			if still < took-200*time.Millisecond || still > took+time.Second || rec.Source != 0 {
				t.Errorf("a stall of %v in %v", still, took)
			}
			if events > 0 {
				t.Errorf("%d events of the time precede the stall", events)
			}
		case capture.KindConntrack:
			events++
		}
	}
	if stalls != 1 || len(made) < 20 || events < 5*len(made) {
		t.Errorf("%d stalls, %d events of %d connections", stalls, events, len(made))
	}
}
