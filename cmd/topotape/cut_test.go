package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/topotape/topotape/replay"
)

// A tape that is being written is read as far as it went when it was opened, under
// whatever name.
func TestFrozenFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.tape")
	if err := os.WriteFile(name, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := replay.Input{Name: name, Open: func() (io.ReadCloser, error) { return openTape(name) }}
	var files frozenFiles
	defer files.close()
	if err := files.freeze(&in); err != nil {
		t.Fatal(err)
	}
	if files.growing(name) {
		t.Error("it does not grow yet")
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(", after")
	f.Close()
	if err := os.Rename(name, name+".other"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := in.Open()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, []byte("before")) {
			t.Errorf("%q, %v", b, err)
		}
		r.Close()
	}
	if !files.growing(name) || files.growing("another") {
		t.Error("it grew")
	}
}
