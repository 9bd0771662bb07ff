package pack

import (
	"encoding/binary"
	"math/bits"
)

// A coder is a table of Finite State Entropy (RFC 8878, 4.1) for one kind of
// code, as one block has it.
type coder struct {
	log     uint8 // of the table's size
	symbols int
	norm    [64]int16 // how many of the table's states a code has; -1: it is rare
	step    [64]symbolStep
	states  [1 << maxLog]uint16
	spread  [1 << maxLog]uint8
}

const maxLog = 9

// A symbolStep says how a code leads from one state to the next.
type symbolStep struct {
	bits int32 // how many a state gives out, times 65536, less the state from which it is one more
	find int32 // where the code's states begin, less how many there are
}

// normalize shares the table's states among the codes by how often they occur.
func (c *coder) normalize(counts []uint32, total uint32, log uint8) {
	c.log, c.symbols = log, len(counts)
	size := uint32(1) << log
	left, most := int32(size), 0
	for i, n := range counts {
		c.norm[i] = 0
		if n == 0 {
			continue
		}
		share := int16((uint64(n)*uint64(size)*2 + uint64(total)) / (2 * uint64(total)))
		if share == 0 {
			share = 1
		}
		c.norm[i] = share
		left -= int32(share)
		if n > counts[most] {
			most = i
		}
	}
	for left < 0 && int32(c.norm[most]) <= -left { // many rare ones: all that can give some do
		for i := range counts {
			if c.norm[i] > 1 && left < 0 {
				c.norm[i]--
				left++
			}
		}
	}
	c.norm[most] += int16(left)
}

// build makes the table of what norm says.
func (c *coder) build() {
	size := uint32(1) << c.log
	var at [64]uint16
	high := size - 1
	sum := uint16(0)
	for i := range c.symbols {
		at[i] = sum
		switch n := c.norm[i]; {
		case n == -1:
			c.spread[high] = uint8(i)
			high--
			sum++
		case n > 0:
			sum += uint16(n)
		}
	}
	pos, step, mask := uint32(0), size>>1+size>>3+3, size-1
	for i := range c.symbols {
		for range c.norm[i] {
			c.spread[pos] = uint8(i)
			for pos = (pos + step) & mask; pos > high; pos = (pos + step) & mask {
			}
		}
	}
	for u := range size {
		s := c.spread[u]
		c.states[at[s]] = uint16(size + u)
		at[s]++
	}
	total := int32(0)
	for i := range c.symbols {
		switch n := int32(c.norm[i]); n {
		case 0:
		case -1, 1:
			c.step[i] = symbolStep{int32(c.log)<<16 - int32(size), total - 1}
			total++
		default:
			out := int32(c.log) - int32(bits.Len32(uint32(n-1))-1)
			c.step[i] = symbolStep{out<<16 - n<<out, total - n}
			total += n
		}
	}
}

// first is the state in which the last of a block's codes leaves the coder.
func (c *coder) first(code uint8) uint32 {
	s := &c.step[code]
	out := uint32(s.bits+1<<15) >> 16
	value := out<<16 - uint32(s.bits)
	return uint32(c.states[int32(value>>out)+s.find])
}

// next gives out the bits of a state that leads to the code, and the state.
func (c *coder) next(w *bitWriter, state uint32, code uint8) uint32 {
	s := &c.step[code&63]
	out := uint32(int32(state)+s.bits) >> 16 & 31
	w.add(uint64(state)&(1<<out-1), uint8(out))
	return uint32(c.states[(int32(state>>out)+s.find)&(1<<maxLog-1)])
}

// last gives out the state itself.
func (c *coder) last(w *bitWriter, state uint32) { w.add(uint64(state)&(1<<c.log-1), c.log) }

// prepare makes the coder for codes that occur so often, and appends what a
// decoder has to know of it.
func (c *coder) prepare(dst []byte, counts []uint32, n int, most uint8, usual *coder) (mode byte, _ []byte) {
	last := len(counts) - 1
	for counts[last] == 0 {
		last--
	}
	if int(counts[last]) == n && n > 2 { // one code: nothing to tell
		c.log, c.symbols, c.states[0] = 0, last+1, 0
		c.step[last] = symbolStep{}
		return rle, append(dst, byte(last))
	}
	if n < 64 {
		*c = *usual
		return raw, dst // for tables this is: the usual one
	}
	log := min(most, max(5, uint8(bits.Len32(uint32(n))-2)))
	for 1<<log < 2*(last+1) && log < most {
		log++
	}
	c.normalize(counts[:last+1], uint32(n), log)
	c.build()
	return compressed, c.appendTable(dst)
}

// appendTable appends what norm says, as decoders read it.
func (c *coder) appendTable(dst []byte) []byte {
	size := int32(1) << c.log
	out, n := uint32(c.log-5), uint(4)
	flush := func() {
		for n >= 8 {
			dst = append(dst, byte(out))
			out >>= 8
			n -= 8
		}
	}
	remaining, threshold, width := size+1, size, uint(c.log)+1
	zero := false
	for i := 0; remaining > 1; {
		if zero {
			from := i
			for c.norm[i] == 0 {
				i++
			}
			run := i - from
			for ; run >= 3; run -= 3 {
				out |= 3 << n
				n += 2
				flush()
			}
			out |= uint32(run) << n
			n += 2
			flush()
		}
		count := int32(c.norm[i])
		i++
		most := 2*threshold - 1 - remaining
		remaining -= max(count, -count)
		zero = count == 0
		if count++; count >= threshold {
			count += most
		}
		out |= uint32(count) << n
		n += width
		if count < most {
			n--
		}
		flush()
		for remaining < threshold {
			width--
			threshold >>= 1
		}
	}
	if n > 0 {
		dst = append(dst, byte(out))
	}
	return dst
}

// A bitWriter appends bits, the lowest first.
type bitWriter struct {
	out  []byte // as long as there is room
	at   int
	bits uint64
	n    uint32
}

// add appends the n low bits of v, which has no others.
func (w *bitWriter) add(v uint64, n uint8) {
	w.bits |= v << (w.n & 63)
	w.n += uint32(n)
}

// flush leaves at most 7 bits waiting. The room must be there.
func (w *bitWriter) flush() {
	binary.LittleEndian.PutUint64(w.out[w.at:], w.bits)
	whole := w.n >> 3
	w.at += int(whole)
	w.bits >>= whole * 8 & 63
	w.n &= 7
}

// close marks the end for a decoder that reads from there.
func (w *bitWriter) close() []byte {
	w.add(1, 1)
	w.flush()
	if w.n > 0 {
		w.out[w.at] = byte(w.bits)
		w.at++
	}
	return w.out[:w.at]
}

// The usual tables (RFC 8878, 3.1.1.3.2.2).
var (
	usualLL = usualCoder(6, 4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1)
	usualML = usualCoder(6, 1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1)
	usualOF = usualCoder(5, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1)
)

func usualCoder(log uint8, norm ...int16) (c coder) {
	c.log, c.symbols = log, len(norm)
	copy(c.norm[:], norm)
	c.build()
	return c
}
