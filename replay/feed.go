package replay

import (
	"cmp"
)

// A feed returns the items of tapes in order. lookAhead shows the items to come
// before next returns them. Their payloads are copied into one buffer, so that an
// item that was read ahead costs no allocation.
type feed struct {
	tapes *Tapes
	item  Item // the last one that was not read ahead
	queue []queued
	head  int // index of the next item in queue
	bytes []byte
	limit int   // of the length of bytes; 0 is maxAhead
	err   error // from reading ahead; next returns it after the queue
}

type queued struct {
	item       Item
	start, end int // its payload in feed.bytes
}

// maxAhead bounds the payload bytes that are read ahead.
const maxAhead = 64 << 20

// next returns the next item. It is valid until the next call of next or lookAhead.
func (f *feed) next() (*Item, error) {
	if f.head < len(f.queue) {
		q := &f.queue[f.head]
		q.item.Payload = f.bytes[q.start:q.end:q.end]
		f.head++
		return &q.item, nil
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
	for f.err == nil {
		if len(f.bytes) >= cmp.Or(f.limit, maxAhead) {
			return false
		}
		f.queue = append(f.queue, queued{})
		q := &f.queue[len(f.queue)-1]
		if f.err = f.tapes.Next(&q.item); f.err != nil {
			f.queue = f.queue[:len(f.queue)-1]
			break
		}
		q.start = len(f.bytes)
		f.bytes = append(f.bytes, q.item.Payload...)
		q.end = len(f.bytes)
		if !look(&q.item) {
			break
		}
	}
	return true
}
