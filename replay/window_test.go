package replay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
)

func TestBoundCompare(t *testing.T) {
	at := position{steady: 10, wall: 20, seq: 30, count: 40, tape: 2}
	for _, c := range []struct {
		b    Time
		want int
	}{
		{Time{kind: timeSteady, ns: 11}, -1}, {Time{kind: timeSteady, ns: 10}, 0}, {Time{kind: timeSteady, ns: 9}, 1},
		{Time{kind: timeWall, ns: 21}, -1}, {Time{kind: timeWall, ns: 20}, 0}, {Time{kind: timeWall, ns: 19}, 1},
		{Time{kind: timeRecord, seq: 31}, -1}, {Time{kind: timeRecord, seq: 30}, 0}, {Time{kind: timeRecord, seq: 29}, 1},
		{Time{kind: timeCount, seq: 41}, -1}, {Time{kind: timeCount, seq: 40}, 0}, {Time{kind: timeCount, seq: 39}, 1},
		{Time{kind: timePlace, tape: 3, seq: 1}, -1}, {Time{kind: timePlace, tape: 1, seq: 99}, 1},
		{Time{kind: timePlace, tape: 2, seq: 31}, -1}, {Time{kind: timePlace, tape: 2, seq: 30}, 0}, {Time{kind: timePlace, tape: 2, seq: 29}, 1},
		{Time{}, 1}, {Time{kind: timeFromStart, ns: 99}, 1},
	} {
		if got := c.b.compare(at); got != c.want {
			t.Errorf("%+v: %d, want %d", c.b, got, c.want)
		}
	}
	b := Time{kind: timeFromStart, ns: 7}
	if b.settle(3); b != (Time{kind: timeSteady, ns: 10}) {
		t.Errorf("%+v", b)
	}
}

// Within a window the wall clock may go back; after its end no record is looked at.
func TestPlacer(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to Time
		walls    []int64
		want     string
	}{
		{"open", Time{}, Time{}, []int64{1, 2}, "within within"},
		{"half open", Time{kind: timeWall, ns: 2}, Time{kind: timeWall, ns: 4}, []int64{1, 2, 3, 4}, "before within within after"},
		{"set back", Time{kind: timeWall, ns: 2}, Time{kind: timeWall, ns: 9}, []int64{1, 5, 1, 5}, "before within within within"},
		{"from the start", Time{kind: timeFromStart, ns: 2}, Time{kind: timeFromStart, ns: 3}, []int64{1, 2, 3}, "before within after"},
	} {
		w := placer{from: c.from, to: c.to}
		var got []string
		for _, wall := range c.walls {
			it := &Item{Header: new(capture.Header), position: position{wall: wall, steady: wall}}
			got = append(got, [...]string{"before", "within", "after"}[w.place(it)])
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s: %s, want %s", c.name, g, c.want)
		}
	}
	w := placer{to: Time{kind: timeRecord}}
	it := &Item{Header: new(capture.Header)}
	it.Kind = capture.KindCarry
	if got := w.place(it); got != Within {
		t.Error("a carry has no number that ends a window: ", got)
	}
}

func TestFindMark(t *testing.T) {
	search := func(text string, marks ...string) *markSearch {
		s := &markSearch{text: text}
		for i, m := range marks {
			s.add(&capture.Record{Seq: uint64(i) + 1, Kind: capture.KindMark, Payload: capture.AppendPayload(nil, &capture.Mark{Text: m})}, i/2)
		}
		return s
	}
	marks := []string{"deploy 12", "deploy 1", "deploy 1"}
	for text, want := range map[string]string{"deploy 1": "0 2", "deploy 12": "0 1", "12": "0 1", "deploy": "0 1", "": "0 1", "no": "none"} {
		got := "none"
		if m := search(text, marks...).found; m != nil {
			got = fmt.Sprint(m.tape, m.seq)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := search("x", marks...).missing().Error(); got != `no mark "x"; the tape has "deploy 12", "deploy 1", "deploy 1"` {
		t.Error(got)
	}
	if got := search("x").missing().Error(); got != `no mark "x": there are no marks on the tape` {
		t.Error(got)
	}
	if got := search("x", strings.Repeat("y", 1e5), "z").missing().Error(); len(got) > 200 {
		t.Error(got)
	}
}

// A mark's tape is counted over all inputs, with an index and without one.
func TestTapeOfAMark(t *testing.T) {
	const mark, tick = capture.KindMark, capture.KindTick
	a, b := tapeOf(t, mark, tick, mark), tapeOf(t, tick, mark)
	double := append(append([]byte{}, b...), a...)
	for _, in := range []func(string, []byte) Input{memory, seekable} {
		for want, inputs := range map[string][]Input{
			"{0 1} {0 3} {1 2}": {in("a", a), in("double", double), in("b", b)},
			"{1 1} {1 3} {0 2}": {in("double", double), in("b", b), in("a", a)},
			"{2 1} {2 3} {0 2}": {in("b", b), in("b", b), in("a", a)},
		} {
			var got []string
			for _, text := range []string{"1", "3", "2"} { // the text of a mark is its number
				m, err := findMark(inputs, text)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(m))
			}
			if g := strings.Join(got, " "); g != want {
				t.Errorf("%s, want %s", g, want)
			}
		}
	}
}
