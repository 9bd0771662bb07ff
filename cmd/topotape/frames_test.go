//go:build linux && !race

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A testFrame is a frame of a tape, written as the format's document says: this code shares
// nothing with package tape, whose Writer makes no such frames.
type testFrame struct {
	kind, coding byte
	number       uint64
	fileID       uint64
	plain        int // announced length when decoded
	payload      []byte
}

func (f testFrame) bytes() []byte {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	b := append([]byte("\x99\xa9topotape1\xcc"), f.kind, 0xcc, f.coding, 0xcf)
	b = binary.BigEndian.AppendUint64(b, f.number)
	b = binary.BigEndian.AppendUint64(append(b, 0xcf), f.fileID)
	b = binary.BigEndian.AppendUint32(append(b, 0xce), uint32(f.plain))
	b = binary.BigEndian.AppendUint32(append(b, 0xce), crc32.Checksum(f.payload, castagnoli))
	length := binary.BigEndian.AppendUint32([]byte{0xc6}, uint32(len(f.payload)))
	b = append(b, 0xce)
	b = binary.BigEndian.AppendUint32(b, crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, length))
	return append(append(b, length...), f.payload...)
}

// plainFrame returns a frame whose payload is not compressed.
func plainFrame(kind byte, number, fileID uint64, payload []byte) testFrame {
	return testFrame{kind: kind, number: number, fileID: fileID, plain: len(payload), payload: payload}
}

// headOf returns the payload of a head: the tape id, and a recording of its own.
func headOf(fileID uint64) []byte {
	id := binary.BigEndian.AppendUint64(nil, fileID)
	id = append(id, make([]byte, 8)...)
	b := []byte{0x99, 1, 0xa1, 'x', 4, 0xc4, 16}
	b = append(b, id...)
	b = append(append(b, 0xc4, 16), id...)
	return append(b, 0, 1, 0, 0xa1, 'h')
}

// frameKinds make the number-th of very many frames that follow the head of a tape.
var frameKinds = map[string]func(number uint64) testFrame{
	"sound-heads":       func(n uint64) testFrame { return plainFrame(1, 0, n+1, headOf(n+1)) },
	"undecodable-heads": func(n uint64) testFrame { return plainFrame(1, 0, n+1, []byte{0xc1}) },
	"empty-heads":       func(n uint64) testFrame { return plainFrame(1, 0, n+1, nil) },
	"numbered-heads":    func(n uint64) testFrame { return plainFrame(1, n, n+1, headOf(n+1)) },
	"heads-of-others":   func(n uint64) testFrame { return plainFrame(1, 0, n+1, headOf(n+2)) },
	"long-heads":        func(n uint64) testFrame { f := plainFrame(1, 0, n+1, headOf(n+1)); f.plain++; return f },
	"coded-heads":       func(n uint64) testFrame { f := plainFrame(1, 0, n+1, headOf(n+1)); f.coding = 1; return f },
	"second-heads":      func(n uint64) testFrame { return plainFrame(1, n, 0, headOf(0)) },
	"empty-chunks":      func(n uint64) testFrame { return plainFrame(2, n, 0, nil) },
	"broken-chunks":     func(n uint64) testFrame { return plainFrame(2, n, 0, []byte{0x95, 0xc1}) },
	"old-chunks":        func(uint64) testFrame { return plainFrame(2, 1, 0, nil) },
	"index-pages":       func(n uint64) testFrame { return plainFrame(3, n, 0, []byte{0x92, 0, 0x90}) },
	"broken-pages":      func(n uint64) testFrame { return plainFrame(3, n, 0, []byte{0x92, 0}) },
	"feet":              func(n uint64) testFrame { return plainFrame(4, n, 0, bytes.Repeat([]byte{0}, 46)) },
	"newer-frames":      func(n uint64) testFrame { return plainFrame(64, n, 0, nil) },
	"needed-frames":     func(n uint64) testFrame { return plainFrame(63, n, 0, nil) },
	"missing-frames":    func(n uint64) testFrame { return plainFrame(2, 2*n, 0, nil) },
	"bombs":             func(n uint64) testFrame { f := bomb; f.number = n; return f },
	"lying-bombs":       func(n uint64) testFrame { f := bomb; f.number, f.plain = n, 1; return f },
}

