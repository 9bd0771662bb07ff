package tape

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// allChunks lists the chunks of an index, also those of its runs.
func allChunks(t testing.TB, ix *Index, file []byte) (list []Entry) {
	t.Helper()
	for i := range ix.Entries {
		chunks, err := ix.Chunks(bytes.NewReader(file), &ix.Entries[i])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, chunks...)
	}
	return list
}

// pagedTape is a tape of short chunks, with few chunks a page. Some chunks have
// many counts, a rare record, or one of an unknown kind.
func pagedTape(t testing.TB, rng *rand.Rand) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	w.pages.full = 1 + rng.IntN(9)
	chunks, rare := rng.IntN(100), 2+rng.IntN(60)
	seq := uint64(0)
	put := func(k capture.Kind, source uint32) {
		seq += 1 + rng.Uint64N(2)
		r := capture.Record{Seq: seq, At: int64(seq / 3), Kind: k, Source: source, Payload: []byte{0x90}}
		if k == capture.KindCarry {
			r.Seq = 0
		}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	for range chunks {
		for range rng.IntN(4) {
			put([]capture.Kind{capture.KindConntrack, capture.KindTick, capture.KindDNS, capture.KindCarry}[rng.IntN(4)], rng.Uint32N(3))
		}
		switch rng.IntN(rare) {
		case 0:
			put([]capture.Kind{capture.KindSource, capture.KindHost, capture.KindGap, capture.KindClock, capture.KindMark, capture.KindFault, capture.KindDumpBegin, capture.KindDumpEnd}[rng.IntN(8)], 1)
		case 1:
			put(200, 7)
		case 2:
			for i := range rng.Uint32N(2 * maxRunCounts) {
				put(capture.KindDNS, i)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if rng.IntN(2) == 0 {
		put(capture.KindEnd, 0)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// bothIndexes reads the index by its runs, and all its pages.
func bothIndexes(b []byte) (runs, pages *Index, err error) {
	file := bytes.NewReader(b)
	if runs, err = openIndex(file, int64(len(b))); err != nil {
		return nil, nil, err
	}
	if pages, err = openIndex(file, int64(len(b))); err != nil {
		return nil, nil, err
	}
	if err := runs.readRuns(file); err != nil && runs.foot.index != 0 {
		return nil, nil, fmt.Errorf("runs: %w", err)
	}
	return runs, pages, pages.readPages(file)
}

// The runs in the last page agree with the entries of the other pages.
func TestRunsAreThePages(t *testing.T) {
	saved, pagesWithRuns := 0, 0
	for seed := range uint64(400) {
		b := pagedTape(t, rand.New(rand.NewPCG(seed, 1)))
		runs, pages, err := bothIndexes(b)
		if err != nil {
			t.Fatal(seed, err)
		}
		if got := allChunks(t, runs, b); !slices.EqualFunc(got, pages.Entries, sameChunk) {
			t.Fatalf("%d: runs of %v\npages list %v", seed, got, pages.Entries)
		}
		for i := range runs.Entries {
			e := &runs.Entries[i]
			for _, n := range e.Counts {
				if e.Run() && (alwaysAlone(capture.Kind(n.Kind)) || len(e.Counts) > maxRunCounts) {
					t.Errorf("%d: a run of %d chunks has %s, %d counts", seed, e.chunks, capture.Kind(n.Kind), len(e.Counts))
				}
			}
		}
		saved += len(pages.Entries) - len(runs.Entries)
		_, payloads := framesOf(b)
		headers, _ := framesOf(b)
		for i, h := range headers {
			var p indexPage
			if h.kind == frameIndex && p.parse(payloads[i]) == nil && len(p.runs) > 0 {
				pagesWithRuns++
			}
		}
	}
	if saved < 5000 || pagesWithRuns < 300 {
		t.Errorf("runs save only %d entries, %d pages have some", saved, pagesWithRuns)
	}
}

func sameChunk(a, b Entry) bool {
	a.chunks, a.page, b.chunks, b.page = 0, 0, 0, 0
	return reflect.DeepEqual(a, b)
}

// When the runs fill a page, an earlier page has some of them, and the Writer
// keeps no more than that.
func TestRunsInSeveralPages(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	w.pages.full = 1000
	const chunks = 11_500
	for i := range uint64(chunks) {
		r := capture.Record{Seq: i + 1, At: int64(i), Kind: capture.KindGap, Payload: capture.AppendPayload(nil, &capture.Gap{})}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if len(w.pages.runs) > 2*maxEntries {
			t.Fatalf("%d runs are kept", len(w.pages.runs))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := out.Bytes()
	runs, pages, err := bothIndexes(b)
	if err != nil || len(runs.Entries) != chunks || w.pages.earlier == 0 {
		t.Fatal(err)
	}
	if got := allChunks(t, runs, b); !slices.EqualFunc(got, pages.Entries, sameChunk) {
		t.Error("the runs are not the pages")
	}
	if _, damage, _, err := readAll(b); err != nil || len(damage) > 0 {
		t.Error(damage, err)
	}
}

// Runs that contradict themselves or the foot are not used: the pages are read
// instead. If runs contradict their pages, Chunks returns an error.
func TestRunsThatLie(t *testing.T) {
	var honest []run
	tape := func(lie func(p *indexPage, ft *foot)) []byte {
		return afterHead(t, func(id uint64) (out []byte) {
			var empty bytes.Buffer
			if _, err := NewWriter(&empty, testHeader()); err != nil {
				t.Fatal(err)
			}
			at, number := uint64(empty.Len()), uint64(1)
			add := func(kind frameKind, plain []byte) (offset, size uint64) {
				f := frameOf(kind, codingPlain, number, id, uint32(len(plain)), plain)
				offset, size = at, uint64(len(f))
				out, at, number = append(out, f...), at+size, number+1
				return offset, size
			}
			var p, last indexPage
			for i := range uint64(8) {
				r := capture.Record{Seq: i + 1, At: int64(i), Kind: capture.KindTick, Payload: capture.AppendPayload(nil, &capture.Tick{})}
				if i == 2 {
					r.Kind, r.Payload = capture.KindMark, capture.AppendPayload(nil, &capture.Mark{})
				}
				var e Entry
				plain := appendRecord(nil, &r)
				e.add(&r)
				e.Offset, e.Stored = add(frameChunk, plain)
				e.Plain = uint64(len(plain))
				p.entries = append(p.entries, e)
				if i == 3 || i == 7 {
					p.previous = last.previous
					last.previous, _ = add(frameIndex, wire.Append(nil, p.fields))
					last.runs = appendRuns(last.runs, last.previous, p.entries)
					p = indexPage{}
				}
			}
			honest = slices.Clone(last.runs)
			ft := foot{chunks: 8, records: 8, lastAt: 7}
			lie(&last, &ft)
			ft.index = at
			add(frameIndex, wire.Append(nil, last.fields))
			ft.offset = at
			add(frameFoot, ft.append(nil))
			return out
		})
	}
	for name, c := range map[string]struct {
		lie   func(*indexPage, *foot)
		runs  string // error of the runs
		chunk string // error of Chunks
	}{
		"honest":           {func(*indexPage, *foot) {}, "", ""},
		"none":             {func(p *indexPage, _ *foot) { p.runs = nil }, "no runs", ""},
		"one missing":      {func(p *indexPage, _ *foot) { p.runs = p.runs[1:] }, "lists 6 chunks", ""},
		"one twice":        {func(p *indexPage, _ *foot) { p.runs[1] = p.runs[0] }, "cannot be", ""},
		"of no chunk":      {func(p *indexPage, _ *foot) { p.runs[1].chunks = 0 }, "cannot be", ""},
		"of too many":      {func(p *indexPage, _ *foot) { p.runs[0].chunks = maxEntries + 1 }, "cannot be", ""},
		"of all numbers":   {func(p *indexPage, _ *foot) { p.runs[0].chunks = 1<<64 - 1 }, "cannot be", ""},
		"too short":        {func(p *indexPage, _ *foot) { p.runs[0].Stored = 2*frameHeaderLen - 1 }, "cannot be", ""},
		"beyond the page":  {func(p *indexPage, _ *foot) { p.runs[0].Stored = 1 << 63 }, "cannot be", ""},
		"at 2^64":          {func(p *indexPage, _ *foot) { p.runs[3].Offset = 1<<64 - 1 }, "cannot be", ""},
		"in the head":      {func(p *indexPage, _ *foot) { p.runs[0].Offset = 1 }, "cannot be", ""},
		"of a later page":  {func(p *indexPage, _ *foot) { p.runs[3].page = 1 << 40 }, "cannot be", ""},
		"pages go back":    {func(p *indexPage, _ *foot) { p.runs[3].page = 1 }, "cannot be", ""},
		"earlier is later": {func(p *indexPage, _ *foot) { p.earlier = 1 << 40 }, "cannot be", ""},
		"earlier has none": {func(p *indexPage, _ *foot) { p.earlier = p.runs[0].page }, "no runs", ""},
		"counts are high":  {func(p *indexPage, _ *foot) { p.runs[0].Counts[0].Records++ }, "records, the foot 8", ""},
		"numbers go back":  {func(p *indexPage, _ *foot) { p.runs[3].FirstSeq = 2 }, "goes back", ""},
		"times go back":    {func(p *indexPage, _ *foot) { p.runs[3].FirstAt = 1 }, "goes back", ""},
		"counts moved": {func(p *indexPage, _ *foot) { p.runs[0].Counts[0].Records--; p.runs[3].Counts[0].Records++ },
			"", "not what their run says"},
		"another chunk":   {func(p *indexPage, _ *foot) { p.runs[0].Offset++; p.runs[0].Stored-- }, "", "does not list"},
		"kinds exchanged": {func(p *indexPage, _ *foot) { p.runs[3].Counts[0].Kind = uint8(capture.KindDNS) }, "", "not what their run says"},
		"a time changed":  {func(p *indexPage, _ *foot) { p.runs[3].FirstAt++ }, "", "not what their run says"},
		"bytes changed":   {func(p *indexPage, _ *foot) { p.runs[0].Plain++ }, "", "not what their run says"},
		"one chunk less":  {func(p *indexPage, ft *foot) { p.runs[3].chunks--; ft.chunks-- }, "", "not what their run says"},
		"the other page": {func(p *indexPage, _ *foot) {
			p.runs[0].page, p.runs[1].page, p.runs[2].page = p.runs[3].page, p.runs[3].page, p.runs[3].page
		}, "", "does not list"},
	} {
		b := tape(c.lie)
		byRuns, err := openIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(name, err)
		}
		err = byRuns.readRuns(bytes.NewReader(b))
		if (err == nil) != (c.runs == "") || err != nil && !strings.Contains(err.Error(), c.runs) {
			t.Errorf("%s: %v, want %q", name, err, c.runs)
			continue
		}
		ix, readErr := ReadIndex(bytes.NewReader(b), int64(len(b)))
		if readErr != nil || err != nil && (len(ix.Entries) != 8 || ix.Entries[1].Run()) {
			t.Errorf("%s: %v, index %v", name, readErr, ix)
			continue
		}
		for i := range ix.Entries {
			if _, err = ix.Chunks(bytes.NewReader(b), &ix.Entries[i]); err != nil {
				break
			}
		}
		if (err == nil) != (c.chunk == "") || err != nil && !strings.Contains(err.Error(), c.chunk) {
			t.Errorf("%s: chunks: %v, want %q", name, err, c.chunk)
		}
	}
	if len(honest) != 4 {
		t.Errorf("honest runs are %v", honest)
	}
}

// If any byte of the last page is changed, its runs are not used.
func TestRunsEveryByteFlipped(t *testing.T) {
	var b []byte
	for seed := uint64(0); len(b) < 3000; seed++ {
		b = pagedTape(t, rand.New(rand.NewPCG(seed, 2)))
	}
	whole, err := openIndex(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for at := whole.foot.index; at < whole.foot.offset; at++ {
		broken := bytes.Clone(b)
		broken[at] ^= 4
		ix := *whole
		if ix.readRuns(bytes.NewReader(broken)) == nil {
			t.Errorf("byte %d: not noticed", at)
		}
	}
}
