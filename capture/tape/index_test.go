package tape

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// indexed is the index and foot of a tape, for a test to falsify.
type indexed struct {
	pages []indexPage // previous is the number of a page, from 1
	foot  foot        // index is the number of a page; offset is added to the true one
}

const indexedChunks = 6

// indexedTape makes a tape of chunks of one mark each, whose index and foot were
// changed by lie.
func indexedTape(t *testing.T, lie func(*indexed)) []byte {
	t.Helper()
	return afterHead(t, func(id uint64) (out []byte) {
		var empty bytes.Buffer
		if _, err := NewWriter(&empty, testHeader()); err != nil {
			t.Fatal(err)
		}
		at := uint64(empty.Len())
		number := uint64(1)
		add := func(kind frameKind, plain []byte) (offset, size uint64) {
			f := frameOf(kind, codingPlain, number, id, uint32(len(plain)), plain)
			offset, size = at, uint64(len(f))
			out, at, number = append(out, f...), at+size, number+1
			return offset, size
		}
		tape := &indexed{pages: make([]indexPage, 2)}
		for i := range uint64(indexedChunks) {
			r := capture.Record{Seq: i + 1, At: int64(i), Kind: capture.KindMark, Payload: capture.AppendPayload(nil, &capture.Mark{Text: "x"})}
			if i == indexedChunks-1 {
				r.Kind, r.Payload = capture.KindEnd, capture.AppendPayload(nil, &capture.End{})
			}
			plain := appendRecord(nil, &r)
			var e Entry
			e.add(&r)
			e.Offset, e.Stored = add(frameChunk, plain)
			e.Plain = uint64(len(plain))
			p := &tape.pages[i/3]
			p.entries = append(p.entries, e)
			if i == 2 { // where the first page would be; it is written at the end
				add(frameOptional, nil)
			}
		}
		tape.pages[1].previous = 1
		tape.foot = foot{index: 2, chunks: indexedChunks, records: indexedChunks, lastAt: indexedChunks - 1}
		lie(tape)
		where := []uint64{0}
		for _, p := range tape.pages {
			where = append(where, at) // a page may name itself
			if p.previous < uint64(len(where)) {
				p.previous = where[p.previous]
			}
			e := wire.Append(nil, p.fields)
			if p.previous == uint64(len(where)) { // the page after this one: its offset takes two bytes more than its number
				p.previous = at + frameHeaderLen + uint64(len(e)) + 2
				e = wire.Append(nil, p.fields)
			}
			add(frameIndex, e)
		}
		f := tape.foot
		f.offset += at
		if f.index < uint64(len(where)) {
			f.index = where[f.index]
		}
		add(frameFoot, f.append(nil))
		return out
	})
}

