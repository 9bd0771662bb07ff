package dnsmsg

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A datagram gives its answers for any cuts, in any order and with repetitions.
func TestFragmentsInAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		body := udpPacket(t, v4src, v4dst, answerOf(t, 1, 4+rng.IntN(6)))[20:]
		b := newBench(t)
		var packets [][]byte
		for at := 0; at < len(body); {
			end := min(len(body), at+8*(1+rng.IntN(60)))
			more := uint16(0x2000)
			if end == len(body) {
				more = 0
			}
			p := ipv4Packet(UDP, more|uint16(at/8), nil, body[at:end])
			if seed%2 == 1 {
				p = ipv6Packet(44, fragmentHeader(UDP, at, byte(more>>13)), body[at:end])
			}
			for range 1 + rng.IntN(2) {
				packets = append(packets, p)
			}
			at = end
		}
		rng.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
		for _, p := range packets {
			b.packet(p)
		}
		if b.want(nameOf(1)); b.undecodable > 0 && t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestFragmentsThatDoNotFit(t *testing.T) {
	body := udpPacket(t, v4src, v4dst, answerOf(t, 1, 1))[20:]
	first, last := ipv4Packet(UDP, 0x2000, nil, body[:64]), ipv4Packet(UDP, 8, nil, body[64:])
	for name, test := range map[string]struct {
		packets              [][]byte
		undecodable, ignored uint64
	}{
		"overlap":            {[][]byte{first, ipv4Packet(UDP, 0x2000|7, nil, body[56:72])}, 2, 0},
		"two ends":           {[][]byte{last, ipv4Packet(UDP, 100, nil, body[:8])}, 1, 1},
		"after the end":      {[][]byte{last, ipv4Packet(UDP, 0x2000|1000, nil, body[:8])}, 1, 1},
		"too long":           {[][]byte{first, ipv4Packet(UDP, 0x1fff, nil, body[:64])}, 2, 0},
		"not in full":        {[][]byte{first, last[:len(last)-1]}, 2, 0},
		"no first one":       {[][]byte{last}, 0, 1},
		"no last one":        {[][]byte{first}, 1, 0},
		"another protocol":   {[][]byte{first, ipv4Packet(99, 8, nil, body[64:])}, 1, 1},
		"a segment's":        {[][]byte{ipv4Packet(TCP, 8, nil, body[64:]), ipv4Packet(TCP, 0x2000, nil, append(tcpSegment(""), bytes.Repeat([]byte{0xff}, 40)...))}, 0, 2},
		"of neither":         {[][]byte{ipv4Packet(99, 8, nil, body[64:])}, 0, 1},
		"garbage, but whole": {[][]byte{ipv4Packet(UDP, 0x2000, nil, body[:32]), ipv4Packet(UDP, 4, nil, bytes.Repeat([]byte{0xff}, len(body)-32))}, 2, 0},
	} {
		b := newBench(t)
		for _, p := range test.packets {
			b.packet(p)
		}
		b.lost()
		if b.counts(test.undecodable, test.ignored); t.Failed() {
			t.Fatal(name)
		}
		b.want("")
	}
	b := newBench(t)
	b.packet(first)
	b.at += maxAge + 1
	b.packet(last)
	b.want("")
	b.counts(1, 0)
}
