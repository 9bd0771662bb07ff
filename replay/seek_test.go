package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/reportertest"
)

// windowTape returns a tape of many chunks with marks, layouts of socket events and, if
// stepped, with steps of the wall clock after its first fifth.
func windowTape(t testing.TB, id byte, start int64, stepped bool) []byte {
	n := uint64(0)
	h := capture.Header{HostID: "h", TapeID: [16]byte{id}, Start: start}
	return replaytest.Rewrite(t, replaytest.Busy(t, 12_000, 500), h, func(r *capture.Record) bool {
		n++
		switch {
		case n%1700 == 0:
			r.Kind, r.Payload = capture.KindMark, capture.AppendPayload(nil, &capture.Mark{Text: fmt.Sprintf("mark %d", n/1700)})
		case n%1901 == 7:
			sport := fmt.Sprintf("sport;	offset:%d;", 100+n/1901) // tells the layouts apart
			text := strings.Replace(reportertest.UsualFormatText, "sport;	offset:24;", sport, 1)
			r.Kind, r.Payload = capture.KindSocketFormat, capture.AppendPayload(nil, &capture.SocketFormat{Text: []byte(text)})
		case stepped && n > 2500 && n%900 == 0:
			step := 50e6 * (1 - 2*int64(n/900%2)) // the tape lasts 240 ms
			r.Kind, r.Payload = capture.KindClock, capture.AppendPayload(nil, &capture.Clock{Step: step})
		}
		r.Seq *= 2
		return true
	})
}

// windowLines reads a window and returns a line for each record, error and end of a
// tape.
func windowLines(inputs []Input, w Window) (lines []string) {
	t, records := Records(inputs, w)
	for r, err := range records {
		if err != nil {
			lines = append(lines, err.Error())
			continue
		}
		p := t.position(r.Seq, r.At)
		lines = append(lines, fmt.Sprint(t.header.TapeID[0], p.steady, p.wall, p.tape, r.Seq, r.Kind, len(r.Payload), *t.Format()))
	}
	for _, e := range t.Ends() {
		lines = append(lines, fmt.Sprint(e.Name, e.Ending))
	}
	return lines
}

// randomTime returns a time on tapes that begin at start.
func randomTime(random *rand.Rand, start int64) Time {
	var text string
	switch d := time.Duration(random.Int64N(300e6)) - 10e6; random.IntN(8) {
	case 0:
		text = time.Unix(0, start).UTC().Add(d).Format(time.RFC3339Nano)
	case 1, 2:
		text = fmt.Sprintf("+%s", max(d, 0))
	case 3:
		text = fmt.Sprintf("-%s", max(d, 0))
	case 4:
		text = fmt.Sprintf("#%d", random.IntN(26_000))
	case 5:
		text = fmt.Sprintf("mark:mark %d", random.IntN(9))
	case 6:
		text = "mark:no such mark"
	}
	v, err := ParseTime(text)
	if err != nil {
		panic(err)
	}
	return v
}

// A window has the same records with an index and without one.
func TestWindowsByIndexAreThoseOfAScan(t *testing.T) {
	const start = 1767323045e9
	a, b, c := windowTape(t, 1, start, false), windowTape(t, 2, start+100e6, true), windowTape(t, 3, start+150e6, false)
	flipped := func(at int) []byte {
		x := bytes.Clone(a)
		x[len(x)+at] ^= 1
		return x
	}
	var skipped bool
	for name, tapes := range map[string][][]byte{
		"one": {a}, "with steps": {b}, "several": {a, b, c}, "two in a file": {slices.Concat(a, b), c},
		"torn": {a[:len(a)-60], c}, "cut": {a[:len(a)-99]}, "foot damaged": {flipped(-10)}, "index damaged": {flipped(-300), b},
	} {
		var scanned, sought []Input
		for i, b := range tapes {
			scanned = append(scanned, memory(fmt.Sprint(i), b))
			sought = append(sought, seekable(fmt.Sprint(i), b))
		}
		random := rand.New(rand.NewPCG(5, 6))
		for range max(8, 24/replaytest.OneIn) {
			w := Window{From: randomTime(random, start), To: randomTime(random, start)}
			want, got := windowLines(scanned, w), windowLines(sought, w)
			if name == "torn" || name == "index damaged" { // damage before the window is not read
				want, got = slices.DeleteFunc(want, damaged), slices.DeleteFunc(got, damaged)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s from %s to %s: %d lines, want %d", name, w.From, w.To, len(got), len(want))
			}
			skipped = skipped || len(got) > 0
		}
	}
	if !skipped {
		t.Error("every window was empty")
	}
}

