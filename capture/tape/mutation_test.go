package tape

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
)

// heapMeter measures how far the heap grows from its start, garbage included.
type heapMeter struct {
	sample     [1]metrics.Sample
	base, peak uint64
}

func newHeapMeter() *heapMeter {
	m := &heapMeter{sample: [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
	runtime.GC()
	m.look()
	m.base = m.peak
	return m
}

func (m *heapMeter) look() {
	metrics.Read(m.sample[:])
	m.peak = max(m.peak, m.sample[0].Value.Uint64())
}

func (m *heapMeter) above() uint64 { return m.peak - m.base }

// heapLimit is how far the heap may grow when any bytes are read.
const heapLimit = 64 << 20

// original is a tape as it was written.
type original struct {
	name    string
	bytes   []byte
	records []capture.Record
}

// originals are recorded and built tapes, with one chunk and with many.
func originals(t *testing.T) (list []original, byID map[[16]byte]*original) {
	t.Helper()
	names := []string{"../../fixtures/lab-gateway/capture.tape", "../../fixtures/generated/generated-00/capture.tape"}
	more, err := filepath.Glob("testdata/frozen/*every-kind.tape")
	if err != nil || len(more) == 0 {
		t.Fatal(more, err)
	}
	for _, name := range append(names, more...) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, original{name: name, bytes: b})
	}
	recorded, _, _, err := readAll(list[0].bytes)
	if err != nil {
		t.Fatal(err)
	}
	for every := range 2 { // the same records, in chunks of a few
		h := testHeader()
		h.TapeID[0] = byte(every)
		list = append(list, original{name: fmt.Sprintf("in chunks of %d", 1+4*every), bytes: writeTape(t, h, recorded, 1+4*every)})
	}
	byID = map[[16]byte]*original{}
	for i := range list {
		o := &list[i]
		r, err := NewReader(bytes.NewReader(o.bytes))
		if err != nil {
			t.Fatal(err)
		}
		var damage []*DamageError
		var ending Ending
		if o.records, damage, ending, err = readAll(o.bytes); err != nil || damage != nil || ending != Closed {
			t.Fatal(o.name, damage, ending, err)
		}
		byID[r.Header().TapeID] = o
	}
	return list, byID
}

// boundaryFrom is where the first frame at or after an offset begins, or the end.
func boundaryFrom(b []byte, at int) int {
	if i := bytes.Index(b[at:], frameTemplate[:offMajor+1]); i >= 0 {
		return at + i
	}
	return len(b)
}

// mutate changes b, and returns a description of the change.
func mutate(rng *rand.Rand, b []byte, others []original) ([]byte, string) {
	at := rng.IntN(len(b) + 1)
	n := rng.IntN(min(len(b)-at, 1<<rng.IntN(14)) + 1)
	end := at + n
	if rng.IntN(3) == 0 { // at the boundaries of frames
		at, end = boundaryFrom(b, at), boundaryFrom(b, end)
		n = end - at
	}
	random := func(n int) []byte {
		junk := make([]byte, n)
		for i := range junk {
			junk[i] = byte(rng.Uint32())
		}
		return junk
	}
	say := func(what string) string { return fmt.Sprintf("%s %d to %d", what, at, end) }
	switch rng.IntN(10) {
	case 0:
		if len(b) > 0 {
			b[min(at, len(b)-1)] ^= 1 << rng.IntN(8)
		}
		return b, say("flip")
	case 1:
		return b[:at], say("truncate")
	case 2:
		copy(b[at:end], random(n))
		return b, say("overwrite")
	case 3:
		clear(b[at:end])
		return b, say("zero")
	case 4:
		return slices.Insert(b, at, random(n)...), say("insert")
	case 5:
		return slices.Delete(b, at, end), say("delete")
	case 6:
		to := rng.IntN(len(b) + 1)
		return slices.Insert(b, to, bytes.Clone(b[at:end])...), say(fmt.Sprintf("duplicate at %d", to))
	case 7:
		other := others[rng.IntN(len(others))].bytes
		from := boundaryFrom(other, rng.IntN(len(other)))
		piece := other[from:min(len(other), from+n)]
		return slices.Insert(b, at, piece...), say("splice " + fmt.Sprint(from))
	case 8: // as a disk can do: a block of another file, or of another place
		other := others[rng.IntN(len(others))].bytes
		if from := rng.IntN(len(other)) &^ 511; at&^511+512 <= len(b) {
			copy(b[at&^511:][:512], other[from:])
		}
		return b, say("misplaced block")
	}
	// A changed frame header with a correct checksum.
	if i := bytes.Index(b[min(at, len(b)):], frameTemplate[:offMajor+1]); i >= 0 && len(b)-at-i >= frameHeaderLen {
		f := b[at+i:]
		field := []int{offKind, offNumber + 7, offPlain + rng.IntN(4), offStored + rng.IntN(4)}[rng.IntN(4)]
		f[field] ^= 1 << rng.IntN(8)
		binary.BigEndian.PutUint32(f[offHeaderCRC:], headerCRC(f))
	}
	return b, say("forge")
}

