package replay

import (
	"cmp"
	"slices"
)

// A feed returns the items of tapes in order. lookAhead shows the items to come
// before next returns them. Their payloads are copied into one buffer, so that an
// item that was read ahead costs no allocation.
type feed struct {
	tapes *Tapes
	item  Item // the last one that was not read ahead
	queue []Item
	head  int // index of the next item in queue
	bytes []byte
	limit int   // of the payload bytes that are read ahead; 0 is maxAhead
	err   error // from reading ahead; next returns it after the queue
}

// maxAhead bounds the payload bytes that are read ahead.
const maxAhead = 64 << 20

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
	f.queue, f.head, f.bytes = f.queue[:0], 0, f.bytes[:0]
	var it Item
	for kept := 0; f.err == nil; kept += len(it.Payload) {
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

// keep copies a payload into the buffer. A buffer that is full is replaced by a larger
// one, and earlier items keep the old one.
func (f *feed) keep(payload []byte) []byte {
	start := len(f.bytes)
	if start+len(payload) > cap(f.bytes) {
		f.bytes, start = make([]byte, 0, len(payload)+2*cap(f.bytes)), 0
	}
	f.bytes = append(f.bytes, payload...)
	return slices.Clip(f.bytes[start:])
}
