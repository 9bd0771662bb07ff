package main

import (
	"bytes"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// tapeOf writes a tape with a mark and returns its size.
func tapeOf(t *testing.T, path string, h capture.Header) int {
	t.Helper()
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &h)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&capture.Record{Seq: 1, Kind: capture.KindMark, Payload: capture.AppendPayload(nil, &capture.Mark{Text: "x"})}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

// names returns the names of the inputs for the arguments.
func names(t *testing.T, args ...string) (list []string) {
	t.Helper()
	inputs, err := tapeInputs(args, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range inputs {
		list = append(list, in.Name)
	}
	return list
}

func TestOrderOfInputs(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("ring", 0o700); err != nil {
		t.Fatal(err)
	}
	for path, h := range map[string]capture.Header{
		"ring/9.tape":         {TapeID: [16]byte{1}, Recording: [16]byte{1}, Segment: 0, Start: 100},
		"ring/8.tape":         {TapeID: [16]byte{2}, Recording: [16]byte{1}, Segment: 1, Start: 100},
		"ring/1.tape.partial": {TapeID: [16]byte{3}, Recording: [16]byte{1}, Segment: 10, Start: 100},
		"ring/2.tape":         {TapeID: [16]byte{4}, Recording: [16]byte{2}, Segment: 0, Start: 50},
		"ring/3.tape":         {TapeID: [16]byte{5}, Start: 100}, // without a recording
		"ring/4.tape":         {TapeID: [16]byte{6}, Start: 70},
	} {
		tapeOf(t, path, h)
	}
	want := []string{"ring/2.tape", "ring/4.tape", "ring/3.tape", "ring/9.tape", "ring/8.tape", "ring/1.tape.partial"}
	if got := names(t, "ring"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	want = []string{"ring/3.tape", "ring/9.tape", "ring/8.tape", "ring/1.tape.partial", "ring/2.tape", "ring/3.tape"}
	if got := names(t, "ring/3.tape", "ring/1.tape.partial", "ring/2.tape", "ring/8.tape", "ring/9.tape", "ring/3.tape"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}

	// While a recorder renames a segment, both names exist.
	if err := os.Link("ring/1.tape.partial", "ring/1.tape"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, "ring"); len(got) != 6 || got[5] != "ring/1.tape" {
		t.Errorf("with both names: %q", got)
	}
	tape, err := directoryTape("ring/8.tape.partial") // closed after the directory was listed
	if err != nil || tape == nil || tape.Name != "ring/8.tape" {
		t.Errorf("%v %v", tape, err)
	}
	if tape, err := directoryTape("ring/7.tape"); tape != nil || err != nil {
		t.Errorf("%v %v", tape, err)
	}
	if err := os.Symlink("nowhere", "ring/7.tape"); err != nil {
		t.Fatal(err)
	}
	if _, err := tapeInputs([]string{"ring"}, false); err == nil {
		t.Error("no error for a dangling link")
	}
}

// Every read of a tape that is being written sees the same bytes, even if the tape is
// closed in between.
func TestGrowingInput(t *testing.T) {
	t.Chdir(t.TempDir())
	size := tapeOf(t, "x.tape.partial", capture.Header{TapeID: [16]byte{1}})
	inputs, err := tapeInputs([]string{"x.tape.partial"}, true)
	if err != nil {
		t.Fatal(err)
	}
	read := func() int {
		f, err := inputs[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	grow, err := os.OpenFile("x.tape.partial", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer grow.Close()
	for range 3 {
		if n := read(); n != size {
			t.Errorf("%d bytes, want %d", n, size)
		}
		if _, err := grow.Write([]byte("more")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename("x.tape.partial", "x.tape"); err != nil {
		t.Fatal(err)
	}
	if n := read(); n != size {
		t.Errorf("closed: %d bytes, want %d", n, size)
	}
}