// bomb is a chunk that decodes to 8 MiB.
var bomb = func() testFrame {
	enc, _ := zstd.NewWriter(nil)
	return testFrame{kind: 2, coding: 1, plain: 8 << 20, payload: enc.EncodeAll(make([]byte, 8<<20), nil)}
}()

// closedTape returns a sound tape of records, and its end.
func closedTape(t *testing.T, records ...capture.Record) []byte {
	var b bytes.Buffer
	w, err := tape.NewWriter(&b, &capture.Header{HostID: "host1"})
	if err != nil {
		t.Fatal(err)
	}
	records = append(records, capture.Record{Kind: capture.KindEnd, Payload: capture.AppendPayload(nil, &capture.End{})})
	for i := range records {
		r := &records[i]
		r.Seq = uint64(i + 1)
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// framesVerbs are the command lines that read a tape, with TAPE in place of its name and OUT
// in place of that of an output.
var framesVerbs = []string{
	"info TAPE", "info --top 5 TAPE", "info --format json TAPE", "cat TAPE", "cat --format jsonl TAPE", "cat --format pcapng -o OUT TAPE",
	"cat --from +1s TAPE", "replay TAPE", "replay --all --format ndjson TAPE", "replay --verify TAPE", "replay --rules scope2016 TAPE",
	"diff TAPE TAPE", "cut --from start -o OUT TAPE", "merge -o OUT TAPE", "recover -o OUT TAPE",
}

// runTimed runs a verb, and fails if it panics, or takes too long.
func runTimed(t *testing.T, verb, file string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	line := strings.Fields(strings.NewReplacer("TAPE", file, "OUT", out).Replace(verb))
	ctx, cancel := context.WithTimeout(context.Background(), slowest)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], line...)
	cmd.Args[0] = "topotape"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Errorf("%s takes too long", verb)
	case err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 4 || exit.ExitCode() < 0):
		t.Errorf("%s: %v\n%.2000s", verb, err, stderr.Bytes())
	case strings.Contains(stderr.String(), "goroutine "):
		t.Errorf("%s panics:\n%.2000s", verb, stderr.Bytes())
	case stderr.Len() > 64<<10:
		t.Errorf("%s writes %d bytes to standard error", verb, stderr.Len())
	}
}

// Every reading verb ends in time on a tape with very many frames of one kind: each loop over
// frames, heads, pages and tapes makes progress, and the time is in proportion to the file.
func TestManyFramesOfEachKind(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes: left out with -short")
	}
	const frames = 20_000
	for name, frame := range frameKinds {
		t.Run(name, func(t *testing.T) {
			file := plainFrame(1, 0, 0, headOf(0)).bytes()
			if strings.HasSuffix(name, "heads") {
				file = closedTape(t) // so that a head begins another tape
			}
			for n := range uint64(frames) {
				file = append(file, frame(n+1).bytes()...)
			}
			readInTime(t, file)
		})
	}
}

// readInTime runs every reading verb on a tape.
func readInTime(t *testing.T, file []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostile.tape")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range framesVerbs {
		runTimed(t, verb, path)
	}
}

// The time is in proportion to the number of sources, too, whatever lists them.
func TestManySources(t *testing.T) {
	const sources = 100_000
	for _, kind := range []capture.Kind{capture.KindSource, capture.KindGap, capture.KindConntrack} {
		t.Run(kind.String(), func(t *testing.T) {
			r := capture.Record{Kind: kind}
			if p := kind.New(); p != nil {
				if s, ok := p.(*capture.Source); ok {
					s.Open, s.Kind = true, capture.SourceConntrack
				}
				r.Payload = capture.AppendPayload(nil, p)
			}
			records := slices.Repeat([]capture.Record{r}, sources)
			for i := range records {
				records[i].Source = uint32(i)
			}
			readInTime(t, closedTape(t, records...))
		})
	}
}
