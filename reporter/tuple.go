package reporter

import (
	"math/bits"
	"net/netip"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// A tuple is one direction of a TCP connection, as rules scope2016 keep it: of
// what the original could not read an address is missing.
type tuple struct{ src, dst netip.AddrPort }

func (t tuple) reversed() tuple { return tuple{t.dst, t.src} }

func scopeTuple(t *ctmsg.Tuple) tuple { return tuple{t.Src(), t.Dst()} }

// tcpTuple is that of a socket.
func tcpTuple(src, dst netip.AddrPort) ctmsg.Tuple { return ctmsg.TupleOf(src, dst, dnsmsg.TCP) }

func loopback(t *ctmsg.Tuple) bool { return t.SrcIP.IsLoopback() || t.DstIP.IsLoopback() }

// tupleBits are bits of a tuple, not yet mixed well.
func tupleBits(t *ctmsg.Tuple) uint64 {
	h := mix(t.SrcIP.Hi^0xa0761d6478bd642f, t.SrcIP.Lo^0xe7037ed1a0b428db)
	h ^= mix(t.DstIP.Hi^0x8ebc6af09c88c6e3, t.DstIP.Lo^0x589965cc75374cc3)
	return h ^ (uint64(t.SrcPort)<<48 | uint64(t.DstPort)<<32)
}

// either is a hash of a tuple and of its reverse: who looks for both does so once.
func either(t *ctmsg.Tuple) uint64 {
	a, b := endBits(t.SrcIP, t.SrcPort), endBits(t.DstIP, t.DstPort)
	return mix(a+b, a^b^0x1d8e4e27c47d124f)
}

func endBits(a ctmsg.IP, port uint16) uint64 {
	return mix(a.Hi^0xa0761d6478bd642f, a.Lo^uint64(port)<<48^0xe7037ed1a0b428db)
}

// mix makes one number of two. If one is zero, so that the product tells nothing,
// the other is left: who sends packets chooses the addresses.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo ^ a ^ bits.RotateLeft64(b, 32)
}