// For any change of a tape: only records that were written are returned, all
// errors have an offset, memory is bounded, and the tape is not closed.
func TestMutatedTapes(t *testing.T) {
	list, byID := originals(t)
	meter := newHeapMeter()
	endings := map[Ending]int{}
	refused, damaged := 0, 0
	for i := range 1000 {
		rng := rand.New(rand.NewPCG(uint64(i), 4))
		o := &list[rng.IntN(len(list))]
		b := bytes.Clone(o.bytes)
		var did []string
		for range 1 + rng.IntN(4) {
			var what string
			b, what = mutate(rng, b, list)
			did = append(did, what)
		}
		same := bytes.Equal(b, o.bytes)
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("mutation %d of %s, %q: %s", i, o.name, did, fmt.Sprintf(format, args...))
		}
		check := func(err error) {
			t.Helper()
			var d *DamageError
			var v *VersionError
			switch {
			case errors.As(err, &d):
				if d.Offset < 0 || d.Ignored < 0 || d.Offset+d.Ignored > int64(len(b)) && d.Ignored > maxPayload {
					fail("offset %d, %d bytes ignored, of %d", d.Offset, d.Ignored, len(b))
				}
			case errors.As(err, &v):
				if v.Offset < 0 || v.Offset > int64(len(b)) {
					fail("offset %d of %d", v.Offset, len(b))
				}
			case !errors.Is(err, ErrNotTape):
				fail("%T: %v", err, err)
			}
		}
		r, err := NewReader(bytes.NewReader(b))
		for more := err == nil; more; {
			from := byID[r.Header().TapeID]
			if from == nil {
				fail("a tape that never was: %x", r.Header().TapeID)
				return
			}
			left, errs, got := from.records, 0, 0
			var rec capture.Record
			for err == nil {
				rec, err = r.Next()
				meter.look()
				var d *DamageError
				if errors.As(err, &d) {
					check(err)
					err = nil
					if errs++; errs > len(b) {
						fail("no progress")
					}
					continue
				}
				if err != nil {
					break
				}
				for len(left) > 0 && (left[0].Seq != rec.Seq || left[0].Kind != rec.Kind || left[0].At != rec.At || left[0].Source != rec.Source || !bytes.Equal(left[0].Payload, rec.Payload)) {
					left = left[1:]
				}
				if len(left) == 0 {
					fail("record %d (%s) was not written, or not here", rec.Seq, rec.Kind)
				}
				left = left[1:]
				got++
			}
			if errs > 0 {
				damaged++
			}
			if err != io.EOF {
				check(err)
				refused++
				break
			}
			err = nil
			endings[r.Ending()]++
			if r.Ending() == Closed && (got != len(from.records) || errs > 0) || errs > 0 && r.Ending() != Torn {
				fail("%s after %d of %d records and %d errors", r.Ending(), got, len(from.records), errs)
			}
			if same && r.Ending() != Closed {
				fail("nothing was changed, and it is %s", r.Ending())
			}
			if more, err = r.NextTape(); err != nil {
				check(err)
				refused++
				break
			}
		}
		if err != nil {
			check(err)
		}
		if ix, err := ReadIndex(bytes.NewReader(b), int64(len(b))); err == nil && len(ix.Entries) > len(b)/frameHeaderLen {
			fail("an index of %d chunks in %d bytes", len(ix.Entries), len(b))
		}
		meter.look()
		if meter.above() > heapLimit {
			fail("the heap grew by %d bytes", meter.above())
		}
	}
	t.Logf("tapes %v, %d of them damaged, %d refused; the heap grew by %d KiB at most", endings, damaged, refused, meter.above()>>10)
	if endings[Closed] == 0 || endings[Cut] == 0 || endings[Torn] < 300 || refused == 0 {
		t.Error("the mutations are not what they were")
	}
}
