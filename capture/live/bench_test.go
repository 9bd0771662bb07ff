package live

import (
	"io"
	"net/netip"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// connections returns the events of n short TCP connections, interleaved, in
// batches of one full drain.
func connections(n int) (batches [][]capture.Record) {
	var batch []capture.Record
	for i := range n + 5 {
		for step := range 6 {
			if c := i - step; c >= 0 && c < n {
				batch = append(batch, capture.Record{At: int64(i) * 1000, Kind: capture.KindConntrack, Source: 1, Payload: connectionEvent(c, step)})
			}
			if len(batch) == 256 {
				batches, batch = append(batches, batch), nil
			}
		}
	}
	return append(batches, batch)
}

// connectionEvent returns the event of connection i at a step of its life.
func connectionEvent(i, step int) []byte {
	client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 20), byte(i >> 12 & 0xff)}), uint16(32768+i%28000))
	server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i % 16)}), 80)
	m := ctmsg.Message{
		Type: ctmsg.Update, ID: uint32(i) * 2654435761, HasStatus: true, HasTimeout: true, Timeout: 120, HasState: true, HasFlags: true,
		Orig:  ctmsg.TupleOf(client, server, 6),
		Reply: ctmsg.TupleOf(server, client, 6),
	}
	m.State = []ctmsg.State{ctmsg.SynSent, ctmsg.SynRecv, ctmsg.Established, ctmsg.FinWait, ctmsg.TimeWait, ctmsg.TimeWait}[step]
	switch step {
	case 0:
		m.Type = ctmsg.New
	case 5:
		m.Type, m.HasFlags, m.HasTimeout = ctmsg.Destroy, false, false
		fallthrough
	default:
		m.Status = ctmsg.SeenReply | ctmsg.Confirmed
	}
	return m.Append(nil, false)
}

// realCore is the reporter: what the recorder costs is measured with it.
type realCore struct{ *reporter.Reporter }

func (c realCore) Report(bool) Report {
	r := c.Reporter.Report()
	return Report{Digests: r.Digests()}
}

func newRealCore(h *capture.Header) (Core, error) {
	r, err := reporter.New(h, reporter.RulesCurrent)
	return realCore{r}, err
}

// BenchmarkSequencer measures the cost of an event after the collector:
// sequencing, the tape and, with core=on, the core, with a report every 100,000
// events.
func BenchmarkSequencer(b *testing.B) {
	for name, make := range map[string]func(*capture.Header) (Core, error){
		"core=on":  newRealCore,
		"core=off": func(*capture.Header) (Core, error) { return nil, nil },
	} {
		b.Run(name, func(b *testing.B) {
			batches := connections(50_000)
			h := &capture.Header{TapeID: [16]byte{1}}
			out := &countingWriter{}
			tape, err := tape.NewWriter(out, h)
			if err != nil {
				b.Fatal(err)
			}
			c, err := make(h)
			if err != nil {
				b.Fatal(err)
			}
			s := newSequencer(tape, c, func() int64 { return 0 }, func() int64 { return 0 }, len(capture.UsualSources()))
			b.ReportAllocs()
			events, sinceTick := 0, 0
			for i := 0; b.Loop(); i++ {
				records := batches[i%len(batches)]
				s.batch(&collect.Batch{Records: records})
				events += len(records)
				if sinceTick += len(records); sinceTick > 100_000 {
					s.tick(counters{})
					sinceTick = 0
				}
			}
			if s.err != nil {
				b.Fatal(s.err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
			b.ReportMetric(float64(out.n)/float64(events), "B/event")
		})
	}
}

type countingWriter struct{ n int }

func (w *countingWriter) Write(b []byte) (int, error) {
	w.n += len(b)
	return io.Discard.Write(b)
}
