package reporter

import (
	"math/bits"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A tupleIndex finds the first row of a tuple: a table, at most half full, that
// is searched from the tuple's hash on. Most of what is looked up is not there,
// so a byte of the hash stands apart, where many fit into a cache.
type tupleIndex struct {
	tags []uint8 // 0 in an empty slot
	rows []int32
}

// init empties the index and makes room for n tuples.
func (x *tupleIndex) init(n int) {
	slots := 1 << bits.Len(uint(2*n))
	x.tags, x.rows = make([]uint8, slots), make([]int32, slots)
}

// slot is where the tuple of that hash is, or is to be put with the tag. The index
// must have room.
func (x *tupleIndex) slot(rows []socketRow, t *ctmsg.Tuple, h uint64) (at uint64, tag uint8) {
	mask := uint64(len(x.tags) - 1)
	at, tag = h&mask, uint8(h>>56)|1
	for x.tags[at] != 0 && (x.tags[at] != tag || rows[x.rows[at]].Tuple != *t) {
		at = (at + 1) & mask
	}
	return at, tag
}

// touch reads what tells whether the index has a hash.
func (x *tupleIndex) touch(h uint64) uint64 {
	if len(x.tags) == 0 {
		return 0
	}
	return uint64(x.tags[h&uint64(len(x.tags)-1)])
}

// likely is the row that a hash is likely to be of, -1 for none.
func (x *tupleIndex) likely(h uint64) int32 {
	if len(x.tags) == 0 {
		return -1
	}
	at := h & uint64(len(x.tags)-1)
	if x.tags[at] != uint8(h>>56)|1 {
		return -1
	}
	return x.rows[at]
}

// put makes a row the first of its tuple.
func (x *tupleIndex) put(rows []socketRow, row int32) {
	t := &rows[row].Tuple
	at, tag := x.slot(rows, t, either(t))
	x.tags[at], x.rows[at] = tag, row
}
