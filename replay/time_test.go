package replay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/replaytest"
)

func TestParseTime(t *testing.T) {
	for _, good := range []string{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789+09:00", "+1m30s", "+0s", "-5m", "-1.5s", "#812", "#0",
		"mark:x", "mark:bug visible now", "start", "end"} {
		if v, err := ParseTime(good); err != nil || v.IsZero() || v.String() != good {
			t.Errorf("%q: %+v %v", good, v, err)
		}
	}
	for _, bad := range []string{"5m", "+", "-", "+5", "+-5m", "--5m", "#", "#-1", "#x", "mark:", "now", "2026-01-02", "2026-01-02 03:04:05", "END",
		"12:00", " end", "9999-01-01T00:00:00Z"} {
		if _, err := ParseTime(bad); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is not a time", bad)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if v, err := ParseTime(""); err != nil || !v.IsZero() {
		t.Error(v, err)
	}
}

// eventful returns a tape with marks, ticks and a step of the wall clock.
func eventful(t *testing.T) []byte {
	list := []struct {
		at      int64 // s
		kind    capture.Kind
		payload capture.Payload
	}{
		{1, capture.KindMark, &capture.Mark{Text: "deploy 12"}},
		{2, capture.KindTick, &capture.Tick{Number: 1}},
		{3, capture.KindMark, &capture.Mark{Text: "deploy 1"}},
		{4, capture.KindTick, &capture.Tick{Number: 2}},
		{5, capture.KindClock, &capture.Clock{Step: 3600e9}},
		{6, capture.KindTick, &capture.Tick{Number: 3}},
		{6, capture.KindEnd, &capture.End{}},
	}
	h := capture.Header{TapeID: [16]byte{8}, Start: 1767323045e9} // 03:04:05
	i := 0
	return replaytest.Rewrite(t, replaytest.Busy(t, 100, 50), h, func(r *capture.Record) bool {
		if i >= len(list) {
			return false
		}
		l := list[i]
		i++
		*r = capture.Record{Seq: uint64(10 * i), At: l.at * 1e9, Kind: l.kind, Payload: capture.AppendPayload(nil, l.payload)}
		return true
	})
}

func TestRecordsOfAWindow(t *testing.T) {
	tape := eventful(t)
	for _, c := range []struct{ from, to, want string }{
		{"", "", "10 20 30 40 50 60 70"},
		{"start", "end", "10 20 30 40 50 60 70"},
		{"+2s", "+4s", "20 30"},
		{"+2s", "", "20 30 40 50 60 70"},
		{"", "#40", "10 20 30"},
		{"#15", "#41", "20 30 40"},
		{"-2s", "", "40 50 60 70"},
		{"", "-0s", "10 20 30 40 50"},
		{"mark:deploy 1", "", "30 40 50 60 70"},
		{"mark:deploy 12", "mark:deploy 1", "10 20"},
		{"mark:12", "", "10 20 30 40 50 60 70"},
		{"2026-01-02T03:04:07Z", "2026-01-02T03:04:09+00:00", "20 30"},
		{"2026-01-02T04:04:10Z", "", "50 60 70"}, // after the step
		{"2026-01-02T03:30:00Z", "2026-01-02T04:04:11Z", "50"},
		{"end", "", ""},
		{"+1h", "", ""},
	} {
		from, err := ParseTime(c.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := ParseTime(c.to)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		_, records := Records([]Input{memory("x", tape)}, Window{from, to})
		for r, err := range records {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(r.Seq))
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("from %s to %s: %s, want %s", c.from, c.to, g, c.want)
		}
	}
	from, _ := ParseTime("mark:other")
	_, records := Records([]Input{memory("x", tape)}, Window{From: from})
	for _, err := range records {
		if err == nil || !strings.Contains(err.Error(), `no mark "other"; the tape has "deploy 12", "deploy 1"`) {
			t.Error(err)
		}
	}
}

func TestAt(t *testing.T) {
	tape := eventful(t)
	for at, want := range map[string]string{"2026-01-02T03:04:09Z": `"tick":2`, "2026-01-02T04:04:11Z": `"tick":3`, "2026-01-02T04:00:00Z": `"tick":2`,
		"mark:deploy 1": `"tick":1`, "+6s": `"tick":3`, "-1s": `"tick":2`} {
		v, err := ParseTime(at)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := ndjson(t, Options{At: v}, tape)
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: %s", at, got)
		}
	}
}

func TestWindowCheck(t *testing.T) {
	for _, c := range []struct {
		from, to string
		good     bool
	}{{"+1s", "+2s", true}, {"+2s", "+1s", false}, {"-2s", "-1s", true}, {"-1s", "-2s", false}, {"#2", "#1", false}, {"end", "start", false},
		{"start", "end", true}, {"+2s", "", true}, {"", "+2s", true}, {"+1h", "-1s", true}} {
		from, _ := ParseTime(c.from)
		to, _ := ParseTime(c.to)
		if err := (Window{from, to}).Check(); (err == nil) != c.good {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
}
