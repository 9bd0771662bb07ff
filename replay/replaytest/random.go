package replaytest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// Random returns a tape with so many records, about so many in a chunk. Sources, gaps,
// marks and changes of the host are the rarer, the larger dull is; 1 is the smallest.
func Random(t testing.TB, rng *rand.Rand, segment uint32, id byte, records, chunk, dull int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &capture.Header{TapeID: [16]byte{id}, Recording: [16]byte{id / 4}, Segment: segment, Start: 1e18})
	if err != nil {
		t.Fatal(err)
	}
	seq, at := uint64(0), int64(segment)*1e12
	put := func(k capture.Kind, source uint32, payload []byte) {
		at += rng.Int64N(3) * 1e9
		if seq += 1; rng.IntN(200) == 0 {
			seq += 3
		}
		r := capture.Record{Seq: seq, At: at, Kind: k, Source: source, Payload: payload}
		if k == capture.KindCarry {
			r.Seq = 0
			seq--
		}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(chunk) == 0 {
			w.Flush()
		}
	}
	encoded := func(p capture.Payload) []byte { return capture.AppendPayload(nil, p) }
	if rng.IntN(3) == 0 {
		put(capture.KindCarry, 0, encoded(&capture.Carry{Core: 1}))
	}
	kinds := append([]string{""}, capture.UsualSources()...)
	for range records {
		source := uint32(1 + rng.IntN(len(kinds)-1))
		reason := []string{"", "why"}[rng.IntN(2)]
		n := rng.IntN(200)
		if n < 4 && rng.IntN(dull) > 0 {
			n = 50
		}
		switch {
		case n == 0:
			put(capture.KindSource, source, encoded(&capture.Source{Open: rng.IntN(3) > 0, Kind: kinds[source], Why: reason}))
		case n == 1:
			put(capture.KindGap, source, encoded(&capture.Gap{Lost: rng.Uint64N(9), Why: reason}))
		case n == 2:
			put(capture.KindMark, 0, encoded(&capture.Mark{Text: "m"}))
		case n == 3 && rng.IntN(5) == 0:
			put(capture.KindHost, 0, encoded(&capture.Host{Sysctls: []capture.Sysctl{{Name: "nf_conntrack_events", Value: fmt.Sprint(rng.IntN(2))}}}))
		case n == 3 && rng.IntN(4) == 0:
			put(capture.KindClock, 0, encoded(&capture.Clock{Step: rng.Int64N(9e9) - 4e9}))
		case n == 3 && rng.IntN(2) == 0:
			put(capture.KindCounters, 0, encoded(&capture.Counters{Files: []capture.CounterFile{
				{Name: "/proc/net/stat/nf_conntrack", Text: fmt.Appendf(nil, "drop\n%x\n", rng.IntN(9))},
				{Name: "/proc/sys/net/netfilter/nf_conntrack_events", Text: fmt.Appendln(nil, rng.IntN(2))}}}))
		case n == 3 && rng.IntN(3) == 0:
			put(capture.KindStall, 0, encoded(&capture.Stall{Duration: rng.Int64N(9e9)}))
		case n < 20:
			put(capture.KindTick, 0, encoded(&capture.Tick{Number: seq}))
		case n < 30:
			put([]capture.Kind{capture.KindDumpBegin, capture.KindDumpEnd}[rng.IntN(2)], 1, encoded(&capture.ConntrackDump{Failed: reason}))
		case n < 40:
			put([]capture.Kind{capture.KindWalkBegin, capture.KindWalkEnd}[rng.IntN(2)], 2, encoded(&capture.ProcWalk{Failed: reason}))
		case n < 42:
			put(socketRecord(rng))
		case n < 45:
			put(200, source, []byte{0x90})
		case n < 100:
			put(capture.KindDNS, 3, encoded(&capture.DNS{}))
		default:
			put(capture.KindConntrack, 1, []byte("x"))
		}
	}
	put(capture.KindEnd, 0, encoded(&capture.End{Totals: []capture.Total{{Source: 1, Undecodable: 7}, {Source: 3}}}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// socketRecord returns a record of the sources of socket events or of closed sockets.
func socketRecord(rng *rand.Rand) (k capture.Kind, source uint32, payload []byte) {
	e := sockmsg.Event{PID: rng.Uint32N(9), TID: 1, Socket: rng.Uint64N(9), Old: procnet.Close, New: procnet.SynSent, Protocol: sockmsg.TCP,
		Local: netip.MustParseAddrPort("10.0.0.1:0"), Remote: netip.MustParseAddrPort("10.0.0.2:80")}
	f := sockmsg.UsualFormat()
	switch k = capture.KindSocketFormat + capture.Kind(rng.IntN(7)); k {
	case capture.KindSocketEvent:
		return k, 5, e.Append(nil, &f, false)
	case capture.KindProcessEvent:
		p := sockmsg.Process{Kind: sockmsg.Exit, PID: rng.Uint32N(9), TID: 1}
		return k, 5, p.Append(nil, false)
	case capture.KindSocketTable:
		return k, 2, capture.AppendPayload(nil, k.New())
	case capture.KindSocketClose:
		return k, 6, []byte("x")
	}
	return k, 5, capture.AppendPayload(nil, k.New())
}
