package live

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
)

// A fake is a collector that a test controls.
type fake struct {
	openErr  error
	run      func(ctx context.Context, out chan<- *collect.Batch) error
	received atomic.Uint64
	why      string
}

func (f *fake) Open() error          { return f.openErr }
func (f *fake) Stats() collect.Stats { return collect.Stats{Received: f.received.Load(), Why: f.why} }
func (f *fake) Run(ctx context.Context, out chan<- *collect.Batch) error {
	if f.run == nil {
		<-ctx.Done()
		return nil
	}
	return f.run(ctx, out)
}

// A fakeConntrack sends the queued records when a drain is requested.
type fakeConntrack struct {
	fake
	number   uint32
	requests chan uint64
	deaf     bool // it ignores requests

	mu     sync.Mutex
	queued []capture.Record
}

func newFakeConntrack() *fakeConntrack {
	f := &fakeConntrack{number: 1, requests: make(chan uint64, 100)}
	f.run = func(ctx context.Context, out chan<- *collect.Batch) error {
		for {
			select {
			case n := <-f.requests:
				if !f.deaf {
					out <- &collect.Batch{Records: f.take(), Drained: n, Source: f.number}
				}
			case <-ctx.Done():
				out <- &collect.Batch{Records: f.take()}
				return nil
			}
		}
	}
	return f
}

func (f *fakeConntrack) Drain(n uint64) { f.requests <- n }

func (f *fakeConntrack) queue(records ...capture.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued = append(f.queued, records...)
}

func (f *fakeConntrack) take() []capture.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.queued
	f.queued = nil
	f.received.Add(uint64(len(r)))
	return r
}

// event is a conntrack message without attributes: twenty bytes of headers.
func event(at int64) capture.Record {
	return capture.Record{At: at, Kind: capture.KindConntrack, Source: 1, Payload: make([]byte, 20)}
}

func of(kind capture.Kind, source uint32, at int64, p capture.Payload) capture.Record {
	return capture.Record{At: at, Kind: kind, Source: source, Payload: capture.AppendPayload(nil, p)}
}

// fakeCoreVersion and fakeRules are those of the fake core.
const (
	fakeCoreVersion = 77
	fakeRules       = "fake"
)

// A fakeCore digests the records it gets: two cores make the same reports if
// they get the same records in the same order. It can decode no event, and
// reports addrs.
type fakeCore struct {
	digest uint64
	events uint64
	addrs  []netip.Addr

	degraded map[string]string
}

func newFakeCore(*capture.Header) (Core, error) { return &fakeCore{}, nil }

func (c *fakeCore) Step(r *capture.Record) bool {
	h := fnv.New64a()
	fmt.Fprint(h, c.digest, r.Seq, r.At, r.Kind, r.Source, r.Payload)
	c.digest = h.Sum64()
	if r.Kind == capture.KindConntrack {
		c.events++
	}
	return r.Kind == capture.KindTick
}

func (c *fakeCore) Report(addrs bool) Report {
	r := Report{Digests: capture.Digests{Coverage: c.digest}, Undecodable: map[string]uint64{capture.SourceConntrack: c.events}, Degraded: c.degraded}
	if addrs {
		r.Addrs = c.addrs
	}
	return r
}

// fakeMachine has the sources, a host, and the real clocks.
func fakeMachine(sources ...source) *machine {
	m := thisMachine()
	m.sources = func(*Options, collect.Clock) ([]source, error) { return sources, nil }
	m.counters = func() hostCounters { return noCounters{} }
	m.host = func(*Options) (capture.Host, error) { return capture.Host{ID: "id1", Name: "host1"}, nil }
	return m
}

// noCounters is a host whose counters never change.
type noCounters struct{}

func (noCounters) Changed() *capture.Counters { return nil }
func (noCounters) Close()                     {}

func conntrackSource(c collect.Collector) source {
	return source{Collector: c, number: 1, kind: capture.SourceConntrack}
}

func procSource(c collect.Collector) source {
	return source{Collector: c, number: 2, kind: capture.SourceProc}
}

// options of a recording to a new file, with a fake core.
func options(t *testing.T) Options {
	return Options{Output: filepath.Join(t.TempDir(), "a.tape"), MinFree: -1, Log: testLog{t},
		NewCore: newFakeCore, CoreVersion: fakeCoreVersion, Rules: fakeRules}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("log: %s", b)
	return len(b), nil
}

// readTape reads a tape. The records own their payloads.
func readTape(t *testing.T, r io.Reader) (capture.Header, []capture.Record, tape.Ending) {
	t.Helper()
	tape, err := tape.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var records []capture.Record
	for {
		rec, err := tape.Next()
		if err == io.EOF {
			return *tape.Header(), records, tape.Ending()
		}
		if err != nil {
			t.Fatal(err)
		}
		rec.Payload = slices.Clone(rec.Payload)
		records = append(records, rec)
	}
}

func readFile(t *testing.T, name string) (capture.Header, []capture.Record, tape.Ending) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return readTape(t, f)
}

func kinds(records []capture.Record) (k []capture.Kind) {
	for _, r := range records {
		k = append(k, r.Kind)
	}
	return k
}

func find(records []capture.Record, kind capture.Kind) (found []capture.Record) {
	for _, r := range records {
		if r.Kind == kind {
			found = append(found, r)
		}
	}
	return found
}

func payload[T any, P interface {
	*T
	capture.Payload
}](t *testing.T, r capture.Record) T {
	t.Helper()
	var v T
	if err := r.Decode(P(&v)); err != nil {
		t.Fatal(err)
	}
	return v
}

var errStop = errors.New("the test stops the recording")

// A recording runs in the background.
type recording struct {
	cancel  context.CancelCauseFunc
	done    chan struct{}
	summary *Summary
	err     error
}

func start(t *testing.T, o Options, m *machine) *recording {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &recording{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.summary, s.err = record(ctx, o, m)
	}()
	t.Cleanup(func() {
		s.wait(t)
		for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<16)
				t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
			}
		}
	})
	return s
}

func (s *recording) wait(t *testing.T) (*Summary, error) {
	t.Helper()
	s.cancel(errStop)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the recording does not end")
	}
	return s.summary, s.err
}

// after stops the recording after some time.
func (s *recording) after(t *testing.T, d time.Duration) (*Summary, error) {
	t.Helper()
	time.Sleep(d)
	return s.wait(t)
}