func damaged(line string) bool { return bytes.Contains([]byte(line), []byte("offset")) }

// A window that reports less damage than there is on the tape says that it did not read
// all records, and the whole tape is always read.
func TestUnreadRecordsAreReported(t *testing.T) {
	const start = 1767323045e9
	sound := windowTape(t, 1, start, false)
	damage := func(in Input, w Window) (n int, unread bool) {
		tapes, records := Records([]Input{in}, w)
		for _, err := range records {
			if err != nil {
				n++
			}
		}
		before, after := tapes.Unread()
		return n, before || after
	}
	random := rand.New(rand.NewPCG(11, 12))
	hidden := 0
	for range 20 {
		bad := bytes.Clone(sound)
		bad[1000+random.IntN(len(bad)-5000)] ^= 1
		for _, in := range []Input{memory("x", bad), seekable("x", bad)} {
			all, unread := damage(in, Window{})
			if all == 0 || unread {
				t.Fatalf("%d places of damage, unread %v, on the whole tape", all, unread)
			}
			w := Window{From: randomTime(random, start), To: randomTime(random, start)}
			if w.Check() != nil {
				continue
			}
			if n, unread := damage(in, w); n < all && !unread {
				t.Errorf("from %s to %s: %d of %d places of damage", w.From, w.To, n, all)
			} else if unread {
				hidden++
			}
		}
	}
	if hidden < 5 {
		t.Errorf("only %d windows left something unread", hidden)
	}
}

// A short window late on a long tape needs few reads.
func TestWindowsByIndexReadLittle(t *testing.T) {
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &capture.Header{TapeID: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 8))
	payload := make([]byte, 4096)
	for i := range 10_000 {
		for j := range payload {
			payload[j] = byte(random.Uint32())
		}
		r := capture.Record{Seq: uint64(i + 1), At: int64(i) * 1e6, Kind: capture.KindConntrack, Source: 1, Payload: payload}
		if i == 5000 {
			r.Kind, r.Payload = capture.KindMark, capture.AppendPayload(nil, &capture.Mark{Text: "x"})
		}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"+8s", "+8.01s"}, {"-10ms", ""}, {"#9000", "#9010"}, {"mark:x", "#5010"}, {"1970-01-01T00:00:08Z", "+8.01s"}} {
		from, _ := ParseTime(c[0])
		to, _ := ParseTime(c[1])
		read := 0
		in := Input{Name: "x", Size: int64(out.Len()), Open: func() (io.ReadCloser, error) {
			return replaytest.File{Reader: bytes.NewReader(out.Bytes()), Count: &read}, nil
		}}
		n := 0
		_, records := Records([]Input{in}, Window{from, to})
		for _, err := range records {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n < 9 || n > 11 || read > 5<<20 {
			t.Errorf("from %s to %s: %d records, %d of %d bytes read", c[0], c[1], n, read, out.Len())
		}
	}
}

