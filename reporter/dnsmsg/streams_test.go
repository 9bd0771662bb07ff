package dnsmsg

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A stream gives the answers of its messages for any cuts, in any order and with repetitions.
func TestStreamInAnyOrder(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var messages [][]byte
		whole := map[string]bool{}
		for i := range 1 + rng.IntN(8) {
			m := answerOf(t, i, rng.IntN(8))
			switch rng.IntN(8) {
			case 0:
				m = m[:12+rng.IntN(8)] // malformed, but the length is correct
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

// Without its SYN, a stream begins at the first length that fits, for any cuts, also if each segment comes twice.
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

// Some servers send the length in a segment of its own.
func TestLengthInASegmentOfItsOwn(t *testing.T) {
	m := answerOf(t, 1, 0)
	b := newBench(t)
	b.packet(tcp(false, 7, ACK, framed(m)[:2]))
	b.packet(tcp(false, 9, ACK|psh, m))
	b.want(nameOf(1))
	b.counts(0, 1)
	b.packet(tcp(false, 9+uint32(len(m)), ACK, []byte{1, 0}))
	b.packet(tcp(true, 100, ACK, []byte{1, 0})) // the end of an earlier message
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
		"a reset of the server":  {func(b *bench) { b.packet(tcp(false, 701, rst, nil)) }, 1},
		"a reset of the client":  {func(b *bench) { b.packet(tcp(true, 1, rst|ACK, nil)) }, 1},
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
		b.packet(tcp(false, 701, ACK, rest)) // it comes too late
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

// A stream does not wait long for bytes that were not captured.
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
		"a reset": func(b *bench) { b.packet(tcp(false, 1, rst, nil)) },
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

// Bytes that are not DNS are counted.
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

// BenchmarkStream measures the stream of a busy resolver, in segments of 1,460 bytes.
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
