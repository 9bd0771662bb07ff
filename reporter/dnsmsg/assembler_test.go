package dnsmsg

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A bench is an Assembler, its results and the number of its packets.
type bench struct {
	t                    testing.TB
	a                    *Assembler
	at                   int64
	packets              uint64
	undecodable, ignored uint64
	names                map[string]bool
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, names: map[string]bool{}}
	b.a = NewAssembler(func(_ uint32, undecodable, ignored uint64) { b.undecodable += undecodable; b.ignored += ignored })
	return b
}

func (b *bench) learn(all []Answer) {
	for _, a := range all {
		b.names[a.Addr.String()+" "+a.Name] = true
	}
}

func (b *bench) packet(p []byte) {
	b.packets++
	b.learn(b.a.Packet(1, b.at, p))
	b.check()
}

// lost removes all datagrams and streams.
func (b *bench) lost() { b.learn(b.a.Lost(1)); b.check() }

// check checks the Assembler's bounds, and that its counts of packets and bytes are correct.
func (b *bench) check() {
	b.t.Helper()
	waiting, bytes := uint64(0), 0 // packets that are not counted yet, memory
	for e := b.a.streams.order.Front(); e != nil; e = e.Next() {
		s := e.Value.(*stream)
		waiting += uint64(s.bufPackets + len(s.pieces))
		own := len(s.buf) + size(s.pieces)
		if own != s.bytes || own > maxStreamBytes || b.a.streams.byKey[s.key] != e {
			b.t.Fatalf("stream %v has %d bytes, counts %d", s.key, own, s.bytes)
		}
		bytes += own
	}
	if bytes != b.a.streams.bytes || b.a.streams.full() || len(b.a.streams.byKey) != b.a.streams.order.Len() {
		b.t.Fatalf("%d streams of %d bytes, counts %d", len(b.a.streams.byKey), bytes, b.a.streams.bytes)
	}
	bytes = 0
	for e := b.a.fragments.order.Front(); e != nil; e = e.Next() {
		d := e.Value.(*datagram)
		waiting += uint64(len(d.pieces))
		bytes += size(d.pieces)
	}
	if bytes != b.a.fragments.bytes || b.a.fragments.full() || len(b.a.fragments.byKey) != b.a.fragments.order.Len() {
		b.t.Fatalf("%d datagrams of %d bytes, counts %d", len(b.a.fragments.byKey), bytes, b.a.fragments.bytes)
	}
	if b.undecodable+b.ignored+waiting > b.packets {
		b.t.Fatalf("%d undecodable, %d ignored and %d waiting of %d packets", b.undecodable, b.ignored, waiting, b.packets)
	}
}

func size(pieces []piece) (n int) {
	for _, x := range pieces {
		n += len(x.bytes) + pieceCost
	}
	return n
}

func (b *bench) want(names string) {
	b.t.Helper()
	var got []string
	for n := range b.names {
		got = append(got, n)
	}
	slices.Sort(got)
	if g := strings.Join(got, ", "); g != names {
		b.t.Errorf("names %q, want %q", g, names)
	}
}

func (b *bench) counts(undecodable, ignored uint64) {
	b.t.Helper()
	if b.undecodable != undecodable || b.ignored != ignored {
		b.t.Errorf("%d undecodable, %d ignored; want %d, %d", b.undecodable, b.ignored, undecodable, ignored)
	}
}

// tcp makes a segment of the server, or of the client.
func tcp(client bool, seq uint32, flags uint8, payload []byte) []byte {
	b := []byte{0, 53, 0x9c, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[4:], seq)
	if client {
		copy(b, []byte{0x9c, 0x40, 0, 53})
	}
	p := ipv4Packet(TCP, 0, nil, append(b, payload...))
	if client {
		copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 0, 53})
	}
	return p
}

