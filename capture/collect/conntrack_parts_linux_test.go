package collect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// message is a netlink message of that type with n bytes of payload.
func message(kind, flags uint16, seq uint32, n int) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+n, (unix.NLMSG_HDRLEN+n+3)&^3)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return b
}

// pad aligns a message as one that others follow.
func pad(b []byte) []byte { return b[:cap(b)] }

func TestDatagramIsSplitIntoItsMessages(t *testing.T) {
	a, b := message(ctnetlink, 0, 1, 5), message(ctnetlink, 0, 1, 8)
	for name, c := range map[string]struct {
		datagram []byte
		want     [][]byte
	}{
		"one":                {b, [][]byte{b}},
		"one, unaligned":     {a, [][]byte{a}},
		"one, padded":        {pad(a), [][]byte{a}},
		"two":                {slices.Concat(pad(a), b), [][]byte{a, b}},
		"a header cut":       {a[:7], [][]byte{a[:7]}},
		"a body cut":         {a[:18], [][]byte{a[:18]}},
		"one and a cut one":  {slices.Concat(b, a[:18]), [][]byte{b, a[:18]}},
		"a length under 16":  {make([]byte, 32), [][]byte{make([]byte, 32)}},
		"nothing":            {nil, nil},
		"one and odd bytes":  {slices.Concat(b, []byte{1}), [][]byte{b, {1}}},
		"a length too large": {[]byte(strings.Repeat("\xff", 40)), [][]byte{[]byte(strings.Repeat("\xff", 40))}},
	} {
		var got [][]byte
		for rest := c.datagram; len(rest) > 0; {
			var msg []byte
			msg, rest = nextMessage(rest)
			got = append(got, msg)
		}
		if !slices.EqualFunc(got, c.want, bytes.Equal) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDumpEndsWithWhatTheKernelSays(t *testing.T) {
	entry := message(ctnetlink, unix.NLM_F_MULTI, 7, 20)
	done := message(unix.NLMSG_DONE, unix.NLM_F_MULTI, 7, 4)
	changed := message(ctnetlink, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, 7, 20)
	refused := message(unix.NLMSG_ERROR, 0, 7, 20)
	code := -int32(unix.EPERM)
	binary.NativeEndian.PutUint32(refused[unix.NLMSG_HDRLEN:], uint32(code))
	stale := message(unix.NLMSG_DONE, unix.NLM_F_MULTI, 6, 4)
	for name, c := range map[string]struct {
		datagram []byte
		entries  int
		want     error
	}{
		"not yet":              {slices.Concat(entry, entry), 2, nil},
		"whole":                {slices.Concat(entry, done), 1, errDumpDone},
		"table rebuilt":        {slices.Concat(changed, entry, done), 2, errDumpChanged},
		"refused":              {refused, 0, unix.EPERM},
		"of an earlier dump":   {slices.Concat(stale, entry), 1, nil},
		"something else's":     {message(unix.NFNL_SUBSYS_QUEUE<<8, 0, 7, 4), 0, nil},
		"done without a code":  {message(unix.NLMSG_DONE, 0, 7, 0), 0, errDumpDone},
		"bytes of no message":  {[]byte{1, 2, 3}, 0, nil},
		"entries past the end": {slices.Concat(done, entry), 0, errDumpDone},
	} {
		s := &tableSocket{seq: 7}
		entries := 0
		if err := s.split(c.datagram, func([]byte) { entries++ }); err != c.want || entries != c.entries {
			t.Errorf("%s: %d entries, %v", name, entries, err)
		}
	}
}

func TestDumpsAfterLossAreBounded(t *testing.T) {
	start := time.Unix(1000, 0)
	after := func(d time.Duration) time.Time { return start.Add(d) }
	p := dumpPlan{reconcile: time.Hour, next: start}
	if at := p.due(time.Time{}, time.Time{}); !at.Equal(start) {
		t.Errorf("the first dump is due at %v", at)
	}
	p.done(start, after(time.Second), false)
	for name, c := range map[string]struct{ first, last, want time.Duration }{
		"none":                            {-1, -1, time.Second + time.Hour},
		"just after a dump of one second": {2 * time.Second, 2 * time.Second, 5 * time.Second},
		"a burst":                         {20 * time.Second, 21 * time.Second, 21*time.Second + lossQuiet},
		"one that does not end":           {20 * time.Second, 60 * time.Second, 20*time.Second + lossPatient},
	} {
		var first, last time.Time
		if c.first >= 0 {
			first, last = after(c.first), after(c.last)
		}
		if at := p.due(first, last); !at.Equal(after(c.want)) {
			t.Errorf("%s: due after %v", name, at.Sub(start))
		}
	}
	p.done(start, start, true)
	if at := p.due(time.Time{}, time.Time{}); !at.Equal(after(dumpRetry)) {
		t.Errorf("after a failure: due after %v", at.Sub(start))
	}
}

// fakeKernel returns an open collector whose events the test sends.
func fakeKernel(t *testing.T) (c *Conntrack, send func([]byte)) {
	t.Helper()
	c = NewConntrack(ConntrackConfig{Source: 1, Clock: testClock()})
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.events.fd = fds[0]
	c.events.prepare()
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return c, func(b []byte) {
		if err := unix.Send(fds[1], b, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *Conntrack) receiveOnce(t *testing.T) *Batch {
	t.Helper()
	b := newPool(1, eventSlots*eventSlot, eventSlots).get()
	arena := b.arena[:cap(b.arena)]
	n, err := c.events.receive(arena)
	if err != nil {
		t.Fatal(err)
	}
	c.addMessages(b, arena, n)
	return b
}

func TestEveryMessageOfADatagramIsARecord(t *testing.T) {
	c, send := fakeKernel(t)
	a, b := message(ctnetlink, 0, 0, 40), message(ctnetlink|2, 0, 0, 60)
	send(slices.Concat(a, b))
	send(a)
	got := c.receiveOnce(t)
	if len(got.Records) != 3 || !bytes.Equal(got.Records[1].Payload, b) || c.Stats().Received != 3 {
		t.Errorf("%d records, stats %+v", len(got.Records), c.Stats())
	}
}

func TestMessageThatDoesNotFitIsLost(t *testing.T) {
	c, send := fakeKernel(t)
	send(message(ctnetlink, 0, 0, 40))
	send(message(ctnetlink, 0, 0, eventSlot))
	got := c.receiveOnce(t)
	if len(got.Records) != 2 || got.Records[1].Kind != capture.KindGap {
		t.Fatalf("records %+v", got.Records)
	}
	var gap capture.Gap
	if err := got.Records[1].Decode(&gap); err != nil || gap.Lost != 1 || !gap.Exact {
		t.Errorf("gap %+v, %v", gap, err)
	}
	if s := c.Stats(); s.Lost != 1 || s.Why == "" {
		t.Errorf("stats %+v", s)
	}
}

func TestMessagesOfOtherProcessesAreRefused(t *testing.T) {
	inNetns(t)
	var s eventSocket
	fd, err := netfilterSocket(unix.SOCK_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.open(fd, 1<<16, unix.NFNLGRP_CONNTRACK_NEW); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	own, err := unix.Getsockname(s.fd)
	if err != nil {
		t.Fatal(err)
	}
	other, err := netfilterSocket(0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if err := unix.Sendto(other, message(ctnetlink, 0, 0, 40), 0, own); err != unix.ECONNREFUSED {
		t.Errorf("another process' message to the socket: %v, want it refused", err)
	}
	if n, err := s.receive(make([]byte, eventSlots*eventSlot)); n != 0 || err != nil {
		t.Errorf("received %d, %v", n, err)
	}
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	c, send := fakeKernel(t)
	b := newPool(1, eventSlots*eventSlot, eventSlots).get()
	arena := b.arena[:cap(b.arena)]
	msg := message(ctnetlink, 0, 0, 200)
	if n := testing.AllocsPerRun(100, func() {
		send(msg)
		n, err := c.events.receive(arena)
		if n != 1 || err != nil {
			t.Fatal(n, err)
		}
		c.addMessages(b, arena, n)
		if err := c.checkLoss(b); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}); n > 0 {
		t.Errorf("%v allocations a round", n)
	}
}

func TestConntrackWithoutPrivilegeSaysWhatToDo(t *testing.T) {
	inNetns(t)
	// this thread only: it ends with the test
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
		t.Fatal(errno)
	}
	err := NewConntrack(ConntrackConfig{Clock: testClock()}).Open()
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

func TestConntrackSaysThatTheKernelSendsNoEvents(t *testing.T) {
	inNetns(t)
	if err := os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_events", []byte("0"), 0); err != nil {
		t.Skip(err)
	}
	load(t, 5)
	c := NewConntrack(ConntrackConfig{Clock: testClock()})
	r := record(t, c, nil)
	r.until(t, "dump", has(capture.KindDumpEnd, 1))
	if why := c.Stats().Why; !strings.Contains(why, "nf_conntrack_events=1") {
		t.Errorf("why %q", why)
	}
	records := r.stop(t)
	var source capture.Source
	if err := records[0].Decode(&source); err != nil || !source.Open || source.Why == "" {
		t.Errorf("source %+v, %v", source, err)
	}
	if count(records, capture.KindDumpEntry) < 5 {
		t.Error("the table was not dumped")
	}
}

func TestConntrackReconciles(t *testing.T) {
	inNetns(t)
	before := runtime.NumGoroutine()
	c := NewConntrack(ConntrackConfig{Clock: testClock(), Reconcile: 20 * time.Millisecond})
	r := record(t, c, nil)
	r.until(t, "third dump", has(capture.KindDumpEnd, 3))
	records := r.stop(t)
	numbers := uint64(0)
	for _, rec := range records {
		if rec.Kind != capture.KindDumpBegin && rec.Kind != capture.KindDumpEnd {
			continue
		}
		var d capture.ConntrackDump
		if err := rec.Decode(&d); err != nil {
			t.Fatal(err)
		}
		if rec.Kind == capture.KindDumpBegin {
			numbers++
		}
		if d.Number != numbers {
			t.Errorf("%v %+v after %d dumps", rec.Kind, d, numbers)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
}

// BenchmarkConntrackDrain measures recvmmsg from a socket on which real events
// wait, and the check for loss.
func BenchmarkConntrackDrain(b *testing.B) {
	inNetns(b)
	c := NewConntrack(ConntrackConfig{Clock: testClock()})
	if err := c.Open(); err != nil {
		b.Fatal(err)
	}
	defer c.close()
	batch := newPool(1, eventSlots*eventSlot, eventSlots).get()
	arena := batch.arena[:cap(batch.arena)]
	events := 0
	for b.Loop() {
		b.StopTimer()
		load(b, 1000)
		run(b, "conntrack", "-F")
		b.StartTimer()
		for n := eventSlots; n == eventSlots; {
			var err error
			if n, err = c.events.receive(arena); err != nil {
				b.Fatal(err)
			}
			c.addMessages(batch, arena, n)
			if err := c.checkLoss(batch); err != nil {
				b.Fatal(err)
			}
			events += n
			batch.Release()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}
