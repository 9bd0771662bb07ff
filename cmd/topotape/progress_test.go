package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
)

func TestProgress(t *testing.T) {
	if newProgress(nil) != nil && !isTerminal(os.Stderr) {
		t.Error("progress without a terminal")
	}
	var none *progress
	none.record(&capture.Record{})
	none.yield()
	none.done()

	dir := t.TempDir()
	inputs := []replay.Input{fileOf(t, dir+"/a", 300), fileOf(t, dir+"/b", 100)}
	var screen bytes.Buffer
	clock := time.Unix(1e9, 0)
	p := &progress{to: &screen, now: func() time.Time { return clock }, counts: true}
	p.watch(inputs)
	for range 3 * progressLook {
		p.record(&capture.Record{At: 61e9})
	}
	if screen.Len() > 0 {
		t.Errorf("progress shows too early: %q", &screen)
	}
	f, err := inputs[1].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.ReadFull(f, make([]byte, 60)); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.(io.ReaderAt); !ok {
		t.Error("a watched file lost its ReadAt")
	}
	clock = clock.Add(2 * time.Second)
	for range progressLook {
		p.record(&capture.Record{At: 62e9})
	}
	if want := "\r4096 records, 2048/s, at +1m2s, 90 %\x1b[K"; screen.String() != want {
		t.Errorf("%q, want %q", &screen, want)
	}
	p.done()
	clock = clock.Add(time.Hour)
	for range progressLook {
		p.record(&capture.Record{At: 63e9})
	}
	p.done()
	if !strings.HasSuffix(screen.String(), "90 %\x1b[K\r\x1b[K") {
		t.Errorf("not erased for good: %q", &screen)
	}

	// Without records the line shows the bytes of all reads, and clear erases it.
	screen.Reset()
	clock = time.Unix(1e9, 0)
	p = &progress{to: &screen, now: func() time.Time { return clock }}
	p.watch(inputs)
	for range 2 {
		clock = clock.Add(2 * time.Second)
		f, err := inputs[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		p.clear()
	}
	if want := "\r300 B read, 150 B/s, 75 %\x1b[K\r\x1b[K\r600 B read, 150 B/s, 75 %\x1b[K\r\x1b[K"; screen.String() != want {
		t.Errorf("%q, want %q", &screen, want)
	}
	p.done()

	stream := []replay.Input{inputs[0], {Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }}}
	p.watch(stream)
	if p.total != 0 {
		t.Error("a percentage of an unknown size")
	}
}

func fileOf(t *testing.T, name string, size int) replay.Input {
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return fileInput(name, int64(size))
}

// Waiting ends at once when the reader of the pipe closes it.
func TestPacerEnds(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := newPacer(1, w)
	defer p.stop()
	if err := p.until(0); err != nil {
		t.Error(err)
	}
	if err := p.until(20 * time.Millisecond); err != nil || time.Since(p.begun) < 20*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(p.begun))
	}
	r.Close()
	if err := p.until(time.Hour); !errors.Is(err, syscall.EPIPE) && closedPipe(w) {
		t.Error(err)
	}
}

// A paced replay prints each report when it is due, and a signal ends it.
func TestPacedReplay(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := `{"tape":{"host_id":"h"}}` + "\n" + `{"at":"0s","mark":{"text":"x"}}` + "\n" + `{"at":"0s","tick":{}}` + "\n" + `{"at":"1h","tick":{}}` + "\n"
	if err := os.WriteFile(dir+"/x.jsonl", []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	topotape := func(args ...string) *exec.Cmd {
		link := dir + "/topotape" // under this name the test program is topotape
		if _, err := os.Lstat(link); err != nil {
			if err := os.Symlink(exe, link); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(link, args...)
		cmd.Dir = dir
		return cmd
	}
	if out, err := topotape("build", "x.jsonl", "-o", "x.tape").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, end := range []string{"signal", "closed pipe"} {
		cmd := topotape("replay", "--rate", "1x", "--format", "ndjson", "x.tape")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 1)
		if _, err := io.ReadFull(out, line); err != nil { // the first report has come
			t.Fatal(err, &stderr)
		}
		if end == "signal" {
			cmd.Process.Signal(os.Interrupt)
			err = cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(stderr.String(), "interrupt") {
				t.Errorf("%v: %s", err, &stderr)
			}
			continue
		}
		if !canSeeClosedPipes() {
			cmd.Process.Kill()
			cmd.Wait()
			continue
		}
		out.Close()
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("%v: %s", err, &stderr)
		}
	}
}

func canSeeClosedPipes() bool {
	r, w, err := os.Pipe()
	if err != nil {
		return false
	}
	defer w.Close()
	r.Close()
	return closedPipe(w)
}
