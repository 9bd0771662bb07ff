package collect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
)

// A fakeResolver knows a few names, and records which addresses were looked up.
type fakeResolver struct {
	mu    sync.Mutex
	names map[string][]string
	asked []string
}

func (f *fakeResolver) resolve(_ context.Context, addr string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, addr)
	if names := f.names[addr]; names != nil {
		return names, nil
	}
	return nil, errors.New("no such host")
}

// fastRDNS looks up without a pause; the test sets its time.
func fastRDNS(f *fakeResolver) (*RDNS, *atomic.Int64) {
	now := new(atomic.Int64)
	r := NewRDNS(RDNSConfig{Source: 4, Rate: 10000, Clock: now.Load})
	r.resolve = f.resolve
	return r, now
}

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func TestRDNSRecordsAnswersAndFailures(t *testing.T) {
	f := &fakeResolver{names: map[string][]string{"10.0.0.1": {"b.test.", "a.test."}, "fd00::1": {"six.test."}}}
	c, now := fastRDNS(f)
	r := record(t, c, nil)
	now.Store(7)
	c.LookUp(addrs("0.0.0.0", "127.0.0.1", "127.9.9.9", "::1", "::", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:127.0.0.1",
		"10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "10.0.0.2"))
	r.until(t, "3 answers", has(capture.KindReverseName, 3))
	records := r.stop(t)
	if s := decodeTo[capture.Source](t, records[0]); records[0].Kind != capture.KindSource || !s.Open || s.Kind != capture.SourceRDNS {
		t.Errorf("the first record is %+v", s)
	}
	var got []capture.ReverseName
	for _, rec := range records[1:] {
		if rec.Kind != capture.KindReverseName || rec.Source != 4 || rec.At != 7 {
			t.Errorf("record %+v", rec)
		}
		got = append(got, decodeTo[capture.ReverseName](t, rec))
	}
	slices.SortFunc(got, func(a, b capture.ReverseName) int { return strings.Compare(a.Addr, b.Addr) })
	want := []capture.ReverseName{
		{Addr: "10.0.0.1", Names: []string{"b.test.", "a.test."}, TTL: int64(rdnsLife)},
		{Addr: "10.0.0.2", Error: "no such host", TTL: int64(rdnsRetry)},
		{Addr: "fd00::1", Names: []string{"six.test."}, TTL: int64(rdnsLife)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("answers (-want +got):\n%s", d)
	}
	if len(f.asked) != 3 {
		t.Errorf("it asked for %v", f.asked)
	}
	if s := c.Stats(); s.Received != 3 || s.Lost != 0 || s.Why != "" {
		t.Errorf("stats %+v", s)
	}
}

// A known name is not looked up again until its life ends; after a failure the
// address is looked up again soon.
func TestRDNSLooksUpAgainWhenDue(t *testing.T) {
	f := &fakeResolver{names: map[string][]string{"10.0.0.1": {"a.test."}}}
	c, now := fastRDNS(f)
	r := record(t, c, nil)
	answers := 0
	want := func(at time.Duration, n int) {
		t.Helper()
		now.Store(int64(at))
		c.LookUp(addrs("10.0.0.1", "10.0.0.2", "10.0.0.1"))
		answers += n
		r.until(t, "answers", has(capture.KindReverseName, answers))
		c.LookUp(addrs("10.0.0.1", "10.0.0.2"))
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.waiting) != 0 {
			t.Errorf("at %s it asks again", at)
		}
	}
	want(0, 2)
	want(rdnsRetry-1, 0)
	want(rdnsRetry, 1)
	f.mu.Lock()
	f.names["10.0.0.2"] = []string{"late.test."}
	f.mu.Unlock()
	want(2*rdnsRetry, 1) // it has a name at last
	want(rdnsLife-1, 0)
	want(rdnsLife, 1)
	want(2*rdnsRetry+rdnsLife, 1)
	r.stop(t)
	if got, want := f.asked[2:], []string{"10.0.0.2", "10.0.0.2", "10.0.0.1", "10.0.0.2"}; !slices.Equal(got, want) {
		t.Errorf("asked for %v", got)
	}
}

// Too many addresses make a gap with their number, and memory stays bounded.
func TestRDNSRecordsWhatItDrops(t *testing.T) {
	f := &fakeResolver{}
	c, _ := fastRDNS(f)
	numbered := func(from, n int) (all []netip.Addr) {
		for i := from; i < from+n; i++ {
			all = append(all, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		}
		return all
	}
	c.LookUp(numbered(0, rdnsWaiting+100))
	c.LookUp(numbered(0, rdnsWaiting+100)) // the same ones
	if s := c.Stats(); s.Lost != 100 || !strings.Contains(s.Why, "100 addresses") {
		t.Errorf("stats %+v", s)
	}
	r := record(t, c, nil)
	r.until(t, "answers", has(capture.KindReverseName, rdnsWaiting))
	c.LookUp(numbered(1<<20, rdnsWaiting+3))
	records := r.stop(t)
	var lost uint64
	for _, rec := range records {
		if rec.Kind == capture.KindGap {
			g := decodeTo[capture.Gap](t, rec)
			if lost += g.Lost; !g.Exact || g.Why == "" || g.Since < 0 || g.Since > rec.At {
				t.Errorf("gap %+v", g)
			}
		}
	}
	if s := c.Stats(); lost < 100 || lost != s.Lost {
		t.Errorf("gaps of %d, stats %+v", lost, s)
	}
	if slices.Contains(f.asked, "10.0.0.0") || !slices.Contains(f.asked, "10.0.16.0") {
		t.Error("it was not the address waiting longest that was dropped")
	}
	for i := range 4 {
		c.LookUp(numbered(i*rdnsKnown/2, rdnsKnown/2))
	}
	if len(c.due) > rdnsKnown || len(c.order) != len(c.due) || len(c.waiting) > rdnsWaiting {
		t.Errorf("it knows %d addresses, %d wait", len(c.due), len(c.waiting))
	}
}

// A name server that does not answer delays a few look-ups, and not the end.
func TestRDNSCancelsLookUpsAtTheEnd(t *testing.T) {
	c, _ := fastRDNS(&fakeResolver{})
	var flying, most atomic.Int64
	c.resolve = func(ctx context.Context, _ string) ([]string, error) {
		n := flying.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-ctx.Done()
		flying.Add(-1)
		return nil, ctx.Err()
	}
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf("10.0.0.%d", i+1))
	}
	c.LookUp(addrs(list...))
	r := record(t, c, nil)
	for deadline := time.Now().Add(10 * time.Second); flying.Load() < rdnsRunning; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d look-ups under way", flying.Load())
		}
	}
	time.Sleep(20 * time.Millisecond)
	records := r.stop(t)
	if n := count(records, capture.KindReverseName); n != 0 || flying.Load() != 0 || most.Load() != rdnsRunning {
		t.Errorf("%d answers; %d look-ups go on; %d at a time", n, flying.Load(), most.Load())
	}
}
