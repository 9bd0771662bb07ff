package edit

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
)

// merged merges tapes, reads the new tape back and verifies its witnesses.
func merged(t testing.TB, tapes ...[]byte) (h capture.Header, records []capture.Record, m *Merged, lines []string) {
	t.Helper()
	out, m, lines, err := tryMerge(tapes...)
	if err != nil {
		t.Fatal(err)
	}
	h, records = replaytest.Read(t, out)
	s, err := replay.Run([]replay.Input{tapeInput("out", out)}, replay.Options{Reports: replay.None, Verify: true}, func(*report.Report) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if v := s.Verification; v.First != nil && len(m.Differ) == 0 || s.Ends[0].Ending != tape.Closed {
		t.Fatalf("the new tape is %s; %+v\n%s", s.Ends[0].Ending, v, strings.Join(lines, "\n"))
	}
	return h, records, m, lines
}

func tryMerge(tapes ...[]byte) (out []byte, m *Merged, lines []string, err error) {
	var inputs []replay.Input
	for i, tape := range tapes {
		inputs = append(inputs, tapeInput(fmt.Sprintf("tape%d", i), tape))
	}
	var b bytes.Buffer
	if m, err = Merge(inputs, &b, Options{Tool: "test", Say: func(s string) { lines = append(lines, s) }}); err == nil {
		err = m.Check(bytes.NewReader(b.Bytes()))
	}
	return b.Bytes(), m, lines, err
}

// segments divides a recording into segments at random places, as a ring does: each
// segment is closed by an end record, which has a number of its own.
func segments(t testing.TB, rng *rand.Rand, tape []byte, n int) (list [][]byte, whole []capture.Record) {
	t.Helper()
	_, records := replaytest.Read(t, tape)
	places := map[int]bool{}
	for len(places) < n-1 {
		places[1+rng.IntN(len(records)-2)] = true
	}
	return segmentsAt(t, tape, places)
}

func segmentsAt(t testing.TB, tape []byte, places map[int]bool) (list [][]byte, whole []capture.Record) {
	t.Helper()
	h, records := replaytest.Read(t, tape)
	h.Recording = [16]byte{0xaa, h.TapeID[0]}
	added, from := uint64(0), 0
	for i := range records {
		records[i].Seq += added
		if places[i] {
			part := slices.Clone(records[from:i])
			part = append(part, capture.Record{Seq: records[i].Seq, At: records[i-1].At, Kind: capture.KindEnd, Payload: capture.AppendPayload(nil, &capture.End{Why: "rotated"})})
			list = append(list, replaytest.Write(t, h, part))
			h.Segment++
			h.TapeID[15]++
			h.TapeID[0]++
			added++
			records[i].Seq++
			from = i
		}
	}
	return append(list, replaytest.Write(t, h, records[from:])), records
}

// unwitnessed returns a tape without its witnesses and with new record numbers: parts
// of it can be replayed without the records before them.
func unwitnessed(t testing.TB, tape []byte) []byte {
	h, _ := replaytest.Read(t, tape)
	seq := uint64(0)
	return replaytest.Rewrite(t, tape, h, func(r *capture.Record) bool {
		if r.Kind == capture.KindWitness {
			return false
		}
		seq++
		r.Seq = seq
		return true
	})
}

// Merging one tape, or the same one several times, changes nothing.
func TestMergeOfOne(t *testing.T) {
	for name, tape := range replaytest.Tapes(t) {
		h, want := replaytest.Read(t, tape)
		for n := range 3 {
			got, records, m, lines := merged(t, slices.Repeat([][]byte{tape}, n+1)...)
			closed := want
			if last := want[len(want)-1]; last.Kind != capture.KindEnd {
				closed = append(slices.Clone(want), records[len(records)-1])
			}
			if !reflect.DeepEqual(records, closed) || len(lines) > 0 || len(m.Differ) > 0 {
				t.Errorf("%s: other records, or %q", name, lines)
			}
			if got.Derived.Verb != "merge" || got.Derived.Parent != h.TapeID || len(got.Derived.Others) != n || got.Recording != h.Origin() || got.Start != h.Start {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}

// Segments of a recording, merged in any order, are the recording again.
func TestMergeOfSegments(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		tape := [][]byte{replaytest.Lab(t), replaytest.Small(t, 1, 3), replaytest.Busy(t, 500, 50)}[seed%3]
		list, whole := segments(t, rng, tape, 2+rng.IntN(6))
		want, _ := reportLines(t, replay.Options{Reports: replay.All}, list...)
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		out, m, lines, err := tryMerge(list...)
		if err != nil {
			t.Fatal(err)
		}
		h, records := replaytest.Read(t, out)
		if last := whole[len(whole)-1]; last.Kind != capture.KindEnd {
			whole = append(whole, records[len(records)-1])
		}
		if !reflect.DeepEqual(records, whole) || len(lines) > 0 || len(m.Differ) > 0 || h.Segment != 0 {
			t.Fatalf("seed %d: %d records of %d, %q, %+v", seed, len(records), len(whole), lines, m)
		}
		if got, _ := reportLines(t, replay.Options{Reports: replay.All}, out); !slices.Equal(got, want) {
			t.Fatalf("seed %d: other reports", seed)
		}
	}
}

// Parts that overlap, merged in any order, are the whole tape again.
func TestMergeOfOverlaps(t *testing.T) {
	for seed := range uint64(100 / replaytest.OneIn) {
		rng := rand.New(rand.NewPCG(seed, 2))
		h, records := replaytest.Read(t, unwitnessed(t, [][]byte{replaytest.Lab(t), replaytest.Small(t, 1, 3)}[seed%2]))
		h.Recording = [16]byte{1}
		var list [][]byte
		for from, covered := 0, 0; covered < len(records); from = covered - rng.IntN(min(covered, 40)+1) {
			to := min(len(records), max(covered, from)+1+rng.IntN(len(records)/2))
			h.TapeID[0]++
			part := slices.Clone(records[from:to])
			if from > 0 { // the head of a cut
				part = slices.Insert(part, 0, capture.Record{Kind: capture.KindCarry, At: part[0].At, Payload: capture.AppendPayload(nil, &capture.Carry{Core: 99})})
			}
			list = append(list, replaytest.Write(t, h, part))
			covered = max(covered, to)
			if covered == len(records) {
				break
			}
		}
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if _, got, _, lines := merged(t, list...); !reflect.DeepEqual(got, records) || len(lines) > 0 {
			t.Fatalf("seed %d: %d records of %d from %d tapes, %q", seed, len(got), len(records), len(list), lines)
		}
	}
}

// A tape that has the lost records replaces what Recover added for them.
func TestMergeFillsWhatRecoverLost(t *testing.T) {
	whole := replaytest.Lab(t)
	_, want := replaytest.Read(t, whole)
	v := newSoundTape(t, whole)
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		file := bytes.Clone(whole)
		from := int(v.frames[1].Offset) + rng.IntN(len(file)-int(v.frames[1].Offset))
		if seed%2 == 0 {
			file = file[:from]
		} else {
			clear(file[from:min(len(file), from+3000)])
		}
		_, _, _, saved := recoverAll(t, file)
		_, got, _, lines := merged(t, [][]byte{whole, saved}[seed%2], [][]byte{saved, whole}[seed%2])
		if !reflect.DeepEqual(got, want) || len(lines) > 0 {
			t.Fatalf("seed %d: %d records of %d, %q", seed, len(got), len(want), lines)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	tape := replaytest.Small(t, 1, 3)
	h, records := replaytest.Read(t, tape)
	other := slices.Clone(records)
	other[5].Payload = capture.AppendPayload(nil, &capture.Mark{Text: "x"})
	other[5].Kind = capture.KindMark
	for want, with := range map[string][]byte{
		"tape0 and tape1 are of one recording, but their records 6 differ (conntrack_dump_begin at +60ms, mark at +60ms)": replaytest.Write(t, h, other),
		`tape0 is of host "host1", tape1 of host "host2"`:                                                                 replaytest.Write(t, capture.Header{HostID: "host2"}, records),
		"different byte orders": replaytest.Write(t, capture.Header{HostID: "host1", BigEndian: true}, records),
		"different starts":      replaytest.Write(t, capture.Header{HostID: "host1", TapeID: h.TapeID, Start: 1}, records),
		"topotape recover":      tape[:len(tape)-3],
	} {
		if _, _, _, err := tryMerge(tape, with); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Merge reports records that are missing between segments. It adds gaps for them
// unless a carry follows.
func TestMergeWithHole(t *testing.T) {
	list, whole := segmentsAt(t, unwitnessed(t, replaytest.Small(t, 1, 3)), map[int]bool{10: true, 20: true})
	_, got, m, lines := merged(t, list[2], list[0])
	if len(lines) != 1 || !strings.Contains(lines[0], "on none of the tapes, before those of tape0") || len(m.Cut) > 0 {
		t.Errorf("%q, %+v", lines, m)
	}
	gaps := 0
	for _, r := range got {
		if r.Kind == capture.KindGap {
			gaps++
		}
	}
	if gaps != 2 || len(got) >= len(whole) {
		t.Errorf("%d gaps, %d records", gaps, len(got))
	}
	h, records := replaytest.Read(t, list[2])
	carry := capture.Record{Kind: capture.KindCarry, At: records[0].At, Payload: capture.AppendPayload(nil, &capture.Carry{Core: 99, Rules: "none"})}
	carried := replaytest.Write(t, h, append([]capture.Record{carry}, records...))
	_, got, _, lines = merged(t, list[0], carried)
	if len(lines) == 0 || !strings.Contains(strings.Join(lines, "\n"), "a carry of the state follows") || !slices.ContainsFunc(got, func(r capture.Record) bool { return r.Kind == capture.KindCarry }) {
		t.Errorf("%q", lines)
	}
	if _, got, _, lines = merged(t, carried, list[1], list[0]); len(lines) > 0 || slices.ContainsFunc(got, func(r capture.Record) bool { return r.Kind == capture.KindCarry }) {
		t.Errorf("a carry where no record is missing: %q", lines)
	}
}

// A cut begins with older records and a carry of the state. Merge leaves the carry
// out if other tapes have the records before it.
func TestMergeOfCuts(t *testing.T) {
	h, records := replaytest.Read(t, unwitnessed(t, replaytest.Small(t, 1, 3)))
	h.Recording = [16]byte{1}
	carry := capture.Record{Kind: capture.KindCarry, At: records[38].At, Payload: capture.AppendPayload(nil, &capture.Carry{Core: 99, Rules: "none"})}
	late := slices.Concat(records[1:3], []capture.Record{carry}, records[39:])
	h.TapeID[0]++
	cut := replaytest.Write(t, h, late)
	if _, got, _, lines := merged(t, cut); !reflect.DeepEqual(got, late) || len(lines) > 0 {
		t.Errorf("alone: %d records of %d, %q", len(got), len(late), lines)
	}
	early := func(n int) []byte {
		h.TapeID[0]++
		return replaytest.Write(t, h, append(slices.Clone(records[:n]), capture.Record{Seq: uint64(n + 1), At: records[n-1].At, Kind: capture.KindEnd, Payload: records[len(records)-1].Payload}))
	}
	for _, n := range []int{39, 41, 60} {
		if _, got, _, lines := merged(t, cut, early(n)); !reflect.DeepEqual(got, records) || len(lines) > 0 {
			t.Errorf("after %d: %d records of %d, %q", n, len(got), len(records), lines)
		}
	}
	want := slices.Concat(records[:30], []capture.Record{carry}, records[39:])
	if _, got, _, lines := merged(t, early(30), cut); !reflect.DeepEqual(got, want) || len(lines) != 1 || !strings.Contains(lines[0], "records 32 to 39 (8) are on none") {
		t.Errorf("after missing records: %d records of %d, %q", len(got), len(want), lines)
	}
}

// A countedFile counts the open files.
type countedFile struct {
	io.Reader
	open *int
}

func (f countedFile) Close() error { *f.open--; return nil }

// Merge opens a segment when it is due: two at a time, for any number of segments.
func TestMergeOpensFewTapes(t *testing.T) {
	list, _ := segments(t, rand.New(rand.NewPCG(5, 5)), replaytest.Busy(t, 2000, 300), 20)
	open, most := 0, 0
	var inputs []replay.Input
	for i, tape := range list {
		inputs = append(inputs, replay.Input{Name: fmt.Sprint(i), Open: func() (io.ReadCloser, error) {
			open++
			most = max(most, open)
			return countedFile{bytes.NewReader(tape), &open}, nil
		}})
	}
	if _, err := Merge(inputs, io.Discard, Options{}); err != nil || most > 2 || open != 0 {
		t.Errorf("%d tapes were open at once, %d were not closed: %v", most, open, err)
	}
}
