package packed

import (
	"bytes"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Bytes are bytes that a Packer has packed. The zero Bytes are empty.
type Bytes struct {
	stored []byte
	plain  int // their length
}

// Len returns the length of the bytes.
func (b Bytes) Len() int { return b.plain }

// Size returns how many bytes of memory they take.
func (b Bytes) Size() int { return len(b.stored) }

// Equal reports whether two Bytes are equal.
func (b Bytes) Equal(c Bytes) bool { return b.plain == c.plain && bytes.Equal(b.stored, c.stored) }

// A Packer packs and unpacks bytes. The zero Packer is ready to use.
type Packer struct {
	encoder *zstd.Encoder // nil until the first use
	decoder *zstd.Decoder
	scratch []byte
}

// least is the length from which on bytes are compressed.
const least = 8 << 10

// Pack returns a packed copy of b.
func (p *Packer) Pack(b []byte) Bytes {
	if len(b) >= least && p.ready() {
		p.scratch = p.encoder.EncodeAll(b, p.scratch[:0])
		if len(p.scratch) < len(b) {
			return Bytes{bytes.Clone(p.scratch), len(b)}
		}
	}
	return Bytes{bytes.Clone(b), len(b)}
}

// Append appends the bytes to a slice.
func (p *Packer) Append(to []byte, b Bytes) []byte {
	if len(b.stored) == b.plain {
		return append(to, b.stored...)
	}
	out, err := p.decoder.DecodeAll(b.stored, slices.Grow(to, b.plain)) // it would grow a slice only by what it needs
	if err != nil {
		panic("packed: bytes of another Packer, or changed: " + err.Error())
	}
	return out
}

// ready makes the encoder and the decoder. The options are valid, so it does not fail.
func (p *Packer) ready() bool {
	if p.encoder == nil {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(256<<10), zstd.WithEncoderCRC(false))
		if err != nil {
			return false
		}
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return false
		}
		p.encoder, p.decoder = encoder, decoder
	}
	return true
}
