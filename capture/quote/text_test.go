package quote

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"nginx -c '/etc/a b' \\ \"x\"": "nginx -c '/etc/a b' \\ \"x\"",
		"日本語 é █ 🙂 \ufffd":             "日本語 é █ 🙂 \ufffd",
		"\x1b[31mred\a\r\n\t":          `\x1b[31mred\a\r\n\t`,
		"\x9b\u009b31m":                `\x9b\u009b31m`,
		"\x00\x7f\u0080":               `\x00\x7f\u0080`,
		"ab\xe2\x80":                   `ab\xe2\x80`,
		"a\u202eb\u2066c\u200e\u061c":  `a\u202eb\u2066c\u200e\u061c`,
		"\u200b\u2060\ufeff\u00ad":     `\u200b\u2060\ufeff\u00ad`,
		"\u2028\u2029\u00a0":           `\u2028\u2029\u00a0`,
		"\U000e0041":                   `\U000e0041`,
		`\x1b`:                         `\x1b`,
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if got := Text([]byte(in)); string(got) != want {
			t.Errorf("bytes %q: %q, want %q", in, got, want)
		}
	}
}

// Of every character, Text leaves only what is printable, and so does %q. Nothing
// changes that is quoted twice.
func TestNothingRawIsLeft(t *testing.T) {
	raw := func(s string) bool {
		return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
			return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Co)
		})
	}
	check := func(s string) {
		q := strconv.Quote(s)
		if got := Text(s); raw(got) || Text(got) != got || Text(q) != q {
			t.Errorf("%q is %q, quoted %q", s, got, q)
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		check("a" + string(r) + "b")
	}
	for c := range 256 {
		check("a" + string([]byte{byte(c)}) + "b")
	}
	for _, list := range []string{"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c", "\u200b\u200c\u200d\u2060\ufeff\u2028\u2029"} {
		for _, r := range list {
			if !raw(string(r)) || Text(string(r)) == string(r) {
				t.Errorf("%U is not replaced", r)
			}
		}
	}
}

func TestLine(t *testing.T) {
	var b strings.Builder
	if err := Line(&b, "%s: %d", "a\nb", 7); err != nil || b.String() != "a\\nb: 7\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Text(s)
		if Text(got) != got || strconv.Quote(got) != `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(got)+`"` {
			t.Errorf("%q is %q", s, got)
		}
		if strconv.Quote(s) == `"`+s+`"` && got != s {
			t.Errorf("%q is harmless and became %q", s, got)
		}
	})
}

var sink []byte

func BenchmarkText(b *testing.B) {
	line := []byte(strings.Repeat("src=10.0.0.1 dst=10.0.0.2 sport=40000 ", 5))
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		sink = Text(line)
	}
}
