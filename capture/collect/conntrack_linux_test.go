package collect

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// inNetns runs the rest of the test on a thread in a fresh network namespace
// that tracks connections over its loopback interface.
func inNetns(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("needs a network namespace: %v", err)
	}
	run(t, "ip", "link", "set", "lo", "up")
	run(t, "nft", "add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new counter")
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// load makes n short TCP connections over loopback, from the calling thread's
// namespace. Each makes about 7 events.
func load(t testing.TB, n int) {
	t.Helper()
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	addr := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(l, addr); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 128); err != nil {
		t.Fatal(err)
	}
	name, _ := unix.Getsockname(l)
	for range n {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(c, name); err != nil {
			t.Fatal(err)
		}
		s, _, err := unix.Accept(l)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(c)
		unix.Close(s)
	}
}

// A recording keeps copies of what a collector sent.
type recording struct {
	mu      sync.Mutex
	records []capture.Record
	drained uint64
	cancel  context.CancelFunc
	done    chan error
	gone    chan struct{}
}

// record runs the collector; hold is called before each batch is released.
func record(t testing.TB, c Collector, hold func(*Batch)) *recording {
	t.Helper()
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &recording{cancel: cancel, done: make(chan error, 1), gone: make(chan struct{})}
	out := make(chan *Batch)
	go func() {
		r.done <- c.Run(ctx, out)
		close(out)
	}()
	go func() {
		defer close(r.gone)
		for b := range out {
			if hold != nil {
				hold(b)
			}
			r.mu.Lock()
			for _, rec := range b.Records {
				rec.Payload = append([]byte(nil), rec.Payload...)
				r.records = append(r.records, rec)
			}
			r.drained = max(r.drained, b.Drained)
			r.mu.Unlock()
			b.Release()
		}
	}()
	t.Cleanup(cancel)
	return r
}

func (r *recording) stop(t testing.TB) []capture.Record {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run does not stop")
	}
	<-r.gone
	return r.records
}

// until waits until the records so far satisfy ok.
func (r *recording) until(t testing.TB, what string, ok func([]capture.Record) bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		good := ok(r.records)
		r.mu.Unlock()
		if good {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s after 15 s", what)
		}
	}
}

func count(records []capture.Record, kind capture.Kind) (n int) {
	for _, r := range records {
		if r.Kind == kind {
			n++
		}
	}
	return n
}

func has(kind capture.Kind, n int) func([]capture.Record) bool {
	return func(r []capture.Record) bool { return count(r, kind) >= n }
}

func testClock() Clock {
	start := time.Now()
	return func() int64 { return int64(time.Since(start)) }
}

// checkMessage fails unless the record is one whole nfnetlink message.
func checkMessage(t *testing.T, r capture.Record) {
	t.Helper()
	if len(r.Payload) < 20 || int(binary.NativeEndian.Uint32(r.Payload)) != len(r.Payload) {
		t.Fatalf("%v of %d bytes is no netlink message: % x", r.Kind, len(r.Payload), r.Payload)
	}
	if kind := binary.NativeEndian.Uint16(r.Payload[4:]); kind>>8 != unix.NFNL_SUBSYS_CTNETLINK {
		t.Fatalf("%v of type %#x", r.Kind, kind)
	}
}

func TestConntrackRecordsEventsBetweenWholeDumps(t *testing.T) {
	inNetns(t)
	load(t, 20)
	c := NewConntrack(ConntrackConfig{Source: 3, Clock: testClock()})
	r := record(t, c, nil)
	r.until(t, "dump", has(capture.KindDumpEnd, 1))
	load(t, 100)
	c.Drain(1)
	r.until(t, "drain", func([]capture.Record) bool { return r.drained == 1 })
	records := r.stop(t)

	var source capture.Source
	if err := records[0].Decode(&source); err != nil {
		t.Fatal(err)
	}
	if !source.Open || source.Kind != capture.SourceConntrack || source.Netns != netnsInode() || source.Buffer < 64<<20 || source.Why != "" {
		t.Errorf("source record %+v", source)
	}
	var end capture.ConntrackDump
	at, entries := int64(0), 0
	for _, rec := range records {
		if rec.At < at || rec.Source != 3 || rec.Seq != 0 {
			t.Fatalf("record %+v after %d", rec, at)
		}
		at = rec.At
		switch rec.Kind {
		case capture.KindDumpEntry:
			entries++
			fallthrough
		case capture.KindConntrack:
			checkMessage(t, rec)
		case capture.KindDumpEnd:
			if err := rec.Decode(&end); err != nil {
				t.Fatal(err)
			}
		}
	}
	if end.Number != 1 || end.Failed != "" || end.Entries != uint64(entries) || entries < 20 {
		t.Errorf("dump end %+v after %d entries", end, entries)
	}
	if n := count(records, capture.KindConntrack); n < 600 {
		t.Errorf("%d events of 100 connections", n)
	}
	if s := c.Stats(); s.Lost != 0 || s.Why != "" || s.Received != uint64(count(records, capture.KindConntrack)+entries) {
		t.Errorf("stats %+v", s)
	}
}

