package tape

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// pages are payloads of index frames, of several sizes.
func pages() (list []indexPage) {
	for _, n := range []int{0, 1, 15, 16, 300} {
		p := indexPage{previous: uint64(n) << 33}
		for i := range n {
			e := Entry{Offset: uint64(i) << 20, Stored: 1 << 16, Plain: 1 << 18, FirstSeq: uint64(i * 100), LastSeq: uint64(i*100 + 99),
				FirstAt: int64(i) << 40, LastAt: int64(i)<<40 + 5}
			for k := range i % 20 {
				e.Counts = append(e.Counts, Count{Kind: uint8(k), Source: uint32(k << 20), Records: uint64(i), Bytes: 1 << 40})
			}
			p.entries = append(p.entries, e)
			if n == 300 && i%2 == 0 {
				e.chunks, e.page = uint64(i), uint64(i)<<20
				p.runs, p.earlier = append(p.runs, run(e)), 1<<40
			}
		}
		list = append(list, p)
	}
	return list
}

// The quick decoder of a page reads what the general one reads, or gives up: for
// whole pages, cut ones, and with any byte changed.
func TestQuickPagesAreThePages(t *testing.T) {
	for _, p := range pages() {
		whole := wire.Append(nil, p.fields)
		var want indexPage
		if err := wire.Decode(whole, want.fields); err != nil {
			t.Fatal(err)
		}
		q := quickPage{b: whole}
		got, ok := q.page()
		for i := range got.entries {
			if len(got.entries[i].Counts) == 0 {
				got.entries[i].Counts = nil
			}
		}
		for i := range got.runs {
			if len(got.runs[i].Counts) == 0 {
				got.runs[i].Counts = nil
			}
		}
		if len(got.entries) == 0 {
			got.entries = nil
		}
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%d entries: %v, read %d", len(p.entries), ok, len(got.entries))
		}
		b := make([]byte, len(whole))
		for i := 0; i < len(whole); i += sparse * (1 + len(whole)/800) {
			q := quickPage{b: whole[:i]}
			if _, ok := q.page(); ok {
				t.Errorf("%d entries: %d of %d bytes are a page", len(p.entries), i, len(whole))
			}
			for _, flip := range []byte{0x01, 0x40, 0xff} {
				copy(b, whole)
				b[i] ^= flip
				q := quickPage{b: b}
				if got, ok := q.page(); ok {
					var want indexPage
					if err := wire.Decode(b, want.fields); err != nil || len(got.entries) != len(want.entries) || got.previous != want.previous || got.earlier != want.earlier || len(got.runs) != len(want.runs) {
						t.Errorf("byte %d: quick reads what the other does not: %v", i, err)
					}
				}
			}
		}
	}
}

// Every chunk that the index lists is read from its place, also after another
// tape, and anything else than the chunk is refused.
func TestChunksAreReadThroughTheIndex(t *testing.T) {
	var file bytes.Buffer
	file.WriteString("something else")
	base := int64(file.Len())
	w, err := NewWriter(&file, &capture.Header{TapeID: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	var want []capture.Record
	for i := range 40 {
		r := capture.Record{Seq: uint64(i + 1), At: int64(i * 10), Kind: capture.KindMark, Source: uint32(i % 3), Payload: capture.AppendPayload(nil, &capture.Mark{Text: "x"})}
		if i%7 == 3 {
			r.Kind = 99
		} else {
			want = append(want, r)
		}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
		if i%6 == 5 {
			w.Flush()
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := file.Bytes()
	ix, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
	if err != nil || ix.Base != base {
		t.Fatalf("base %d, want %d: %v", ix.Base, base, err)
	}
	var got []capture.Record
	for i := range ix.Entries {
		list, err := ix.ReadChunk(bytes.NewReader(b), &ix.Entries[i])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, list...)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %d records, want %d", len(got), len(want))
	}
	for name, change := range map[string]func(*Entry){
		"offset": func(e *Entry) { e.Offset++ }, "stored": func(e *Entry) { e.Stored-- }, "more": func(e *Entry) { e.Stored++ },
		"plain": func(e *Entry) { e.Plain++ }, "first": func(e *Entry) { e.FirstSeq++ }, "last": func(e *Entry) { e.LastAt++ },
		"beyond": func(e *Entry) { e.Offset = 1 << 40 }, "counts": func(e *Entry) { e.Counts = nil },
	} {
		e := ix.Entries[1]
		change(&e)
		if _, err := ix.ReadChunk(bytes.NewReader(b), &e); err == nil {
			t.Errorf("%s: another chunk was taken for it", name)
		}
	}
	if err := ix.CheckFrames(bytes.NewReader(b), int64(len(b))); err != nil {
		t.Error(err)
	}
	for i := base; i < int64(len(b)); i++ {
		broken := bytes.Clone(b)
		broken[i] ^= 0x10
		if ix.CheckFrames(bytes.NewReader(broken), int64(len(b))) == nil {
			t.Errorf("byte %d is flipped and the frames are right", i)
		}
	}
	for i := range ix.Entries[1].Stored {
		broken := bytes.Clone(b)
		broken[base+int64(ix.Entries[1].Offset+i)] ^= 0x10
		if _, err := ix.ReadChunk(bytes.NewReader(broken), &ix.Entries[1]); err == nil {
			t.Errorf("byte %d is flipped and the chunk was read", i)
		}
	}
}

func BenchmarkIndexPage(b *testing.B) {
	p := indexPage{}
	for i := range maxEntries {
		e := Entry{Offset: uint64(i) << 15, Stored: 25000, Plain: 262144, FirstSeq: uint64(i) * 1200, LastSeq: uint64(i)*1200 + 1199, FirstAt: int64(i) * 250e6, LastAt: int64(i)*250e6 + 249e6}
		for k := range 6 {
			e.Counts = append(e.Counts, Count{Kind: uint8(k + 1), Source: uint32(k % 3), Records: 200, Bytes: 40000})
		}
		p.entries = append(p.entries, e)
	}
	encoded := wire.Append(nil, p.fields)
	for b.Loop() {
		var q indexPage
		if q.decode(encoded) != nil {
			b.Fatal()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/maxEntries, "ns/entry")
}
