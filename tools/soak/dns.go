//go:build linux

package main

import (
	"encoding/binary"
	"slices"
	"strings"
)

// dnsPacket returns an answer of a name server, from the IP header on, with hostile
// names or a message that lies.
func (g *generator) dnsPacket() []byte {
	const question = 12 // offset of the first name in a message
	name := g.dnsName()
	m := []byte{byte(g.Uint32()), 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}
	m = append(append(m, name...), 0, 1, 0, 1)
	answers := g.many(200)
	for range answers {
		owner, data, kind := []byte{0xc0, question}, []byte{10, byte(g.Uint32()), 0, byte(g.Uint32())}, uint16(1)
		if g.IntN(4) == 0 { // an alias
			kind, data = 5, g.dnsName()
		}
		switch g.IntN(8) {
		case 0: // points to itself
			owner = []byte{0xc0 | byte(len(m)>>8), byte(len(m))}
		case 1: // points beyond the message
			owner = []byte{0xff, 0xff}
		case 2: // two names that point to each other
			owner = []byte{0xc0 | byte((len(m)+2)>>8), byte(len(m) + 2), 0xc0 | byte(len(m)>>8), byte(len(m))}
		case 3:
			owner = g.dnsName()
		}
		m = append(append(m, owner...), byte(kind>>8), byte(kind), 0, 1)
		m = binary.BigEndian.AppendUint32(m, pick(g, []uint32{0, 60, 1 << 31, 1<<32 - 1}))
		m = append(binary.BigEndian.AppendUint16(m, uint16(len(data))), data...)
		if len(m) > 1<<14 {
			break
		}
	}
	binary.BigEndian.PutUint16(m[6:], uint16(pick(g, []int{answers, answers, answers, 65535, 0})))
	if g.IntN(4) == 0 {
		m = g.changedRaw(m)
	}
	return g.datagram(m)
}

// dnsName returns a name in its form on the wire.
func (g *generator) dnsName() (b []byte) {
	labels := []string{"www", "example", "org"}
	switch g.IntN(5) {
	case 0:
		labels = []string{pick(g, hostile), "x"}
	case 1:
		labels = slices.Repeat([]string{"a"}, g.many(127))
	case 2:
		labels = slices.Repeat([]string{strings.Repeat(".", 63)}, 1+g.IntN(4))
	case 3:
		labels = []string{"xn--" + pick(g, hostile), "local"}
	}
	for _, l := range labels {
		l = l[:min(len(l), 63)]
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, pick(g, []string{"\x00", "\x00", "\x00", "\x00", "\xc0\x0c", "\x40", ""})...)
}

// datagram puts a message into UDP or TCP and IP, whose lengths are sometimes wrong.
func (g *generator) datagram(m []byte) []byte {
	m = m[:min(len(m), 65000)]
	proto := byte(17)
	transport := []byte{0, 53, 0x81, 0, byte((len(m) + 8) >> 8), byte(len(m) + 8), 0, 0}
	if g.IntN(5) == 0 {
		proto = 6
		m = append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
		transport = append([]byte{0, 53, 0x81, 0}, 0, 0, 0, byte(g.IntN(4)), 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0)
	}
	ip := append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 53, 10, 0, 0, 1}, transport...)
	if g.IntN(4) == 0 {
		ip = append([]byte{0x60, 0, 0, 0, 0, 0, proto, 64}, append(make([]byte, 32), transport...)...)
		binary.BigEndian.PutUint16(ip[4:], uint16(len(transport)+len(m)))
	}
	p := append(ip, m...)
	if p[0] == 0x45 {
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	}
	if g.IntN(5) == 0 {
		p[g.IntN(min(len(p), 44))] = byte(g.Uint32())
	}
	return p
}
