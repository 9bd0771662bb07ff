package collect

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// onPort returns a quiet collector: its filter passes all changes of sockets with a
// port, and it records no process. Nothing else of the host is in its rings.
func onPort(t testing.TB, port uint16, cfg SocketsConfig) *Sockets {
	s := newSockets(t, cfg)
	s.quiet, s.filter = true, fmt.Sprintf("sport==%d || dport==%d", port, port)
	return s
}

// loadOn makes n connections to a port of loopback, which is in use until the last one
// has ended. Every one has the same number of changes.
func loadOn(t testing.TB, port uint16, n int) {
	t.Helper()
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	unix.SetsockoptInt(l, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	addr := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}
	if err := unix.Bind(l, addr); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 16); err != nil {
		t.Fatal(err)
	}
	for range n {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(c, addr); err != nil {
			t.Fatal(err)
		}
		s, _, err := unix.Accept(l)
		if err != nil {
			t.Fatal(err)
		}
		unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(c) // a reset ends both ends at once
		unix.Close(s)
	}
}

// What does not fit into rings of 8 pages is counted to the last sample, also after the
// last that fits.
func TestSocketsCountLossExactly(t *testing.T) {
	inNetns(t)
	large := record(t, onPort(t, 4712, SocketsConfig{}), nil)
	s := onPort(t, 4712, SocketsConfig{Memory: 1})
	full := make(chan struct{})
	var once sync.Once
	r := record(t, s, func(b *Batch) {
		if len(b.Records) > 0 && b.Records[0].Kind == capture.KindProcesses {
			once.Do(func() { <-full }) // Run waits, and the rings fill up
		}
	})
	loadOn(t, 4712, 2000)
	close(full)
	records := r.stop(t)
	d, all := decode(t, records), decode(t, large.stop(t))
	if all.lost > 0 || len(all.sockets) < 5*2000 || len(d.sockets)+int(d.lost) != len(all.sockets) {
		t.Errorf("%d samples and %d lost; rings that are large enough have %d, and lost %d", len(d.sockets), d.lost, len(all.sockets), all.lost)
	}
	if d.lost < 1000 || s.pages != minRingPages {
		t.Errorf("%d lost with rings of %d pages", d.lost, s.pages)
	}
	if got := s.Stats(); got.Lost != d.lost || got.Received != uint64(len(d.sockets)) || got.Why == "" {
		t.Errorf("stats %+v", got)
	}
	for i, rec := range records {
		if rec.Kind != capture.KindGap {
			continue
		}
		gap := decodeTo[capture.Gap](t, rec)
		if !gap.Exact || gap.Since >= rec.At || i > 0 && gap.Since < 0 {
			t.Errorf("gap %+v at %d", gap, rec.At)
		}
	}
}

// The records of small rings that are read in time are whole, also those that are split
// at a ring's end.
func TestSocketsAreWholeAtTheEndOfARing(t *testing.T) {
	inNetns(t)
	s := onPort(t, 4713, SocketsConfig{Memory: 1})
	r, large := record(t, s, nil), record(t, onPort(t, 4713, SocketsConfig{}), nil)
	r.until(t, "processes", has(capture.KindProcesses, 1))
	large.until(t, "processes", has(capture.KindProcesses, 1))
	for range 20 {
		loadOn(t, 4713, 20)
		time.Sleep(2 * socketIdle)
	}
	d, want := decode(t, r.stop(t)), len(decode(t, large.stop(t)).sockets)
	bytes := len(d.sockets) * sampleSize
	if d.lost > 0 || len(d.sockets) != want || bytes < 3*s.ringBytes() {
		t.Errorf("%d samples of %d, %d lost; %d bytes in rings of %d", len(d.sockets), want, d.lost, bytes, s.ringBytes())
	}
	for _, e := range d.sockets {
		if e.Local.Port() != 4713 && e.Remote.Port() != 4713 || e.Time == 0 {
			t.Fatalf("sample %+v", e)
		}
	}
}

// Everything before a request is before the batch that answers it.
func TestSocketsAreDrainedOnRequest(t *testing.T) {
	inNetns(t)
	s := onPort(t, 4714, SocketsConfig{})
	var seen, answered int
	var mu sync.Mutex
	r := record(t, s, func(b *Batch) {
		mu.Lock()
		defer mu.Unlock()
		for _, rec := range b.Records {
			if rec.Kind == capture.KindSocketEvent {
				seen++
			}
		}
		if b.Drained > 0 && b.Source == 5 {
			answered = seen
		}
	})
	r.until(t, "processes", has(capture.KindProcesses, 1))
	slowest := time.Duration(0)
	for n := range 50 {
		loadOn(t, 4714, 5)
		start := time.Now()
		s.Drain(uint64(n + 1))
		r.until(t, "answer", func([]capture.Record) bool { return r.drained == uint64(n+1) })
		slowest = max(slowest, time.Since(start))
		mu.Lock()
		if want := (2 + 5*6) * (n + 1); answered < want { // some kernels show more changes of some connections
			t.Errorf("request %d: %d samples, want %d", n+1, answered, want)
		}
		mu.Unlock()
	}
	r.stop(t)
	t.Logf("slowest answer after %v", slowest)
}