// framed joins messages as a stream does, each after its length.
func framed(messages ...[]byte) (b []byte) {
	for _, m := range messages {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// answerOf makes a message that gives name i the address 10.1.0.i, with pad other records.
func answerOf(t testing.TB, i, pad int) []byte {
	records := []string{fmt.Sprintf("n%d.test. 60 IN A 10.1.0.%d", i, i)}
	for range pad {
		records = append(records, fmt.Sprintf(`n%d.test. 60 IN TXT "%s"`, i, strings.Repeat("x", 200)))
	}
	return pack(t, fmt.Sprintf("n%d.test. A", i), records...)
}

func nameOf(i int) string { return fmt.Sprintf("10.1.0.%d n%d.test", i, i) }

// Hostile packets cannot exceed the bounds, and fragments of other protocols do not displace those of an answer.
func TestAssemblerIsBounded(t *testing.T) {
	b := newBench(t)
	body := udpPacket(t, v4src, v4dst, answerOf(t, 1, 2))[20:]
	b.packet(ipv4Packet(UDP, 0x2000, nil, body[:64]))
	stranger := func(i int, p []byte) []byte {
		p = slices.Clone(p)
		p[12], p[13], p[14] = 172, byte(i>>8), byte(i)
		return p
	}
	junk := ipv4Packet(UDP, 0x2000|100, nil, make([]byte, 1400))
	for i := range 3 * maxDatagrams {
		b.packet(stranger(i, junk))
	}
	b.packet(ipv4Packet(UDP, 8, nil, body[64:]))
	b.want(nameOf(1))
	half := framed(answerOf(t, 2, 40))[:8000]
	piece := tcp(false, 20000, ACK, make([]byte, 8000))
	for i := range 3 * maxStreams {
		b.packet(stranger(i, tcp(false, 0, SYN|ACK, nil)))
		if i%3 == 0 {
			b.packet(stranger(i, tcp(false, 1, ACK, half)))
			b.packet(stranger(i, piece))
		}
	}
	if n := b.a.streams.order.Len(); n != maxStreams && b.a.streams.bytes < maxStreamsBytes-20000 {
		t.Errorf("%d streams of %d bytes", n, b.a.streams.bytes)
	}
	b.lost()
	if b.a.streams.bytes != 0 || b.a.fragments.bytes != 0 || b.a.streams.order.Len() != 0 || b.a.fragments.order.Len() != 0 {
		t.Error("something is left after all was removed")
	}
}

// Streams of different sources are separate: their networks may use the same addresses.
func TestSourcesAreSeparate(t *testing.T) {
	stream := framed(answerOf(t, 1, 3))
	b := newBench(t)
	b.learn(b.a.Packet(1, 0, tcp(false, 0, SYN|ACK, nil)))
	b.learn(b.a.Packet(2, 0, tcp(false, 0, SYN|ACK, nil)))
	b.learn(b.a.Packet(1, 0, tcp(false, 1, ACK, stream[:300])))
	b.learn(b.a.Packet(2, 0, tcp(false, 301, ACK, stream[300:])))
	b.want("")
	b.learn(b.a.Packet(1, 0, tcp(false, 301, ACK, stream[300:])))
	b.want(nameOf(1))
}

// FuzzAssembler runs programs with segments and fragments of a few streams, and with arbitrary packets: bench checks bounds
// and counts. An operation has three bytes: its kind, with the direction and the time that passes, an offset, and a length.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 200, 1, 2, 200, 2, 0, 9})
	f.Add([]byte{6, 0, 10, 6, 1, 10, 7, 0, 3, 1, 0, 255, 3, 0, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) <= 1<<10 {
			play(t, program)
		}
	})
}

// play runs a program of FuzzAssembler.
func play(t *testing.T, program []byte) {
	stream := framed(answerOf(t, 1, 3), answerOf(t, 2, 0), nil, []byte("garbage of some length"), answerOf(t, 3, 0))
	datagram := udpPacket(t, v4src, v4dst, answerOf(t, 4, 5))[20:]
	b := newBench(t)
	for ; len(program) >= 3; program = program[3:] {
		op, where, size := program[0], int(program[1]), int(program[2])
		client := op&0x80 != 0
		b.at += int64(op>>4&7) * int64(op>>4&7) * 1e9
		from := min(where*8, len(stream))
		end := min(from+size*4, len(stream))
		switch op & 15 {
		case 0:
			b.packet(tcp(client, uint32(where)-1, SYN|ACK, nil))
		case 1, 2, 3:
			b.packet(tcp(client, uint32(from), ACK, stream[from:end]))
		case 4:
			b.packet(tcp(client, uint32(from), FIN|ACK, stream[from:end]))
		case 5:
			b.packet(tcp(client, 0, rst, nil))
		case 6, 7:
			from, end = min(where*8, len(datagram)), min(where*8+8*size, len(datagram))
			more := uint16(0x2000)
			if end == len(datagram) {
				more = 0
			}
			b.packet(ipv4Packet(UDP, more|uint16(where)&0x1fff, nil, datagram[from:end]))
		case 8:
			b.lost()
		case 9:
			b.learn(b.a.Expire(b.at))
		case 10:
			b.packet(program[:min(len(program), size)])
		case 11:
			b.packet(tcp(client, uint32(where)<<12, ACK, program))
		}
	}
	b.lost()
	for name := range b.names {
		if !strings.HasPrefix(name, "10.1.0.") {
			return // the program has a message of its own
		}
	}
	if len(b.a.streams.byKey)+len(b.a.fragments.byKey) != 0 {
		t.Error("something is left after all was removed")
	}
}

func TestArbitraryPackets(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		program := make([]byte, 3*rng.IntN(300))
		for i := range program {
			program[i] = byte(rng.Uint32())
		}
		play(t, program)
	}
}

// Every cut of a datagram gives the answers that are whole, and is undecodable.
func TestCutDatagram(t *testing.T) {
	whole := udpPacket(t, netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.5:40000"),
		pack(t, "www.example.com. A", "www.example.com. 300 IN A 192.0.2.80", "www.example.com. 300 IN A 192.0.2.81"))
	last := 0
	for n := 1; n <= len(whole); n++ {
		b := newBench(t)
		b.packet(whole[:n])
		if len(b.names) < last || (b.undecodable == 1) != (n < len(whole)) {
			t.Errorf("%d of %d bytes: %d names after %d, %d undecodable", n, len(whole), len(b.names), last, b.undecodable)
		}
		if last = len(b.names); n == len(whole)-1 && last != 1 {
			t.Errorf("%d names of the whole answer and the cut one", last)
		}
	}
	if last != 2 {
		t.Errorf("%d names of two answers", last)
	}
}
