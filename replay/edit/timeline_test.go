package edit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/replaytest"
)

const lineStart, second, hour = int64(1e18), int64(1e9), int64(3600e9)

// recordingOf makes a recording. In the list, an int64 is the time of the payloads
// after it; each payload becomes a record.
func recordingOf(t testing.TB, id byte, start int64, source uint32, list ...any) []byte {
	t.Helper()
	h := capture.Header{TapeID: [16]byte{id}, Recording: [16]byte{id}, Start: start, HostID: "host1"}
	var records []capture.Record
	at := int64(0)
	for _, x := range list {
		if v, ok := x.(int64); ok {
			at = v
			continue
		}
		p := x.(capture.Payload)
		r := capture.Record{Seq: uint64(len(records) + 1), At: at, Payload: capture.AppendPayload(nil, p)}
		switch p.(type) {
		case *capture.Source:
			r.Kind, r.Source = capture.KindSource, source
		case *capture.DNS:
			r.Kind, r.Source = capture.KindDNS, source
		case *capture.ProcNet:
			r.Kind, r.Source = capture.KindProcNet, source
		case *capture.ProcUnchanged:
			r.Kind, r.Source = capture.KindProcUnchanged, source
		case *capture.ConntrackDump:
			r.Kind, r.Source = capture.KindDumpBegin, source
		case *capture.Tick:
			r.Kind = capture.KindTick
		case *capture.Witness:
			r.Kind = capture.KindWitness
		case *capture.Clock:
			r.Kind = capture.KindClock
		case *capture.Mark:
			r.Kind = capture.KindMark
		case *capture.Fault:
			r.Kind = capture.KindFault
		case *capture.End:
			r.Kind = capture.KindEnd
		}
		records = append(records, r)
	}
	return replaytest.Written(t, h, records)
}

// spelled returns a line for each record: number, seconds, source, content.
func spelled(t testing.TB, records []capture.Record) (lines []string) {
	t.Helper()
	for _, r := range records {
		what := r.Kind.String()
		p := r.Kind.New()
		if err := r.Decode(p); err != nil {
			t.Fatal(err)
		}
		switch p := p.(type) {
		case *capture.Source:
			what = fmt.Sprintf("%s %s open %v", what, p.Kind, p.Open)
		case *capture.Tick:
			what = fmt.Sprint(what, " ", p.Number)
		case *capture.Witness:
			what = fmt.Sprint(what, " ", p.Tick)
		case *capture.Fault:
			what = fmt.Sprint(what, " of ", p.Record)
		case *capture.Mark:
			what = fmt.Sprint(what, " ", p.Text)
		case *capture.ProcNet:
			what = fmt.Sprint(what, " read ", float64(p.ReadStart)/1e9, " ", float64(p.ReadEnd)/1e9)
		case *capture.ProcUnchanged:
			what = fmt.Sprint(what, " checked ", float64(p.Checked)/1e9)
		case *capture.End:
			what = fmt.Sprint(what, " ", p.Why)
			for _, n := range p.Totals {
				what = fmt.Sprint(what, "; ", n.Source, " ", n.Received)
			}
		}
		lines = append(lines, fmt.Sprintf("#%d %gs %d %s", r.Seq, float64(r.At)/1e9, r.Source, what))
	}
	return lines
}

func threeRecordings(t testing.TB) (a, b, c []byte) {
	tick := func(n uint64) *capture.Tick { return &capture.Tick{Number: n, Interval: second} }
	a = recordingOf(t, 1, lineStart, 1,
		&capture.Source{Open: true, Kind: capture.SourceProc, Netns: 7},
		second, &capture.ProcNet{Netns: 7, Table: "tcp", ReadStart: 1, ReadEnd: second}, tick(1), &capture.Witness{Tick: 1, Rules: "current", Core: 1},
		2*second, &capture.Clock{Step: hour, Wall: lineStart + 2*second + hour},
		3*second, &capture.Mark{Text: "a"}, &capture.Fault{Record: 6},
		4*second, tick(2), &capture.End{Why: "a", Totals: []capture.Total{{Source: 1, Received: 3}}})
	b = recordingOf(t, 2, lineStart+second, 1,
		&capture.Source{Open: true, Kind: capture.SourceDNS},
		second, &capture.Clock{Step: hour, Wall: lineStart + 2*second + hour},
		2*second, &capture.Mark{Text: "b"}, tick(1),
		4*second, &capture.DNS{}, tick(2), &capture.Witness{Tick: 2, Rules: "current", Core: 1}, &capture.Fault{Record: 6},
		5*second, &capture.End{Why: "b", Totals: []capture.Total{{Source: 1, Received: 4}}})
	c = recordingOf(t, 3, lineStart+hour+10*second, 2,
		&capture.Source{Open: true, Kind: capture.SourceProc, Netns: 7},
		second, &capture.ProcNet{Netns: 7, Table: "tcp", ReadStart: 5, ReadEnd: second}, &capture.ProcUnchanged{Netns: 7, Table: "tcp", Checked: second}, tick(9), &capture.Witness{Tick: 9, Rules: "current", Core: 1},
		2*second, &capture.End{Why: "c", Totals: []capture.Total{{Source: 2, Received: 5}}})
	return a, b, c
}

