package main

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay/pcapng"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// Any record prints as one printable line, and is written as packets
// without an error.
func FuzzAnyRecordPrints(f *testing.F) {
	recorded, err := os.ReadFile("../../fixtures/lab-gateway/capture.tape")
	if err != nil {
		f.Fatal(err)
	}
	r, err := tape.NewReader(bytes.NewReader(recorded))
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
	format := sockmsg.UsualFormat()
	f.Fuzz(func(t *testing.T, kind uint8, at int64, source uint32, payload []byte, big bool) {
		rec := capture.Record{Seq: 1, At: max(at, 0), Kind: capture.Kind(kind), Source: source, Payload: payload}
		if !rec.Kind.Known() {
			return
		}
		line := render.RecordLine(&capture.Header{BigEndian: big}, &format, &rec)
		if quote.Text(line) != line {
			t.Fatalf("raw text in %q", line)
		}
		var out bytes.Buffer
		p := pcapng.NewPrinter(&out, version)
		if err := p.Header(&capture.Header{BigEndian: big}); err != nil {
			t.Fatal(err)
		}
		p.Observe(&rec)
		if err := p.Record(&rec); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
