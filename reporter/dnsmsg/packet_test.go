package dnsmsg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
)

var (
	v4src = netip.MustParseAddrPort("10.0.0.53:53")
	v4dst = netip.MustParseAddrPort("10.0.0.1:40000")
	v6src = netip.MustParseAddrPort("[2001:db8::53]:53")
	v6dst = netip.MustParseAddrPort("[2001:db8::1]:40000")
)

// udpPacket makes a packet with AppendUDPPacket.
func udpPacket(t testing.TB, src, dst netip.AddrPort, payload []byte) []byte {
	t.Helper()
	b, err := AppendUDPPacket(nil, src, dst, payload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tcpSegment makes a TCP header with options and a payload.
func tcpSegment(payload string) []byte {
	b := []byte{0, 53, 0x9c, 0x40, 1, 2, 3, 4, 5, 6, 7, 8, 6 << 4, ACK | psh, 0xff, 0xff, 0, 0, 0, 0, 1, 1, 1, 0}
	return append(b, payload...)
}

// ipv4Packet makes a packet with a body; frag is the flags and the fragment offset.
func ipv4Packet(proto uint8, frag uint16, options, body []byte) []byte {
	b := []byte{0x45 + byte(len(options)/4), 0, 0, 0, 0xab, 0xcd, 0, 0, 64, proto, 0, 0, 10, 0, 0, 53, 10, 0, 0, 1}
	b = append(b, options...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(body)))
	binary.BigEndian.PutUint16(b[6:], frag)
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum(0, b)))
	return append(b, body...)
}

