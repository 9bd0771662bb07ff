//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
)

// forged follows line ends and tabs in hostile text. Where it begins a line of a verb's
// output, or follows a tab, the text reached the output raw.
const forged = "FORGED"

// hostile are texts that a terminal, or the grammar of an output, obeys.
var hostile = []string{
	"\x1b[2J\x1b]0;title\a\x1b[31m", "a\r" + forged, "a\n" + forged, "a\t" + forged, "\u202egnp.\u2066x\u2069", "\u200b\u200f\ufeff\u2060\u00ad\u061c",
	"a\u2028" + forged + "\u2029", "\u009b31m\u0085" + forged, "\x9b31m\xff\xfe\x80", "\x00\x7f\b\v\f", "\xf0\x9f\x98", "\U000e0041\U000e0001",
	"`|<b>&\"';--%0A::error::x]]>{}\\", "\"];} digraph {x[label=\"", "]\n" + forged + "end\n%%{init}%%", "<script>alert(1)</script>-->", "", " ", "-", "--format",
}

// text returns hostile text, sometimes a long one.
func (g *generator) text() string {
	switch g.IntN(12) {
	case 0:
		return strings.Join(hostile, "")
	case 1:
		return strings.Repeat(pick(g, hostile), g.many(2000))
	case 2:
		return strings.Repeat(pick(g, []string{"a", "\x1b", "\n", "é", "\xff", "\"", "\u202e"}), pick(g, []int{1000, 70000, 1 << 20}))
	}
	return "x" + pick(g, hostile) + "y"
}

var valueChanges = []change{
	{"a value", 12, func(g *generator) { g.changePayload(g.changed) }},
	{"many values", 4, func(g *generator) {
		for range g.many(200) {
			g.changePayload(g.changed)
		}
	}},
	{"a number", 6, func(g *generator) {
		g.changePayload(func(v any) any { return g.changedIf(v, variable, g.changedNumber) })
	}},
	{"a text", 8, func(g *generator) {
		g.changePayload(func(v any) any {
			return g.changedIf(v, func(v any) bool { _, ok := v.(string); return ok }, func(any) any { return g.text() })
		})
	}},
	{"hostile text in all records", 8, func(g *generator) { g.hostileText(func(string) string { return g.text() }) }},
	{"short hostile text in all records", 8, func(g *generator) {
		one := "x" + strings.Join(hostile[:8], "")
		g.hostileText(func(string) string { return one })
	}},
	{"a value as large as a record may be", 3, func(g *generator) {
		g.changePayload(func(v any) any { return g.changedIf(v, scalar, func(any) any { return g.large() }) })
	}},
	{"many records as large as a record may be", 2, func(g *generator) {
		var list []*record
		kind := pick(g, []uint64{kindMark, kindFault, kindGap, kindHost, kindSource, kindClock})
		text := strings.Repeat(pick(g, []string{"a", "\x1b", "é"}), (maxValue-100)/2)
		for range g.many(100) {
			var fields []any
			switch kind {
			case kindMark:
				fields = []any{text}
			case kindFault:
				fields = []any{uint64(1), text, text}
			case kindGap:
				fields = []any{uint64(1), uint64(1), text}
			case kindHost:
				fields = []any{text, text}
			case kindClock:
				fields = []any{uint64(1), uint64(2), text}
			default:
				fields = []any{uint64(1), "dns", uint64(0), text, uint64(0), uint64(0), text}
			}
			list = append(list, rec(kind, 1, fields...))
		}
		g.insert(solid(list)...)
	}},
}

// changePayload changes the payload of a random record.
func (g *generator) changePayload(change func(any) any) {
	g.envelope(func(r *record) { r.payload = change(r.payload) })
}

// hostileText changes half of the texts of all records and heads that are not words of
// the format, which would make the core ignore the record.
func (g *generator) hostileText(to func(string) string) {
	words := []string{"conntrack", "proc", "dns", "rdns", "sockets", "closes", "tcp", "tcp6", "udp", "udp6", "current", "scope2016", "recorder"}
	var replace func(v any) any
	replace = func(v any) any {
		switch v := v.(type) {
		case string:
			if !slices.Contains(words, v) && g.IntN(2) == 0 {
				return to(v)
			}
		case []any:
			a := make([]any, len(v))
			for i := range v {
				a[i] = replace(v[i])
			}
			return a
		}
		return v
	}
	left := 300 // records
	for _, t := range g.tapes[:min(len(g.tapes), 20)] {
		for j, f := range t.frames {
			if f.kind == frameHead {
				h := *f
				h.payload = changeEncoded(h.payload, replace)
				t.frames[j] = &h
			}
			for i, r := range f.records {
				if left--; left < 0 {
					break
				}
				c := *r
				c.payload = replace(r.payload)
				f.records[i] = &c
			}
		}
	}
}

