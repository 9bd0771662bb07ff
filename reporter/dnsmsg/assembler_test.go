package dnsmsg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A bench is an Assembler with a memory of what it said.
type bench struct {
	t       testing.TB
	a       *Assembler
	at      int64
	packets uint64
	undecodable,
	ignored uint64
	names map[string]bool
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

// lost drops all that is held.
func (b *bench) lost() { b.learn(b.a.Lost(1)); b.check() }

// check holds the Assembler to its bounds, and its accounts to what it holds.
func (b *bench) check() {
	b.t.Helper()
	held, bytes := uint64(0), 0
	for e := b.a.streams.order.Front(); e != nil; e = e.Next() {
		s := e.Value.(*stream)
		held += uint64(s.held + len(s.pieces))
		own := len(s.buf) + size(s.pieces)
		if own != s.bytes || own > maxStreamBytes || b.a.streams.byKey[s.key] != e {
			b.t.Fatalf("stream %v holds %d bytes, says %d", s.key, own, s.bytes)
		}
		bytes += own
	}
	if bytes != b.a.streams.bytes || b.a.streams.full() || len(b.a.streams.byKey) != b.a.streams.order.Len() {
		b.t.Fatalf("%d streams of %d bytes, says %d", len(b.a.streams.byKey), bytes, b.a.streams.bytes)
	}
	bytes = 0
	for e := b.a.fragments.order.Front(); e != nil; e = e.Next() {
		d := e.Value.(*datagram)
		held += uint64(len(d.pieces))
		bytes += size(d.pieces)
	}
	if bytes != b.a.fragments.bytes || b.a.fragments.full() || len(b.a.fragments.byKey) != b.a.fragments.order.Len() {
		b.t.Fatalf("%d datagrams of %d bytes, says %d", len(b.a.fragments.byKey), bytes, b.a.fragments.bytes)
	}
	if b.undecodable+b.ignored+held > b.packets {
		b.t.Fatalf("%d undecodable, %d ignored and %d held of %d packets", b.undecodable, b.ignored, held, b.packets)
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

// framed is messages as a stream has them.
func framed(messages ...[]byte) (b []byte) {
	for _, m := range messages {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// answerOf is a message that gives name i the address 10.1.0.i; it is the longer the greater pad is.
func answerOf(t testing.TB, i, pad int) []byte {
	records := []string{fmt.Sprintf("n%d.test. 60 IN A 10.1.0.%d", i, i)}
	for range pad {
		records = append(records, fmt.Sprintf(`n%d.test. 60 IN TXT "%s"`, i, strings.Repeat("x", 200)))
	}
	return pack(t, fmt.Sprintf("n%d.test. A", i), records...)
}

func nameOf(i int) string { return fmt.Sprintf("10.1.0.%d n%d.test", i, i) }

// A stream that is cut anywhere, reordered and repeated says what the messages say.
func TestStreamInAnyOrder(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var messages [][]byte
		whole := map[string]bool{}
		for i := range 1 + rng.IntN(8) {
			m := answerOf(t, i, rng.IntN(8))
			switch rng.IntN(8) {
			case 0:
				m = m[:12+rng.IntN(8)] // malformed; the framing holds
			case 1:
				m = nil
			default:
				whole[nameOf(i)] = true
			}
			messages = append(messages, m)
		}
		stream := framed(messages...)
		b, first := newBench(t), rng.Uint32()
		b.packet(tcp(false, first-1, SYN|ACK, nil))
		for _, x := range shuffled(rng, len(stream)) {
			flags := ACK
			if x[1] == len(stream) {
				flags |= FIN
			}
			b.packet(tcp(false, first+uint32(x[0]), flags, stream[x[0]:x[1]]))
		}
		if fmt.Sprint(b.names) != fmt.Sprint(whole) {
			t.Fatalf("seed %d: names %v, want %v", seed, b.names, whole)
		}
	}
}

// shuffled cuts n bytes into pieces [from, end) in any order, with repetitions and overlaps.
func shuffled(rng *rand.Rand, n int) (cuts [][2]int) {
	for at := 0; at < n; {
		end := min(n, at+1+rng.IntN(1+rng.IntN(1500)))
		cuts = append(cuts, [2]int{at, end})
		if rng.IntN(4) == 0 {
			cuts = append(cuts, [2]int{max(0, at-rng.IntN(300)), min(n, end+rng.IntN(300))})
		}
		at = end
	}
	if rng.IntN(4) > 0 {
		rng.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
	}
	return cuts
}

// Without its SYN, a stream begins at the first length that fits, however it is cut, and is repeated as on loopback.
func TestStreamWithoutSYN(t *testing.T) {
	m1, m2, m3 := answerOf(t, 1, 3), answerOf(t, 2, 0), answerOf(t, 3, 0)
	stream := framed(m1, m2, m3)
	for _, size := range []int{1, 2, 7, 13, 14, 40, 500, len(stream)} {
		for from := range stream {
			b := newBench(t)
			for at := from; at < len(stream); at += size {
				for range 1 + from%2 {
					b.packet(tcp(false, uint32(at), ACK, stream[at:min(at+size, len(stream))]))
				}
			}
			var want []string
			for i, begin := range []int{0, 2 + len(m1), 4 + len(m1) + len(m2)} {
				if from <= begin {
					want = append(want, nameOf(i+1))
				}
			}
			if b.want(strings.Join(want, ", ")); t.Failed() {
				t.Fatalf("from byte %d of %d, %d, %d, in segments of %d", from, len(m1)+2, len(m2)+2, len(m3)+2, size)
			}
		}
	}
}

// Some servers send the length on its own.
func TestLengthInASegmentOfItsOwn(t *testing.T) {
	m := answerOf(t, 1, 0)
	b := newBench(t)
	b.packet(tcp(false, 7, ACK, framed(m)[:2]))
	b.packet(tcp(false, 9, ACK|PSH, m))
	b.want(nameOf(1))
	b.counts(0, 1)
	b.packet(tcp(false, 9+uint32(len(m)), ACK, []byte{1, 0}))
	b.packet(tcp(true, 100, ACK, []byte{1, 0})) // two bytes that were the end of something
	b.packet(tcp(true, 102, ACK, framed(answerOf(t, 2, 0))))
	b.want(nameOf(1) + ", " + nameOf(2))
	b.lost()
	b.counts(1, 2)
}

func TestWhatEndsAStream(t *testing.T) {
	stream := framed(answerOf(t, 1, 9))
	half, rest, next := stream[:700], stream[700:], framed(answerOf(t, 2, 0))
	begin := func() *bench {
		b := newBench(t)
		b.packet(tcp(true, 0, SYN, nil))
		b.packet(tcp(false, 0, SYN|ACK, nil))
		b.packet(tcp(false, 1, ACK, half))
		return b
	}
	for name, test := range map[string]struct {
		event       func(b *bench)
		undecodable uint64
	}{
		"a reset of the server":  {func(b *bench) { b.packet(tcp(false, 701, RST, nil)) }, 1},
		"a reset of the client":  {func(b *bench) { b.packet(tcp(true, 1, RST|ACK, nil)) }, 1},
		"another connection":     {func(b *bench) { b.packet(tcp(true, 5000, SYN, nil)) }, 1},
		"another SYN":            {func(b *bench) { b.packet(tcp(false, 5000, SYN|ACK, nil)) }, 1},
		"its end":                {func(b *bench) { b.packet(tcp(false, 701, FIN|ACK, nil)) }, 1},
		"a gap":                  {func(b *bench) { b.lost() }, 1},
		"silence":                {func(b *bench) { b.at += maxAge + 1; b.learn(b.a.Expire(b.at)) }, 1},
		"silence, then a packet": {func(b *bench) { b.at += maxAge + 1 }, 1},
		"a packet cut short":     {func(b *bench) { p := tcp(false, 701, ACK, rest); b.packet(p[:len(p)-1]) }, 2},
	} {
		b := begin()
		test.event(b)
		b.packet(tcp(false, 701, ACK, rest)) // of no use any more
		b.packet(tcp(false, 1<<30, ACK, next))
		b.lost()
		if b.want(nameOf(2)); b.undecodable != test.undecodable {
			t.Errorf("%d undecodable", b.undecodable)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	for name, event := range map[string]func(b *bench){
		"the SYN again":        func(b *bench) { b.packet(tcp(false, 0, SYN|ACK, nil)) },
		"the client's SYN":     func(b *bench) { b.packet(tcp(true, 0, SYN, nil)) },
		"an acknowledgment":    func(b *bench) { b.packet(tcp(true, 1, ACK, nil)) },
		"data again":           func(b *bench) { b.packet(tcp(false, 1, ACK, half)) },
		"the client's end":     func(b *bench) { b.packet(tcp(true, 1, FIN|ACK, nil)) },
		"an end yet to come":   func(b *bench) { b.packet(tcp(false, uint32(1+len(stream)), FIN|ACK, nil)) },
		"less than silence":    func(b *bench) { b.at += maxAge; b.learn(b.a.Expire(b.at)) },
		"a gap of another one": func(b *bench) { b.learn(b.a.Lost(2)) },
	} {
		b := begin()
		event(b)
		b.packet(tcp(false, 701, ACK, rest))
		b.want(nameOf(1))
		if b.undecodable != 0 {
			t.Errorf("%d undecodable", b.undecodable)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// What was not captured does not hold up what follows for long.
func TestHole(t *testing.T) {
	one, two, three := framed(answerOf(t, 1, 0)), framed(answerOf(t, 2, 0)), framed(answerOf(t, 3, 0))
	seq2 := uint32(1 + len(one))
	seq3 := seq2 + uint32(len(two))
	begin := func() *bench {
		b := newBench(t)
		b.packet(tcp(false, 0, SYN|ACK, nil))
		b.packet(tcp(false, seq2, ACK, two))
		b.want("")
		return b
	}
	b := begin()
	b.packet(tcp(false, 1, ACK, one))
	b.want(nameOf(1) + ", " + nameOf(2))
	b.counts(0, 1)
	b = begin()
	b.at += maxHole + 1
	b.packet(tcp(false, seq3, ACK, three))
	b.want(nameOf(2) + ", " + nameOf(3))
	for name, event := range map[string]func(b *bench){
		"a gap":   func(b *bench) { b.lost() },
		"a reset": func(b *bench) { b.packet(tcp(false, 1, RST, nil)) },
		"silence": func(b *bench) { b.at += maxAge + 1; b.learn(b.a.Expire(b.at)) },
		"many segments": func(b *bench) {
			for i := range uint32(maxPieces) {
				b.packet(tcp(false, 1<<19+10*i, ACK, []byte{1}))
			}
		},
		"long segments": func(b *bench) {
			for i := range uint32(3) {
				b.packet(tcp(false, 1<<19+60000*i, ACK, make([]byte, 50000)))
			}
		},
	} {
		b := begin()
		if event(b); !b.names[nameOf(2)] {
			t.Errorf("%s: no name", name)
		}
	}
}

// What is not DNS is counted, whatever it is.
func TestGarbageStreams(t *testing.T) {
	b := newBench(t)
	b.packet(tcp(true, 0, SYN, nil))
	b.packet(tcp(true, 1, ACK, []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")))
	b.lost()
	b.counts(1, 1)
	b = newBench(t)
	b.packet(tcp(true, 1, ACK, []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"))) // nothing fits
	b.packet(tcp(true, 90, ACK, framed(make([]byte, 11))))                             // too short for a message
	b.packet(tcp(true, 200, ACK, framed([]byte(strings.Repeat("x", 40)))))             // a length that fits
	b.counts(1, 2)
	b.packet(tcp(true, 242, ACK, framed(answerOf(t, 1, 0))))
	b.want(nameOf(1))
}

// A datagram that is cut anywhere, reordered and repeated says what the message says.
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
		"behind the end":     {[][]byte{last, ipv4Packet(UDP, 0x2000|1000, nil, body[:8])}, 1, 1},
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

// Strangers can't make it hold more than its bounds, nor fragments of something else push out an answer's.
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
		t.Errorf("%d streams of %d bytes are held", n, b.a.streams.bytes)
	}
	b.lost()
	if b.a.streams.bytes != 0 || b.a.fragments.bytes != 0 || b.a.streams.order.Len() != 0 || b.a.fragments.order.Len() != 0 {
		t.Error("something is held after all was dropped")
	}
}

// Sources do not mix: their networks may use the same addresses.
func TestSourcesAreApart(t *testing.T) {
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

// FuzzAssembler plays programs of segments and fragments of a few streams, and arbitrary packets: it must keep its bounds and its accounts.
// Of each operation the first byte is what, the second where, the third how much and when.
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
		op, where, much := program[0], int(program[1]), int(program[2])
		client := op&0x80 != 0
		b.at += int64(op>>4&7) * int64(op>>4&7) * 1e9
		from := min(where*8, len(stream))
		end := min(from+much*4, len(stream))
		switch op & 15 {
		case 0:
			b.packet(tcp(client, uint32(where)-1, SYN|ACK, nil))
		case 1, 2, 3:
			b.packet(tcp(client, uint32(from), ACK, stream[from:end]))
		case 4:
			b.packet(tcp(client, uint32(from), FIN|ACK, stream[from:end]))
		case 5:
			b.packet(tcp(client, 0, RST, nil))
		case 6, 7:
			from, end = min(where*8, len(datagram)), min(where*8+8*much, len(datagram))
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
			b.packet(program[:min(len(program), much)])
		case 11:
			b.packet(tcp(client, uint32(where)<<12, ACK, program))
		}
	}
	b.lost()
	for name := range b.names {
		if !strings.HasPrefix(name, "10.1.0.") {
			return // the program brought a message of its own
		}
	}
	if len(b.a.streams.byKey)+len(b.a.fragments.byKey) != 0 {
		t.Error("something is held after all was dropped")
	}
}

func TestAnyPacketsAreSurvived(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		program := make([]byte, 3*rng.IntN(300))
		for i := range program {
			program[i] = byte(rng.Uint32())
		}
		play(t, program)
	}
}

// The whole of a busy resolver's stream, in segments of 1,460 bytes.
func BenchmarkStream(b *testing.B) {
	stream := framed(slices.Repeat([][]byte{answerOf(b, 1, 0)}, 200)...)
	var packets [][]byte
	for at := 0; at < len(stream); at += 1460 {
		packets = append(packets, tcp(false, uint32(1+at), ACK, stream[at:min(at+1460, len(stream))]))
	}
	a := NewAssembler(func(uint32, uint64, uint64) {})
	b.ReportAllocs()
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		a.Packet(1, 0, tcp(false, 0, SYN|ACK, nil))
		n := 0
		for _, p := range packets {
			n += len(a.Packet(1, 0, p))
		}
		if n != 200 {
			b.Fatal(n)
		}
		a.Lost(1)
	}
}
