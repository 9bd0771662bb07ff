package reporter

import (
	"cmp"
	"math/bits"
	"slices"
)

// A sortKey is a number of 160 bits to sort by, and in the lowest 32 bits what it
// stands for.
type sortKey [3]uint64

func (k *sortKey) at() uint32 { return uint32(k[2]) }

// before orders keys by all their bits.
func (k *sortKey) before(other *sortKey) bool {
	for i := range k {
		if k[i] != other[i] {
			return k[i] < other[i]
		}
	}
	return false
}

// number is what there is to sort by.
func (k *sortKey) number() sortKey { return sortKey{k[0], k[1], k[2] &^ atBits} }

const atBits = 1<<32 - 1

// sortBy are the bits of a key that count.
type sortBy [3]uint64

var (
	byFirst = sortBy{^uint64(0)}
	byAll   = sortBy{^uint64(0), ^uint64(0), ^uint64(atBits)}
)

// compare orders keys, equal ones by what they stand for.
func (by *sortBy) compare(a, b *sortKey) int {
	for i, mask := range by {
		if x, y := a[i]&mask, b[i]&mask; x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(a.at(), b.at())
}

const (
	radixBits   = 11
	radixSize   = 1 << radixBits
	radixPasses = 4   // before it is looked what is left to do
	radixLeast  = 128 // keys that pay for counting
)

// sortKeys sorts keys that stand in the order of what they stand for, which equal
// ones keep: a pass for every group of bits in which the keys differ. It returns
// the sorted list and the other one; spare must be as long as keys.
func sortKeys(keys, spare []sortKey, by *sortBy) (sorted, other []sortKey) {
	if len(keys) < radixLeast {
		slices.SortFunc(keys, func(a, b sortKey) int { return by.compare(&a, &b) })
		return keys, spare
	}
	spare = spare[:len(keys)]
	left := differing(keys)
	var done sortBy
	var groups [radixPasses]bitGroup
	n := 0
	for word := range left {
		left[word] &= by[word]
		for ; left[word] != 0 && n < len(groups); n++ {
			g := bitGroup{word, max(bits.Len64(left[word])-radixBits, 0)}
			left[word] &^= (radixSize - 1) << g.shift
			done[word] |= (radixSize - 1) << g.shift
			groups[n] = g
		}
	}
	done[2] &= by[2]
	for n > 0 {
		n--
		groups[n].pass(keys, spare)
		keys, spare = spare, keys
	}
	if left != (sortKey{}) {
		sortRuns(keys, spare, by, &done)
	}
	return keys, spare
}

// differing are the bits in which keys differ.
func differing(keys []sortKey) (in sortKey) {
	first := keys[0]
	for i := range keys {
		k := &keys[i]
		in[0] |= k[0] ^ first[0]
		in[1] |= k[1] ^ first[1]
		in[2] |= k[2] ^ first[2]
	}
	return in
}

// sortRuns sorts keys that have the bits in common by which all are sorted.
func sortRuns(keys, spare []sortKey, by, done *sortBy) {
	for i := 1; i < len(keys); i++ {
		from := i - 1
		for ; i < len(keys) && keys[i].alike(&keys[i-1], done); i++ {
		}
		if i-from > 1 {
			run := keys[from:i]
			sorted, _ := sortKeys(run, spare[from:i], by)
			copy(run, sorted) // onto itself, if it was sorted where it stands
		}
	}
}

// alike reports whether the keys have those bits in common.
func (k *sortKey) alike(other *sortKey, in *sortBy) bool {
	return (k[0]^other[0])&in[0]|(k[1]^other[1])&in[1]|(k[2]^other[2])&in[2] == 0
}

// A bitGroup is where bits of a key stand that are sorted by in one pass.
type bitGroup struct{ word, shift int }

// pass sorts by the group's bits, into spare.
func (g bitGroup) pass(keys, spare []sortKey) {
	var count [radixSize]uint32
	word, shift := g.word, g.shift&63
	for i := range keys {
		count[keys[i][word]>>shift&(radixSize-1)]++
	}
	sum := uint32(0)
	for i := range count {
		count[i], sum = sum, sum+count[i]
	}
	for i := range keys {
		d := &count[keys[i][word]>>shift&(radixSize-1)]
		spare[*d] = keys[i]
		*d++
	}
}

// sortNumbers sorts place keys by their hashes; those of one hash keep their order,
// which is that of all the others' bits. It returns the sorted list and the other one.
func sortNumbers(keys, spare []uint64) (sorted, other []uint64) {
	if len(keys) < radixLeast {
		slices.Sort(keys)
		return keys, spare
	}
	var count [3][radixSize]uint32
	for _, k := range keys {
		for i := range count {
			count[i][k>>(atLength+i*radixBits)&(radixSize-1)]++
		}
	}
	for i := range count {
		sum, at := uint32(0), &count[i]
		for d := range at {
			at[d], sum = sum, sum+at[d]
		}
		for _, k := range keys {
			d := &at[k>>(atLength+i*radixBits)&(radixSize-1)]
			spare[*d] = k
			*d++
		}
		keys, spare = spare, keys
	}
	return keys, spare
}
