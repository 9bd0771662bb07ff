package replay

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// busyTape is a tape of short connections, seven events each, with a tick and
// its witness every interval records.
func busyTape(tb testing.TB, records, interval int) []byte {
	tb.Helper()
	var out bytes.Buffer
	h := &capture.Header{HostID: "h", TapeID: [16]byte{1}, Start: 1767323045e9}
	w, err := capture.NewWriter(&out, h)
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
		flow, event := i/len(states)/50*50+i%50, i/50%len(states) // fifty at a time
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

func memory(name string, b []byte) Input {
	return Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// seekable is memory that is read like a file.
func seekable(name string, b []byte) Input {
	return Input{Name: name, Size: int64(len(b)), Open: func() (io.ReadCloser, error) {
		return struct {
			*bytes.Reader
			io.Closer
		}{bytes.NewReader(b), io.NopCloser(nil)}, nil
	}}
}

func BenchmarkReplay(b *testing.B) {
	const records = 1_000_000
	tape := busyTape(b, records, 50_000)
	for _, o := range []struct {
		name string
		Options
	}{{"none", Options{Reports: None}}, {"last", Options{}}, {"verify", Options{Reports: None, Verify: true}}, {"all", Options{Reports: All}}} {
		for _, in := range []Input{memory("stream", tape), seekable("file", tape)} {
			b.Run(o.name+"/"+in.Name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s, err := Run([]Input{in}, o.Options, func(*reporter.Report) error { return nil })
					if err != nil {
						b.Fatal(err)
					}
					if v := s.Verification; v != nil && (v.Identical != v.Witnesses || v.Witnesses != records/50_000) {
						b.Fatal(fmt.Sprint(v))
					}
				}
				b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(float64(len(tape))/records, "B/record")
			})
		}
	}
}
