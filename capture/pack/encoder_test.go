package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// A want is a sequence that the encoder is given: so many literals, and a match
// of that length and offset.
type want struct{ literals, match, offset int }

// A plan makes a frame of sequences that no matcher decides on, and notes which
// forms of the format are in it.
type plan struct {
	p        *Packer
	rng      *rand.Rand
	symbols  int // of literals
	src, out []byte
	seen     map[string]bool
}

func newPlan(p *Packer, seen map[string]bool, seed uint64, symbols int) *plan {
	p.sequences.rep = [3]int{1, 4, 8}
	p.huffman.Reuse = huff0.ReusePolicyNone
	return &plan{p: p, rng: rand.New(rand.NewPCG(seed, 9)), symbols: symbols, seen: seen}
}

func (l *plan) random(n int) {
	for range n {
		l.src = append(l.src, byte(l.rng.IntN(l.symbols)))
	}
}

// block adds a block of these sequences and some literals behind them.
func (l *plan) block(list []want, literals int) {
	s := &l.p.sequences
	from := len(l.src)
	s.start()
	before := s.rep
	for _, q := range list {
		anchor := len(l.src)
		l.random(q.literals)
		at := len(l.src)
		for range q.match {
			l.src = append(l.src, l.src[len(l.src)-q.offset])
		}
		s.add(l.src, anchor, at, q.match, q.offset)
	}
	anchor := len(l.src)
	l.random(literals)
	s.literals = append(s.literals, l.src[anchor:]...)
	body := l.p.appendLiterals(nil)
	l.seen[fmt.Sprintf("literals %d of form %d", body[0]&3, body[0]>>2&3)] = true
	head := len(body)
	body = l.p.appendSequences(body)
	switch n := body[head]; {
	case n == 0:
		l.seen["no sequences"] = true
	case n < 128:
		l.seen["short count"] = true
	case n < 255:
		l.seen["count"] = true
	default:
		l.seen["long count"] = true
	}
	if n := len(list); n > 0 {
		modes := body[head+1]
		if n >= 128 {
			modes = body[head+2]
		}
		if n >= 0x7f00 {
			modes = body[head+3]
		}
		l.seen[fmt.Sprintf("ll mode %d", modes>>6)] = true
		l.seen[fmt.Sprintf("of mode %d", modes>>4&3)] = true
		l.seen[fmt.Sprintf("ml mode %d", modes>>2&3)] = true
	}
	kind, size := compressed, len(body)
	if plain := l.src[from:]; size >= len(plain) {
		kind, size, body = raw, len(plain), plain
		s.rep, l.p.huffman.Reuse = before, huff0.ReusePolicyNone
	}
	h := size<<3 | kind<<1
	l.out = append(append(l.out, byte(h), byte(h>>8), byte(h>>16)), body...)
}

// check decodes the frame.
func (l *plan) check(t *testing.T, name string) {
	t.Helper()
	frame := append(append(appendHeader(nil, len(l.src)), l.out...), 1, 0, 0) // an empty block is the last
	frame = binary.LittleEndian.AppendUint32(frame, uint32(xxhash.Sum64(l.src)))
	got, err := plainDecoder.DecodeAll(frame, nil)
	if err != nil || !bytes.Equal(got, l.src) {
		t.Fatalf("%s: %v", name, err)
	}
}

var plainDecoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))

