package collect

import (
	"net"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
)

// gapsOf checks the gaps of the records and returns their number and sum.
func gapsOf(t *testing.T, records []capture.Record) (n int, lost uint64) {
	t.Helper()
	for _, rec := range records {
		if rec.Kind == capture.KindGap {
			g := decodeTo[capture.Gap](t, rec)
			if !g.Exact || g.Lost == 0 || g.Why == "" || g.Since <= 0 || g.Since > rec.At {
				t.Errorf("gap %+v at %d", g, rec.At)
			}
			n, lost = n+1, lost+g.Lost
		}
	}
	return n, lost
}

func TestDNSPacketsAreShortenedThenRefusedAndCounted(t *testing.T) {
	inNetns(t)
	clock := testClock()
	d := NewDNS(DNSConfig{Clock: clock, Interval: 50 * time.Millisecond, Allowance: NewAllowance(100_000, 0)})
	r := record(t, d, nil)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := 0
	for range 2000 {
		if _, err := conn.WriteTo(make([]byte, 1000), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53}); err == nil {
			sent += 2 // loopback shows each packet twice
		}
	}
	// The gap comes without another packet.
	r.until(t, "gap", func(records []capture.Record) bool {
		_, lost := gapsOf(t, records)
		return count(records, capture.KindDNS)+int(lost) == sent
	})
	took := clock()
	records := r.stop(t)
	lengths, order := map[int]int{}, 1<<16
	for _, p := range dnsPackets(t, records) {
		lengths[len(p.Packet)]++
		if len(p.Packet) > order || p.Length != 1028 {
			t.Fatalf("%d of %d bytes of a packet after %d", len(p.Packet), p.Length, order)
		}
		order = len(p.Packet)
	}
	// Half of the bytes for whole packets, a quarter for each shorter length.
	if n := lengths[1028]; n != 48 || lengths[512] != 48 && lengths[512] != 47 || lengths[128] < 170 || lengths[128] > 175 {
		t.Errorf("packets by length %v", lengths)
	}
	if n, _ := gapsOf(t, records); int64(n) > 2+took/int64(50*time.Millisecond) {
		t.Errorf("%d gaps in %v", n, time.Duration(took))
	}
	if s := d.Stats(); int(s.Received+s.Lost) != sent {
		t.Errorf("stats %+v of %d packets", s, sent)
	}
}

// Events beyond the allowance are counted; a dump repairs the loss when events are
// recorded again.
func TestConntrackShedsEventsAndDumpsAfterIt(t *testing.T) {
	inNetns(t)
	clock := testClock()
	a := NewAllowance(600_000, 0) // a third of the events
	c := NewConntrack(ConntrackConfig{Source: 1, Clock: clock, Interval: 50 * time.Millisecond, Allowance: a})
	r := record(t, c, nil)
	r.until(t, "first dump", has(capture.KindDumpEnd, 1))
	load(t, 1000)
	waitWhy(t, c, "share of the tape")
	c.Drain(1)
	r.until(t, "drain", func([]capture.Record) bool { return r.drained == 1 })
	if n := has(capture.KindDumpBegin, 2)(r.records); n {
		t.Error("a dump while nothing may be recorded")
	}
	received, lost := c.Stats().Received, c.Stats().Lost
	a.Refill()
	r.until(t, "second dump", func(records []capture.Record) bool {
		c.Drain(2) // wakes the receiver, as each tick does
		return count(records, capture.KindDumpEnd) == 2
	})
	waitWhy(t, c, "")
	load(t, 10)
	c.Drain(3)
	r.until(t, "drain", func([]capture.Record) bool { return r.drained == 3 })
	records := r.stop(t)
	n, sum := gapsOf(t, records)
	if sum != c.Stats().Lost || sum < lost || n == 0 || int64(n) > 2+clock()/int64(50*time.Millisecond) {
		t.Errorf("%d gaps of %d messages; lost were %d", n, sum, c.Stats().Lost)
	}
	if received+lost < 1000*6 {
		t.Errorf("%d messages were received and %d lost of 1000 connections", received, lost)
	}
	last := len(records) - 1
	for records[last].Kind != capture.KindDumpEnd {
		last--
	}
	for _, rec := range records[last:] {
		if rec.Kind == capture.KindGap {
			t.Error("a gap after the dump")
		}
	}
	if events := count(records[last:], capture.KindConntrack); events < 10*6 {
		t.Errorf("%d events of 10 connections after the dump", events)
	}
}

func TestWalksBeyondTheAllowanceAreSkipped(t *testing.T) {
	f := newFakeProc(t)
	f.process(10, 10, "a", 100)
	a := NewAllowance(100, 0)
	p := NewProc(ProcConfig{Root: f.root, Clock: testClock(), Interval: 20 * time.Millisecond, Allowance: a})
	r := record(t, p, nil)
	// The first walk is not counted, the second overdraws the allowance.
	waitWhy(t, p, "share of the tape")
	r.until(t, "skipped walks", func([]capture.Record) bool { return p.Stats().Lost >= 3 })
	a.Refill()
	r.until(t, "third walk", has(capture.KindWalkEnd, 3))
	records := r.stop(t)
	if n, lost := gapsOf(t, records); n == 0 || lost != p.Stats().Lost {
		t.Errorf("%d gaps of %d walks; skipped were %d", n, lost, p.Stats().Lost)
	}
}
