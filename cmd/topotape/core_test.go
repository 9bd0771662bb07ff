package main

import (
	"io"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// The recorder's core makes the reporter's reports and lists every address of
// their endpoints.
func TestRecorderCoreIsTheReporter(t *testing.T) {
	f, err := os.Open("../../fixtures/lab-gateway/capture.tape")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tape, err := tape.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := newRecorderCore(tape.Header())
	if err != nil {
		t.Fatal(err)
	}
	want, err := reporter.New(tape.Header(), reporter.RulesCurrent)
	if err != nil {
		t.Fatal(err)
	}
	reports, aliases := 0, 0
	for {
		rec, err := tape.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		tick := ours.Step(&rec)
		if want.Step(&rec) != tick {
			t.Fatalf("record %d: tick %v", rec.Seq, tick)
		}
		if !tick {
			continue
		}
		reports++
		r, got := want.Report(), ours.Report(reports%2 == 0)
		if got.Digests != r.Digests() {
			t.Errorf("tick %d: digests %v, want %v", r.Tick, got.Digests, r.Digests())
		}
		for _, c := range r.Coverage {
			if got.Undecodable[c.Source] != c.Undecodable {
				t.Errorf("tick %d: %d undecodable records of %s, want %d", r.Tick, got.Undecodable[c.Source], c.Source, c.Undecodable)
			}
		}
		for _, c := range r.Coverage {
			if why := got.Degraded[c.Source]; c.State == report.CoverageDegraded && why != c.Why || c.State != report.CoverageDegraded && why != "" {
				t.Errorf("tick %d: %s is %s (%q), degraded: %q", r.Tick, c.Source, c.State, c.Why, why)
			}
		}
		var addrs []netip.Addr
		for _, e := range r.Endpoints {
			addrs = append(addrs, e.Addr.Addr())
			for _, alias := range e.Aliases {
				addrs = append(addrs, alias.Addr())
				aliases++
			}
		}
		if addrs = slices.Compact(addrs); reports%2 == 1 {
			addrs = nil
		}
		if !slices.Equal(got.Addrs, addrs) {
			t.Errorf("tick %d: addresses %v, want %v", r.Tick, got.Addrs, addrs)
		}
	}
	if reports < 2 || aliases == 0 {
		t.Errorf("the tape has only %d reports with %d aliases", reports, aliases)
	}
}
