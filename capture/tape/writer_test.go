package tape

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// fullChunk is a full chunk of conntrack messages: short TCP connections to ten
// servers, ten of them open at a time.
func fullChunk() (plain []byte, events int) {
	rng := rand.New(rand.NewPCG(1, 1))
	open := make([]ctmsg.Message, 10)
	add := func(m *ctmsg.Message, kind ctmsg.Type, state ctmsg.State, status ctmsg.Status, timeout uint32) {
		m.Type, m.State, m.Status, m.Timeout = kind, state, status, timeout
		m.HasState, m.HasFlags, m.HasTimeout, m.HasStatus = kind != ctmsg.Destroy, kind != ctmsg.Destroy, kind != ctmsg.Destroy, true
		events++
		plain = appendRecord(plain, &capture.Record{Seq: uint64(events), At: int64(events/20) * 900_123, Kind: capture.KindConntrack, Source: 1, Payload: m.Append(nil, false)})
	}
	for len(plain) < chunkSize {
		for i := range open {
			client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(4)), byte(rng.IntN(250))}), uint16(32768+rng.IntN(28000)))
			server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 9, byte(i)}), 443)
			open[i] = ctmsg.Message{ID: rng.Uint32(), Orig: ctmsg.TupleOf(client, server, 6), Reply: ctmsg.TupleOf(server, client, 6)}
			add(&open[i], ctmsg.New, ctmsg.SynSent, 0, 120)
			add(&open[i], ctmsg.Update, ctmsg.SynRecv, ctmsg.SeenReply, 60)
			add(&open[i], ctmsg.Update, ctmsg.Established, ctmsg.SeenReply|ctmsg.Assured, 432000)
		}
		for i := range open {
			add(&open[i], ctmsg.Update, ctmsg.FinWait, ctmsg.SeenReply|ctmsg.Assured, 120)
			add(&open[i], ctmsg.Update, ctmsg.TimeWait, ctmsg.SeenReply|ctmsg.Assured, 120)
			add(&open[i], ctmsg.Destroy, 0, ctmsg.SeenReply|ctmsg.Assured, 0)
		}
	}
	return plain, events
}

// compress returns the payload of a compressed frame.
func compress(t testing.TB, w *Writer, plain []byte) []byte {
	t.Helper()
	if err := w.writeFrame(frameChunk, codingZstd, plain); err != nil {
		t.Fatal(err)
	}
	return w.stored
}

func discarding(t testing.TB) *Writer {
	t.Helper()
	w, err := NewWriter(io.Discard, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A compressed payload is one that readers accept, of any length: it has a window
// within their bound, its length and a checksum.
func TestCompressedPayload(t *testing.T) {
	chunk, _ := fullChunk()
	large := bytes.Repeat(chunk, 1+(chunkSize+maxRecord)/len(chunk))[:chunkSize+maxRecord]
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range large {
		if rng.IntN(8) == 0 {
			large[i] = byte(rng.Uint32())
		}
	}
	w := discarding(t)
	for _, size := range []int{1, 100, 1 << 10, 1<<10 + 1, 128 << 10, 128<<10 + 1, chunkSize, window, window + 1, len(large)} {
		plain := large[:size]
		stored := compress(t, w, plain)
		var h zstd.Header
		if err := h.Decode(stored); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if h.WindowSize > maxPayload || !h.HasCheckSum || !h.HasFCS || h.FrameContentSize != uint64(size) || h.DictionaryID != 0 {
			t.Errorf("%d bytes: %+v", size, h)
		}
		frame := &frameHeader{kind: frameChunk, coding: codingZstd, plain: uint32(size), stored: uint32(len(stored))}
		if got, err := new(unpacker).unpack(frame, stored); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back as %d others (%v)", size, len(got), err)
		}
		stored[len(stored)-1] ^= 1 // of the checksum
		if _, err := new(unpacker).unpack(frame, stored); !errors.Is(err, zstd.ErrCRCMismatch) {
			t.Errorf("%d bytes with another checksum: %v", size, err)
		}
	}
}

// The bytes of a frame do not depend on the frames before it, however many: the
// same records make the same tape. The encoder's own positions begin again
// several times.
func TestSameBytesAfterManyFrames(t *testing.T) {
	chunk, _ := fullChunk()
	first := bytes.Clone(compress(t, discarding(t), chunk))
	w := discarding(t)
	for i := range 10_000 {
		compress(t, w, chunk[i:i+100])
		if i%250 == 0 && !bytes.Equal(compress(t, w, chunk), first) {
			t.Fatalf("a chunk has other bytes after %d frames", i)
		}
	}
}

// A frame costs no memory that the Writer does not have already.
func TestFramesAllocateNothing(t *testing.T) {
	chunk, _ := fullChunk()
	w := discarding(t)
	compress(t, w, chunk)
	if n := testing.AllocsPerRun(20, func() { compress(t, w, chunk) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkFullChunk writes full chunks: what compressing costs an event, and how
// many bytes it leaves.
func BenchmarkFullChunk(b *testing.B) {
	w := discarding(b)
	plain, events := fullChunk()
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		compress(b, w, plain)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
	b.ReportMetric(float64(len(w.frame))/float64(events), "B/event")
	b.ReportMetric(100*float64(len(w.stored))/float64(len(plain)), "%")
}
