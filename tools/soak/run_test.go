//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// A text is checked the same however the process writes it.
func TestTextIsCheckedAcrossWrites(t *testing.T) {
	for text, want := range map[string]bool{
		"plain é\n\tx": false, strings.Repeat("é", 100): false, "\n" + forged: true, "x\t" + forged + "y": true, "a " + forged: false,
		"\x1b": true, "a\r\n": true, "\u202e": true, "\u200b": true, "\u2028": true, "\u009b": true, "\x9b": true, "é\xc3": true, "\x7f": true, "\x00": true, "\U000e0041": true,
	} {
		for size := 1; size <= len(text); size++ {
			c := textCheck{}
			for b := range slices.Chunk([]byte(text), size) {
				c.write(b)
			}
			c.finish()
			if got := c.found != ""; got != want {
				t.Errorf("%q in pieces of %d: %q", text, size, c.found)
			}
		}
	}
}

// parse accepts what encoding/json accepts.
func TestParse(t *testing.T) {
	for _, s := range []string{`{}`, `[]`, `[1,{"a":"\u001b"}]`, `7`, `"x"`, ``, `{`, `[1`, `{"a"}`, "\"\x1b\"", `[1] [2]`, `]`, `{"a":1,}`, "nul", `"` + "\u202e" + `"`} {
		if got := parse(strings.NewReader(s), true) == nil; got != json.Valid([]byte(s)) {
			t.Errorf("%q is valid: %v", s, got)
		}
	}
	if err := parse(strings.NewReader("{}\n[]\n7\n"), false); err != nil {
		t.Error(err)
	}
}

// The same seed makes the same tape.
func TestSeedsAreStable(t *testing.T) {
	for seed := range uint64(40) {
		var once, again bytes.Buffer
		_, did, err := generate(&once, "../..", seed)
		if err != nil {
			t.Fatal(seed, err)
		}
		if _, _, err := generate(&again, "../..", seed); err != nil || !bytes.Equal(once.Bytes(), again.Bytes()) {
			t.Errorf("seed %d makes other bytes: %q, %v", seed, did, err)
		}
	}
}
