package replay

import (
	"bytes"
	"cmp"
	"slices"
)

// A feed returns the items of tapes in order. lookAhead shows the items to come
// before next returns them. Their payloads are copied into blocks that are used again,
// so that an item that was read ahead costs no allocation.
type feed struct {
	tapes  *Tapes
	item   Item // the last one that was not read ahead
	queue  []Item
	head   int      // index of the next item in queue
	blocks [][]byte // empty slices, used again
	unused int      // index of the first block that has no payload
	block  []byte   // the last block that has, as far as it has
	limit  int      // of the bytes that are read ahead; 0 is maxAhead
	err    error    // from reading ahead; next returns it after the queue
}

const (
	maxAhead  = 32 << 20 // bytes that are read ahead: payloads, and itemSize for each item
	itemSize  = 256
	blockSize = 256 << 10
)

// next returns the next item. It is valid until the next call of next or lookAhead.
func (f *feed) next() (*Item, error) {
	if f.head < len(f.queue) {
		f.head++
		return &f.queue[f.head-1], nil
	}
	if f.err != nil {
		return nil, f.err
	}
	return &f.item, f.tapes.Next(&f.item)
}

// lookAhead calls look with the items to come until look returns false or the tapes
// end. It returns false if it stopped at the limit. It must not be called before
// next has returned all items of the last call.
func (f *feed) lookAhead(look func(*Item) (more bool)) bool {
	f.queue, f.head, f.unused, f.block = f.queue[:0], 0, 0, nil
	var it Item
	for kept := 0; f.err == nil; kept += len(it.Payload) + itemSize {
		if kept >= cmp.Or(f.limit, maxAhead) {
			return false
		}
		if f.err = f.tapes.Next(&it); f.err != nil {
			break
		}
		it.Payload = f.keep(it.Payload)
		if len(f.queue) == cap(f.queue) {
			f.queue = slices.Grow(f.queue, len(f.queue)+1) // append would copy the items more often
		}
		f.queue = append(f.queue, it)
		if !look(&it) {
			break
		}
	}
	return true
}

// keep copies a payload into the current block, or into the next one if that is full. A
// payload that is longer than a block is copied alone.
func (f *feed) keep(payload []byte) []byte {
	if len(payload) > blockSize {
		return bytes.Clone(payload)
	}
	if len(f.block)+len(payload) > cap(f.block) {
		if f.unused == len(f.blocks) {
			f.blocks = append(f.blocks, make([]byte, 0, blockSize))
		}
		f.block = f.blocks[f.unused]
		f.unused++
	}
	start := len(f.block)
	f.block = append(f.block, payload...)
	return slices.Clip(f.block[start:])
}
