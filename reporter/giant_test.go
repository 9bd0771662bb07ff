//go:build !race

package reporter

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
)

// giantWalk passes a walk of /proc of 50,000 processes with a million sockets, as a recorder
// writes it: tables in parts of 1 MiB, lists of 500 processes.
func giantWalk(put func(capture.Kind, capture.Payload)) {
	const sockets, processes, inPart, inList = 1_000_000, 50_000, 7000, 500
	rng := rand.New(rand.NewPCG(1, 1))
	put(capture.KindWalkBegin, &capture.ProcWalk{})
	for part, n := uint32(0), 0; n < sockets; part++ {
		var text []byte
		for range inPart {
			text = fmt.Appendf(text, "%4d: %08X:%04X %08X:%04X 01 %08X:%08X 02:%08X 00000000 %5d        0 %d 2 %016x 20 4 30 10 -1\n",
				n, 0x0100000a+n>>15<<24, 1024+n&0x7fff, rng.Uint32(), 443, 0, 0, rng.Uint32N(1<<20), 1000, 1_000_000+n, 0xffff800000000000|rng.Uint64()>>20<<6)
			n++
		}
		put(capture.KindProcNet, &capture.ProcNet{Netns: 1, Table: "tcp", Part: part, More: n < sockets, Text: text})
	}
	for part := range uint32(processes / inList) {
		list := &capture.ProcSockets{Netns: 1, Part: part, More: true}
		for i := range uint32(inList) {
			p := capture.Process{PID: part*inList + i + 1, Comm: fmt.Sprintf("worker-process%d", i%10), Cgroup: make([]byte, 200)}
			for s := range uint64(sockets / processes) {
				p.Inodes = append(p.Inodes, 1_000_000+uint64(p.PID-1)*sockets/processes+s)
			}
			list.Processes = append(list.Processes, p)
		}
		put(capture.KindProcSockets, list)
	}
	put(capture.KindWalkEnd, &capture.ProcWalk{})
}

// A host with 50,000 processes and a million sockets is within all limits, with its state for a
// carry and its evidence for a cut.
func TestLargestHostIsWithinTheLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 GiB and half a minute: left out with -short")
	}
	for i, rules := range []string{RulesCurrent, RulesScope2016} {
		r, err := New(&capture.Header{HostID: "h"}, rules)
		if err != nil {
			t.Fatal(err)
		}
		e := NewEvidence(&capture.Header{})
		seq, records := uint64(0), 0
		put := func(k capture.Kind, p capture.Payload) {
			seq++
			records++
			rec := capture.Record{Seq: seq, Kind: k, Source: 2, Payload: capture.AppendPayload(nil, p)}
			if r.Step(&rec); i == 0 {
				e.Add(&rec)
			}
		}
		giantWalk(put)
		walk := records
		put(capture.KindTick, &capture.Tick{})
		checkGiant(t, rules, r.Report())
		parts := r.Carry()
		if parts == nil {
			t.Errorf("%s: the state is too large for a carry", rules)
			continue
		}
		if got := e.numbers(0); i == 0 && len(got) < 2*walk {
			t.Errorf("%s: the evidence lacks the walk: %s", rules, got)
		}
		again, _ := New(&capture.Header{HostID: "h"}, rules)
		for part := range parts {
			again.Step(&capture.Record{Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &part)})
		}
		if !again.Carried() {
			t.Errorf("%s: the state is not read", rules)
		}
	}
}

func checkGiant(t *testing.T, rules string, made *report.Report) {
	t.Helper()
	owned := 0
	for i := range made.Connections {
		if c := &made.Connections[i]; len(c.From.Processes)+len(c.To.Processes) > 0 {
			owned++
		}
	}
	if len(made.Connections) < 999_000 || owned < 999_000 {
		t.Errorf("%s: %d connections, %d with a process", rules, len(made.Connections), owned)
	}
	for _, c := range made.Coverage {
		if c.Source == capture.SourceProc && (c.Undecodable > 0 || c.State != report.CoverageOK) {
			t.Errorf("%s: %+v", rules, c)
		}
	}
}
