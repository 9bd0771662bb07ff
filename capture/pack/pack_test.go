package pack_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/pack"
	"github.com/topotape/topotape/reporter/ctmsg"
)

var decoder = newDecoder()

func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return d
}

// round packs src behind other bytes, and unpacks it with the library's decoder.
func round(t testing.TB, p *pack.Packer, src []byte) []byte {
	t.Helper()
	out := p.Append([]byte("before"), src)
	frame, ok := bytes.CutPrefix(out, []byte("before"))
	if !ok {
		t.Fatal("what was there is gone")
	}
	got, err := decoder.DecodeAll(frame, nil)
	if err != nil {
		t.Fatalf("%d bytes: %v", len(src), err)
	}
	if !bytes.Equal(got, src) {
		t.Fatalf("%d bytes came back as %d others", len(src), len(got))
	}
	if len(frame) > len(src)+16+3*(len(src)>>17) {
		t.Fatalf("%d bytes became %d", len(src), len(frame))
	}
	return frame
}

// like is bytes that are in part as those before them, more or less.
func like(rng *rand.Rand, src []byte) []byte {
	symbols := 1 + rng.IntN(1<<rng.IntN(9))
	record := 1 + rng.IntN(300)
	for i := 0; i < len(src); {
		if i > 0 && rng.IntN(3) > 0 {
			from := rng.IntN(i)
			if rng.IntN(2) == 0 {
				from = max(0, i-record)
			}
			i += copy(src[i:], src[from:min(i, from+1+rng.IntN(1<<rng.IntN(18)))])
			continue
		}
		for range 1 + rng.IntN(1<<rng.IntN(10)) {
			if i < len(src) {
				src[i] = byte(rng.IntN(symbols))
				i++
			}
		}
	}
	return src
}

// made are bytes of many kinds.
func made(t testing.TB, each func(src []byte)) {
	for seed := range uint64(2000 / pack.Sparse) {
		rng := rand.New(rand.NewPCG(seed, 1))
		each(like(rng, make([]byte, rng.IntN(1<<rng.IntN(20)+1))))
	}
	for _, size := range []int{0, 1, 2, 7, 8, 9, 31, 32, 63, 64, 255, 256, 257, 1023, 1024, 4095, 4096, 65535, 65536 + 255, 65536 + 256, 1<<17 - 1, 1 << 17, 1<<17 + 1, 1 << 18, 8 << 20} {
		each(make([]byte, size))
		each(like(rand.New(rand.NewPCG(uint64(size), 2)), make([]byte, size)))
		noise := make([]byte, size)
		rng := rand.New(rand.NewPCG(uint64(size), 3))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		each(noise)
		each(append(noise, noise...))
	}
}

// A frame that says something else than what was packed is not believed.
func TestChecksum(t *testing.T) {
	src := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), 3) // its literals stand as they are
	frame := new(pack.Packer).Append(nil, src)
	at := bytes.Index(frame, src[:36])
	if at < 0 {
		t.Fatal("no literals to change")
	}
	frame[at]++
	if got, err := decoder.DecodeAll(frame, nil); !errors.Is(err, zstd.ErrCRCMismatch) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRoundTrip(t *testing.T) {
	p := new(pack.Packer)
	made(t, func(src []byte) { round(t, p, src) })
	for _, src := range plain(t) {
		round(t, p, src)
	}
}

// What is packed does not depend on what was packed before.
func TestSameBytes(t *testing.T) {
	used := new(pack.Packer)
	n := 0
	made(t, func(src []byte) {
		got := used.Append(nil, src)
		if n++; n%20 == 0 && !bytes.Equal(got, new(pack.Packer).Append(nil, src)) {
			t.Fatalf("%d bytes are packed in two ways", len(src))
		}
	})
}

// The program reads frames with their lengths, and prints the digest of what is
// in each.
const program = `
import sys, struct, hashlib, zstandard
while True:
    head = sys.stdin.buffer.read(4)
    if not head: break
    frame = sys.stdin.buffer.read(struct.unpack('<I', head)[0])
    d = zstandard.ZstdDecompressor().decompressobj()
    plain = d.decompress(frame)
    assert d.eof and not d.unused_data
    print(hashlib.sha256(plain).hexdigest())
`

// The format's own decoder reads it too.
func TestReferenceDecoder(t *testing.T) {
	var python string
	for _, name := range []string{"python3", "/usr/bin/python3"} { // the distribution's own has its packages
		if exec.Command(name, "-c", "import zstandard").Run() == nil {
			python = name
		}
	}
	if python == "" {
		t.Skip("needs python3 with zstandard: Debian's python3-zstandard")
	}
	var in bytes.Buffer
	var want strings.Builder
	p := new(pack.Packer)
	add := func(src []byte) {
		frame := p.Append(nil, src)
		binary.Write(&in, binary.LittleEndian, uint32(len(frame)))
		in.Write(frame)
		fmt.Fprintf(&want, "%x\n", sha256.Sum256(src))
	}
	made(t, add)
	for _, src := range plain(t) {
		add(src)
	}
	cmd := exec.Command(python, "-c", program)
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	got, err := cmd.Output()
	if err != nil || string(got) != want.String() {
		t.Errorf("%v: %d lines, want %d", err, strings.Count(string(got), "\n"), strings.Count(want.String(), "\n"))
	}
}