func TestConntrackStopsInsideADump(t *testing.T) {
	inNetns(t)
	load(t, 500)
	c := NewConntrack(ConntrackConfig{Clock: testClock()})
	begun, goOn := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun); <-goOn })
	r := record(t, c, func(b *Batch) {
		if slices.ContainsFunc(b.Records, func(rec capture.Record) bool { return rec.Kind == capture.KindDumpBegin }) {
			begin()
		}
	})
	<-begun
	r.cancel()
	close(goOn)
	records := r.stop(t)
	if begins, ends := count(records, capture.KindDumpBegin), count(records, capture.KindDumpEnd); ends > begins {
		t.Errorf("%d dumps began, %d ended", begins, ends)
	}
}

func TestConntrackCountsLossLikeTheKernelAndDumpsAfterIt(t *testing.T) {
	inNetns(t)
	c := NewConntrack(ConntrackConfig{Source: 1, Clock: testClock(), Buffer: 16 << 10})
	var slow sync.Mutex
	r := record(t, c, func(*Batch) { slow.Lock(); defer slow.Unlock() })
	r.until(t, "first dump", has(capture.KindDumpEnd, 1))
	slow.Lock()
	load(t, 2000)
	drops := kernelDrops(t, c)
	if drops == 0 {
		t.Fatal("the kernel dropped nothing")
	}
	slow.Unlock()
	r.until(t, "dump after the loss", has(capture.KindDumpEnd, 2))
	drops = kernelDrops(t, c)
	records := r.stop(t)

	var lost uint64
	last, begin := -1, -1
	for i, rec := range records {
		switch rec.Kind {
		case capture.KindGap:
			var gap capture.Gap
			if err := rec.Decode(&gap); err != nil {
				t.Fatal(err)
			}
			if !gap.Exact || gap.Lost == 0 || gap.Why == "" || gap.Since <= 0 || gap.Since > rec.At {
				t.Errorf("gap %+v", gap)
			}
			lost, last = lost+gap.Lost, i
		case capture.KindDumpBegin:
			begin = i
		}
	}
	if lost != drops || c.Stats().Lost != drops {
		t.Errorf("gaps of %d, stats of %d, the kernel dropped %d", lost, c.Stats().Lost, drops)
	}
	if begin < last {
		t.Errorf("last gap at %d, last dump begun at %d", last, begin)
	}
	if n := count(records, capture.KindDumpBegin); n > 3 {
		t.Errorf("%d dumps for one burst", n)
	}
	if events := uint64(count(records, capture.KindConntrack)); events+lost < 2000*6 {
		t.Errorf("%d events came and %d were lost of 2000 connections", events, lost)
	}
}

// kernelDrops is the Drops column of /proc/net/netlink for the collector's
// event socket.
func kernelDrops(t *testing.T, c *Conntrack) uint64 {
	t.Helper()
	name, err := unix.Getsockname(c.events.fd)
	if err != nil {
		t.Fatal(err)
	}
	pid := name.(*unix.SockaddrNetlink).Pid
	b, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n")[1:] {
		var sk string
		var proto, portid, groups, rmem, wmem, dump, locks, drops uint64
		fmt.Sscanf(strings.Join(strings.Fields(line), " "), "%s %d %d %x %d %d %d %d %d", &sk, &proto, &portid, &groups, &rmem, &wmem, &dump, &locks, &drops)
		if proto == unix.NETLINK_NETFILTER && portid == uint64(pid) {
			return drops
		}
	}
	t.Fatalf("no netlink socket %d in:\n%s", pid, b)
	return 0
}

func TestDrainIsDoneUnderLoad(t *testing.T) {
	inNetns(t)
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	c := NewConntrack(ConntrackConfig{Clock: testClock()})
	r := record(t, c, nil)
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		runtime.LockOSThread() // never unlocked: the thread is in the namespace
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		for {
			select {
			case <-quit:
				return
			default:
				load(t, 50)
			}
		}
	}()
	for n := uint64(1); n <= 20; n++ {
		c.Drain(n)
		r.until(t, "drain", func([]capture.Record) bool { return r.drained >= n })
	}
	close(quit)
	<-gone
	r.stop(t)
}
