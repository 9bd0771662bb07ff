package pack

import (
	"encoding/binary"
	"math/bits"
)

// hashBits is small, so that the table does not drive all else out of the
// processor's cache.
const hashBits = 13

// A matcher finds what a source has once more, and notes it as sequences: some
// literals, and what follows them as it was before.
type matcher struct {
	src   []byte
	table *[1 << hashBits]uint32 // base and where bytes of a hash were last seen
	base  uint32
}

func (p *Packer) matcher(src []byte) matcher {
	if p.base == 0 || p.base > 1<<31 {
		clear(p.table[:])
		p.base = 1
	}
	m := matcher{src: src, table: &p.table, base: p.base}
	p.base += uint32(len(src))
	return m
}

func hash(v uint64) uint32 { return uint32(v * 0x9e3779b97f4a7c15 >> (64 - hashBits)) }

func load64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64((*[8]byte)(b[at : at+8])[:]) }

// find notes src[from:to]. The offsets that were used last are tried first: a
// record is most often as the one was that the bytes before are like, but for
// some bytes.
func (m *matcher) find(s *sequences, from, to int) {
	src := m.src[:to]
	s.start()
	anchor, at := from, max(from, 1)
	rep0, rep1 := s.rep[0], s.rep[1]
	for last := to - 8; at <= last; {
		v := load64(src, at)
		offset, differ := rep0, uint64(1)
		if before := at - rep0; before >= 0 {
			differ = load64(src, before) ^ v
		}
		if uint32(differ) != 0 {
			offset = rep1
			if before := at - rep1; before >= 0 {
				differ = load64(src, before) ^ v
			}
			if uint32(differ) != 0 {
				slot := &m.table[hash(v)]
				before := int(*slot) - int(m.base)
				*slot = uint32(at) + m.base
				if before < 0 {
					at += 1 + (at-anchor)>>6
					continue
				}
				if differ = load64(src, before) ^ v; differ<<8 != 0 {
					at += 1 + (at-anchor)>>6
					continue
				}
				offset = at - before
			}
		}
		n := 8
		if differ != 0 {
			n = bits.TrailingZeros64(differ) >> 3
		} else {
			n += same(src, at+8, offset)
		}
		for at > anchor && at > offset && src[at-1] == src[at-1-offset] {
			at--
			n++
		}
		s.add(src, anchor, at, n, offset)
		rep0, rep1 = s.rep[0], s.rep[1]
		at += n
		anchor = at
	}
	s.literals = append(s.literals, src[anchor:]...)
}

// same is for how many bytes src from at on is what is offset before.
func same(src []byte, at, offset int) int {
	n := 0
	for at+n+8 <= len(src) {
		if d := load64(src, at+n) ^ load64(src, at+n-offset); d != 0 {
			return n + bits.TrailingZeros64(d)>>3
		}
		n += 8
	}
	for at+n < len(src) && src[at+n] == src[at+n-offset] {
		n++
	}
	return n
}