// changedBytes changes a value in encoded bytes.
func (g *generator) changedBytes(b []byte) []byte { return changeEncoded(b, g.changed) }

func changeEncoded(b []byte, change func(any) any) []byte {
	v, _, err := decode(b)
	if err != nil {
		return b
	}
	if changed, err := encode(change(v)); err == nil {
		return changed
	}
	return b
}

// changed returns v with one of its values changed.
func (g *generator) changed(v any) any {
	return g.changedIf(v, func(any) bool { return true }, g.changedValue)
}

func (g *generator) changedIf(v any, which func(any) bool, to func(any) any) any {
	list := slices.DeleteFunc(places(v), func(p place) bool { return !which(p.value) })
	if len(list) == 0 {
		return v
	}
	p := pick(g, list)
	return p.set(to(p.value))
}

func (g *generator) changedValue(v any) any {
	if g.IntN(8) == 0 { // of another type
		return pick(g, []any{nil, true, 1.5, uint64(7), int64(-7), "text", []byte("bytes"), []any{}, map[string]any{"a": 1, "b": []any{1}}, deep(5000),
			msgpack.RawMessage{0xc1}, msgpack.RawMessage{0xdd, 0xff, 0xff, 0xff, 0xff}, msgpack.RawMessage{0xd9}})
	}
	switch v := v.(type) {
	case string:
		return g.text()
	case []byte:
		return g.changedRaw(v)
	case []any:
		return g.changedList(v)
	}
	return g.changedNumber(v)
}

func (g *generator) changedNumber(v any) any {
	n := number(v)
	return pick(g, []any{uint64(0), uint64(1), n + 1, n - 1, n * 2, uint64(math.MaxUint64), uint64(math.MaxInt64), uint64(math.MaxInt64 + 1), int64(math.MinInt64), int64(-1),
		uint64(math.MaxUint32), uint64(math.MaxUint32 + 1), uint64(65536), uint64(255), uint64(1 << 40), g.Uint64() >> g.IntN(64)})
}

// changedRaw changes bytes without regard to what they are.
func (g *generator) changedRaw(b []byte) []byte {
	b = bytes.Clone(b)
	switch g.IntN(5) {
	case 0:
		return g.garbage(g.many(5000))
	case 1:
		return b[:g.IntN(len(b)+1)]
	case 2:
		return append(b, g.garbage(g.many(100))...)
	case 3:
		return bytes.Repeat(b, g.many(min(2000, maxValue/(len(b)+1))))
	}
	for range 1 + g.IntN(8) {
		if len(b) > 0 {
			b[g.IntN(len(b))] = pick(g, []byte{0, 1, 0x7f, 0x80, 0xff, byte(g.Uint32())})
		}
	}
	return b
}

// large returns a text or bytes of the greatest size.
func (g *generator) large() any {
	n := pick(g, []int{1 << 20, maxValue - 200, maxValue, 7 << 20})
	if g.IntN(2) == 0 {
		return bytes.Repeat([]byte{pick(g, []byte{0, '\n', 'a', 0xff})}, n)
	}
	return strings.Repeat(pick(g, []string{"a", "\x1b", "\n", ".", "\xff"}), n)
}

// deep returns an array in an array, and so on.
func deep(n int) any {
	return msgpack.RawMessage(append(bytes.Repeat([]byte{0x91}, n), 0xc0))
}

func scalar(v any) bool { _, list := v.([]any); return !list }

// variable reports whether v is a number, or a text that can differ by one.
func variable(v any) bool {
	switch v.(type) {
	case uint64, int64:
		return true
	}
	return false
}

// varied returns the k-th variation of a value.
func varied(v any, k int) any {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%s%d", v, k)
	case uint64, int64:
		return number(v) + uint64(k)
	}
	return v
}
