package collect

import (
	"time"

	"golang.org/x/net/bpf"
)

// DNSConfig configures the recording of DNS packets. Only Clock has no default.
type DNSConfig struct {
	Source    uint32        // number that the records carry
	Clock     Clock         // stamps the records
	Snaplen   int           // bytes kept of a packet, from the network header on; 0 is 4096
	Buffer    int           // bytes of socket buffer to request; 0 is 8 MiB; the kernel grants twice as much
	Interval  time.Duration // between two gap records at least; 0 is 3 s
	Allowance *Allowance    // of the tape; nil has no bound
}

func (c *DNSConfig) setDefaults() {
	if c.Snaplen <= 0 {
		c.Snaplen = 4096
	}
	if c.Buffer <= 0 {
		c.Buffer = 8 << 20
	}
	if c.Interval <= 0 {
		c.Interval = 3 * time.Second
	}
}

const (
	dnsPort = 53
	// maxFragment is the largest offset, in bytes, of a later fragment that is
	// kept. Later fragments have no ports, so the filter passes those of all UDP
	// datagrams: they may belong to a DNS answer. No common server sends answers
	// of more than 4096 bytes by UDP.
	maxFragment = 4096
	// extensionHeaders is how many extension headers of an IPv6 packet the
	// filter skips.
	extensionHeaders = 4
)

// EtherTypes and IP protocol numbers (IANA).
const (
	etherIPv4 = 0x0800
	etherVLAN = 0x8100
	etherIPv6 = 0x86dd
	etherQinQ = 0x88a8

	protoHopByHop    = 0
	protoTCP         = 6
	protoUDP         = 17
	protoRouting     = 43
	protoFragment    = 44
	protoDestination = 60
)

type code = []bpf.Instruction

// dnsFilter passes UDP and TCP packets from or to port 53, and later fragments
// of UDP. A packet begins at its network header. The kernel has removed the
// outer VLAN tag. If the protocol is VLAN, an inner tag (4 bytes: tag,
// EtherType) can follow. On the way out of a device that does not tag packets
// itself, the protocol is VLAN too, but there is no tag: so the filter also
// checks the IP version.
func dnsFilter() code {
	inner := join(untag(etherIPv4, 4), untag(etherIPv6, 6))
	return join(
		code{
			bpf.LoadConstant{Dst: bpf.RegX, Val: 0},
			bpf.LoadExtension{Num: bpf.ExtProto},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherVLAN, SkipTrue: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherQinQ, SkipTrue: uint8(len(inner))},
		},
		inner,
		ip())
}

// untag moves X past a tag if IP of that version follows it.
func untag(etherType, version uint32) code {
	return code{
		bpf.LoadAbsolute{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherType, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 4, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: version, SkipTrue: 1},
		bpf.LoadConstant{Dst: bpf.RegX, Val: 4},
	}
}

// Blocks of the filter. Each block ends the program; when does so only if its
// condition is true. A read beyond the packet also ends the program: the packet
// does not pass.
var (
	pass = code{bpf.RetConstant{Val: 1 << 18}} // the whole packet: recvmmsg cuts it and returns its length
	drop = code{bpf.RetConstant{Val: 0}}
)

func join(blocks ...code) (c code) {
	for _, b := range blocks {
		c = append(c, b...)
	}
	return c
}

// when runs a block if A is v.
func when(v uint32, block code) code {
	return join(code{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(block))},
	}, block)
}

// ip filters a packet with its IP header at X.
func ip() code {
	return join(
		code{bpf.LoadIndirect{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4}},
		when(4, ipv4()), when(6, ipv6()), drop)
}

// ports filters a TCP or UDP packet with its transport header at X.
func ports() code {
	return join(
		code{bpf.LoadIndirect{Off: 0, Size: 2}}, when(dnsPort, pass),
		code{bpf.LoadIndirect{Off: 2, Size: 2}}, when(dnsPort, pass),
		drop)
}

// later filters a later fragment whose offset is in A; load loads its protocol.
func later(offset uint32, load bpf.Instruction) code {
	return join(
		code{bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: offset, SkipTrue: 1}}, drop,
		code{load}, when(protoUDP, pass),
		drop)
}

// ipv4 filters a packet with its IPv4 header at X (RFC 791).
func ipv4() code {
	protocol := bpf.LoadIndirect{Off: 9, Size: 1}
	fragment := later(maxFragment/8, protocol)
	return join(
		code{
			bpf.LoadIndirect{Off: 6, Size: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x1fff}, // fragment offset, 8 bytes
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: uint8(len(fragment))},
		},
		fragment,
		code{
			protocol,
			bpf.StoreScratch{Src: bpf.RegA, N: 0},
			bpf.LoadIndirect{Off: 0, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf}, // length, 4 bytes
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
			bpf.TAX{},
			bpf.LoadScratch{Dst: bpf.RegA, N: 0},
		},
		header(0))
}

// ipv6 filters a packet with its IPv6 header at X (RFC 8200).
func ipv6() code {
	return join(
		code{
			bpf.LoadIndirect{Off: 6, Size: 1},
			bpf.StoreScratch{Src: bpf.RegA, N: 0},
			bpf.LoadConstant{Dst: bpf.RegA, Val: 40},
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
			bpf.TAX{},
			bpf.LoadScratch{Dst: bpf.RegA, N: 0},
		},
		header(extensionHeaders))
}

// header filters a header at X whose type is in A. It skips up to n extension
// headers.
func header(n int) code {
	transport := join(when(protoUDP, ports()), when(protoTCP, ports()))
	if n == 0 {
		return join(transport, drop)
	}
	next := bpf.LoadIndirect{Off: 0, Size: 1}
	options := code{ // leaves the header's length in A
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoHopByHop, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoRouting, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoDestination, SkipTrue: 1},
		drop[0],
		next,
		bpf.StoreScratch{Src: bpf.RegA, N: 0},
		bpf.LoadIndirect{Off: 1, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3},
	}
	laterFragment := later(maxFragment, next)
	fragment := join(
		code{
			bpf.LoadIndirect{Off: 2, Size: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfff8}, // fragment offset, bytes
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: uint8(len(laterFragment))},
		},
		laterFragment,
		code{
			next,
			bpf.StoreScratch{Src: bpf.RegA, N: 0},
			bpf.LoadConstant{Dst: bpf.RegA, Val: 8},
			bpf.Jump{Skip: uint32(len(options))},
		})
	return join(transport, when(protoFragment, fragment), options,
		code{bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{}, bpf.LoadScratch{Dst: bpf.RegA, N: 0}},
		header(n-1))
}
