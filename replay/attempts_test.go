package replay

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// unansweredTape returns a tape on which a client tries for 10 s to connect, and is refused by another
// server at 7 s. Each of its four reports has a witness.
func unansweredTape(t testing.TB) []byte {
	h := capture.Header{HostID: "h"}
	core, err := reporter.New(&h, reporter.RulesCurrent)
	if err != nil {
		t.Fatal(err)
	}
	var records []capture.Record
	add := func(at int64, kind capture.Kind, source uint32, payload []byte) {
		records = append(records, capture.Record{Seq: uint64(len(records) + 1), At: at, Kind: kind, Source: source, Payload: payload})
		if core.Step(&records[len(records)-1]) {
			r := core.Report()
			w := &capture.Witness{Tick: r.Tick, Rules: reporter.RulesCurrent, Core: reporter.CoreVersion, Digests: r.Digests()}
			records = append(records, capture.Record{Seq: uint64(len(records) + 1), At: at, Kind: capture.KindWitness, Payload: capture.AppendPayload(nil, w)})
		}
	}
	format := sockmsg.UsualFormat()
	event := func(at int64, socket uint64, was, is procnet.State, server string, flags uint8) {
		e := sockmsg.Event{PID: 7, TID: 7, Time: at + 1, Socket: socket, Old: was, New: is, Protocol: sockmsg.TCP, Flags: flags,
			Local: netip.MustParseAddrPort("10.0.0.1:4000"), Remote: netip.MustParseAddrPort(server)}
		add(at, capture.KindSocketEvent, 5, e.Append(nil, &format, false))
	}
	tick := func(n uint64) {
		add(int64(n)*3e9, capture.KindTick, 0, capture.AppendPayload(nil, &capture.Tick{Number: n, Interval: 3e9}))
	}
	add(0, capture.KindSource, 5, capture.AppendPayload(nil, &capture.Source{Open: true, Kind: capture.SourceSockets}))
	event(1e9, 1, procnet.Close, procnet.SynSent, "10.0.0.9:80", 0)
	tick(1)
	tick(2)
	event(7e9, 2, procnet.Close, procnet.SynSent, "10.0.0.9:81", 0)
	event(7.1e9, 2, procnet.SynSent, procnet.Close, "10.0.0.9:81", sockmsg.FlagSoftIRQ)
	tick(3)
	event(11e9, 1, procnet.SynSent, procnet.Close, "10.0.0.9:80", 0)
	tick(4)
	return replaytest.Write(t, h, records)
}

// The witnesses cover attempts, and verify shows which one differs.
func TestVerifyComparesAttempts(t *testing.T) {
	recorded := unansweredTape(t)
	if v := verify(t, Options{Reports: None}, recorded); v.Witnesses != 4 || v.Identical != 4 {
		t.Errorf("%+v", v)
	}
	changed := withWitnesses(t, recorded, nil, func(w *capture.Witness) {
		if w.Tick == 3 {
			w.Digests.Attempts++
		}
	})
	v := verify(t, Options{Reports: None}, changed)
	if v.Identical != 3 || !slices.Equal(v.First.Sections, []string{"attempts"}) || len(v.First.Buckets) != 0 {
		t.Fatalf("%+v", v.First)
	}
	var text strings.Builder
	if err := v.First.Since.WriteGroups(&text, true); err != nil || !strings.Contains(text.String(), "+ attempt 10.0.0.1 -> 10.0.0.9:81 refused") {
		t.Errorf("%v %s", err, &text)
	}
}

// In the whole tape each try counts once, however many reports it is in.
func TestWholeTapeCountsEachTryOnce(t *testing.T) {
	recorded := unansweredTape(t)
	shown := 0
	for _, r := range replaytest.Replay(t, recorded, reporter.RulesCurrent) {
		for _, a := range r.Attempts {
			shown += int(a.Count)
		}
	}
	lines, _ := ndjson(t, Options{Reports: Whole}, recorded)
	r, err := report.ParseReport([]byte(lines[0]))
	if err != nil {
		t.Fatal(err)
	}
	if shown != 4 || len(r.Attempts) != 2 || r.Attempts[0].Count != 1 || r.Attempts[1].Count != 1 || r.Attempts[0].LastSeen != 11e9 || r.Attempts[0].Outcome != report.OutcomeUnanswered {
		t.Errorf("%d: %s", shown, lines[0])
	}
}