// Every form that a block can have is decoded to what it was made of.
func TestEveryForm(t *testing.T) {
	p, seen := new(Packer), map[string]bool{}
	for _, n := range []int{0, 1, 2, 3, 63, 64, 65, 127, 128, 129, 1000, 5000, 0x7eff, 0x7f00, 0x7f01, 32768} {
		for v := range 8 {
			l := newPlan(p, seen, uint64(8*n+v), []int{1, 2, 40, 256}[v%4])
			l.block(nil, 100000) // to look back at
			var list []want
			for i := range n {
				q := want{0, 3, 7}
				switch v {
				case 1, 2, 3:
					q.offset = []int{5, 9, 70000}[(i*i+v)%3]
				case 4, 5, 6, 7:
					q.offset = 1 + l.rng.IntN(1<<(1+l.rng.IntN(16)))
				}
				if n < 6000 && v > 1 {
					q.literals, q.match = l.rng.IntN(1+l.rng.IntN(10)), 3+l.rng.IntN(1+l.rng.IntN(10))
				}
				list = append(list, q)
			}
			l.block(list, min(blockSize-22*n, 100*v)&^(n>>12*0xffff))
			rep := p.sequences.rep
			l.block([]want{{0, 3, rep[0]}, {0, 3, rep[1]}, {1, 5, rep[2]}, {100, 7, 9}}, 300)
			l.check(t, fmt.Sprint(n, " sequences, ", v))
		}
	}
	for _, symbols := range []int{1, 2, 40, 256} {
		l := newPlan(p, seen, uint64(symbols), symbols)
		for _, n := range []int{31, 32, 63, 64, 1023, 1024, 4095, 4096, 16383, 16384, 65535, 65536, blockSize - 3} {
			l.block([]want{{n, 3, 1}}, 0)
			l.block([]want{{n, 3, 1}}, 0)
		}
		for _, n := range []int{3, 4, 34, 35, 36, 130, 131, 132, 65538, 65539, blockSize} {
			l.block([]want{{0, n, 3}}, 0)
		}
		l.check(t, fmt.Sprint("literals of ", symbols))
	}
	for _, form := range []string{
		"literals 0 of form 0", "literals 0 of form 1", "literals 0 of form 3",
		"literals 1 of form 1", "literals 1 of form 3",
		"literals 2 of form 0", "literals 2 of form 2", "literals 2 of form 3",
		"literals 3 of form 0", "literals 3 of form 2", "literals 3 of form 3",
		"no sequences", "short count", "count", "long count",
		"ll mode 0", "ll mode 1", "ll mode 2", "of mode 0", "of mode 1", "of mode 2", "ml mode 0", "ml mode 1", "ml mode 2",
	} {
		if !seen[form] {
			t.Errorf("no block has %s", form)
		}
	}
}

// One sequence whose codes are all rare, so that each of them takes as many bits
// as there are, and has itself as many bits as would just fit with them.
func TestRareSequences(t *testing.T) {
	p := new(Packer)
	for seed := range uint64(4000 / Sparse) {
		l := newPlan(p, map[string]bool{}, seed, 256)
		var list []want
		for range 1030 + l.rng.IntN(40) {
			list = append(list, want{2, 12, 20 + l.rng.IntN(230)})
		}
		list[1000+l.rng.IntN(20)] = []want{
			{2048 + l.rng.IntN(2048), 515 + l.rng.IntN(512), 2050},
			{1024 + l.rng.IntN(1024), 1027 + l.rng.IntN(1024), 2045 + l.rng.IntN(2048)},
			{4096 + l.rng.IntN(4096), 515 + l.rng.IntN(512), 1021 + l.rng.IntN(1024)},
			{2048 + l.rng.IntN(2048), 515 + l.rng.IntN(512), 4093 + l.rng.IntN(4096)},
		}[l.rng.IntN(4)]
		l.block(nil, 10000)
		l.block(list, 10)
		l.check(t, fmt.Sprint("seed ", seed))
	}
}

// A block that is told raw leaves no tree behind: its literals were compressed,
// though by less than what stands around them.
func TestRawBlockLeavesNoTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, blockSize)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	where, tried := rng.Perm(blockSize), 0
	for i, at := range where[:20000] {
		noise[at] = 0
		if i%4 != 0 {
			continue
		}
		out, _, err := huff0.Compress4X(noise, &huff0.Scratch{})
		if err != nil {
			continue
		}
		if len(out) < blockSize-6 {
			break
		}
		tried++
		src := bytes.Clone(noise)
		for _, at := range rng.Perm(blockSize) {
			src = append(src, noise[at])
		}
		if got, err := plainDecoder.DecodeAll(new(Packer).Append(nil, src), nil); err != nil || !bytes.Equal(got, src) {
			t.Fatalf("after %d zeros: %v", i+1, err)
		}
	}
	if tried == 0 {
		t.Fatal("no literals were just compressed")
	}
}

// The table's numbers begin anew before they run over.
func TestManyCalls(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	src := make([]byte, 1<<20)
	for i := range src {
		src[i] = "abcdefgh"[rng.IntN(8)&rng.IntN(8)]
	}
	used := new(Packer)
	for _, base := range []uint32{1, 1<<31 - 1<<20, 1 << 31, 1<<31 + 1, 1<<32 - 1<<20 - 1, 1<<32 - 1} {
		used.base = base
		for _, n := range []int{1 << 20, 100, 3000, 1 << 19, 1 << 20} {
			if !bytes.Equal(used.Append(nil, src[:n]), new(Packer).Append(nil, src[:n])) {
				t.Fatalf("from %d on, %d bytes are packed in two ways", base, n)
			}
		}
	}
}
