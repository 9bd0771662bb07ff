//go:build linux

package main

import (
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// listChanges change arrays: the fields of an object and the elements of lists.
var listChanges = []change{
	{"a list", 6, func(g *generator) {
		g.changePayload(func(v any) any {
			return g.changedIf(v, func(v any) bool { return !scalar(v) }, func(v any) any { return g.changedList(v.([]any)) })
		})
	}},
	{"a list with one element 100,000 times", 6, func(g *generator) {
		g.changePayload(func(v any) any { return g.changedIf(v, full, func(v any) any { return g.equalElements(v.([]any)) }) })
	}},
	{"a list with thousands of different elements", 8, func(g *generator) {
		g.changePayload(func(v any) any {
			return g.changedIf(v, full, func(v any) any { return g.differentElements(v.([]any)) })
		})
	}},
}

func full(v any) bool { a, _ := v.([]any); return len(a) > 0 }

func (g *generator) changedList(a []any) any {
	a = slices.Clone(a)
	if len(a) == 0 {
		return pick(g, []any{[]any{nil}, []any{[]any{}}, []any{uint64(1), "text"}, msgpack.RawMessage{0xdd, 0, 1, 0, 0}})
	}
	i, j := g.IntN(len(a)), g.IntN(len(a))
	switch g.IntN(7) {
	case 0:
		return a[:i]
	case 1:
		return slices.Delete(a, i, i+1)
	case 2:
		return slices.Insert(a, i, a[j])
	case 3:
		a[i], a[j] = a[j], a[i]
	case 4:
		return append(a, pick(g, []any{nil, uint64(1), "more", []any{uint64(1)}, deep(1000)}))
	case 5:
		return []any{}
	case 6:
		return g.equalElements(a)
	}
	return a
}

// equalElements returns the list with one of its elements repeated.
func (g *generator) equalElements(a []any) any {
	b, err := encode(pick(g, a))
	if err != nil || len(b) == 0 {
		return a
	}
	n := min(g.many(pick(g, []int{2000, 100000, 4000000})), (maxValue-100)/len(b)+1)
	return rawList(n, slices.Repeat(b, n))
}

// differentElements returns the list with copies of one of its elements that differ in a
// number or a text.
func (g *generator) differentElements(a []any) any {
	e := pick(g, a)
	list := slices.DeleteFunc(places(e), func(p place) bool { _, text := p.value.(string); return !text && !variable(p.value) })
	if len(list) == 0 {
		return g.equalElements(a)
	}
	p := pick(g, list)
	one, _ := encode(e)
	n := min(g.many(pick(g, []int{2000, 50000})), maxValue/(len(one)+8))
	var all []byte
	for k := range n {
		b, err := encode(p.set(varied(p.value, k)))
		if err != nil {
			return a
		}
		all = append(all, b...)
	}
	return rawList(n, all)
}

// rawList returns a list of n encoded elements.
func rawList(n int, elements []byte) any {
	return msgpack.RawMessage(append([]byte{0xdd, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, elements...))
}
