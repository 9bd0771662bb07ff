package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// Records are printed as they arrive, while the pipe is open and before an interval
// ends; a reader that closes its end causes no message.
func TestCatPrintsWhileThePipeIsOpen(t *testing.T) {
	for _, format := range []string{"text", "jsonl"} {
		cmd := exec.Command("/proc/self/exe", "cat", "--format", format, "-")
		cmd.Env = append(os.Environ(), programEnv+"=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tape, err := tape.NewWriter(in, &capture.Header{HostID: "h"})
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		write := func(seq uint64) {
			t.Helper()
			err := tape.Write(&capture.Record{Seq: seq, Kind: capture.KindMark, Payload: capture.AppendPayload(nil, &capture.Mark{Text: fmt.Sprintf("note %d", seq)})})
			if err == nil {
				err = tape.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		read := func(want string) {
			t.Helper()
			if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, want) {
				t.Fatalf("%s: read %q, %v; want %q", format, line, err, want)
			}
		}
		write(1)
		read("h")
		read("note 1")
		write(2)
		read("note 2")
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		write(3)
		if err := tape.Close(); err != nil && !strings.Contains(err.Error(), "pipe") {
			t.Fatal(err)
		}
		in.Close()
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("%s: %v, said %q", format, err, &stderr)
		}
	}
}
