package collect

import (
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/sockdiag"
)

// closesOf decodes the records of closed sockets.
func closesOf(t *testing.T, records []capture.Record) (list []sockdiag.Close) {
	t.Helper()
	for i := range records {
		if records[i].Kind == capture.KindSocketClose {
			var c sockdiag.Close
			if err := c.Decode(records[i].Payload, bigEndian); err != nil {
				t.Errorf("record %d: %v: %x", i, err, records[i].Payload)
			}
			list = append(list, c)
		}
	}
	return list
}

// Every end of every connection that is closed is recorded once, with its counts, and so is each listener; those of other
// namespaces are not.
func TestClosedSocketsAreRecorded(t *testing.T) {
	const n = 200
	elsewhere := startChild(t)
	inNetns(t)
	c := NewCloses(ClosesConfig{Source: 6, Clock: testClock()})
	r := record(t, c, nil)
	load(t, n)
	elsewhere.do("lo")
	elsewhere.do("listen l 127.0.0.1:7")
	elsewhere.do("close l")
	r.until(t, "closed sockets", has(capture.KindSocketClose, 2*n+1))
	records := r.stop(t)
	source := decodeTo[capture.Source](t, records[0])
	if !source.Open || source.Kind != capture.SourceCloses || source.Why != "" || source.Netns == 0 || source.Buffer == 0 {
		t.Errorf("source %+v", source)
	}
	ends := map[string]int{}
	var sent, received uint64
	for _, s := range closesOf(t, records) {
		ends[s.Local.String()+" "+s.Remote.String()]++
		if sent, received = sent+s.Sent, received+s.Received; s.Remote.Port() != 0 && (!s.Counted || s.SegmentsOut == 0 || s.RTT <= 0) {
			t.Errorf("%+v", s)
		}
	}
	for end, times := range ends {
		local, remote, _ := strings.Cut(end, " ")
		if times != 1 || !strings.HasSuffix(remote, ":0") && ends[remote+" "+local] != 1 {
			t.Errorf("%s was closed %d times, its other end %d", end, times, ends[remote+" "+local])
		}
	}
	if s := c.Stats(); len(ends) != 2*n+1 || s.Received != 2*n+1 || s.Lost != 0 || s.Why != "" || sent == 0 || received == 0 {
		t.Errorf("%d ends, stats %+v, %d bytes sent, %d received", len(ends), s, sent, received)
	}
}

// What the kernel has no room for is a gap with its exact number.
func TestLostClosesAreCounted(t *testing.T) {
	const n = 1000
	inNetns(t)
	block := make(chan bool)
	c := NewCloses(ClosesConfig{Clock: testClock(), Buffer: 1 << 16, Interval: 10 * time.Millisecond})
	r := record(t, c, func(*Batch) { <-block })
	load(t, n)
	close(block)
	r.until(t, "a gap", has(capture.KindGap, 1))
	time.Sleep(100 * time.Millisecond)
	records := r.stop(t)
	_, lost := gapsOf(t, records)
	kept := len(closesOf(t, records))
	if s := c.Stats(); lost == 0 || kept+int(lost) != 2*n+1 || lost != s.Lost || s.Received != uint64(kept) || !strings.Contains(s.Why, "lost") {
		t.Errorf("%d kept, %d lost of %d, stats %+v", kept, lost, 2*n+1, s)
	}
}

func TestClosesBeyondTheAllowanceAreCounted(t *testing.T) {
	const n = 500
	inNetns(t)
	c := NewCloses(ClosesConfig{Clock: testClock(), Interval: 20 * time.Millisecond, Allowance: NewAllowance(100_000, 0)})
	r := record(t, c, nil)
	load(t, n)
	r.until(t, "the gaps", func(records []capture.Record) bool { // without another message
		_, lost := gapsOf(t, records)
		return lost > 0 && count(records, capture.KindSocketClose)+int(lost) == 2*n+1
	})
	r.stop(t)
	if s := c.Stats(); s.Received < 200 || s.Received > 400 || s.Received+s.Lost != 2*n+1 || !strings.Contains(s.Why, "share") {
		t.Errorf("stats %+v", s)
	}
}