// plain is what stands in the chunks of shipped tapes.
func plain(t testing.TB) (list [][]byte) {
	t.Helper()
	names, _ := filepath.Glob("../../fixtures/*/*/capture.tape")
	more, _ := filepath.Glob("../../fixtures/*/capture.tape")
	for _, name := range append(names, more...) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, chunks(t, b)...)
	}
	if len(list) < 20 {
		t.Fatalf("only %d chunks were found", len(list))
	}
	return list
}

// chunks is what is packed in a file.
func chunks(t testing.TB, file []byte) (list [][]byte) {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	for at := bytes.Index(file, magic); at >= 0; {
		d, err := zstd.NewReader(bytes.NewReader(file[at:]), zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		src, _ := io.ReadAll(d) // to the frame's end
		d.Close()
		if len(src) > 0 {
			list = append(list, src)
		}
		next := bytes.Index(file[at+4:], magic)
		if next < 0 {
			break
		}
		at += 4 + next
	}
	return list
}

func FuzzPack(f *testing.F) {
	for _, src := range plain(f)[:10] {
		f.Add(src, uint8(3))
	}
	f.Add([]byte("abcabcabc"), uint8(40))
	p := new(pack.Packer)
	f.Fuzz(func(t *testing.T, src []byte, times uint8) { // more than one block of it
		round(t, p, bytes.Repeat(src, 1+int(times)))
	})
}

// messages is a tape's full chunks of what a host says of connections that come
// and go, ten at a time.
func messages(t testing.TB) [][]byte {
	var tape bytes.Buffer
	w, err := capture.NewWriter(&tape, &capture.Header{TapeID: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	open := make([]ctmsg.Message, 10)
	seq := uint64(0)
	say := func(m *ctmsg.Message, kind ctmsg.Type, state ctmsg.State, status ctmsg.Status, timeout uint32) {
		m.Type, m.State, m.Status, m.Timeout = kind, state, status, timeout
		m.HasState, m.HasFlags, m.HasTimeout, m.HasStatus = kind != ctmsg.Destroy, kind != ctmsg.Destroy, kind != ctmsg.Destroy, true
		seq++
		if err := w.Write(&capture.Record{Seq: seq, At: int64(seq/20) * 900_123, Kind: capture.KindConntrack, Source: 1, Payload: m.Append(nil, false)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		for i := range open {
			client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(4)), byte(rng.IntN(250))}), uint16(32768+rng.IntN(28000)))
			server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 9, byte(i)}), 443)
			open[i] = ctmsg.Message{ID: rng.Uint32(), Orig: ctmsg.TupleOf(client, server, 6), Reply: ctmsg.TupleOf(server, client, 6)}
			say(&open[i], ctmsg.New, ctmsg.SynSent, 0, 120)
			say(&open[i], ctmsg.Update, ctmsg.SynRecv, ctmsg.SeenReply, 60)
			say(&open[i], ctmsg.Update, ctmsg.Established, ctmsg.SeenReply|ctmsg.Assured, 432000)
		}
		for i := range open {
			say(&open[i], ctmsg.Update, ctmsg.FinWait, ctmsg.SeenReply|ctmsg.Assured, 120)
			say(&open[i], ctmsg.Update, ctmsg.TimeWait, ctmsg.SeenReply|ctmsg.Assured, 120)
			say(&open[i], ctmsg.Destroy, 0, ctmsg.SeenReply|ctmsg.Assured, 0)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return chunks(t, tape.Bytes())
}

// BenchmarkPack is chunks of messages, and those of the tapes at hand, beside the
// library's compressor: how fast, and how much is left.
func BenchmarkPack(b *testing.B) {
	for name, list := range map[string][][]byte{"messages": messages(b), "tapes": plain(b)} {
		size := 0
		for _, src := range list {
			size += len(src)
		}
		for what, one := range map[string]func(dst, src []byte) []byte{"pack": new(pack.Packer).Append, "library": library(b)} {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				packed := 0
				var out []byte
				for b.Loop() {
					packed = 0
					for _, src := range list {
						out = one(out[:0], src)
						packed += len(out)
					}
				}
				b.ReportMetric(100*float64(packed)/float64(size), "%")
			})
		}
	}
}

func library(b *testing.B) func(dst, src []byte) []byte {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		b.Fatal(err)
	}
	return func(dst, src []byte) []byte { return enc.EncodeAll(src, dst) }
}
