package main

import (
	"bytes"
	"io"
	"os"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/pcapng"
	"github.com/topotape/topotape/replay/render"
)

// Whatever a record holds, its text is one line that a terminal can be shown,
// and it becomes packets without an error.
func FuzzAnyRecordPrints(f *testing.F) {
	tape, err := os.ReadFile("../../fixtures/lab-gateway/capture.tape")
	if err != nil {
		f.Fatal(err)
	}
	r, err := capture.NewReader(bytes.NewReader(tape))
	if err != nil {
		f.Fatal(err)
	}
	seen := map[capture.Kind]int{}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			f.Fatal(err)
		}
		if seen[rec.Kind]++; seen[rec.Kind] < 4 {
			f.Add(uint8(rec.Kind), rec.At, uint32(rec.Source), bytes.Clone(rec.Payload), false)
		}
	}
	for k := capture.Kind(1); k.Known(); k++ {
		if p := k.New(); p != nil {
			f.Add(uint8(k), int64(1), uint32(1), capture.AppendPayload(nil, p), true)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, at int64, source uint32, payload []byte, big bool) {
		rec := capture.Record{Seq: 1, At: max(at, 0), Kind: capture.Kind(kind), Source: source, Payload: payload}
		if !rec.Kind.Known() {
			return
		}
		text := render.RecordText{BigEndian: big}
		line := text.Append(&rec)
		for i, c := range bytes.Runes(line) {
			if unicode.IsControl(c) && (c != '\n' || i != utf8.RuneCount(line)-1) {
				t.Fatalf("control character in %q", line)
			}
		}
		var out bytes.Buffer
		p := pcapng.Printer{Out: &out}
		if err := p.Begin(&capture.Header{BigEndian: big}); err != nil {
			t.Fatal(err)
		}
		p.See(&rec)
		if err := p.Record(&rec); err != nil {
			t.Fatal(err)
		}
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
	})
}
