package replaytest

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// Busy returns a tape with so many conntrack events of short connections, seven for
// each, and with a tick and its witness after every interval events.
func Busy(tb testing.TB, records, interval int) []byte {
	tb.Helper()
	var out bytes.Buffer
	h := &capture.Header{HostID: "h", TapeID: [16]byte{1}, Start: 1767323045e9}
	w, err := tape.NewWriter(&out, h)
	if err != nil {
		tb.Fatal(err)
	}
	core, err := reporter.New(h, "")
	if err != nil {
		tb.Fatal(err)
	}
	seq, at, tick := uint64(0), int64(0), uint64(0)
	write := func(kind capture.Kind, source uint32, payload []byte) bool {
		seq++
		r := capture.Record{Seq: seq, At: at, Kind: kind, Source: source, Payload: payload}
		if err := w.Write(&r); err != nil {
			tb.Fatal(err)
		}
		return core.Step(&r)
	}
	states := []ctmsg.State{ctmsg.SynSent, ctmsg.SynRecv, ctmsg.Established, ctmsg.FinWait, ctmsg.LastAck, ctmsg.TimeWait, ctmsg.None}
	var b []byte
	for i := range records {
		flow, event := i/len(states)/50*50+i%50, i/50%len(states) // fifty connections at a time
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(flow >> 14), byte(flow >> 6)}), uint16(20000+flow%40000))
		dst := netip.MustParseAddrPort("10.1.0.2:80")
		m := ctmsg.Message{Type: ctmsg.Update, ID: uint32(flow)*2654435761 + 1, HasStatus: true, Status: ctmsg.SeenReply | ctmsg.Confirmed,
			Orig: ctmsg.TupleOf(src, dst, 6), Reply: ctmsg.TupleOf(dst, src, 6),
			HasTimeout: true, Timeout: 120, HasState: states[event] != ctmsg.None, State: states[event], HasFlags: states[event] != ctmsg.None, FlagsOrig: 3, FlagsReply: 3}
		if event == 0 {
			m.Type, m.Status = ctmsg.New, ctmsg.Confirmed
		}
		if event == len(states)-1 {
			m.Type = ctmsg.Destroy
		}
		at += 20e3
		b = m.Append(b[:0], false)
		write(capture.KindConntrack, 1, b)
		if i%interval == interval-1 {
			tick++
			if write(capture.KindTick, 0, capture.AppendPayload(nil, &capture.Tick{Number: tick, Interval: 3e9})) {
				write(capture.KindWitness, 0, capture.AppendPayload(nil, &capture.Witness{Tick: tick, Rules: reporter.RulesCurrent,
					Core: reporter.CoreVersion, Digests: core.Report().Digests()}))
			}
		}
	}
	write(capture.KindEnd, 0, capture.AppendPayload(nil, &capture.End{}))
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// Small returns a tape with some eighty records of many kinds. A chunk ends after
// every record whose number is a multiple of flush.
func Small(t testing.TB, id byte, flush int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := tape.NewWriter(&b, &capture.Header{TapeID: [16]byte{id, 1, 2, 3, 4, 5, 6, 7, 8}, Start: 1e18, HostID: "host1", HostName: "host1"})
	if err != nil {
		t.Fatal(err)
	}
	core, _ := reporter.New(&capture.Header{Start: 1e18, HostID: "host1", HostName: "host1"}, "")
	seq := uint64(0)
	add := func(kind capture.Kind, source uint32, p capture.Payload) {
		seq++
		r := capture.Record{Seq: seq, At: int64(seq) * 1e7, Kind: kind, Source: source, Payload: capture.AppendPayload(nil, p)}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
		if core.Step(&r) {
			report := core.Report()
			seq++
			r = capture.Record{Seq: seq, At: r.At, Kind: capture.KindWitness,
				Payload: capture.AppendPayload(nil, &capture.Witness{Tick: report.Tick, Rules: reporter.RulesCurrent, Core: reporter.CoreVersion, Digests: report.Digests()})}
			if err := w.Write(&r); err != nil {
				t.Fatal(err)
			}
		}
		if seq%uint64(flush) == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(capture.KindHost, 0, &capture.Host{ID: "host1", Name: "host1"})
	add(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceProc})
	add(capture.KindSource, 5, &capture.Source{Open: true, Kind: capture.SourceConntrack})
	for i := range 12 {
		n := uint64(i + 1)
		add(capture.KindWalkBegin, 1, &capture.ProcWalk{Number: n})
		add(capture.KindProcNet, 1, &capture.ProcNet{Netns: 1, Table: "tcp", Text: fmt.Appendf(nil,
			"  0: 0100000A:%04X 0200000A:0050 01 00000000:00000000 00:00000000 00000000  1000 0 %d 1 0 20 4 30 10 -1\n", 40000+i, 100+i)})
		if i == 0 {
			add(capture.KindDumpBegin, 5, &capture.ConntrackDump{Number: n})
			add(capture.KindDumpEnd, 5, &capture.ConntrackDump{Number: n})
		}
		add(capture.KindWalkEnd, 1, &capture.ProcWalk{Number: n})
		add(capture.KindClock, 0, &capture.Clock{Step: 1e9, Wall: 1e18 + int64(seq+1)*1e7 + int64(i+1)*1e9})
		add(capture.KindTick, 0, &capture.Tick{Number: n, Interval: 1e8})
	}
	add(capture.KindEnd, 0, &capture.End{Why: "test"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