// An index with wrong places of records does not change a window.
func TestWindowsByAWrongIndex(t *testing.T) {
	const start = 1767323045e9
	tape := windowTape(t, 1, start, false)
	in := seekable("x", tape)
	f, _ := in.Open()
	random := rand.New(rand.NewPCG(9, 10))
	skips := 0
	for range 300 {
		x := in.index(f)
		for range 1 + random.IntN(3) {
			e := &x.index.Entries[random.IntN(len(x.index.Entries))]
			other := &x.index.Entries[random.IntN(len(x.index.Entries))]
			switch random.IntN(7) {
			case 0:
				e.Offset = other.Offset
			case 1:
				e.Offset += random.Uint64N(100) - 50
			case 2:
				e.FirstAt, e.FirstSeq = other.FirstAt, other.FirstSeq
			case 3:
				e.FirstAt += random.Int64N(20e6) - 10e6
			case 4:
				e.FirstSeq = random.Uint64N(26_000)
			case 5:
				*e = *other
			case 6:
				e.Offset, e.FirstAt = random.Uint64(), int64(random.Uint64())
			}
		}
		from := randomTime(random, start)
		if from.NeedsScan() || from.IsZero() {
			continue
		}
		place, err := resolve(nil, from)
		if err != nil {
			t.Fatal(err)
		}
		read := func(along *indexed) (lines []string) {
			tapes := &Tapes{inputs: []Input{memory("x", tape)}, window: placer{from: place}}
			defer tapes.Close()
			if err := tapes.advance(); err != nil {
				t.Fatal(err)
			}
			if along != nil {
				before := tapes.reader.Offset()
				if tapes.skipTo(along); tapes.reader.Offset() != before {
					skips++
				}
			}
			var it Item
			for {
				if err := tapes.Next(&it); err != nil {
					return append(lines, err.Error())
				}
				if it.Place == Within {
					lines = append(lines, fmt.Sprint(it.Seq, it.At, it.Kind))
				}
			}
		}
		if got, want := read(x), read(nil); !slices.Equal(got, want) {
			t.Fatalf("from %s: %d lines, want %d", from, len(got), len(want))
		}
	}
	if skips < 50 {
		t.Errorf("%d readings skipped something", skips)
	}
}

// The errors after skipped chunks are those of a reading from the start.
func TestDamageAfterASkip(t *testing.T) {
	tape := windowTape(t, 1, 1767323045e9, false)
	from, _ := ParseTime("+100ms")
	for at := len(tape) * 3 / 4; at < len(tape); at += 997 {
		b := bytes.Clone(tape)
		b[at] ^= 4
		want, got := windowLines([]Input{memory("x", b)}, Window{From: from}), windowLines([]Input{seekable("x", b)}, Window{From: from})
		if !slices.Equal(got, want) {
			t.Fatalf("byte %d: %d lines, want %d", at, len(got), len(want))
		}
	}
	missing := Input{Name: "gone", Size: 7, Open: func() (io.ReadCloser, error) { return nil, errors.New("gone") }}
	last, _ := ParseTime("-1s")
	if got := windowLines([]Input{missing}, Window{From: last}); len(got) != 1 || got[0] != "gone" {
		t.Error(got)
	}
}

// A window of a long tape, whose index has entries for runs of chunks, has the records
// of a reading from the start.
func TestWindowsOfALongTape(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	b := replaytest.Random(t, rng, 0, 4, 13_000, 1, 10)
	skipped := 0
	for range 40 {
		text := []string{fmt.Sprintf("+%ds", rng.IntN(13_000)), fmt.Sprintf("-%ds", rng.IntN(13_000)), fmt.Sprintf("#%d", rng.IntN(13_000)), "mark:m", "mark:no", time.Unix(1e9+rng.Int64N(13_000), 0).UTC().Format(time.RFC3339)}[rng.IntN(6)]
		from, err := ParseTime(text)
		if err != nil {
			t.Fatal(err)
		}
		want, got := windowLines([]Input{memory("x", b)}, Window{From: from}), windowLines([]Input{seekable("x", b)}, Window{From: from})
		if !slices.Equal(got, want) {
			t.Errorf("from %s: %d lines, want %d", text, len(got), len(want))
		}
		if len(want) > 2 && len(want) < 12_000 {
			skipped++
		}
	}
	if skipped < 10 {
		t.Errorf("only %d windows begin in the middle", skipped)
	}
}
