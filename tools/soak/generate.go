//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/edit"
)

// A generator makes one tape.
type generator struct {
	*rand.Rand
	tapes []*tape
	did   []string // what it changed
	later []func() // changes of numbers and times, which would be mended
}

// A change of a tape.
type change struct {
	name   string
	weight int
	make   func(*generator)
}

// changes are all changes. A tape is changed by one to three of them.
var changes = slices.Concat(frameChanges, joinedChanges, recordChanges, valueChanges, listChanges, kernelChanges, socketChanges, sceneChanges)

// sources are the tapes that are changed, from the root of the repository. The weights say
// how often; the conformance tapes are many, and small.
var sources = []struct {
	pattern string
	weight  int
}{
	{"fixtures/*/capture.tape", 6}, {"fixtures/generated/*/capture.tape", 7},
	{"capture/tape/testdata/frozen/*.tape", 2}, {"capture/tape/testdata/conformance/*.tape*", 5},
}

// sourceNames returns the names of the tapes that match each of the sources.
func sourceNames(root string) ([][]string, error) {
	var list [][]string
	for _, s := range sources {
		names, err := filepath.Glob(filepath.Join(root, s.pattern))
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("%s has no %s; run it in the root of the repository, or name that with -root", root, s.pattern)
		}
		for range s.weight {
			list = append(list, names)
		}
	}
	return list, nil
}

// generate writes the tape of a seed. It returns the name of the tape that it began as,
// and what was changed.
func generate(out io.Writer, root string, seed uint64) (from string, did []string, err error) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 13))}
	names, err := sourceNames(root)
	if err != nil {
		return "", nil, err
	}
	from = pick(g, pick(g, names))
	b, err := os.ReadFile(from)
	if err != nil {
		return "", nil, err
	}
	if g.IntN(5) == 0 { // the second half, which begins with a carry
		if half, err := cutHalf(b); err == nil {
			b = half
			g.note("cut")
		}
	}
	if g.tapes, err = read(b); err != nil {
		return "", nil, fmt.Errorf("%s: %w", from, err)
	}
	g.change()
	if err := write(out, g.tapes); err != nil {
		return "", nil, err
	}
	return from, g.did, nil
}

// cutHalf cuts the second half out of a tape.
func cutHalf(b []byte) ([]byte, error) {
	in := replay.Input{Name: "tape", Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
	tapes, err := read(b)
	if err != nil {
		return nil, err
	}
	middle := uint64(1)
	for _, f := range tapes[0].frames {
		for _, r := range f.records {
			middle = max(middle, r.seq/2)
		}
	}
	from, err := replay.ParseTime(fmt.Sprintf("#%d", middle))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = edit.Cut(&out, []replay.Input{in}, edit.CutOptions{Window: replay.Window{From: from}})
	return out.Bytes(), err
}

// change changes the tapes in one to three ways.
func (g *generator) change() {
	sum := 0
	for _, c := range changes {
		sum += c.weight
	}
	for range []int{1, 1, 1, 2, 2, 3}[g.IntN(6)] {
		at := g.IntN(sum)
		for _, c := range changes {
			if at -= c.weight; at < 0 {
				g.note("%s", c.name)
				c.make(g)
				break
			}
		}
	}
	if g.IntN(20) > 0 {
		for _, t := range g.tapes {
			mend(t)
		}
	}
	if g.IntN(3) == 0 { // readers limit how far payloads may be compressed
		g.note("records not compressed")
		for _, t := range g.tapes {
			for _, f := range t.frames {
				if f.records != nil {
					f.coding = plain
				}
			}
		}
	}
	for _, f := range g.later {
		f()
	}
}

// mend makes the numbers of a tape's records increase and the times not decrease, so that
// a change does not hide the others.
func mend(t *tape) {
	var seq, at uint64
	for _, f := range t.frames {
		for i, r := range f.records {
			mended := *r
			if mended.at = max(r.at, at); mended.at>>63 != 0 {
				mended.at = at
			}
			at = mended.at
			switch {
			case r.kind == kindCarry:
				mended.seq = 0
			case r.seq <= seq:
				mended.seq = seq + 1
			}
			seq = max(seq, mended.seq)
			f.records[i] = &mended
		}
	}
}

func (g *generator) note(format string, args ...any) {
	g.did = append(g.did, fmt.Sprintf(format, args...))
}

// many returns a number, more often a small one than a large one.
func (g *generator) many(most int) int {
	return 1 + g.IntN(min(most, []int{3, 20, 200, most}[g.IntN(4)]))
}

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

func (g *generator) tape() *tape { return pick(g, g.tapes) }

// frame returns a random place among the frames of a tape.
func (g *generator) frame() (*tape, int) {
	t := g.tape()
	if len(t.frames) == 0 {
		t.frames = append(t.frames, &frame{kind: frameChunk, coding: zstds})
	}
	return t, g.IntN(len(t.frames))
}

// id returns the file id of a tape.
func (t *tape) id() uint64 {
	if len(t.frames) == 0 {
		return 0
	}
	return t.frames[0].fileID
}

// chunk returns a random chunk with records, and makes one if there is none.
func (g *generator) chunk() *frame {
	t := g.tape()
	var list []*frame
	for _, f := range t.frames {
		if len(f.records) > 0 {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		f := &frame{kind: frameChunk, coding: zstds, fileID: t.id(), records: []*record{{kind: kindMark, payload: []any{"mark"}}}}
		t.frames = append(t.frames, f)
		return f
	}
	return pick(g, list)
}

// record returns a random record of one of the kinds, of any if none is named, with its
// place. It is nil if there is none.
func (g *generator) record(kinds ...uint64) (*frame, int) {
	type spot struct {
		f *frame
		i int
	}
	byKind := map[uint64][]spot{}
	var present []uint64
	for _, f := range g.tape().frames {
		for i, r := range f.records {
			if len(kinds) > 0 && !slices.Contains(kinds, r.kind) {
				continue
			}
			if byKind[r.kind] == nil {
				present = append(present, r.kind)
			}
			byKind[r.kind] = append(byKind[r.kind], spot{f, i})
		}
	}
	if len(present) == 0 {
		return nil, 0
	}
	s := pick(g, byKind[pick(g, present)])
	return s.f, s.i
}

// insert puts records at a random place of a random chunk, with the times there.
func (g *generator) insert(list ...*record) {
	f := g.chunk()
	at := g.IntN(len(f.records) + 1)
	f.records = slices.Insert(f.records, at, list...)
}

// rec returns a record. Its number and time are mended.
func rec(kind, source uint64, fields ...any) *record {
	return &record{kind: kind, source: source, payload: fields}
}
