//go:build linux

package main

import (
	"math"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// maxSame bounds the bytes of records that differ in one number.
const maxSame = 16 << 20

// recordChanges change the order, number and envelopes of records.
var recordChanges = []change{
	{"a record twice", 2, func(g *generator) { g.repeatRecord(2) }},
	{"a record many times", 4, func(g *generator) { g.repeatRecord(g.many(2000)) }},
	{"a record many times, one number differs", 10, (*generator).varyRecord},
	{"several records many times", 3, func(g *generator) {
		f, i := g.record()
		if f == nil {
			return
		}
		j := min(len(f.records), i+1+g.IntN(20))
		part := solid(f.records[i:j])
		if n := g.many(2000); size(part)*n < 4*maxSame {
			f.records = slices.Insert(f.records, j, slices.Repeat(part, n)...)
		}
	}},
	{"a record left out", 2, func(g *generator) {
		if f, i := g.record(); f != nil {
			f.records = slices.Delete(f.records, i, i+1)
		}
	}},
	{"all records of a kind left out", 2, func(g *generator) {
		f, i := g.record()
		if f == nil {
			return
		}
		kind := f.records[i].kind
		for _, t := range g.tapes {
			for _, f := range t.frames {
				if f.records != nil {
					f.records = slices.DeleteFunc(slices.Clone(f.records), func(r *record) bool { return r.kind == kind })
				}
			}
		}
	}},
	{"two records exchanged", 2, func(g *generator) {
		f, i := g.record()
		o, j := g.record()
		if f != nil && o != nil {
			f.records[i], o.records[j] = o.records[j], f.records[i]
		}
	}},
	{"records in another order", 1, func(g *generator) {
		f := g.chunk()
		g.Shuffle(len(f.records), func(i, j int) { f.records[i], f.records[j] = f.records[j], f.records[i] })
	}},
	{"kind of a record", 3, func(g *generator) {
		g.envelope(func(r *record) { r.kind = uint64(pick(g, []int{0, 1 + g.IntN(32), 31, 99, 255, 256})) })
	}},
	{"source of a record", 3, func(g *generator) {
		g.envelope(func(r *record) { r.source = pick(g, []uint64{0, 1, 2, 3, 9, math.MaxUint32, math.MaxUint32 + 1}) })
	}},
	{"payload of another record", 3, func(g *generator) {
		if o, j := g.record(); o != nil {
			g.envelope(func(r *record) { r.payload = o.records[j].payload })
		}
	}},
	{"more elements of a record", 1, func(g *generator) {
		g.envelope(func(r *record) {
			r.more = slices.Repeat([]any{pick(g, []any{nil, "more", deep(1000), []byte("x")})}, 1+g.IntN(14))
		})
	}},
	{"time of a record goes far", 4, func(g *generator) {
		by := pick(g, []uint64{1e9, 3600e9, 1e15, 1 << 61})
		g.envelope(func(r *record) { r.at = min(r.at+by, math.MaxInt64) })
	}},
	{"time of a record", 3, func(g *generator) {
		g.later = append(g.later, func() {
			g.envelope(func(r *record) {
				r.at = pick(g, []uint64{0, r.at / 2, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64})
			})
		})
	}},
	{"number of a record", 3, func(g *generator) {
		g.later = append(g.later, func() {
			g.envelope(func(r *record) {
				r.seq = pick(g, []uint64{0, 1, r.seq - 1, r.seq + 1000, math.MaxInt64, math.MaxUint64})
			})
		})
	}},
}

// envelope changes a copy of a random record.
func (g *generator) envelope(change func(*record)) {
	if f, i := g.record(); f != nil {
		r := *f.records[i]
		change(&r)
		f.records[i] = &r
	}
}

func (g *generator) repeatRecord(n int) {
	if f, i := g.record(); f != nil {
		if part := solid(f.records[i : i+1]); size(part)*n < 4*maxSame {
			f.records = slices.Insert(f.records, i, slices.Repeat(part, n)...)
		}
	}
}

// varyRecord adds copies of a record that differ in one of its numbers, or in the number
// of its source: namespaces, processes, ticks, sources by the thousand.
func (g *generator) varyRecord() {
	f, i := g.record()
	if f == nil {
		return
	}
	r := f.records[i]
	list := slices.DeleteFunc(places(r.payload), func(p place) bool { return !variable(p.value) })
	n := g.many(pick(g, []int{2000, 20000}))
	if n*size([]*record{r}) > maxSame {
		return
	}
	which := g.IntN(len(list) + 1)
	var add []*record
	for k := range n {
		c := *r
		if which < len(list) {
			c.payload = list[which].set(varied(list[which].value, k))
		} else {
			c.source += uint64(k)
		}
		add = append(add, &c)
	}
	f.records = slices.Insert(f.records, i+1, solid(add)...)
}

// solid returns copies of records whose payloads are encoded already.
func solid(list []*record) []*record {
	out := make([]*record, len(list))
	for i, r := range list {
		c := *r
		if _, raw := r.payload.([]byte); !raw {
			if b, err := encode(r.payload); err == nil {
				c.payload = msgpack.RawMessage(b)
			}
		}
		out[i] = &c
	}
	return out
}

// size is about how many bytes of a chunk the records take.
func size(list []*record) (n int) {
	for _, r := range list {
		b, _ := encode(r.payload)
		n += len(b) + 10
	}
	return n
}
