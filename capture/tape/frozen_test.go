package tape_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture/tape"
)

// The tapes in testdata/frozen were written by the versions in their names.
// Every later version reads the same records of them. Nothing writes these
// files: to freeze a version's tapes, add them.
func TestFrozenTapesReadForEver(t *testing.T) {
	var index []struct {
		File, Tool, TapeID, SHA256 string
		Minor, Core                uint32
		Start                      int64
		Records                    int
	}
	text, err := os.ReadFile("testdata/frozen/index.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("testdata/frozen/*.tape")
	if err != nil || len(names) != len(index) {
		t.Errorf("%d tapes in the index, %d in the directory (%v)", len(index), len(names), err)
	}
	for _, want := range index {
		recorded, err := os.ReadFile(filepath.Join("testdata/frozen", want.File))
		if err != nil {
			t.Fatal(err)
		}
		r, err := tape.NewReader(bytes.NewReader(recorded))
		if err != nil {
			t.Fatalf("%s: %v", want.File, err)
		}
		h := r.Header()
		if !strings.HasPrefix(want.File, fmt.Sprintf("1.%d-", h.Minor)) || h.Minor != want.Minor || h.Tool != want.Tool || h.Core != want.Core || h.Start != want.Start || fmt.Sprintf("%x", h.TapeID) != want.TapeID {
			t.Errorf("%s: header is %+v", want.File, *h)
		}
		count, sum := 0, sha256.New()
		for {
			rec, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", want.File, err)
			}
			fmt.Fprintf(sum, "%d %d %d %d %x\n", rec.Kind, rec.Seq, rec.At, rec.Source, rec.Payload)
			if p := rec.Kind.New(); p != nil {
				if err := rec.Decode(p); err != nil {
					t.Errorf("%s: %v", want.File, err)
				}
			}
			count++
		}
		if got := fmt.Sprintf("%x", sum.Sum(nil)); count != want.Records || got != want.SHA256 || r.Ending() != tape.Closed || r.Unknown() != 0 {
			t.Errorf("%s: %s, %d records, %d unknown, with digest %s", want.File, r.Ending(), count, r.Unknown(), got)
		}
		ix, err := tape.ReadIndex(bytes.NewReader(recorded), int64(len(recorded)))
		if err != nil || ix.Records != uint64(want.Records) {
			t.Errorf("%s: index of %v, %v", want.File, ix, err)
		}
	}
}

// A tape of a newer minor version is read. The error of a tape that needs a newer
// version names the version; that of a damaged tape names none.
func TestNewerTapes(t *testing.T) {
	for name, want := range map[string]string{
		"newer":              "",
		"frame-64":           "",
		"unknown-kind":       "",
		"frame-63":           "frame kind 63 needs format 1.9; this version reads 1.3: use a newer topotape",
		"coding-2":           "coding 2 needs format 1.9; this version reads 1.3: use a newer topotape",
		"major-2":            "offset 0: written in format 2; this version reads format 1: use a newer topotape",
		"concatenated-newer": "written in format 2; this version reads format 1: use a newer topotape",
		"damaged-head":       "damaged",
		"torn-in-head":       "torn",
		"damaged-header":     "damaged",
	} {
		file, err := os.ReadFile("testdata/conformance/" + name + ".tape")
		if err != nil {
			t.Fatal(err)
		}
		r, err := tape.NewReader(bytes.NewReader(file))
		for more := err == nil; more; {
			for err == nil {
				_, err = r.Next()
			}
			if more = err == io.EOF; more {
				more, err = r.NextTape()
			}
		}
		var tooNew *tape.VersionError
		var damaged *tape.DamageError
		isNew, isDamaged := errors.As(err, &tooNew), errors.As(err, &damaged)
		switch {
		case want == "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil || !strings.Contains(err.Error(), want) || isNew == isDamaged || isNew != strings.Contains(want, "newer"):
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}
