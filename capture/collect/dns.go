package collect

import "golang.org/x/net/bpf"

// DNSConfig says what is kept of the DNS packets. Only Clock has no default.
type DNSConfig struct {
	Source  uint32 // number that the records carry
	Clock   Clock  // stamps the records
	Snaplen int    // bytes kept of a packet, from the network header on; 0 is 4096
	Buffer  int    // bytes of socket buffer that are asked for; 0 is 8 MiB; the kernel grants the double
}

func (c *DNSConfig) setDefaults() {
	if c.Snaplen <= 0 {
		c.Snaplen = 4096
	}
	if c.Buffer <= 0 {
		c.Buffer = 8 << 20
	}
}

const (
	dnsPort = 53
	// maxFragment is up to which offset in its datagram a later fragment is
	// kept, in bytes. Fragments have no ports: those of all UDP datagrams are
	// kept, since a DNS answer may be among them; no common server sends answers
	// over 4096 bytes by UDP.
	maxFragment = 4096
	// extensionHeaders is how many headers of an IPv6 packet are looked behind.
	extensionHeaders = 4
)

// Numbers of the wire: EtherTypes and IP protocols (IANA).
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

// dnsFilter passes UDP and TCP packets of port 53, either side, and later
// fragments of UDP. It looks at a packet from its network header on. The kernel
// has taken the outer VLAN tag off; an inner one may still be there (4 bytes:
// tag, EtherType) where the protocol says VLAN. On the way out of a device
// without tagging of its own the protocol says so, too, but no tag is there:
// hence the look at the IP version.
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

// untag moves X behind a tag when there is one with IP of that version behind it.
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

// Blocks of the filter. Each ends the program, except when, which does so if
// its condition holds. A read beyond the packet ends it, too: the packet is
// not passed.
var (
	pass = code{bpf.RetConstant{Val: 1 << 18}} // whole: receiving cuts it, and tells the length
	drop = code{bpf.RetConstant{Val: 0}}
)

func join(blocks ...code) (c code) {
	for _, b := range blocks {
		c = append(c, b...)
	}
	return c
}

// when does a block if A is v.
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
	behind := later(maxFragment/8, protocol)
	return join(
		code{
			bpf.LoadIndirect{Off: 6, Size: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x1fff}, // fragment offset, 8 bytes
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: uint8(len(behind))},
		},
		behind,
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

// header filters what begins at X with a header of the type in A, behind which
// n more headers are looked.
func header(n int) code {
	transport := join(when(protoUDP, ports()), when(protoTCP, ports()))
	if n == 0 {
		return join(transport, drop)
	}
	next := bpf.LoadIndirect{Off: 0, Size: 1}
	options := code{ // A is the header's length in the end
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
	behind := later(maxFragment, next)
	fragment := join(
		code{
			bpf.LoadIndirect{Off: 2, Size: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfff8}, // fragment offset, bytes
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: uint8(len(behind))},
		},
		behind,
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
