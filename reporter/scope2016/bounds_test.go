package scope2016

import (
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// The buffer of ended flows is bounded, and every tick empties it, with or without a
// report.
func TestScope2016Bounds(t *testing.T) {
	w := flows{active: map[uint32]*flow{}, ended: make([]flow, maxEnded-1)}
	for range 3 {
		w.apply(&flow{id: 1}, ctmsg.Update)
		w.apply(&flow{id: 1}, ctmsg.Destroy)
	}
	if len(w.ended) != maxEnded {
		t.Errorf("%d ended flows", len(w.ended))
	}
	w.tick()
	if w.tick(); len(w.ended)+len(w.shown)+len(w.active) != 0 {
		t.Errorf("%d ended, %d shown, %d active", len(w.ended), len(w.shown), len(w.active))
	}
}

// A table counts against the bound of a walk every time that it is reported unchanged.
// Tables outside a walk count too.
func TestScopeWalkIsBounded(t *testing.T) {
	m, step := steppedMachine()
	walked := &m.proc
	text := []byte(strings.Repeat("x", 1<<20))
	step(capture.KindWalkBegin, &capture.ProcWalk{})
	step(capture.KindProcNet, &capture.ProcNet{Netns: 1, Table: "tcp", Text: text})
	for range 3 { // each walk has 40 times the tables of the walk before
		step(capture.KindWalkEnd, &capture.ProcWalk{})
		step(capture.KindWalkBegin, &capture.ProcWalk{})
		for range 40 {
			step(capture.KindProcUnchanged, &capture.ProcUnchanged{Netns: 1, Table: "tcp"})
		}
	}
	if bytes := len(walked.pending.tables) << 20; bytes > maxText {
		t.Errorf("a walk of %d MiB", bytes>>20)
	}
	m.proc = proc{}
	for i := range uint64(600) {
		step(capture.KindProcNet, &capture.ProcNet{Netns: i, Table: "tcp", Text: text})
		if i%50 == 0 {
			step(capture.KindTick, &capture.Tick{})
		}
	}
	step(capture.KindTick, &capture.Tick{})
	if bytes := len(walked.tables) << 20; bytes > maxText {
		t.Errorf("tables of %d MiB outside a walk", bytes>>20)
	}
}

// steppedMachine returns a machine, and a function that steps it through a record of /proc.
func steppedMachine() (*Machine, func(capture.Kind, capture.Payload)) {
	m, seq := New(&capture.Header{HostID: "h"}), uint64(0)
	return m, func(k capture.Kind, p capture.Payload) {
		seq++
		m.Step(&capture.Record{Seq: seq, Kind: k, Source: 2, Payload: capture.AppendPayload(nil, p)})
	}
}

// Tables and lists that are read again outside a walk replace the earlier ones.
func TestTablesOutsideAWalkAreReplaced(t *testing.T) {
	m, step := steppedMachine()
	for range 1000 {
		step(capture.KindProcNet, &capture.ProcNet{Netns: 7, Table: "tcp"})
		step(capture.KindProcNet, &capture.ProcNet{Netns: 8, Table: "tcp"})
		step(capture.KindProcSockets, &capture.ProcSockets{Netns: 7, Processes: []capture.Process{{PID: 1, Comm: "x", Inodes: []uint64{1}}}})
		step(capture.KindTick, &capture.Tick{})
	}
	if k := &m.proc; len(k.tables) != 2 || len(k.lists) != 1 {
		t.Errorf("%d tables, %d lists", len(k.tables), len(k.lists))
	}
}
