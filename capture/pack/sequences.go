package pack

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// sequences of a block, and its literals.
type sequences struct {
	list       []sequence
	literals   []byte
	rep        [3]int     // the last offsets, as a decoder knows them
	ll, ml, of [64]uint32 // how often each code occurs
}

// A sequence is some literals, and what follows them once more from before. The
// codes tell of each of its numbers how many bits it has more, which stand
// together in extra: those of the literals first, then the match, the offset.
type sequence struct {
	ll, ml, of uint8 // codes of how many literals, how long a match, and its offset
	bits       uint8 // in extra
	extra      uint64
}

func (s *sequences) start() {
	s.list, s.literals = s.list[:0], slices.Grow(s.literals[:0], blockSize+literalsStep)
	clear(s.ll[:])
	clear(s.ml[:])
	clear(s.of[:])
}

// literalsStep is how many literals are copied at once, if there are so many or not.
const literalsStep = 16

// add notes src[from:at], and that the n bytes behind it are those at offset
// before them.
func (s *sequences) add(src []byte, from, at, n, offset int) {
	size := at - from
	switch {
	case size == 0:
	case size <= literalsStep && from+literalsStep <= len(src):
		end := len(s.literals)
		*(*[literalsStep]byte)(s.literals[end : end+literalsStep]) = [literalsStep]byte(src[from:])
		s.literals = s.literals[:end+size]
	default:
		s.literals = append(s.literals, src[from:at]...)
	}
	ll, ml := literalsLengths.of(uint32(size)), matchLengths.of(uint32(n-3))
	value := s.value(size, offset)
	of := uint8(bits.Len32(value)) - 1
	extra := uint64(size)&(1<<(ll.bits&63)-1) | (uint64(n-3)&(1<<(ml.bits&63)-1)|(uint64(value)-1<<(of&63))<<(ml.bits&63))<<(ll.bits&63)
	s.ll[ll.code&63]++
	s.ml[ml.code&63]++
	s.of[of&63]++
	s.list = append(s.list, sequence{ll.code, ml.code, of, ll.bits + ml.bits + of, extra})
}

// value is how an offset is told behind so many literals: as one of those used
// last, of which the very last is not among them behind no literals, else as 3
// more than it is.
func (s *sequences) value(literals, offset int) uint32 {
	r, first := &s.rep, uint32(1)
	if literals == 0 {
		first = 0
	}
	switch {
	case offset == r[0] && literals > 0:
		return 1
	case offset == r[1]:
		r[0], r[1] = offset, r[0]
		return first + 1
	case offset == r[2]:
		r[0], r[1], r[2] = offset, r[0], r[1]
		return first + 2
	}
	r[0], r[1], r[2] = offset, r[0], r[1]
	return uint32(offset) + 3
}

// appendSequences appends the sequences as a block has them.
func (p *Packer) appendSequences(dst []byte) []byte {
	s := &p.sequences
	n := len(s.list)
	switch {
	case n == 0:
		return append(dst, 0)
	case n < 128:
		dst = append(dst, byte(n))
	case n < 0x7f00:
		dst = append(dst, byte(n>>8+128), byte(n))
	default:
		dst = binary.LittleEndian.AppendUint16(append(dst, 255), uint16(n-0x7f00))
	}
	modes := len(dst)
	dst = append(dst, 0)
	var ll, of, ml byte
	ll, dst = p.ll.prepare(dst, s.ll[:], n, maxLog, &usualLL)
	of, dst = p.of.prepare(dst, s.of[:], n, maxLog-1, &usualOF)
	ml, dst = p.ml.prepare(dst, s.ml[:], n, maxLog, &usualML)
	dst[modes] = ll<<6 | of<<4 | ml<<2
	return p.appendCodes(slices.Grow(dst, 12*n+64))
}

// appendCodes appends the codes of the sequences, the last first.
func (p *Packer) appendCodes(dst []byte) []byte {
	w := bitWriter{out: dst[:cap(dst)], at: len(dst)}
	list := p.sequences.list
	q := &list[len(list)-1]
	ml, of, ll := p.ml.first(q.ml), p.of.first(q.of), p.ll.first(q.ll)
	w.add(q.extra, q.bits)
	w.flush()
	for i := len(list) - 2; i >= 0; i-- {
		q = &list[i]
		of = p.of.next(&w, of, q.of)
		ml = p.ml.next(&w, ml, q.ml)
		ll = p.ll.next(&w, ll, q.ll)
		if q.bits >= 64-7-(3*maxLog-1) { // all together could be too many
			w.flush()
		}
		w.add(q.extra, q.bits)
		w.flush()
	}
	p.ml.last(&w, ml)
	p.of.last(&w, of)
	p.ll.last(&w, ll)
	w.flush()
	return w.close()
}

// Lengths' codes, and how many bits they leave to be told (RFC 8878, 3.1.1.3.2.1).
type lengths struct {
	low   [128]lengthCode
	above uint8 // a length that is not in low has the code above and the length's log
}

type lengthCode struct{ code, bits uint8 }

var (
	literalsLengths = lengthCodes(18, 16, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6)
	matchLengths    = lengthCodes(35, 32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5)
)

// lengthCodes are those of lengths of which the first have a code of their own,
// and the next codes leave so many bits.
func lengthCodes(above, own uint8, bits ...uint8) (l lengths) {
	l.above = above
	at, code := 0, uint8(0)
	put := func(bits uint8) {
		for range 1 << bits {
			if at < len(l.low) {
				l.low[at] = lengthCode{code, bits}
				at++
			}
		}
		code++
	}
	for range own {
		put(0)
	}
	for _, n := range bits {
		put(n)
	}
	return l
}

func (l *lengths) of(n uint32) lengthCode {
	if n < uint32(len(l.low)) {
		return l.low[n]
	}
	log := uint8(bits.Len32(n))
	return lengthCode{l.above + log, log - 1}
}
