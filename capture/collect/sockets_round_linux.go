package collect

import (
	"container/heap"
	"context"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// A roundWriter has the batch that is being filled.
type roundWriter struct {
	free *pool
	out  chan<- *Batch
	b    *Batch
}

// send sends the batch, unless it has nothing, and gets another one.
func (w *roundWriter) send() {
	if len(w.b.Records) > 0 || w.b.Drained > 0 {
		w.out <- w.b
		w.b = w.free.get()
	}
}

// lostRecords are those that no gap record has yet.
type lostRecords struct {
	n     uint64
	since int64  // when none of them was lost yet
	why   string // "" if there are none
}

// round records, in the order of their times, the records of all rings up to a time of
// CLOCK_MONOTONIC. Later ones wait for the next round: an earlier record may still come
// from another processor. It returns how many records there were.
func (s *Sockets) round(ctx context.Context, w *roundWriter, upTo int64) (n int) {
	s.order = s.order[:0]
	for _, r := range s.rings {
		r.look()
		if s.ready(r, upTo) {
			s.order = append(s.order, r)
		}
	}
	heap.Init(&s.order)
	bytes := 0
	for ; len(s.order) > 0; n++ {
		r := s.order[0]
		bytes += s.take(w, r)
		r.pop()
		if s.ready(r, upTo) {
			heap.Fix(&s.order, 0)
		} else {
			heap.Pop(&s.order)
		}
	}
	for _, r := range s.rings {
		r.free()
	}
	s.cfg.Allowance.spend(bytes, s.cfg.Clock())
	s.at = max(s.at, upTo+s.offset)
	s.addLost(w)
	s.shedding(w, false)
	s.snapshot(ctx, w)
	return n
}

// ready reports whether a ring has a record up to a time.
func (s *Sockets) ready(r *ring, upTo int64) bool {
	more, err := r.peek()
	if err != nil { // never seen: where the next record begins is unknown
		r.at = r.head
		s.lose(0, r.last, err.Error())
	}
	return more && r.next.time <= upTo
}

// take records the next record of a ring, unless the rules leave it out. It returns how
// many bytes it takes on the tape.
func (s *Sockets) take(w *roundWriter, r *ring) int {
	kind := capture.KindProcessEvent
	shed := &s.shed.processes
	switch r.next.kind {
	case unix.PERF_RECORD_SAMPLE:
		kind, shed = capture.KindSocketEvent, &s.shed.samples
	case unix.PERF_RECORD_LOST:
		s.noteLost(r, r.lost+r.u64(perfHeader+8))
		return 0
	case unix.PERF_RECORD_COMM:
		if r.u32(perfHeader) != r.u32(perfHeader+4) {
			return 0 // the name of a thread that is not the leader
		}
	case unix.PERF_RECORD_FORK:
		if r.u32(perfHeader) != r.u32(perfHeader+8) {
			return 0 // likewise
		}
	case unix.PERF_RECORD_EXIT, unix.PERF_RECORD_NAMESPACES, unix.PERF_RECORD_CGROUP:
	default:
		return 0
	}
	if shed.active {
		shed.lost++
		s.dropped.Add(1)
		return 0
	}
	if cap(w.b.arena)-len(w.b.arena) < r.next.size {
		w.send()
	}
	start := len(w.b.arena)
	w.b.arena = r.append(w.b.arena)
	payload := w.b.arena[start:len(w.b.arena):len(w.b.arena)]
	if kind == capture.KindSocketEvent {
		s.hide(payload)
	}
	s.at = max(s.at, r.next.time+s.offset)
	w.b.Records = append(w.b.Records, capture.Record{At: s.at, Kind: kind, Source: s.cfg.Source, Payload: payload})
	s.received.Add(1)
	return len(payload) + recordOverhead
}

// hide replaces the kernel's address of the socket by a number: the address encrypted
// with a key that nobody keeps. Equal addresses have equal numbers.
func (s *Sockets) hide(sample []byte) {
	start := rawStart + s.format.socket.offset
	if end := start + s.format.socket.size; end <= len(sample) {
		address := sample[start:end]
		clear(s.block[:])
		copy(s.block[:], address)
		s.hash.Encrypt(s.block[:], s.block[:])
		if copy(address, s.block[:]); !slices.ContainsFunc(address, func(b byte) bool { return b != 0 }) {
			address[0] = 1 // 0 is no number
		}
	}
}

// noteLost notes that a ring has lost so many records since it was opened.
func (s *Sockets) noteLost(r *ring, total uint64) {
	if r.lost = max(r.lost, total); r.lost > r.counted {
		s.lose(r.lost-r.counted, r.last, ringFull)
		r.counted = r.lost
	}
}

const ringFull = "the ring of a processor was full"

// lose counts records that were lost after a time of CLOCK_MONOTONIC; 0 is an unknown
// number.
func (s *Sockets) lose(n uint64, after int64, why string) {
	since := s.at
	if after > 0 {
		since = min(since, after+s.offset)
	}
	if s.lost.why == "" {
		s.lost.since = since
	}
	s.lost.n, s.lost.since, s.lost.why = s.lost.n+n, min(s.lost.since, since), why
	s.dropped.Add(n)
}

// addLost adds a gap record of what was lost. The processes are listed again after it.
func (s *Sockets) addLost(w *roundWriter) {
	if s.lost.why == "" {
		return
	}
	s.add(w, capture.KindGap, &capture.Gap{Lost: s.lost.n, Exact: s.lost.n > 0, Why: s.lost.why, Since: s.lost.since})
	s.lastLoss.Store(&lastLoss{s.cfg.Clock(), "records of sockets and processes were lost: " + s.lost.why})
	s.lost = lostRecords{}
	s.snap.wanted = true
}

// Parts of the allowance below which records are left out: those of processes first,
// whose list makes up for them.
const (
	shedProcesses = 0.25
	shedSamples   = 0
)

// shedding begins and ends the leaving out, and adds the gap records that are due.
func (s *Sockets) shedding(w *roundWriter, last bool) {
	now := s.cfg.Clock()
	left := s.cfg.Allowance.left(now)
	for _, step := range []struct {
		*shedding
		begin float64
		what  string
	}{{&s.shed.processes, shedProcesses, "processes"}, {&s.shed.samples, shedSamples, "sockets"}} {
		gap, _, ends := step.step(left, step.begin, now, s.cfg.Interval, last)
		if gap != nil {
			gap.Why = "records of " + step.what + " were left out: " + gap.Why
			s.add(w, capture.KindGap, gap)
			s.lastLoss.Store(&lastLoss{now, gap.Why})
		}
		s.snap.wanted = s.snap.wanted || ends
	}
}

// add adds a record that the collector makes itself, after all that were added.
func (s *Sockets) add(w *roundWriter, kind capture.Kind, p capture.Payload) {
	w.b.Records = append(w.b.Records, capture.Record{At: s.at, Kind: kind, Source: s.cfg.Source, Payload: capture.AppendPayload(nil, p)})
}

// measure measures the offset between the clocks: as the one of them may be read long
// after the other, the closest of some tries.
func (s *Sockets) measure() {
	closest := int64(math.MaxInt64)
	for range 3 {
		before := monotonic()
		now := s.cfg.Clock()
		if took := monotonic() - before; took < closest {
			closest, s.offset = took, now-before-took/2
		}
		if closest < int64(20*time.Microsecond) {
			return
		}
	}
}

// monotonic reads CLOCK_MONOTONIC, with a raw system call as bootClock of package live.
func monotonic() int64 {
	var t unix.Timespec
	_, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&t)), 0)
	if errno != 0 {
		panic(errno) // Linux always has the clock
	}
	return t.Nano()
}
