package collect

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
)

// Packets for the filter: headers are correct in the fields that it reads.

func transport(src, dst uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	return append(binary.BigEndian.AppendUint16(b, dst), make([]byte, 16)...)
}

// packet4 has options of so many 4-byte words; offset is in bytes.
func packet4(proto byte, options, offset int, more bool, payload []byte) []byte {
	b := make([]byte, 20+4*options)
	b[0], b[9] = byte(0x45+options), proto
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
	v := uint16(offset / 8)
	if more {
		v |= 0x2000
	}
	binary.BigEndian.PutUint16(b[6:], v)
	return append(b, payload...)
}

// packet6 has the headers between the IPv6 header and the payload.
func packet6(first byte, rest ...[]byte) []byte {
	b := make([]byte, 40)
	b[0], b[6] = 0x60, first
	for _, r := range rest {
		b = append(b, r...)
	}
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

func options(next byte, units int) []byte {
	b := make([]byte, 8*(units+1))
	b[0], b[1] = next, byte(units)
	return b
}

func fragment(next byte, offset int, more bool) []byte {
	b := make([]byte, 8)
	b[0] = next
	if more {
		b[3] = 1
	}
	binary.BigEndian.PutUint16(b[2:], binary.BigEndian.Uint16(b[2:])|uint16(offset))
	return b
}

var (
	fromDNS, toDNS, web = transport(53, 40000), transport(40000, 53), transport(40000, 443)

	filterCases = []struct {
		name   string
		packet []byte
		pass   bool
	}{
		{"IPv4 UDP to 53", packet4(protoUDP, 0, 0, false, toDNS), true},
		{"IPv4 UDP from 53", packet4(protoUDP, 0, 0, false, fromDNS), true},
		{"IPv4 TCP to 53", packet4(protoTCP, 0, 0, false, toDNS), true},
		{"IPv4 TCP from 53", packet4(protoTCP, 0, 0, false, fromDNS), true},
		{"IPv4 UDP to 443", packet4(protoUDP, 0, 0, false, web), false},
		{"IPv4 TCP to 443", packet4(protoTCP, 0, 0, false, web), false},
		{"IPv4 SCTP to 53", packet4(132, 0, 0, false, toDNS), false},
		{"IPv4 options, UDP from 53", packet4(protoUDP, 3, 0, false, fromDNS), true},
		{"IPv4 most options, TCP to 53", packet4(protoTCP, 10, 0, false, toDNS), true},
		{"IPv4 options that look like port 53", packet4(protoUDP, 1, 0, false, web), false},
		{"IPv4 first fragment from 53", packet4(protoUDP, 0, 0, true, fromDNS), true},
		{"IPv4 first fragment from 443", packet4(protoUDP, 0, 0, true, web), false},
		{"IPv4 later fragment of UDP", packet4(protoUDP, 0, 1480, true, web), true},
		{"IPv4 last fragment of UDP", packet4(protoUDP, 0, 4096, false, web), true},
		{"IPv4 fragment of UDP beyond any answer", packet4(protoUDP, 0, 4104, false, fromDNS), false},
		{"IPv4 later fragment of TCP", packet4(protoTCP, 0, 1480, false, fromDNS), false},
		{"IPv6 UDP to 53", packet6(protoUDP, toDNS), true},
		{"IPv6 TCP from 53", packet6(protoTCP, fromDNS), true},
		{"IPv6 UDP to 443", packet6(protoUDP, web), false},
		{"IPv6 ICMP", packet6(58, fromDNS), false},
		{"IPv6 hop-by-hop, UDP", packet6(protoHopByHop, options(protoUDP, 0), fromDNS), true},
		{"IPv6 hop-by-hop, TCP to 443", packet6(protoHopByHop, options(protoTCP, 2), web), false},
		{"IPv6 hop-by-hop, routing, destination, TCP", packet6(protoHopByHop, options(protoRouting, 1), options(protoDestination, 2), options(protoTCP, 0), toDNS), true},
		{"IPv6 first fragment from 53", packet6(protoFragment, fragment(protoUDP, 0, true), fromDNS), true},
		{"IPv6 first fragment from 443", packet6(protoFragment, fragment(protoUDP, 0, true), web), false},
		{"IPv6 later fragment of UDP", packet6(protoFragment, fragment(protoUDP, 1448, true), web), true},
		{"IPv6 fragment of UDP beyond any answer", packet6(protoFragment, fragment(protoUDP, 4104, false), web), false},
		{"IPv6 later fragment of TCP", packet6(protoFragment, fragment(protoTCP, 1448, false), fromDNS), false},
		{"IPv6 hop-by-hop, later fragment of UDP", packet6(protoHopByHop, options(protoFragment, 0), fragment(protoUDP, 1448, false), web), true},
		{"IPv6 fragment, destination, UDP", packet6(protoFragment, fragment(protoDestination, 0, true), options(protoUDP, 1), fromDNS), true},
		{"IPv6 too many headers", packet6(protoDestination, options(60, 0), options(60, 0), options(60, 0), options(60, 0), options(protoUDP, 0), toDNS), false},
		{"IPv6 with as many headers as are skipped", packet6(protoDestination, options(60, 0), options(60, 0), options(60, 0), options(protoUDP, 0), toDNS), true},
		{"ARP", make([]byte, 28), false},
	}
)

func TestFilter(t *testing.T) {
	for base, front := range map[uint32][]byte{0: nil, 4: {0x60, 0x01, 0x08, 0x00}} {
		vm, err := bpf.NewVM(join(code{bpf.LoadConstant{Dst: bpf.RegX, Val: base}}, ip()))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range filterCases {
			packet := append(append([]byte(nil), front...), c.packet...)
			n, err := vm.Run(packet)
			if err != nil {
				t.Fatal(err)
			}
			if (n > 0) != c.pass {
				t.Errorf("%s, %d bytes before it: passed is %v", c.name, base, n > 0)
			}
			// A packet cut anywhere ends the filter; without ports a first fragment
			// does not pass.
			for i := range packet {
				if n, err := vm.Run(packet[:i]); err != nil {
					t.Fatal(err)
				} else if n > 0 && !c.pass {
					t.Errorf("%s, cut to %d bytes, passes", c.name, i)
				}
			}
		}
	}
}

func TestFilterIsWellFormed(t *testing.T) {
	raw, err := bpf.Assemble(dnsFilter())
	if err != nil {
		t.Fatal(err)
	}
	const most = 4096 / 8 // BPF_MAXINSNS; a kernel's optmem_max may be smaller
	if t.Logf("%d instructions", len(raw)); len(raw) > most {
		t.Errorf("the filter has %d instructions", len(raw))
	}
}
