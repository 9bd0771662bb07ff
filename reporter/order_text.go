package reporter

import (
	"math/bits"
	"net/netip"
	"slices"
	"strconv"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// numeric orders IPv4 ends as netip does.
func numeric(p hostPort) uint64 { return p.ip.Lo&0xffffffff<<16 | uint64(p.port) }

// fromNumber is the end of which numeric made a number.
func fromNumber(n uint64) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16)}), uint16(n))
}

// textual orders IPv4 ends as their ids are ordered, as text.
func textual(p hostPort) uint64 {
	a := uint32(p.ip.Lo)
	return uint64(dotted[a>>24])<<44 | uint64(dotted[a>>16&255])<<36 | uint64(dotted[a>>8&255])<<28 | uint64(closed[a&255])<<20 | portText(p.port)
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

// textual6 orders IPv6 addresses as their texts with a semicolon behind them: what
// stands in front of each colon and of the semicolon is a number of 18 bits. Room is
// left for that of a port.
func textual6(k *sortKey, ip ctmsg.IP) {
	zero := 0 // which groups are
	for i := range 8 {
		if groupOf(ip, i) == 0 {
			zero |= 1 << i
		}
	}
	left := &leftOut[zero]
	var t [8]uint64
	n := 0
	for i := range left.from {
		t[n] = hexText(groupOf(ip, i)) << 1
		n++
	}
	for range left.nothings {
		t[n] = nothing << 1
		n++
	}
	for i := left.to; i < 8; i++ {
		t[n] = hexText(groupOf(ip, i)) << 1
		n++
	}
	t[n-1] |= 1 // the semicolon
	k[0] = t[0]<<startShift | t[1]<<28 | t[2]<<10 | t[3]>>8
	k[1] = t[3]<<56 | t[4]<<38 | t[5]<<20 | t[6]<<2 | t[7]>>16
	k[2] = t[7] >> 1 << 49
}

// portText6 is what is left to be added for a port.
func portText6(port uint16) uint64 {
	p := portText(port)
	digits, p := p&7, p>>3
	return (p + p/10 + p/100 + p/1000 + p/10000 + digits - 1) << 32
}

// startShift is where in a number textual6's text in front of the first colon begins.
const startShift = 46

// nothing is the number of no digits in front of a colon or semicolon, which are
// greater than digits and less than letters.
const nothing = 10 * 0x1111

// groupOf is one of the eight groups of an IPv6 address.
func groupOf(ip ctmsg.IP, i int) uint64 {
	half := ip.Hi
	if i > 3 {
		half = ip.Lo
	}
	return half >> (48 - 16*(i&3)) & 0xffff
}

// hexText orders hexadecimal numbers as their texts are ordered, with a colon or a
// semicolon behind them: it counts the texts of up to four digits that go before.
func hexText(group uint64) uint64 {
	length := max((bits.Len64(group)+3)/4, 1)
	g := group << (4 * (4 - length))
	letters := g >> 3 & (g>>2 | g>>1) & 0x1111 // go behind the end of what is in front of them
	return hexStart(g) + uint64(bits.OnesCount64(letters)) + inFront[length]
}

// inFront is how many texts go on with a digit in front of the end of one, by its
// length.
var inFront = [...]uint64{1: 10 * 0x111, 10 * 0x11, 10, 0}

// hexStart counts the texts that go before the first that begins with four digits,
// of which those behind the last one are zero.
func hexStart(g uint64) uint64 { return g + g>>4 + g>>8 + g>>12 }

// leftOut says, by which groups of an IPv6 address are zero, which of them its text
// leaves out, and how often it then has nothing in front of a colon or semicolon.
var leftOut = func() (runs [256]struct{ from, to, nothings int }) {
	for zero := range runs {
		r := &runs[zero]
		for from := range 8 {
			to := from
			for to < 8 && zero>>to&1 != 0 {
				to++
			}
			if to-from > max(r.to-r.from, 1) {
				r.from, r.to, r.nothings = from, to, 1
			}
		}
		if r.to > 0 && r.from == 0 {
			r.nothings++
		}
		if r.to == 8 {
			r.nothings++
		}
	}
	return runs
}()

// behindStart is the least number of an IPv4 end that goes behind the ends of IPv6
// with a start.
func behindStart(start uint64) uint64 {
	at, _ := slices.BinarySearch(dottedStarts[:], start>>1+1)
	return uint64(at) << 44
}

// dottedStarts are those that go before the decimal texts with a dot behind them,
// which is less than any digit.
var dottedStarts = func() (starts [256]uint64) {
	for at, i := range undotted {
		text := strconv.Itoa(int(i)) + "0000"
		g, _ := strconv.ParseUint(text[:4], 16, 64)
		starts[at] = hexStart(g)
	}
	return starts
}()

// loopbackText orders ends of loopback as textual and textual6 do.
func loopbackText(p hostPort) uint64 {
	if p.ip.Is4() {
		return textual(p)
	}
	return 1<<63 | portText(p.port)
}
