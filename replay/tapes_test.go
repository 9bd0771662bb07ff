package replay

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/replay/replaytest"
)

// memory returns an input that is read like a pipe.
func memory(name string, b []byte) Input {
	return Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// seekable returns an input that is read like a file, by its index.
func seekable(name string, b []byte) Input {
	return Input{Name: name, Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return replaytest.File{Reader: bytes.NewReader(b)}, nil }}
}

// readingLines reads the inputs to their end and returns a line for each record,
// error and end of a tape.
func readingLines(inputs ...Input) (lines []string) {
	t := &Tapes{inputs: inputs}
	defer t.Close()
	var it Item
	for {
		err := t.Next(&it)
		if err == nil {
			lines = append(lines, fmt.Sprint(it.Follows, it.position, it.Kind, it.Source, crc32.ChecksumIEEE(it.Payload)))
			continue
		}
		lines = append(lines, err.Error())
		if isDamage(err) {
			continue
		}
		for _, e := range t.Ends() {
			lines = append(lines, fmt.Sprintf("%s %x %s %d", e.Name, e.Header.TapeID, e.Ending, e.Unknown))
		}
		return lines
	}
}

// An input that fails in the middle returns the records before the failure.
func TestReadErrorEndsTheReading(t *testing.T) {
	tape := replaytest.Busy(t, 12_000, 1000)
	part := tape[:len(tape)/3]
	failing := Input{Name: "x", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(part), failure{})), nil
	}}
	got, want := readingLines(failing), readingLines(memory("x", part))
	n := slices.IndexFunc(want, func(line string) bool { return strings.Contains(line, "offset") })
	if n < 2000 || !slices.Equal(got[:n], want[:n]) || len(got) != n+1 || !strings.Contains(got[n], "disk on fire") {
		t.Errorf("%d lines, want %d and the error: %s", len(got), n, got[len(got)-1])
	}
}

type failure struct{}

func (failure) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// The error for an input that is not a tape says what to do.
func TestNotATape(t *testing.T) {
	for content, want := range map[string]string{
		"\x1f\x8b\x08\x00 and so on": "x: not a tape: offset 0: no frame begins here; it is compressed: unpack it, or gzip -dc x | topotape VERB -",
		"\x28\xb5\x2f\xfd and so on": "zstd -dc x |",
		"{\"tape\":{}}":              "topotape build makes a tape of a script",
		"":                           "x: not a tape: it is empty",
	} {
		if got := readingLines(seekable("x", []byte(content))); !strings.Contains(got[0], want) {
			t.Errorf("%q: %q", content, got)
		}
	}
}
