package collect

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/topotape/topotape/capture"
)

const (
	socketBatches = 6         // in use at most
	socketArena   = 256 << 10 // bytes of a batch's records
	socketSlots   = 2048      // records of a batch, to begin with

	// socketPause is how long the collector sleeps while records come, so that many share
	// the cost of a wake-up; socketIdle how long it sleeps if the last round had none. To
	// be woken by a record would cost the host more: an interrupt for each.
	socketPause = 10 * time.Millisecond
	socketIdle  = 50 * time.Millisecond
	// socketSlack is how long after its time a record may appear in the ring: it is
	// written in an interrupt's time, or later if the hypervisor takes the processor away.
	socketSlack = 2 * time.Millisecond
)

// socketFilter passes the transitions that are evidence, by the kernel's numbers of the
// states: connect, its end, the end of a server's handshake, closes, and listen.
const socketFilter = "newstate==2 || newstate==4 || newstate==7 || newstate==9 || newstate==10 || (newstate==1 && (oldstate==2 || oldstate==3))"

// Sockets records sockets' changes of state with the task that had the processor, and
// the life of processes, of the whole host.
type Sockets struct {
	cfg    SocketsConfig
	filter string
	online rereadable // list of the processors
	procfs string     // mount point
	quiet  bool       // no records of processes, for tests

	format  *traceFormat
	source  capture.Source
	got     features
	pages   int // of a ring
	rings   []*ring
	hash    cipher.Block
	block   [aes.BlockSize]byte
	request drainRequest

	at      int64 // of the last record
	offset  int64 // from CLOCK_MONOTONIC to the clock of the records
	checked int64 // when the processors were last read
	awake   int64 // the offset then: it grows while the host sleeps
	order   byTime
	missing map[int]bool // processors whose ring can't be opened
	lost    lostRecords
	shed    struct{ processes, samples shedding }
	snap    snapshots

	received, dropped atomic.Uint64
	lastLoss          atomic.Pointer[lastLoss]
}

// NewSockets returns a collector that is not open yet.
func NewSockets(cfg SocketsConfig) *Sockets {
	cfg.setDefaults()
	return &Sockets{cfg: cfg, filter: socketFilter, online: rereadable{path: "/sys/devices/system/cpu/online", fd: -1},
		procfs: "/proc", snap: snapshots{every: snapshotEvery}}
}

// Open opens a ring for every processor.
func (s *Sockets) Open() (err error) {
	if s.format, err = openTracepoint(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	var key [16]byte
	rand.Read(key[:])
	if s.hash, err = aes.NewCipher(key[:]); err != nil {
		return err
	}
	if s.request.sleep, err = newSleeper(); err != nil {
		return err
	}
	s.missing = map[int]bool{}
	if err := s.openRings(); err != nil {
		return perfWhy(err)
	}
	s.measure()
	s.at = s.cfg.Clock()
	s.checked, s.awake = s.at, s.offset
	s.source = capture.Source{Open: true, Kind: capture.SourceSockets, Buffer: uint64(len(s.rings) * s.ringBytes())}
	s.source.Why = strings.Join(s.lacks(), "; ")
	return nil
}

// initialPIDNamespace is the inode of the pid namespace in which the host began
// (PROC_PID_INIT_INO).
const initialPIDNamespace = "pid:[4026531836]"

// lacks returns what the source does not show.
func (s *Sockets) lacks() (why []string) {
	if ns := readLink("/proc/self/ns/pid"); ns != "" && ns != initialPIDNamespace {
		why = append(why, "processes outside of the recorder's pid namespace have no name: run it in the host's (hostPID in a container)")
	}
	if !s.got.namespaces {
		why = append(why, "the kernel does not report the namespaces of processes: it needs CONFIG_NAMESPACES")
	}
	if want := ringPages(s.cfg.Memory, pageSize, len(s.rings)); s.pages < want {
		why = append(why, fmt.Sprintf("the rings have %d pages where %d were asked for: run with CAP_IPC_LOCK, or raise kernel.perf_event_mlock_kb", s.pages, want))
	}
	return why
}

// Describe returns lines about what the open collector would see.
func (s *Sockets) Describe() []string {
	lines := []string{fmt.Sprintf("every TCP connect, listen and close, and every process, on %d processors; rings of %d bytes, about %d changes each",
		len(s.rings), s.ringBytes(), s.ringBytes()/sampleSize)}
	if !s.got.cgroup {
		lines = append(lines, "the kernel does not report cgroups: it needs Linux 5.7 or later with CONFIG_CGROUP_PERF")
	}
	return lines
}

// sampleSize is about what a sample takes in the ring, in bytes.
const sampleSize = 112

// Drain requests that Run sends everything up to now, and a batch, maybe without
// records, whose Drained is n. The numbers must grow. It may be called from any
// goroutine.
func (s *Sockets) Drain(n uint64) { s.request.set(n) }

// Stats counts in Received the records of the rings that were recorded, in Lost those
// that did not fit into a ring or into the allowance. A loss degrades the source for a
// minute.
func (s *Sockets) Stats() Stats {
	st := Stats{Received: s.received.Load(), Lost: s.dropped.Load(), Why: s.source.Why}
	if l := s.lastLoss.Load(); l != nil && s.cfg.Clock()-l.at < int64(time.Minute) {
		st.Why = l.why
	}
	return st
}

// Run records until ctx is done, then what is in the rings.
func (s *Sockets) Run(ctx context.Context, out chan<- *Batch) error {
	defer s.close()
	ctx, cancel := context.WithCancel(ctx)
	defer s.snap.running.Wait()
	defer cancel()
	w := &roundWriter{free: newPool(socketBatches, socketArena, socketSlots), out: out}
	w.b = w.free.get()
	s.add(w, capture.KindSource, &s.source)
	s.add(w, capture.KindSocketFormat, &capture.SocketFormat{Text: s.format.text})
	w.send()
	if taken := takeSnapshot(ctx, s.procfs); ctx.Err() == nil {
		s.addSnapshot(w, taken)
		s.cfg.Allowance.Refill() // the processes must be on the tape once
	}
	stop := context.AfterFunc(ctx, s.request.wake)
	defer stop()
	for ctx.Err() == nil {
		s.measure()
		s.checkProcessors()
		upTo := monotonic() - int64(socketSlack)
		n := s.round(ctx, w, upTo)
		w.b.Drained, w.b.Source = s.request.done(upTo), s.cfg.Source
		w.send()
		length := socketIdle
		if n > 0 {
			length = socketPause
		}
		if err := s.request.pause(length); err != nil {
			return err
		}
	}
	s.finish(ctx, w)
	return nil
}

// finish records what is in the rings, and what was lost.
func (s *Sockets) finish(ctx context.Context, w *roundWriter) {
	for _, r := range s.rings {
		r.enable(false)
	}
	time.Sleep(socketSlack) // for a record that is being written
	s.round(ctx, w, monotonic())
	for _, r := range s.rings {
		s.noteLost(r, r.total())
	}
	s.addLost(w)
	s.shedding(w, true)
	w.send()
}

func (s *Sockets) close() {
	for _, r := range s.rings {
		r.close()
	}
	s.rings = nil
	s.online.close()
	s.request.close()
}
