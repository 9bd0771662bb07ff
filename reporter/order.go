package reporter

import (
	"cmp"
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

// radixSort sorts by hi, if that counts, then lo, and leaves equals in their
// order: a pass for every group of bits in which the keys differ. It returns the
// sorted list and the other one; spare must be as long as keys.
func radixSort(keys, spare []sortKey, both bool) (sorted, other []sortKey) {
	if len(keys) < 128 { // fewer than pay for counting
		slices.SortStableFunc(keys, func(a, b sortKey) int {
			if both && a.hi != b.hi {
				return cmp.Compare(a.hi, b.hi)
			}
			return cmp.Compare(a.lo, b.lo)
		})
		return keys, spare
	}
	var hi, lo uint64 // bits in which the keys differ
	for i := range keys {
		hi |= keys[i].hi ^ keys[0].hi
		lo |= keys[i].lo ^ keys[0].lo
	}
	if !both {
		hi = 0
	}
	spare = spare[:len(keys)]
	var count [radixSize]uint32
	for lo != 0 || hi != 0 {
		word, high := &lo, lo == 0
		if high {
			word = &hi
		}
		shift := bits.TrailingZeros64(*word)
		*word &^= (radixSize - 1) << shift
		clear(count[:])
		for i := range keys {
			count[keys[i].digit(high, shift)]++
		}
		sum := uint32(0)
		for i := range count {
			count[i], sum = sum, sum+count[i]
		}
		for i := range keys {
			d := keys[i].digit(high, shift)
			spare[count[d]] = keys[i]
			count[d]++
		}
		keys, spare = spare, keys
	}
	return keys, spare
}

func (k *sortKey) digit(high bool, at int) uint64 {
	if high {
		return k.hi >> at & (radixSize - 1)
	}
	return k.lo >> at & (radixSize - 1)
}

// numeric orders IPv4 ends as netip does.
func numeric(a netip.AddrPort) uint64 {
	b := a.Addr().As4()
	return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(a.Port())
}

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
