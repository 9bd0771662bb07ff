package capture

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// A Chunk is a chunk that a Reader has not reached yet.
type Chunk struct {
	offset int64 // of its frame, from the input's first byte
	size   int   // stored and plain bytes together
	stored []byte
	plain  []byte
	split  split
	ok     bool
	zstd   *zstd.Decoder
}

// split is the first records of a chunk, already read.
type split struct {
	records []Record // those that the Reader has not returned yet
	count   int      // of all of them, also the returned ones
	size    int      // bytes of the chunk that they take
}

// Decode decompresses the chunk and reads its records. Several chunks may be
// decoded at the same time.
func (c *Chunk) Decode() {
	c.split = split{records: c.split.records[:0]}
	plain, err := c.zstd.DecodeAll(c.stored, c.plain[:0])
	if c.ok = err == nil && len(plain) == len(c.plain); c.ok {
		c.split.read(plain)
	}
}

// read reads records until an error, or until maxSplit; the Reader goes on from
// there.
func (s *split) read(chunk []byte) {
	var r Record
	for s.count < maxSplit && s.size < len(chunk) {
		n, err := readRecord(chunk[s.size:], &r)
		if err != nil {
			return
		}
		s.records = append(s.records, r)
		s.count, s.size = s.count+1, s.size+n
	}
}

// rest returns the chunk after the records that the Reader has returned.
func (s *split) rest(chunk []byte) []byte {
	var r Record
	for range s.count - len(s.records) {
		n, _ := readRecord(chunk, &r)
		chunk = chunk[n:]
	}
	return chunk
}

// Decoders decode chunks on other cores. The goroutine that calls the Reader
// calls their methods.
type Decoders interface {
	// Start starts to decode the chunk and does not wait. At most MaxAhead chunks
	// are started and not waited for.
	Start(*Chunk)
	// Wait returns when the chunk is decoded.
	Wait(*Chunk)
}

const (
	// MaxAhead is how many chunks are decoded ahead at most.
	MaxAhead = 8

	maxAheadBytes = 8 << 20 // of these chunks, stored and plain together
	maxAheadChunk = 2 << 20 // of one chunk; larger ones are rare and are not decoded ahead
	maxSplit      = 8192    // records of a chunk
)

// Ahead makes d decode the next chunks while the caller reads the records of the
// current one; Next returns the same. It is for files: it reads bytes before they
// are needed, which on a pipe would delay records that are already there. The
// Reader waits for every chunk that it starts, if it is read to its end.
func (r *Reader) Ahead(d Decoders) error {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(MaxAhead), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecoderMaxWindow(maxPayload))
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	r.ahead = &lookahead{decoders: d, zstd: dec}
	return nil
}

// lookahead is the chunks that are decoded ahead. It finds them by the lengths in
// the frames' headers alone, so they are a guess: the Reader still reads frame by
// frame and makes every check, and decodes a chunk again that could not be
// decoded here.
type lookahead struct {
	decoders Decoders
	zstd     *zstd.Decoder
	queue    []*Chunk // by offset
	bytes    int      // of the queue
	next     int64    // offset of the frame after the last one in the queue
	current  *Chunk   // the chunk whose records are being read
	free     []*Chunk
}

// look starts the chunks that follow in the window. It moves the window's bytes.
func (a *lookahead) look(in *input) {
	a.next = max(a.next, in.base)
	for len(a.queue) < MaxAhead {
		at := int(a.next - in.base)
		if !in.fill(at + frameHeaderLen) {
			return
		}
		var h frameHeader
		if h.parse(in.rest()[at:at+frameHeaderLen]) != nil {
			return
		}
		size, cost := frameHeaderLen+int(h.stored), int(h.stored)+int(h.plain)
		small := h.kind == frameChunk && h.coding == codingZstd && cost <= maxAheadChunk
		if at > 0 && at+size > maxAheadBytes || small && a.bytes+cost > maxAheadBytes || !in.fill(at+size) {
			return
		}
		if small {
			a.start(a.next, &h, in.rest()[at+frameHeaderLen:at+size])
		}
		a.next += int64(size)
	}
}

func (a *lookahead) start(offset int64, h *frameHeader, stored []byte) {
	const slack = 64 // the decoder is faster with some room after the last byte
	c := new(Chunk)
	if n := len(a.free); n > 0 {
		c, a.free = a.free[n-1], a.free[:n-1]
	}
	c.offset, c.size, c.zstd = offset, int(h.stored)+int(h.plain), a.zstd
	c.stored = append(c.stored[:0], stored...)
	if cap(c.plain) < int(h.plain)+slack {
		c.plain = make([]byte, h.plain, int(h.plain)+slack)
	}
	c.plain = c.plain[:h.plain]
	a.queue, a.bytes = append(a.queue, c), a.bytes+c.size
	a.decoders.Start(c)
}

// take returns the payload and the records of the chunk whose frame is at the
// offset, nil if it was not decoded. They are valid until the next call.
func (a *lookahead) take(offset int64) ([]byte, split) {
	if a.current != nil {
		a.free, a.current = append(a.free, a.current), nil
	}
	for len(a.queue) > 0 && a.queue[0].offset <= offset {
		c := a.queue[0]
		a.queue = append(a.queue[:0], a.queue[1:]...)
		a.bytes -= c.size
		a.decoders.Wait(c)
		if c.offset == offset && c.ok {
			a.current = c
			return c.plain, c.split
		}
		a.free = append(a.free, c)
	}
	return nil, split{}
}
