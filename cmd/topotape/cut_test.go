package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/topotape/topotape/replay"
)

// A tape is being written if its name says so or its size grows.
func TestGrowing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.tape")
	if err := os.WriteFile(name, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	inputs := []replay.Input{fileInput(name, 6), fileInput(name+partialName, 6)}
	if growing(inputs, name) || growing(inputs, "another") {
		t.Error("it does not grow yet")
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(", after")
	f.Close()
	if !growing(inputs, name) || !growing(inputs, name+partialName) {
		t.Error("it grows")
	}
}
