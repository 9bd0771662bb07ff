package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"topotape": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			dir, err := filepath.Abs("../../capture/tape/testdata/conformance")
			env.Setenv("CONFORMANCE", dir)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "head": head, "joined": joined, "witnessed": witnessed, "segments": segments, "flipped": flipped,
		},
	})
}

// exits CODE ARGS... runs topotape and checks its exit code, and that standard error
// has a line if the code is not 0.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("topotape", args[1:]...)
	got := 0
	if err != nil {
		exit, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d: %s", got, want, ts.ReadFile("stderr"))
	}
	if want != 0 && ts.ReadFile("stderr") == "" {
		ts.Fatalf("exit code %d without a line on standard error", want)
	}
}

// head BYTES FROM TO copies the first bytes of a file; a negative number counts from
// its end.
func head(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: head BYTES FROM TO")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	b := []byte(ts.ReadFile(args[1]))
	if n < 0 {
		n += len(b)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b[:n], 0o600))
}

// flipped FROM TO OFFSET copies a file with the bits of one byte inverted. A negative
// offset counts from its end.
func flipped(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: flipped FROM TO OFFSET")
	}
	at, err := strconv.Atoi(args[2])
	ts.Check(err)
	b := []byte(ts.ReadFile(args[0]))
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0xff
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}

// joined A B TO concatenates two files.
func joined(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: joined A B TO")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(ts.ReadFile(args[0])+ts.ReadFile(args[1])), 0o600))
}

// segments FROM N DIR writes a tape's records as N segments of one recording:
// DIR/a.tape is the last one, and so on.
func segments(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: segments FROM N DIR")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	from, err := tape.NewReader(bytes.NewReader([]byte(ts.ReadFile(args[0]))))
	ts.Check(err)
	var records []capture.Record
	for {
		r, err := from.Next()
		if err == io.EOF {
			break
		}
		ts.Check(err)
		r.Payload = bytes.Clone(r.Payload)
		records = append(records, r)
	}
	ts.Check(os.MkdirAll(ts.MkAbs(args[2]), 0o700))
	h := *from.Header()
	h.Recording = [16]byte{7}
	for i := range n {
		var out bytes.Buffer
		h.Segment, h.TapeID = uint32(i), [16]byte{7, byte(i)}
		to, err := tape.NewWriter(&out, &h)
		ts.Check(err)
		var last capture.Record
		for _, last = range records[i*len(records)/n : (i+1)*len(records)/n] {
			last.Seq *= 10
			ts.Check(to.Write(&last))
		}
		ts.Check(to.Write(&capture.Record{Seq: last.Seq + 1, At: last.At, Kind: capture.KindEnd, Payload: capture.AppendPayload(nil, &capture.End{})}))
		ts.Check(to.Close())
		name := fmt.Sprintf("%s/%c.tape", args[2], 'a'+n-1-i)
		ts.Check(os.WriteFile(ts.MkAbs(name), out.Bytes(), 0o600))
	}
}

// witnessed FROM TO CORE [TICK] adds a witness to every tick of a tape; the one of
// tick TICK is wrong. CORE is the core version of the witnesses, 0 for the current one.
func witnessed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: witnessed FROM TO CORE [TICK]")
	}
	version, err := strconv.ParseUint(args[2], 10, 32)
	ts.Check(err)
	if version == 0 {
		version = reporter.CoreVersion
	}
	wrong := uint64(0)
	if len(args) > 3 {
		wrong, err = strconv.ParseUint(args[3], 10, 64)
		ts.Check(err)
	}
	from, err := tape.NewReader(bytes.NewReader([]byte(ts.ReadFile(args[0]))))
	ts.Check(err)
	core, err := reporter.New(from.Header(), "")
	ts.Check(err)
	var out bytes.Buffer
	to, err := tape.NewWriter(&out, from.Header())
	ts.Check(err)
	seq := uint64(0)
	for {
		r, err := from.Next()
		if err == io.EOF {
			break
		}
		ts.Check(err)
		seq++
		r.Seq = seq
		ts.Check(to.Write(&r))
		if !core.Step(&r) {
			continue
		}
		report := core.Report()
		w := &capture.Witness{Tick: report.Tick, Rules: reporter.RulesCurrent, Core: uint32(version), Digests: report.Digests()}
		if report.Tick == wrong {
			for i := range w.Digests.Connections {
				w.Digests.Connections[i]++
			}
			w.Digests.Coverage++
		}
		seq++
		ts.Check(to.Write(&capture.Record{Seq: seq, At: r.At, Kind: capture.KindWitness, Payload: capture.AppendPayload(nil, w)}))
	}
	ts.Check(to.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out.Bytes(), 0o600))
}