func ipv6Packet(next uint8, body ...[]byte) []byte {
	b := make([]byte, 8, 1024)
	b[0], b[6], b[7] = 0x60, next, 64
	src, dst := v6src.Addr().As16(), v6dst.Addr().As16()
	b = append(append(b, src[:]...), dst[:]...)
	for _, part := range body {
		b = append(b, part...)
	}
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

func udpDatagram(payload string) []byte {
	b := []byte{0, 53, 0x9c, 0x40, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return append(b, payload...)
}

// extension makes an IPv6 extension header of 8*(words+1) bytes.
func extension(next uint8, words int) []byte {
	b := make([]byte, 8*(words+1))
	b[0], b[1] = next, byte(words)
	return b
}

func fragmentHeader(next uint8, offset int, more byte) []byte {
	b := []byte{next, 0, 0, 0, 1, 2, 3, 4}
	binary.BigEndian.PutUint16(b[2:], uint16(offset)|uint16(more))
	return b
}

func TestDecodePacket(t *testing.T) {
	udp, tcp := udpDatagram("hello"), tcpSegment("stream")
	tag := func(priority byte, etherType uint16, rest []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{priority << 5, 100}, etherType), rest...)
	}
	v4 := ipv4Packet(UDP, 0, nil, udp)
	v6 := ipv6Packet(UDP, udp)
	for name, test := range map[string]struct {
		b       []byte
		err     error
		payload string
		proto   uint8
	}{
		"IPv4 UDP":                         {v4, nil, "hello", UDP},
		"IPv4 options":                     {ipv4Packet(UDP, 0, make([]byte, 8), udp), nil, "hello", UDP},
		"IPv4 TCP with options":            {ipv4Packet(TCP, 0, nil, tcp), nil, "stream", TCP},
		"IPv4 do not fragment":             {ipv4Packet(UDP, 0x4000, nil, udp), nil, "hello", UDP},
		"trailer after the packet":         {append(bytes.Clone(v4), "padding"...), nil, "hello", UDP},
		"IPv6 UDP":                         {v6, nil, "hello", UDP},
		"IPv6 TCP":                         {ipv6Packet(TCP, tcp), nil, "stream", TCP},
		"IPv6 extension headers":           {ipv6Packet(0, extension(43, 0), extension(60, 2), extension(UDP, 1), udp), nil, "hello", UDP},
		"IPv6 atomic fragment":             {ipv6Packet(44, fragmentHeader(UDP, 0, 0), udp), nil, "hello", UDP},
		"tag":                              {tag(0, 0x0800, v4), nil, "hello", UDP},
		"tag of priority 2":                {tag(2, 0x0800, v4), nil, "hello", UDP},
		"tag of priority 3":                {tag(3, 0x0800, v4), nil, "hello", UDP},
		"tag of priority 2, VLAN 0x564":    {append([]byte{0x45, 0x64}, tag(2, 0x0800, v4)[2:]...), nil, "hello", UDP},
		"tag before IPv6":                  {tag(3, 0x86dd, v6), nil, "hello", UDP},
		"two tags":                         {tag(0, 0x8100, tag(2, 0x86dd, v6)), nil, "hello", UDP},
		"checksum of the header wrong":     {append(append(bytes.Clone(v4[:10]), 1, 2), v4[12:]...), nil, "hello", UDP},
		"UDP length shorter than IP's":     {ipv4Packet(UDP, 0, nil, append(bytes.Clone(udp), "junk"...)), nil, "hello", UDP},
		"UDP length longer than IP's":      {ipv4Packet(UDP, 0, nil, udp[:10]), ErrPacket, "", 0},
		"UDP length below its header":      {ipv4Packet(UDP, 0, nil, []byte{0, 53, 0, 53, 0, 7, 0, 0}), ErrPacket, "", 0},
		"TCP header below 20":              {ipv4Packet(TCP, 0, nil, append(append(bytes.Clone(tcp[:12]), 4<<4), tcp[13:]...)), ErrPacket, "", 0},
		"TCP header leaves the packet":     {ipv4Packet(TCP, 0, nil, tcp[:20]), ErrPacket, "", 0},
		"nothing":                          {nil, ErrPacket, "", 0},
		"no IP":                            {[]byte("GET / HTTP/1.1"), ErrPacket, "", 0},
		"ARP after a tag":                  {tag(0, 0x0806, []byte{0, 1, 8, 0}), ErrPacket, "", 0},
		"IPv4 header below 20":             {append([]byte{0x44}, v4[1:]...), ErrPacket, "", 0},
		"IPv4 length below its header":     {append([]byte{0x45, 0, 0, 19}, v4[4:]...), ErrPacket, "", 0},
		"ICMP":                             {ipv4Packet(1, 0, nil, udp), ErrProtocol, "", 1},
		"no next header":                   {ipv6Packet(59), ErrProtocol, "", 59},
		"extension leaves the packet":      {ipv6Packet(0, []byte{UDP, 9, 0, 0, 0, 0, 0, 0}), ErrPacket, "", 0},
		"extension of one byte":            {ipv6Packet(0, []byte{UDP}), ErrPacket, "", 0},
		"segmentation offload, length 0":   {append([]byte{0x45, 0, 0, 0}, v4[4:]...), nil, "hello", UDP},
		"segmentation offload, length 0/6": {append([]byte{0x60, 0, 0, 0, 0, 0}, v6[6:]...), nil, "hello", UDP},
	} {
		var p Packet
		err := p.Decode(test.b)
		if err != test.err || string(p.Payload) != test.payload || p.Proto != test.proto || p.IsFragment() {
			t.Errorf("%s: %v %+v", name, err, p)
			continue
		}
		if err == ErrPacket {
			continue
		}
		src, dst := v4src, v4dst
		if p.Src.Addr().Is6() {
			src, dst = v6src, v6dst
		}
		if err == nil && (p.Src != src || p.Dst != dst || p.PayloadLen != len(test.payload)) {
			t.Errorf("%s: %+v", name, p)
		}
		if p.Proto == TCP && (p.Seq != 0x01020304 || p.Ack != 0x05060708 || p.TCPFlags != ACK|psh) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// A packet cut short is an error, and the Packet has the length that was sent.
func TestTruncatedPacket(t *testing.T) {
	for _, whole := range [][]byte{
		ipv4Packet(UDP, 0, make([]byte, 4), udpDatagram("hello")),
		ipv4Packet(TCP, 0, nil, tcpSegment("hello")),
		ipv6Packet(0, extension(UDP, 1), udpDatagram("hello")),
	} {
		for n := range whole {
			var p Packet
			err := p.Decode(whole[:n])
			if err != ErrTruncated && err != ErrPacket {
				t.Errorf("%d of %d bytes: %v", n, len(whole), err)
			}
			if err == ErrTruncated && n > len(whole)-5 && (p.PayloadLen != 5 || string(p.Payload) != "hello"[:5-len(whole)+n] || p.Src.Port() != 53) {
				t.Errorf("%d of %d bytes: %+v", n, len(whole), p)
			}
			if n >= 40 && err == ErrPacket {
				t.Errorf("%d of %d bytes: %v", n, len(whole), err)
			}
		}
	}
}

func TestFragments(t *testing.T) {
	body := udpDatagram("0123456789abcdef0123456789abcdef")
	fragments := map[string][][]byte{
		"IPv4": {
			ipv4Packet(UDP, 0x2000, nil, body[:16]),
			ipv4Packet(UDP, 0x2000|2, nil, body[16:32]),
			ipv4Packet(UDP, 4, nil, body[32:]),
		},
		"IPv6": {
			ipv6Packet(0, extension(44, 0), fragmentHeader(UDP, 0, 1), body[:16]),
			ipv6Packet(44, fragmentHeader(UDP, 16, 1), body[16:32]),
			ipv6Packet(44, fragmentHeader(UDP, 32, 0), body[32:]),
		},
		"IPv6, options after the fragment header": {
			ipv6Packet(44, fragmentHeader(60, 0, 1), extension(UDP, 0), body[:8]),
			ipv6Packet(44, fragmentHeader(60, 16, 0), body[8:]),
		},
	}
	for name, packets := range fragments {
		var joined []byte
		var first Packet
		for i, b := range packets {
			var p Packet
			err := p.Decode(b)
			if i == 0 {
				first = p
				if err != nil || p.Src.Port() != 53 || p.PayloadLen != 32 || len(p.Payload) >= 32 {
					t.Errorf("%s first: %v %+v", name, err, p)
				}
			} else if err != ErrFragment || p.Src.Port() != 0 || p.Payload != nil {
				t.Errorf("%s %d: %v %+v", name, i, err, p)
			}
			if p.fragment.offset != len(joined) || p.fragment.more != (i < len(packets)-1) || p.fragment.id != first.fragment.id || p.fragment.id == 0 {
				t.Errorf("%s %d: %+v", name, i, p.fragment)
			}
			joined = append(joined, p.fragment.body...)
		}
		p := first
		if err := p.reassembled(first.fragment.next, joined); err != nil || !bytes.Equal(p.Payload, body[8:]) || p.Src != first.Src || p.Proto != UDP || p.IsFragment() {
			t.Errorf("%s joined: %v %+v", name, err, p)
		}
		var p2 Packet
		if err := p2.Decode(packets[1][:len(packets[1])-1]); err != ErrTruncated || !p2.IsFragment() {
			t.Errorf("%s truncated: %v", name, err)
		}
	}
}

func TestAppendUDPPacket(t *testing.T) {
	payloads := []string{"", "x", "hello", string(make([]byte, 1500))}
	for _, payload := range payloads {
		for _, a := range [][2]netip.AddrPort{{v4src, v4dst}, {v6src, v6dst}, {v4src, v6dst}, {netip.AddrPort{}, v6dst}, {v4src, netip.AddrPort{}}} {
			b := udpPacket(t, a[0], a[1], []byte(payload))
			var p Packet
			if err := p.Decode(b); err != nil || string(p.Payload) != payload {
				t.Fatalf("%v: %v %+v", a, err, p)
			}
			if a[0].IsValid() && p.Src != a[0] || a[1].IsValid() && p.Dst != a[1] {
				t.Errorf("%v: %v %v", a, p.Src, p.Dst)
			}
			pseudo, udp := b[12:20], b[20:]
			if b[0]>>4 == 6 {
				pseudo, udp = b[8:40], b[40:]
			} else if got := sum(0, b[:20]); got != 0xffff {
				t.Errorf("%v: header checksum %x", a, got)
			}
			if got := sum(uint32(UDP)+uint32(len(udp))+sum(0, pseudo), udp); got != 0xffff {
				t.Errorf("%v: checksum %x", a, got)
			}
		}
	}
	for _, test := range []struct {
		src, dst netip.AddrPort
		most     int
	}{{v4src, v4dst, 65507}, {v6src, v6dst, 65527}} {
		prefix := []byte("prefix")
		b, err := AppendUDPPacket(prefix, test.src, test.dst, make([]byte, test.most))
		if err != nil || !bytes.HasPrefix(b, prefix) {
			t.Errorf("%d bytes: %v", test.most, err)
		}
		if b, err = AppendUDPPacket(prefix, test.src, test.dst, make([]byte, test.most+1)); err != errLong || !bytes.Equal(b, prefix) {
			t.Errorf("%d bytes: %v", test.most+1, err)
		}
	}
}

func BenchmarkDecodePacket(b *testing.B) {
	for _, packet := range [][]byte{
		udpPacket(b, v4src, v4dst, make([]byte, 100)),
		ipv6Packet(0, extension(60, 0), extension(UDP, 0), udpDatagram("hello")),
		ipv4Packet(TCP, 0, nil, tcpSegment("hello")),
	} {
		b.Run(fmt.Sprintf("IPv%d proto %d", packet[0]>>4, packet[9]), func(b *testing.B) {
			var p Packet
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Decode(packet); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
