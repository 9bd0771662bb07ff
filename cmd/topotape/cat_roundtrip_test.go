package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
)

// tapesOfTheRepository returns the recorded tapes, those of the format's conformance
// tests, and those built from the scripts of the fixtures, by name.
func tapesOfTheRepository(t testing.TB) map[string][]byte {
	t.Helper()
	tapes := map[string][]byte{}
	for _, pattern := range []string{"../../fixtures/*/*.tape", "../../fixtures/*/*/*.tape", "../../capture/tape/testdata/conformance/*.tape*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tapes[name] = b
		}
	}
	if len(tapes) < 2 {
		t.Fatal("the recorded fixtures are missing")
	}
	scripts, err := filepath.Glob("../../fixtures/*/*/tape.jsonl")
	if err != nil || len(scripts) < 50 {
		t.Fatalf("%d scripts in the corpus, %v", len(scripts), err)
	}
	for i, name := range scripts {
		if i%sparse != 0 {
			continue
		}
		text, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var tape bytes.Buffer
		if err := script.Build(&tape, text, script.Options{Name: name, Tool: "test"}); err != nil {
			t.Fatal(err)
		}
		text.Close()
		tapes[name] = tape.Bytes()
	}
	for name, tape := range tapes {
		if !readable(tape) {
			delete(tapes, name) // written by a newer version, or without records
		}
	}
	return tapes
}

// readable reports whether a tape can be read to its end, past any damage.
func readable(recorded []byte) bool {
	r, err := tape.NewReader(bytes.NewReader(recorded))
	for more := true; err == nil && more; {
		for err == nil {
			_, err = r.Next()
			var damage *tape.DamageError
			if errors.As(err, &damage) {
				err = nil
			}
		}
		if err == io.EOF {
			more, err = r.NextTape()
		}
	}
	return err == nil
}

func inputOf(name string, b []byte) replay.Input {
	return replay.Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// catTo returns what cat prints of the tape.
func catTo(t testing.TB, name string, tape []byte, format string) []byte {
	t.Helper()
	var out bytes.Buffer
	tapes, records := replay.Records([]replay.Input{inputOf(name, tape)}, replay.Window{})
	c := newCatter(nil, &out, format, tapes)
	if err := c.run(records); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return out.Bytes()
}

// copied is a record in a comparable form.
type copied struct {
	kind    capture.Kind
	seq     uint64
	at      int64
	source  uint32
	payload string
}

// intact returns the records of each tape in b. Like build, it adds an end record to a
// tape without one.
func intact(t testing.TB, b []byte) (list [][]copied) {
	t.Helper()
	r, err := tape.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		var recorded []copied
		for {
			rec, err := r.Next()
			var damage *tape.DamageError
			if errors.As(err, &damage) {
				continue
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			recorded = append(recorded, copied{rec.Kind, rec.Seq, rec.At, rec.Source, string(rec.Payload)})
		}
		last := copied{}
		if len(recorded) > 0 {
			last = recorded[len(recorded)-1]
		}
		if last.kind != capture.KindEnd {
			recorded = append(recorded, copied{capture.KindEnd, last.seq + 1, last.at, 0,
				string(capture.AppendPayload(nil, &capture.End{Why: "built"}))})
		}
		list = append(list, recorded)
		if more, err = r.NextTape(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// The script that cat prints builds the same records: kinds, numbers, times, sources
// and payloads.
func TestScriptOfEveryTapeBuildsItsRecords(t *testing.T) {
	for name, tape := range tapesOfTheRepository(t) {
		text := catTo(t, name, tape, "jsonl")
		var again bytes.Buffer
		if err := script.Build(&again, bytes.NewReader(text), script.Options{Name: name}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, got := intact(t, tape), intact(t, again.Bytes())
		if len(want) != len(got) {
			t.Errorf("%s: %d tapes, want %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			if !slices.Equal(want[i], got[i]) {
				t.Errorf("%s: %v, want %v", name, got[i], want[i])
			}
		}
	}
}

// Text is one printable line for each header and each record, and always the same.
func TestTextOfEveryTape(t *testing.T) {
	for name, tape := range tapesOfTheRepository(t) {
		text := catTo(t, name, tape, "text")
		if again := catTo(t, name, tape, "text"); !bytes.Equal(text, again) {
			t.Errorf("%s: other text the second time", name)
		}
		want := 0
		for _, list := range intact(t, tape) {
			want += len(list) + 1
		}
		got := bytes.Count(text, []byte{'\n'})
		if got > want || got < want-1 { // intact adds an end record to a tape without one
			t.Errorf("%s: %d lines for %d records and headers", name, got, want)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSuffix(line, "\n"); quote.Text(line) != line {
				t.Errorf("%s: raw text in %q", name, line)
			}
		}
	}
}
