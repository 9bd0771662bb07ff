package pack

import (
	"encoding/binary"

	"github.com/klauspost/compress/huff0"
)

// appendLiterals appends the literals as a block has them.
func (p *Packer) appendLiterals(dst []byte) []byte {
	plain := p.sequences.literals
	n := len(plain)
	if n < 64 {
		return append(literalsHeader(dst, raw, n), plain...)
	}
	single := n < 1024
	compress := huff0.Compress4X
	if single {
		compress = huff0.Compress1X
	}
	out, reused, err := compress(plain, &p.huffman)
	switch {
	case err == huff0.ErrUseRLE:
		return append(literalsHeader(dst, rle, n), plain[0])
	case err != nil || len(out) >= n:
		p.huffman.Reuse = huff0.ReusePolicyNone
		return append(literalsHeader(dst, raw, n), plain...)
	}
	p.huffman.Reuse = huff0.ReusePolicyAllow
	kind := uint64(compressed)
	if reused {
		kind = treeless
	}
	// Both sizes have 10, 14 or 18 bits.
	h, size := kind|uint64(n)<<4|uint64(len(out))<<14, 3
	switch {
	case single:
	case n < 1<<14:
		h, size = kind|2<<2|uint64(n)<<4|uint64(len(out))<<18, 4
	default:
		h, size = kind|3<<2|uint64(n)<<4|uint64(len(out))<<22, 5
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], h)
	return append(append(dst, b[:size]...), out...)
}

// literalsHeader appends the head of n literals that are not compressed.
func literalsHeader(dst []byte, kind, n int) []byte {
	switch {
	case n < 32:
		return append(dst, byte(kind|n<<3))
	case n < 1<<12:
		return binary.LittleEndian.AppendUint16(dst, uint16(kind|1<<2|n<<4))
	}
	h := kind | 3<<2 | n<<4
	return append(dst, byte(h), byte(h>>8), byte(h>>16))
}
