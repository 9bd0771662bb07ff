package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// AppendUint appends an integer in its shortest form.
func AppendUint(b []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

// AppendBin appends p as a binary.
func AppendBin(b, p []byte) []byte {
	switch n := len(p); {
	case n <= math.MaxUint8:
		b = append(b, 0xc4, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(n))
	}
	return append(b, p...)
}

// Uint reads a non-negative integer and returns its length in bytes, 0 if b
// does not begin with one.
func Uint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch c := b[0]; {
	case c < 0x80:
		return uint64(c), 1
	case c == 0xcc && len(b) >= 2:
		return uint64(b[1]), 2
	case c == 0xcd && len(b) >= 3:
		return uint64(binary.BigEndian.Uint16(b[1:])), 3
	case c == 0xce && len(b) >= 5:
		return uint64(binary.BigEndian.Uint32(b[1:])), 5
	case c == 0xcf && len(b) >= 9:
		return binary.BigEndian.Uint64(b[1:]), 9
	}
	return 0, 0
}

// Bin reads a binary and returns its length in bytes with its header, 0 if b
// does not begin with a whole one. p points into b.
func Bin(b []byte) (p []byte, n int) {
	if len(b) < 2 {
		return nil, 0
	}
	var head, size uint64
	switch b[0] {
	case 0xc4:
		head, size = 2, uint64(b[1])
	case 0xc5:
		if len(b) < 3 {
			return nil, 0
		}
		head, size = 3, uint64(binary.BigEndian.Uint16(b[1:]))
	case 0xc6:
		if len(b) < 5 {
			return nil, 0
		}
		head, size = 5, uint64(binary.BigEndian.Uint32(b[1:]))
	default:
		return nil, 0
	}
	end := head + size
	if end > uint64(len(b)) {
		return nil, 0
	}
	return b[head:end:end], int(end)
}

// ValueLen returns the length of the MessagePack value at the beginning of b. It
// does not recurse or allocate, for any input.
func ValueLen(b []byte) (int, error) {
	at, pending := uint64(0), uint64(1)
	for size := uint64(len(b)); pending > 0; pending-- {
		if at >= size {
			return 0, errShort
		}
		c := b[at]
		at++
		var skip, nested uint64
		switch {
		case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
		case c < 0x90:
			nested = 2 * uint64(c&0x0f)
		case c < 0xa0:
			nested = uint64(c & 0x0f)
		case c < 0xc0:
			skip = uint64(c & 0x1f)
		default:
			width, of := shape(c)
			if of == nothing {
				return 0, fmt.Errorf("no value begins with byte 0x%02x", c)
			}
			if of == scalar {
				skip = width
				break
			}
			if at+width > size {
				return 0, errShort
			}
			var n uint64
			for _, d := range b[at : at+width] {
				n = n<<8 | uint64(d)
			}
			at += width
			switch of {
			case span:
				skip = n
			case extension:
				skip = n + 1
			case array:
				nested = n
			case mapping:
				nested = 2 * n
			}
		}
		if skip > size-at || nested > size-at {
			return 0, errShort
		}
		at += skip
		pending += nested
		if pending-1 > size-at { // every pending value takes a byte at least
			return 0, errShort
		}
	}
	return int(at), nil
}

// valueShape is what follows the first byte of a value.
type valueShape uint8

const (
	nothing   valueShape = iota // no value begins with the byte
	scalar                      // width bytes follow
	span                        // a length of width bytes, then that many
	extension                   // as span, and a type byte
	array                       // a count of width bytes, then that many values
	mapping                     // as array, with two values each
)

// shape returns what follows a first byte from 0xc1 to 0xdf.
func shape(c byte) (width uint64, of valueShape) {
	switch c {
	case 0xc4, 0xc5, 0xc6:
		return 1 << (c - 0xc4), span
	case 0xc7, 0xc8, 0xc9:
		return 1 << (c - 0xc7), extension
	case 0xca:
		return 4, scalar
	case 0xcb:
		return 8, scalar
	case 0xcc, 0xcd, 0xce, 0xcf:
		return 1 << (c - 0xcc), scalar
	case 0xd0, 0xd1, 0xd2, 0xd3:
		return 1 << (c - 0xd0), scalar
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return 1<<(c-0xd4) + 1, scalar
	case 0xd9, 0xda, 0xdb:
		return 1 << (c - 0xd9), span
	case 0xdc, 0xdd:
		return 2 << (c - 0xdc), array
	case 0xde, 0xdf:
		return 2 << (c - 0xde), mapping
	}
	return 0, nothing
}

// errShort is the error of a payload that ends inside a value.
var errShort = errors.New("ends inside a value")
