package reporter

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
)

// A sortKey is two words to sort by, and what they stand for.
type sortKey struct {
	hi, lo uint64
	at     uint32
}

const (
	radixBits = 11
	radixSize = 1 << radixBits
)

// radixSort sorts by hi and leaves equals in their order: a pass for every group
// of bits in which the keys differ. It returns the sorted list and the other one;
// spare must be as long as keys.
func radixSort(keys, spare []sortKey) (sorted, other []sortKey) {
	if len(keys) < 128 { // fewer than pay for counting
		slices.SortStableFunc(keys, func(a, b sortKey) int { return cmp.Compare(a.hi, b.hi) })
		return keys, spare
	}
	var left uint64 // bits in which the keys differ
	for i := range keys {
		left |= keys[i].hi ^ keys[0].hi
	}
	spare = spare[:len(keys)]
	var count [radixSize]uint32
	for left != 0 {
		shift := bits.TrailingZeros64(left)
		left &^= (radixSize - 1) << shift
		clear(count[:])
		for i := range keys {
			count[keys[i].hi>>shift&(radixSize-1)]++
		}
		sum := uint32(0)
		for i := range count {
			count[i], sum = sum, sum+count[i]
		}
		for i := range keys {
			d := keys[i].hi >> shift & (radixSize - 1)
			spare[count[d]] = keys[i]
			count[d]++
		}
		keys, spare = spare, keys
	}
	return keys, spare
}

// sortKeys sorts by both words and leaves equals in the order of at. Few have hi
// in common most often.
func sortKeys(keys, spare []sortKey) (sorted, other []sortKey) {
	keys, spare = radixSort(keys, spare)
	sortRuns(keys, func(a, b sortKey) int {
		if a.lo != b.lo {
			return cmp.Compare(a.lo, b.lo)
		}
		return cmp.Compare(a.at, b.at)
	})
	return keys, spare
}

// sortTexts sorts what stands for texts by them, and leaves equals in the order of
// at: by the sixteen bytes behind those that all have in common, then by the rest.
func sortTexts(keys, spare []sortKey, text func(at uint32) []byte) (sorted, other []sortKey) {
	if len(keys) == 0 {
		return keys, spare
	}
	first := text(keys[0].at)
	common := len(first)
	for i := range keys {
		t := text(keys[i].at)
		common = min(common, len(t))
		for n := range common {
			if t[n] != first[n] {
				common = n
				break
			}
		}
	}
	for i := range keys {
		var b [16]byte
		copy(b[:], text(keys[i].at)[common:])
		keys[i].hi, keys[i].lo = binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])
	}
	keys, spare = radixSort(keys, spare)
	sortRuns(keys, func(a, b sortKey) int {
		if a.lo != b.lo {
			return cmp.Compare(a.lo, b.lo)
		}
		if n := bytes.Compare(text(a.at), text(b.at)); n != 0 {
			return n
		}
		return cmp.Compare(a.at, b.at)
	})
	return keys, spare
}

// sortRuns sorts the keys of which several have hi in common.
func sortRuns(keys []sortKey, compare func(a, b sortKey) int) {
	for i := 0; i < len(keys); {
		first := i
		for i++; i < len(keys) && keys[i].hi == keys[first].hi; i++ {
		}
		if run := keys[first:i]; len(run) > 1 && !slices.IsSortedFunc(run, compare) {
			slices.SortFunc(run, compare)
		}
	}
}

// numeric orders IPv4 ends as netip does.
func numeric(a netip.AddrPort) uint64 { return hostPortOf(a).number() }

// fromNumber is the end of which numeric made a number.
func fromNumber(n uint64) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16)}), uint16(n))
}

// textual orders IPv4 ends as their ids are ordered, as text.
func textual(a netip.AddrPort) uint64 {
	b := a.Addr().As4()
	return uint64(dotted[b[0]])<<44 | uint64(dotted[b[1]])<<36 | uint64(dotted[b[2]])<<28 | uint64(closed[b[3]])<<20 | portText(a.Port())
}

// portText orders ports as text: the digits from the left, then how many.
func portText(port uint16) uint64 {
	p, digits := uint64(port), uint64(5)
	for _, unit := range [...]uint64{10000, 1000, 100, 10} {
		if uint64(port) >= unit {
			break
		}
		p *= 10
		digits--
	}
	return p<<3 | digits
}

// fromText is the end of which textual made a number.
func fromText(text uint64) netip.AddrPort {
	port := uint16(text >> 3 & (1<<17 - 1) / [8]uint64{1, 10000, 1000, 100, 10, 1, 1, 1}[text&7])
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{
		undotted[uint8(text>>44)], undotted[uint8(text>>36)], undotted[uint8(text>>28)], unclosed[uint8(text>>20)],
	}), port)
}

// The ranks of a byte's decimal text when it is followed by a dot, which is
// less than any digit, and by a semicolon, which is greater.
var (
	dotted = ranks(".")
	closed = ranks(";")

	undotted, unclosed = inverse(dotted), inverse(closed)
)

func inverse(rank [256]uint8) (of [256]uint8) {
	for i, at := range rank {
		of[at] = uint8(i)
	}
	return of
}

func ranks(after string) (rank [256]uint8) {
	var order [256]int
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order[:], func(a, b int) int {
		x, y := strconv.Itoa(a)+after, strconv.Itoa(b)+after
		if x < y {
			return -1
		}
		return 1
	})
	for at, i := range order {
		rank[i] = uint8(at)
	}
	return rank
}