// An index that contradicts itself, the foot or the file is refused even with
// correct checksums. The tape can still be read from its start.
func TestIndexThatLies(t *testing.T) {
	first := func(x *indexed) *Entry { return &x.pages[0].entries[0] }
	// together moves all entries to one page: only so is the index right.
	together := func(x *indexed) {
		x.pages[1].entries = append(x.pages[0].entries, x.pages[1].entries...)
		x.pages = x.pages[1:]
		x.pages[0].previous, x.foot.index = 0, 1
	}
	for name, c := range map[string]struct {
		lie  func(*indexed)
		want string
	}{
		"honest":          {together, ""},
		"duplicate entry": {func(x *indexed) { together(x); p := &x.pages[0]; p.entries[1] = p.entries[0] }, "cannot be"},
		"duplicate page": {func(x *indexed) {
			together(x)
			x.pages = append(x.pages, x.pages[0])
			x.foot.index = 2
			x.pages[1].previous = 1
			x.foot.chunks *= 2
		}, "cannot be"},
		"one entry more": {func(x *indexed) { together(x); x.foot.chunks-- }, "lists 6 chunks, the foot 5"},
		"entries swapped": {func(x *indexed) {
			together(x)
			p := &x.pages[0]
			p.entries[1], p.entries[2] = p.entries[2], p.entries[1]
		}, "cannot be"},
		"before the page":       {func(x *indexed) {}, "cannot be"}, // the second page lists chunks that precede the first page
		"chunk in the head":     {func(x *indexed) { together(x); first(x).Offset = 0 }, "cannot be"},
		"chunk after":           {func(x *indexed) { together(x); x.pages[0].entries[5].Offset += 1 << 40 }, "cannot be"},
		"chunk at 2^64":         {func(x *indexed) { together(x); x.pages[0].entries[5].Offset = 1<<64 - 1 }, "cannot be"},
		"chunk too long":        {func(x *indexed) { together(x); x.pages[0].entries[5].Stored = 1<<64 - 1 }, "cannot be"},
		"chunk too short":       {func(x *indexed) { together(x); first(x).Stored = 1 }, "cannot be"},
		"numbers go back":       {func(x *indexed) { together(x); x.pages[0].entries[3].FirstSeq = 2 }, "goes back"},
		"numbers end early":     {func(x *indexed) { together(x); first(x).LastSeq = 0 }, "goes back"},
		"time goes back":        {func(x *indexed) { together(x); x.pages[0].entries[3].FirstAt = 1 }, "goes back"},
		"time ends early":       {func(x *indexed) { together(x); x.pages[0].entries[3].LastAt = 1 }, "goes back"},
		"time is negative":      {func(x *indexed) { together(x); first(x).FirstAt = -1 }, "goes back"},
		"counts are high":       {func(x *indexed) { together(x); first(x).Counts[0].Records++ }, "records, the foot 6"},
		"counts are low":        {func(x *indexed) { together(x); first(x).Counts = nil }, "counts 5 records, the foot 6"},
		"a count is zero":       {func(x *indexed) { together(x); first(x).Counts[0].Records-- }, "no record of kind 17"},
		"last time differs":     {func(x *indexed) { together(x); x.pages[0].entries[5].LastAt++ }, "ends at 6 ns, the foot at 5"},
		"counts overflow":       {func(x *indexed) { together(x); first(x).Counts[0].Records = 1<<64 - 1 }, "records, the foot 6"},
		"counts overflow later": {func(x *indexed) { together(x); x.pages[0].entries[1].Counts[0].Records = 1<<64 - 1 }, "records, the foot 6"},
		"too many counts":       {func(x *indexed) { together(x); first(x).Counts = make([]Count, 100) }, "100 counts"},
		"too many entries":      {func(x *indexed) { together(x); x.pages[0].entries = make([]Entry, maxEntries+1) }, "page of 4097"},
		"page names itself":     {func(x *indexed) { together(x); x.pages[0].previous = 1 }, "cannot be"},
		"page names a later":    {func(x *indexed) { together(x); x.pages[0].previous = 1 << 50 }, "cannot be"},
		"pages form a loop":     {func(x *indexed) { x.pages[0].previous = 2; x.pages[1].entries = nil; x.pages[0].entries = nil }, "named by a frame"},
		"page names a chunk": {func(x *indexed) {
			together(x)
			x.pages[0].previous = first(x).Offset
			x.pages[0].entries = x.pages[0].entries[1:]
		}, "no frame begins"},
		"foot names no page":   {func(x *indexed) { together(x); x.foot.index = 0 }, "lists 0 chunks"},
		"foot names itself":    {func(x *indexed) { together(x); x.foot.index = 1 << 20 }, "it is at"},
		"foot is elsewhere":    {func(x *indexed) { together(x); x.foot.offset = 10 }, "it is at"},
		"foot is earlier":      {func(x *indexed) { together(x); x.foot.offset = 1<<64 - 1 }, "index at offset"},
		"foot is at 2^64":      {func(x *indexed) { together(x); x.foot.offset = 1 << 63 }, "it is at"},
		"foot counts too much": {func(x *indexed) { together(x); x.foot.records = 1<<64 - 1 }, "the foot 1844"},
		"foot at a late time":  {func(x *indexed) { together(x); x.foot.lastAt = 1 << 63 }, "it is at"},
	} {
		b := indexedTape(t, c.lie)
		meter := newHeapMeter()
		ix, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
		meter.look()
		switch {
		case c.want == "" && (err != nil || len(ix.Entries) != indexedChunks):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if meter.above() > 8<<20 {
			t.Errorf("%s: the heap grew by %d bytes", name, meter.above())
		}
		if records, _, _, err := readAll(b); err != nil || len(records) != indexedChunks {
			t.Errorf("%s: read from its start: %d records, %v", name, len(records), err)
		}
	}
}

// A flipped bit in any byte of the foot or the index is noticed.
func TestIndexEveryByteFlipped(t *testing.T) {
	whole := writeTape(t, testHeader(), testRecords(), 3)
	var h frameHeader
	at := bytes.LastIndex(whole, frameTemplate[:offMajor+1])
	at = bytes.LastIndex(whole[:at], frameTemplate[:offMajor+1])
	if err := h.parse(whole[at:]); err != nil || h.kind != frameIndex {
		t.Fatal(h.kind, err)
	}
	for ; at < len(whole); at++ {
		b := bytes.Clone(whole)
		b[at] ^= 1
		if _, err := ReadIndex(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("byte %d of %d: not noticed", at, len(b))
		}
	}
	for n := range whole {
		if _, err := ReadIndex(bytes.NewReader(whole[:n]), int64(n)); err == nil {
			t.Errorf("cut at %d: not noticed", n)
		}
	}
}

// An index page stays small, even if its chunks have many kinds and sources.
func TestIndexOfManySources(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	r := capture.Record{Kind: capture.KindMark, Payload: capture.AppendPayload(nil, &capture.Mark{})}
	for r.Seq = 1; r.Seq < 200_000; r.Seq++ {
		if r.Source++; r.Source%2000 == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			r.Source = 0
		}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	pages := 0
	for at := 0; at < b.Len(); {
		var h frameHeader
		if err := h.parse(b.Bytes()[at:]); err != nil {
			t.Fatal(err)
		}
		if h.kind == frameIndex {
			pages++
			if h.plain > 1<<20 {
				t.Errorf("an index page of %d bytes", h.plain)
			}
		}
		at += frameHeaderLen + int(h.stored)
	}
	ix, err := ReadIndex(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || pages < 2 || ix.Records != 199_999 {
		t.Errorf("%d pages, index %v, %v", pages, ix, err)
	}
}

// A foot that a newer version made longer is found.
func TestLongerFoot(t *testing.T) {
	b := writeTape(t, testHeader(), testRecords(), 3)
	var h frameHeader
	at := len(b) - frameHeaderLen - footPayloadLen
	if err := h.parse(b[at:]); err != nil {
		t.Fatal(err)
	}
	payload := append(bytes.Clone(b[at+frameHeaderLen:]), 0xcf)
	payload[0]++
	payload = binary.BigEndian.AppendUint64(payload, 7)
	b = append(b[:at:at], frameOf(frameFoot, codingPlain, h.number, h.fileID, uint32(len(payload)), payload)...)
	if _, err := ReadIndex(bytes.NewReader(b), int64(len(b))); err != nil {
		t.Error(err)
	}
	if _, damage, ending, err := readAll(b); err != nil || damage != nil || ending != Closed {
		t.Error(damage, ending, err)
	}
}

// The index of every closed conformance tape has the places of its chunks with
// records.
func TestIndexOfConformanceTapes(t *testing.T) {
	checked := 0
	for i, b := range conformanceTapes(t) {
		_, damage, ending, err := readAll(b)
		if err != nil || damage != nil || ending != Closed || bytes.Contains(b, []byte("topotape2")) {
			continue
		}
		ix, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("tape %d: %v", i, err)
			continue
		}
		base := 0 // where the file's last tape begins
		var chunks []uint64
		for at := 0; at < len(b); {
			var h frameHeader
			if err := h.parse(b[at:]); err != nil {
				t.Fatal(err)
			}
			switch h.kind {
			case frameHead:
				base, chunks = at, nil
			case frameChunk:
				if h.plain > 0 {
					chunks = append(chunks, uint64(at-base))
				}
			}
			at += frameHeaderLen + int(h.stored)
		}
		var listed []uint64
		for _, e := range allChunks(t, ix, b) {
			listed = append(listed, e.Offset)
		}
		if !slices.Equal(listed, chunks) {
			t.Errorf("tape %d: the index lists chunks at %d, they are at %d", i, listed, chunks)
		}
		checked++
	}
	if checked < 30 {
		t.Errorf("only %d tapes are closed", checked)
	}
}
