//go:build linux

package main

import (
	"bytes"
	"math"
	"slices"
)

// frameChanges change whole frames, their headers, the index and the foot.
var frameChanges = []change{
	{"a frame twice", 2, func(g *generator) { g.repeatFrame(2) }},
	{"a frame many times", 2, func(g *generator) { g.repeatFrame(g.many(2000)) }},
	{"a frame left out", 2, func(g *generator) {
		t, i := g.frame()
		t.frames = slices.Delete(t.frames, i, i+1)
	}},
	{"two frames exchanged", 2, func(g *generator) {
		t, i := g.frame()
		j := g.IntN(len(t.frames))
		t.frames[i], t.frames[j] = t.frames[j], t.frames[i]
	}},
	{"kind of a frame", 3, func(g *generator) {
		g.header(func(f *frame) { f.kind = byte(pick(g, []int{1, 3, 4, 5, 63, 64, 255, 1 + g.IntN(255)})) })
	}},
	{"coding of a frame", 3, func(g *generator) {
		g.header(func(f *frame) { f.coding = byte(pick(g, []int{0, 1, 2, 255})) })
	}},
	{"major version of a frame", 1, func(g *generator) { g.header(func(f *frame) { f.major = pick(g, []byte("0239\x00\xff")) }) }},
	{"number of a frame", 2, func(g *generator) {
		g.header(func(f *frame) { f.skip = pick(g, []int64{-1, 1, 1000, math.MaxInt64, math.MinInt64}) })
	}},
	{"file id of a frame", 1, func(g *generator) { g.header(func(f *frame) { f.otherFile = true }) }},
	{"announced length of a frame", 3, func(g *generator) {
		g.header(func(f *frame) { f.longer = pick(g, []int64{-1, 1, maxPayload - 1000, math.MaxUint32 - 5000}) })
	}},
	{"stored length of a frame", 3, func(g *generator) {
		g.header(func(f *frame) { f.stored = pick(g, []int64{-1, 1, 53, maxPayload - 1000, math.MaxUint32 - 5000}) })
	}},
	{"a frame is garbage", 2, func(g *generator) {
		t, i := g.frame()
		f := *t.frames[i]
		f.records, f.payload = nil, g.garbage(g.many(5000))
		f.coding = byte(g.IntN(2))
		t.frames[i] = &f
	}},
	{"bytes between frames", 1, func(g *generator) {
		t, i := g.frame()
		b := pick(g, [][]byte{g.garbage(g.many(5000)), bytes.Repeat([]byte(syncBytes), g.many(2000)), []byte(syncBytes)})
		t.frames = slices.Insert(t.frames, i, &frame{payload: b})
	}},
	{"bombs", 2, func(g *generator) {
		t, _ := g.frame()
		f := &frame{kind: pick(g, []byte{1, 2, 2, 2, 3, 64}), coding: zstds, fileID: t.id(), times: g.many(2000)}
		f.payload = bytes.Repeat([]byte{pick(g, []byte{0, 0x90, 0x91, 0x95, 0x81, 0xc0, 0xff})}, pick(g, []int{1 << 20, maxPayload - 1, maxPayload}))
		t.frames = slices.Insert(t.frames, 1+g.IntN(len(t.frames)), f)
	}},
	{"empty chunks", 2, func(g *generator) {
		t, i := g.frame()
		f := &frame{kind: frameChunk, coding: byte(g.IntN(2)), fileID: t.id(), records: []*record{}, times: g.many(20000)}
		t.frames = slices.Insert(t.frames, i+1, f)
	}},
	{"frames to be skipped", 1, func(g *generator) {
		t, i := g.frame()
		f := &frame{kind: 64 + byte(g.IntN(190)), coding: byte(g.IntN(4)), fileID: t.id(), payload: g.garbage(g.many(300)), times: g.many(2000)}
		t.frames = slices.Insert(t.frames, i+1, f)
	}},
	{"small chunks", 3, func(g *generator) { g.tape().chunk = 1 }},
	{"small chunks and pages", 3, func(g *generator) {
		t := g.tape()
		t.closed, t.chunk, t.page = true, pick(g, []int{1, 500}), 1+g.IntN(5)
	}},
	{"no foot", 2, func(g *generator) { g.tape().closed = false }},
	{"a lying index", 8, func(g *generator) {
		t := g.tape()
		t.closed = true
		if g.IntN(2) == 0 {
			t.chunk, t.page = pick(g, []int{1, 500, t.chunk}), pick(g, []int{1, 3, 4096})
		}
		t.lieIndex = func(v any) any {
			for range 1 + g.IntN(3) {
				v = g.changed(v)
			}
			return v
		}
	}},
	{"an index that lists something again", 3, func(g *generator) {
		t := g.tape()
		t.closed, t.page = true, pick(g, []int{1, 3, 4096})
		n := g.many(5000)
		t.lieIndex = func(v any) any {
			list := slices.DeleteFunc(places(v), func(p place) bool { a, _ := p.value.([]any); return len(a) == 0 })
			p := pick(g, list)
			a := p.value.([]any)
			return p.set(slices.Concat(a, slices.Repeat([]any{pick(g, a)}, n)))
		}
	}},
	{"a lying foot", 5, func(g *generator) {
		t := g.tape()
		t.closed = true
		t.lieFoot = func(v any) any {
			a := slices.Clone(v.([]any))
			i := g.IntN(len(a))
			a[i] = pick(g, []uint64{0, 1, number(a[i]) + 1, number(a[i]) - 1, math.MaxInt64, math.MaxUint64, 53, number(a[(i+1)%len(a)])})
			return a
		}
	}},
}

// header changes a copy of a random frame.
func (g *generator) header(change func(*frame)) {
	t, i := g.frame()
	f := *t.frames[i]
	change(&f)
	t.frames[i] = &f
}

func (g *generator) repeatFrame(times int) {
	t, i := g.frame()
	f := *t.frames[i]
	f.times = times
	t.frames[i] = &f
}

// garbage returns random bytes, or those of MessagePack's largest announcements.
func (g *generator) garbage(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	if g.IntN(2) == 0 {
		copy(b, pick(g, []string{"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xdb\x7f\xff\xff\xff", "\xc9\xff\xff\xff\xff", "\x28\xb5\x2f\xfd"}))
	}
	return b
}
