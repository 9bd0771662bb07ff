package replay

import (
	"cmp"

	"github.com/topotape/topotape/capture"
)

// item is a record and its tape.
type item struct {
	rec    capture.Record
	from   int // the payload's place in the arena, while queued
	size   int
	place  position
	number int
	fresh  bool
	header *capture.Header
}

// feed reads records and can read ahead. Records that were read ahead are kept
// in one arena, so that a record costs a copy and nothing else.
type feed struct {
	tapes *Tapes
	queue []item
	head  int
	arena []byte
	limit int   // of the arena; 0 is maxAhead
	err   error // met while reading ahead; comes after the queue
}

// maxAhead bounds the arena.
const maxAhead = 64 << 20

// next reads the next record into it.
func (f *feed) next(it *item) error {
	if f.head < len(f.queue) {
		*it = f.queue[f.head]
		it.rec.Payload = f.arena[it.from : it.from+it.size : it.from+it.size]
		f.head++
		return nil
	}
	if f.err != nil {
		return f.err
	}
	return f.read(it)
}

func (f *feed) read(it *item) error {
	var err error
	if it.rec, err = f.tapes.Next(); err != nil {
		return err
	}
	it.place, it.number = f.tapes.Position(&it.rec), f.tapes.Number()
	it.header, it.fresh = f.tapes.Header(), !f.tapes.Continues()
	return nil
}

// ahead reads on, calling look with every record, until look returns false or
// the tapes end. It returns false when it gave up because too much would have
// to be kept. The queue must be empty.
func (f *feed) ahead(look func(*item) bool) bool {
	f.queue, f.head, f.arena = f.queue[:0], 0, f.arena[:0]
	for f.err == nil {
		if len(f.arena) >= cmp.Or(f.limit, maxAhead) {
			return false
		}
		f.queue = append(f.queue, item{})
		it := &f.queue[len(f.queue)-1]
		if f.err = f.read(it); f.err != nil {
			f.queue = f.queue[:len(f.queue)-1]
			break
		}
		it.from, it.size = len(f.arena), len(it.rec.Payload)
		f.arena = append(f.arena, it.rec.Payload...)
		if !look(it) {
			break
		}
	}
	return true
}