// Two recordings overlap, a third one follows, and a step of the wall clock lies
// between.
func TestMergeOfRecordings(t *testing.T) {
	a, b, c := threeRecordings(t)
	h, records, m, lines := merged(t, a, b, c)
	want := strings.Split(strings.TrimSpace(`
#1 0s 1 source proc open true
#2 1s 1 proc_net read 1e-09 1
#3 1s 0 tick 1
#4 1s 0 witness 1
#5 1s 5 source dns open true
#6 2s 0 clock
#7 3s 0 mark a
#8 3s 0 fault of 7
#9 3s 0 mark b
#10 4s 0 tick 2
#11 4s 1 source proc open false
#12 5s 5 dns
#13 5s 0 tick 3
#14 5s 0 witness 3
#15 5s 0 fault of 13
#16 6s 5 source dns open false
#17 10s 1 source proc open true
#18 11s 1 proc_net read 10.000000005 11
#19 11s 1 proc_unchanged checked 11
#20 11s 0 tick 4
#21 11s 0 witness 4
#22 12s 0 end c; 1 8; 5 4`), "\n")
	if got := spelled(t, records); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if h.Start != lineStart || h.Recording != h.TapeID || len(h.Derived.Others) != 2 || m.Recordings != 3 || len(lines) > 0 {
		t.Errorf("%+v, %+v, %q", h, m, lines)
	}
	// The ticks are those of the recording named first, until it ends.
	_, records, _, _ = merged(t, b, a)
	var ticks []string
	for _, line := range spelled(t, records) {
		if strings.Contains(line, "tick") || strings.Contains(line, "clock") || strings.Contains(line, "mark") {
			ticks = append(ticks, line[strings.Index(line, " ")+1:])
		}
	}
	if want := []string{"2s 0 clock", "3s 0 mark b", "3s 0 tick 1", "3s 0 mark a", "5s 0 tick 2"}; !slices.Equal(ticks, want) {
		t.Errorf("with the other one first: %q, want %q", ticks, want)
	}
}

// Every record keeps its wall time.
func TestMergeKeepsWallTime(t *testing.T) {
	a, b, c := threeRecordings(t)
	wall := func(tape []byte) map[string]int64 {
		h, records := replaytest.Parsed(t, tape)
		at := map[string]int64{}
		steps := int64(0)
		for _, r := range records {
			switch r.Kind {
			case capture.KindClock:
				var p capture.Clock
				if err := r.Decode(&p); err != nil {
					t.Fatal(err)
				}
				steps += p.Step
			case capture.KindMark, capture.KindDNS:
				at[string(r.Payload)] = h.Start + r.At + steps
			}
		}
		return at
	}
	out, _, _, err := tryMerge(c, a, b)
	if err != nil {
		t.Fatal(err)
	}
	got := wall(out)
	n := 0
	for _, tape := range [][]byte{a, b, c} {
		for what, at := range wall(tape) {
			n++
			if got[what] != at {
				t.Errorf("%q is at %d, on its own tape at %d", what, got[what], at)
			}
		}
	}
	if n != 3 || len(got) != n {
		t.Errorf("%d marks and packets, %d on the line", n, len(got))
	}
}

// Recordings of one host that have different sources, merged, have the reports of one
// recording with all of them.
func TestMergeOfSourcesApart(t *testing.T) {
	whole := replaytest.Lab(t)
	h, _ := replaytest.Parsed(t, whole)
	want, _ := reportLines(t, replay.Options{Reports: replay.All}, whole)
	part := func(id byte, sources ...uint32) []byte {
		h := h
		h.TapeID, h.Recording = [16]byte{id}, [16]byte{id}
		seq := uint64(0)
		return replaytest.Rewrite(t, whole, h, func(r *capture.Record) bool {
			if r.Kind != capture.KindEnd && (!slices.Contains(sources, r.Source) || r.Kind == capture.KindWitness) {
				return false
			}
			seq++
			r.Seq = seq
			return true
		})
	}
	out, m, lines, err := tryMerge(part(1, 3), part(2, 1), part(3, 2, 0))
	if err != nil || len(m.Cut) != 0 || len(lines) > 0 {
		t.Fatal(err, m, lines)
	}
	got, _ := reportLines(t, replay.Options{Reports: replay.All}, out)
	if !slices.Equal(got, want) {
		for i := range want {
			if i < len(got) && got[i] != want[i] {
				t.Fatalf("report %d:\n%.600s\n%.600s", i, got[i], want[i])
			}
		}
		t.Fatalf("%d reports, want %d", len(got), len(want))
	}
}
