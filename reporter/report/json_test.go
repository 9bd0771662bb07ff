package report

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"
)

func TestStringsAreJSON(t *testing.T) {
	for _, s := range []string{"", "a", "\x00\x1f\x7f\"\\/\b\f\n\r\t", "é\xff€\xe2\x82 <>&\u2028", "\xed\xa0\x80"} {
		b := appendString(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil || !utf8.Valid(b) {
			t.Errorf("%q: %s: %v", s, b, err)
		}
		if utf8.ValidString(s) && back != s {
			t.Errorf("%q came back as %q", s, back)
		}
	}
}

func TestDurationsEqualTheLibrarys(t *testing.T) {
	durations := []int64{0, 1, 999, 1000, 1001, 1500, 999999, 1e6, 1e6 + 1, 2.5e9, 59999999999, 60e9, 61e9, 3600e9, 3661000000001, 1 << 62, -1, -61e9, -1 << 63, 1<<63 - 1}
	for i := range 1000 {
		durations = append(durations, int64(i)*int64(i)*int64(i)*9973)
	}
	for _, ns := range durations {
		if got, want := string(appendDuration(nil, ns)), `"`+time.Duration(ns).String()+`"`; got != want {
			t.Errorf("%d: %s, want %s", ns, got, want)
		}
	}
}