// A processor that comes gets a ring, and one that goes loses its ring; what may be
// missing is a gap.
func TestSocketsFollowTheProcessors(t *testing.T) {
	s := newSockets(t, SocketsConfig{})
	if len(s.processors()) < 2 {
		t.Skip("needs two processors")
	}
	s.online.close()
	list := filepath.Join(t.TempDir(), "online")
	write := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("0\n")
	s.online.path, s.snap.every = list, 0
	r := record(t, s, nil)
	write("0-1,9999\n")
	gaps := func(n int) func([]capture.Record) bool { return has(capture.KindGap, n) }
	r.until(t, "gap", gaps(1))
	r.until(t, "another list of processes", has(capture.KindCgroups, 2))
	time.Sleep(2 * processorsEvery) // the one that can't be opened is one gap only
	if n := openRings(t); n != 2 {
		t.Errorf("%d rings of two processors", n)
	}
	write("0\n")
	r.until(t, "ring of one processor only", func([]capture.Record) bool { return openRings(t) == 1 })
	records := r.stop(t)
	for _, rec := range records {
		if rec.Kind == capture.KindGap {
			if gap := decodeTo[capture.Gap](t, rec); gap.Exact || gap.Why == "" || gap.Since > rec.At {
				t.Errorf("gap %+v", gap)
			}
		}
	}
	if !gaps(1)(records) || gaps(2)(records) || openRings(t) != 0 {
		t.Errorf("%d gaps, %d rings at the end", count(records, capture.KindGap), openRings(t))
	}
}

// openRings counts the process's perf events.
func openRings(t *testing.T) (n int) {
	t.Helper()
	dirs, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if readLink("/proc/self/fd/"+d.Name()) == "anon_inode:[perf_event]" {
			n++
		}
	}
	return n
}

// While the host sleeps, its processors go offline and the rings end.
func TestSocketsAreRecordedAfterTheHostSlept(t *testing.T) {
	inNetns(t)
	s := onPort(t, 4716, SocketsConfig{})
	awake, slept := s.cfg.Clock, atomic.Int64{}
	s.cfg.Clock = func() int64 { return awake() + slept.Load() }
	r := record(t, s, nil)
	r.until(t, "processes", has(capture.KindProcesses, 1))
	slept.Store(int64(time.Hour))
	r.until(t, "gap", has(capture.KindGap, 1))
	loadOn(t, 4716, 10)
	d := decode(t, r.stop(t))
	if len(d.sockets) < 10*5 || d.lost > 0 || s.Stats().Why == "" {
		t.Errorf("%d samples, %d lost, stats %+v", len(d.sockets), d.lost, s.Stats())
	}
}

// Records of processes beyond the allowance are counted, and the list of processes
// follows when they are recorded again. Samples are recorded all the time.
func TestSocketsLeaveOutProcessesFirst(t *testing.T) {
	inNetns(t)
	a := NewAllowance(100_000, 0)
	s := newSockets(t, SocketsConfig{Interval: 50 * time.Millisecond, Allowance: a})
	s.snap.every = 0
	r := record(t, s, nil)
	r.until(t, "processes", has(capture.KindProcesses, 1))
	for range 10 {
		for range 60 {
			exec.Command("/bin/true").Run()
		}
		if r.mu.Lock(); count(r.records, capture.KindGap) > 0 {
			r.mu.Unlock()
			break
		}
		r.mu.Unlock()
	}
	r.until(t, "gap", has(capture.KindGap, 1))
	r.mu.Lock()
	before, listed := count(r.records, capture.KindProcessEvent), count(r.records, capture.KindCgroups)
	r.mu.Unlock()
	load(t, 5)
	exec.Command("/bin/true").Run()
	time.Sleep(100 * time.Millisecond)
	r.mu.Lock()
	if n := count(r.records, capture.KindProcessEvent); n != before {
		t.Errorf("%d records of processes beyond the allowance", n-before)
	}
	if n := count(r.records, capture.KindSocketEvent); n < 5*6 {
		t.Errorf("%d samples", n)
	}
	r.mu.Unlock()
	a.Refill()
	r.until(t, "records of processes", func(records []capture.Record) bool {
		r.mu.Unlock() // the process ends before this returns
		exec.Command("/bin/true").Run()
		r.mu.Lock()
		return count(r.records, capture.KindProcessEvent) > before
	})
	r.until(t, "list", has(capture.KindCgroups, listed+1))
	records := r.stop(t)
	if n, lost := gapsOf(t, records); lost != s.Stats().Lost || n == 0 {
		t.Errorf("%d gaps of %d records, %d were lost", n, lost, s.Stats().Lost)
	}
}

// BenchmarkSocketsDrain measures the reading of real samples, by one goroutine.
func BenchmarkSocketsDrain(b *testing.B) {
	inNetns(b)
	s := onPort(b, 4715, SocketsConfig{})
	if err := s.Open(); err != nil {
		b.Fatal(err)
	}
	defer s.close()
	out := make(chan *Batch, socketBatches)
	w := &roundWriter{free: newPool(socketBatches, socketArena, socketSlots), out: out}
	w.b = w.free.get()
	samples := 0
	for b.Loop() {
		b.StopTimer()
		loadOn(b, 4715, 1000)
		b.StartTimer()
		s.measure()
		samples += s.round(b.Context(), w, monotonic())
		w.send()
		for len(out) > 0 {
			(<-out).Release()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(samples), "ns/sample")
}
