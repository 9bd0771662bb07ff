//go:build !race

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// budget is how much more memory, KiB, a hostile tape may take than an empty one.
const budget = 256 << 10

// slowest is how long a verb may take for a hostile tape, on a machine that does other things too.
const slowest = time.Minute

// readingVerbs are the command lines of verbs that read tapes. TAPE is the tape, NEW a
// file to write.
var readingVerbs = []string{
	"info TAPE",
	"info --top 5 TAPE",
	"cat TAPE",
	"cat --format jsonl TAPE",
	"cat --format pcapng TAPE",
	"replay TAPE",
	"replay --all --format ndjson TAPE",
	"replay --whole --format scope-json TAPE",
	"replay --verify TAPE",
	"replay --rules scope2016 --format dot TAPE",
	"diff --rules current --rules scope2016 TAPE",
	"cut --from #2 -o NEW TAPE",
	"cut --from #999999999 -o NEW TAPE",
	"merge TAPE TAPE -o NEW",
	"recover TAPE -o NEW",
}

// Whatever a tape says, a verb that reads it needs little memory and time. Each tape is read by
// some of the verbs; all of them have their turn. HOSTILE=all reads each tape by all verbs.
func TestHostileTapesTakeLittleMemory(t *testing.T) {
	verbs := 2 // for each tape
	if os.Getenv("HOSTILE") == "all" {
		verbs = len(readingVerbs)
	}
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.tape")
	writeHostile(t, empty, hostileTape{"", func(*hostileWriter) {}})
	least, _, _ := peakMemory(t, readingVerbs[0], empty, dir)
	for i, h := range hostileTapes {
		t.Run(h.name, func(t *testing.T) {
			file := filepath.Join(dir, "hostile.tape")
			writeHostile(t, file, h)
			for n := range verbs {
				verb := readingVerbs[(i*verbs+n)%len(readingVerbs)]
				memory, took, said := peakMemory(t, verb, file, dir)
				if memory > least+budget || took > slowest {
					t.Errorf("%s: %d MiB, %s: %.300s", verb, memory>>10, took, said)
				}
				t.Logf("%4d MiB %5.2f s %s", memory>>10, took.Seconds(), verb)
			}
		})
	}
}

// peakMemory runs a verb. It returns how much memory it took at most, KiB, how long it
// ran, and the end of what it wrote to standard error.
func peakMemory(t *testing.T, verb, file, dir string) (memory int, took time.Duration, said string) {
	t.Helper()
	to, err := os.MkdirTemp(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(to)
	to = filepath.Join(to, "new")
	var args []string
	for _, word := range strings.Fields(verb) {
		switch word {
		case "TAPE":
			word = file
		case "NEW":
			word = to
		}
		args = append(args, word)
	}
	cmd := exec.Command("bash", append([]string{"-c", `ulimit -v 12000000; exec timeout 60 topotape "$@"`, "x"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	for {
		memory = max(memory, peakOf(cmd.Process.Pid))
		select {
		case <-done:
			return memory, time.Since(start), stderr.String()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// peakOf returns the most memory that a process and its children had, KiB.
func peakOf(pid int) (kib int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, found := strings.Cut(string(status), "VmHWM:"); found {
		fmt.Sscan(rest, &kib)
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		n := 0
		fmt.Sscan(child, &n)
		kib = max(kib, peakOf(n))
	}
	return kib
}
