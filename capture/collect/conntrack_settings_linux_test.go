package collect

import (
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// waitWhy waits until the collector's reason to be degraded contains the text, or is
// empty if the text is.
func waitWhy(t *testing.T, c Collector, text string) time.Duration {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		why := c.Stats().Why
		if text == "" && why == "" || text != "" && strings.Contains(why, text) {
			return time.Since(begun)
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("why is %q, want %q", why, text)
		}
	}
}

// While the kernel sends no events, nobody counts what is lost: gaps cover the time.
func TestEventsSwitchedOffAreAGapUntilADump(t *testing.T) {
	inNetns(t)
	const interval = 200 * time.Millisecond
	clock := testClock()
	c := NewConntrack(ConntrackConfig{Source: 1, Clock: clock, Interval: interval})
	r := record(t, c, nil)
	r.until(t, "first dump", has(capture.KindDumpEnd, 1))
	time.Sleep(2 * interval) // some good looks
	off := clock()
	writeSysctl(t, "nf_conntrack_events", "0")
	if took := waitWhy(t, c, "nf_conntrack_events is 0"); took > 2*interval {
		t.Errorf("noticed after %v", took)
	}
	load(t, 50) // nobody sees these connections begin
	time.Sleep(2 * interval)
	on := clock()
	writeSysctl(t, "nf_conntrack_events", "1")
	waitWhy(t, c, "")
	r.until(t, "second dump", has(capture.KindDumpEnd, 2))
	load(t, 5)
	c.Drain(1)
	r.until(t, "drain", func([]capture.Record) bool { return r.drained == 1 })

	var gaps []int
	dumped := 0
	records := r.stop(t)
	for i, rec := range records {
		switch rec.Kind {
		case capture.KindGap:
			gaps = append(gaps, i)
			gap := decodeTo[capture.Gap](t, rec)
			if gap.Lost != 0 || gap.Exact || gap.Why != noEvents || gap.Since >= off+int64(time.Millisecond) || gap.Since < off-int64(2*interval) {
				t.Errorf("gap %+v, the events were switched off at %d", gap, off)
			}
		case capture.KindDumpBegin:
			dumped = i
		}
	}
	if len(gaps) != 2 || records[gaps[0]].At > off+int64(2*interval) || records[gaps[1]].At < on || dumped < gaps[1] {
		t.Errorf("gaps at records %v, the last dump at %d", gaps, dumped)
	}
	if n := count(records[dumped:], capture.KindConntrack); n < 5*5 {
		t.Errorf("%d events of 5 connections after the dump", n)
	}
}

func TestEventsThatStayOffAreAGapAtTheEnd(t *testing.T) {
	inNetns(t)
	c := NewConntrack(ConntrackConfig{Clock: testClock(), Interval: time.Hour})
	r := record(t, c, nil)
	r.until(t, "first dump", has(capture.KindDumpEnd, 1))
	writeSysctl(t, "nf_conntrack_events", "0")
	if n := count(r.stop(t), capture.KindGap); n != 1 {
		t.Errorf("%d gaps", n)
	}
}

// A source record says what was wrong when the source was opened; when that is
// mended, another one says so.
func TestBlindConntrackSaysSoUntilItSees(t *testing.T) {
	const interval = 50 * time.Millisecond
	for _, blind := range []struct {
		name, why    string
		prepare, end func(*testing.T)
	}{
		{"no events", "sysctl -w net.netfilter.nf_conntrack_events=1",
			func(t *testing.T) { writeSysctl(t, "nf_conntrack_events", "0") },
			func(t *testing.T) { writeSysctl(t, "nf_conntrack_events", "1") }},
		{"no rule", "no rule of this network namespace needs connection tracking",
			func(t *testing.T) { run(t, "nft", "flush", "ruleset"); connect(t) },
			func(t *testing.T) {
				run(t, "nft", "table inet track { chain c { type filter hook output priority 0; ct state new counter; }; }")
				load(t, 3)
			}},
		{"no rule, and the connections have ended", "no rule of this network namespace needs connection tracking",
			func(t *testing.T) { run(t, "nft", "flush", "ruleset"); load(t, 3) },
			func(t *testing.T) {
				run(t, "nft", "table inet track { chain c { type filter hook output priority 0; ct state new counter; }; }")
				load(t, 3)
			}},
	} {
		t.Run(blind.name, func(t *testing.T) {
			inNetns(t)
			blind.prepare(t)
			c := NewConntrack(ConntrackConfig{Source: 1, Clock: testClock(), Interval: interval})
			r := record(t, c, nil)
			waitWhy(t, c, blind.why)
			r.until(t, "source record", has(capture.KindSource, 1))
			blind.end(t)
			waitWhy(t, c, "")
			r.until(t, "second source record", has(capture.KindSource, 2))
			var why []string
			for _, rec := range r.stop(t) {
				if rec.Kind == capture.KindSource {
					s := decodeTo[capture.Source](t, rec)
					if why = append(why, s.Why); !s.Open || s.Netns != netnsInode() || s.Buffer == 0 {
						t.Errorf("source %+v", s)
					}
				}
			}
			if len(why) != 2 || !strings.Contains(why[0], blind.why) || why[1] != "" {
				t.Errorf("source records with %q", why)
			}
		})
	}
}

// connect makes a connection over loopback that stays until the test ends.
func connect(t *testing.T) {
	t.Helper()
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	unix.Listen(l, 1)
	name, _ := unix.Getsockname(l)
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(c, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(c); unix.Close(l) })
}
