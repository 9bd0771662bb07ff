// Package pack compresses into the zstd format (RFC 8878), made for what stands
// on a tape: records that are much like others a little before them. Of those it
// makes less, and sooner, than a compressor for everything; its tables are small,
// so that what else runs keeps its place in the processor's cache. Other bytes it
// compresses some percent less well. Any zstd decoder reads its frames.
package pack

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/huff0"
)

const (
	magic     = 0xfd2fb528
	blockSize = 128 << 10 // of a block, at most
)

// A Packer compresses. It keeps its memory from call to call, and nothing else;
// only one goroutine may use it.
type Packer struct {
	table      [1 << hashBits]uint32
	base       uint32 // what is less in table is of an earlier call
	sequences  sequences
	huffman    huff0.Scratch
	ll, ml, of coder
}

// Append compresses src, at most 8 MiB, to one frame behind dst. What room dst has
// behind its bytes is written to; src must not stand there. The frame ends with a
// checksum of src: should it ever not say what was packed, its reader is told.
func (p *Packer) Append(dst, src []byte) []byte {
	dst = appendHeader(dst, len(src))
	m := p.matcher(src)
	p.sequences.rep = [3]int{1, 4, 8}
	p.huffman.Reuse = huff0.ReusePolicyNone
	for at := 0; ; {
		end := min(at+blockSize, len(src))
		dst = p.block(dst, &m, at, end)
		if at = end; at == len(src) {
			return binary.LittleEndian.AppendUint32(dst, uint32(xxhash.Sum64(src)))
		}
	}
}

// appendHeader appends the frame's head: one segment, whose size is told, and a
// checksum at its end.
func appendHeader(dst []byte, size int) []byte {
	const flags = 1<<5 | 1<<2
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	switch {
	case size < 256:
		return append(dst, flags, byte(size))
	case size < 256+1<<16:
		return binary.LittleEndian.AppendUint16(append(dst, flags|1<<6), uint16(size-256))
	}
	return binary.LittleEndian.AppendUint32(append(dst, flags|2<<6), uint32(size))
}

// The types of a block, and of a block's literals.
const (
	raw = iota
	rle
	compressed
	treeless // literals only: compressed with the tree of those before
)

// block appends the block of src[from:to].
func (p *Packer) block(dst []byte, m *matcher, from, to int) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0)
	before := p.sequences.rep
	m.find(&p.sequences, from, to)
	dst = p.appendSequences(p.appendLiterals(dst))
	kind, size := compressed, len(dst)-start-3
	if size >= to-from {
		p.sequences.rep = before
		p.huffman.Reuse = huff0.ReusePolicyNone
		kind, size = raw, to-from
		dst = append(dst[:start+3], m.src[from:to]...)
	}
	h := uint32(size)<<3 | uint32(kind)<<1
	if to == len(m.src) {
		h |= 1
	}
	dst[start], dst[start+1], dst[start+2] = byte(h), byte(h>>8), byte(h>>16)
	return dst
}
