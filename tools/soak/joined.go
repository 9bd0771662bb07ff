//go:build linux

package main

import (
	"encoding/binary"
	"slices"
)

// joinedChanges add heads and tapes.
var joinedChanges = []change{
	{"a second head", 10, (*generator).secondHead},
	{"joined with itself", 2, func(g *generator) {
		t := g.tape()
		for range g.many(1000) {
			g.tapes = append(g.tapes, t)
		}
	}},
	{"joined with copies of other ids", 3, func(g *generator) {
		t := g.tape()
		for i := range g.many(1000) {
			g.tapes = append(g.tapes, t.renamed(uint64(i+1)))
		}
	}},
	{"joined heads", 3, func(g *generator) {
		t, _ := g.frame()
		head := &tape{frames: t.frames[:1], page: t.page, chunk: t.chunk, closed: g.IntN(4) == 0}
		for i := range g.many(20000) {
			g.tapes = append(g.tapes, head.renamed(uint64(i+1)))
		}
	}},
	{"joined with a tape without a head", 1, func(g *generator) {
		t, _ := g.frame()
		g.tapes = append(g.tapes, &tape{frames: t.frames[1:], page: t.page, chunk: t.chunk, closed: t.closed})
	}},
	{"header of a tape", 6, func(g *generator) {
		t, _ := g.frame()
		f := *t.frames[0]
		f.payload = g.changedBytes(f.payload)
		t.frames[0] = &f
	}},
}

// secondHead puts a head before, between or after the frames of a tape.
func (g *generator) secondHead() {
	t, i := g.frame()
	h := *t.frames[0]
	h.times = g.many(2000)
	if g.IntN(2) == 0 {
		h.times = 1
	}
	if h.otherFile = g.IntN(2) == 0; g.IntN(2) == 0 {
		h.payload = changeEncoded(h.payload, func(v any) any { return withID(v, h.fileID+1) })
	}
	h.restart = true
	switch g.IntN(9) {
	case 0: // sound, if it is written once
	case 1:
		h.payload = g.garbage(g.many(300))
	case 2:
		h.payload = nil
	case 3:
		h.payload = []byte{0x90}
	case 4:
		h.coding = zstds
	case 5:
		h.skip = int64(g.IntN(3))
	case 6:
		h.longer = pick(g, []int64{-1, 1, 100, maxPayload})
	case 7:
		h.stored = pick(g, []int64{-1, 1, 100, maxPayload})
	case 8:
		h.payload = g.changedBytes(h.payload)
	}
	t.frames = slices.Insert(t.frames, i+1, &h)
	if g.IntN(3) == 0 { // what follows belongs to the second head
		for j := i + 2; j < len(t.frames); j++ {
			f := *t.frames[j]
			f.otherFile = h.otherFile
			t.frames[j] = &f
		}
	}
}

// renamed returns a tape with another file id, and a header that has it.
func (t *tape) renamed(by uint64) *tape {
	c := *t
	c.frames = make([]*frame, len(t.frames))
	for i, f := range t.frames {
		n := *f
		n.fileID += by
		if f.kind == frameHead {
			n.payload = changeEncoded(f.payload, func(v any) any { return withID(v, n.fileID) })
		}
		c.frames[i] = &n
	}
	return &c
}

// withID returns a header whose tape id begins with the file id.
func withID(header any, fileID uint64) any {
	const tapeID = 3
	fields, _ := header.([]any)
	if len(fields) <= tapeID {
		return header
	}
	id, _ := fields[tapeID].([]byte)
	if len(id) < 8 {
		return header
	}
	fields[tapeID] = append(binary.BigEndian.AppendUint64(nil, fileID), id[8:]...)
	return fields
}
