package reporter

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// eventsOfConnections returns the records of the source of socket events that show n short
// connections of short processes: 12 of each, from fork to exit.
func eventsOfConnections(b *testing.B, n int) (out []capture.Record) {
	h := newHost(b)
	h.OnRecord = func(r *capture.Record) { out = append(out, copyRecord(r)) }
	h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: 50, Comm: "sh"})
	for i := range n {
		pid, client, server := uint32(1000+i), uint64(2*i+1), uint64(2*i+2)
		row := fmt.Sprintf("10.%d.%d.1:%d>10.0.0.2:80", i>>8&255, i&255, 1024+i%60000)
		ends := reportertest.Ends(row)
		back := ends.Dst.String() + ">" + ends.Src.String()
		h.Process(sockmsg.Process{Kind: sockmsg.Fork, PID: pid, PPID: 50})
		h.Process(sockmsg.Process{Kind: sockmsg.Namespaces, PID: pid, Netns: 7})
		h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: pid, Comm: "curl", Exec: true})
		h.Connect(pid, client, row)
		h.Accept(server, back)
		h.Close(pid, client, row, false)
		h.Close(50, server, back, true)
		h.Process(sockmsg.Process{Kind: sockmsg.Exit, PID: pid})
	}
	return out
}

// BenchmarkEvent measures one record of the source of socket events.
func BenchmarkEvent(b *testing.B) {
	records := eventsOfConnections(b, 10000)
	h := newHost(b)
	tick := capture.AppendPayload(nil, &capture.Tick{Interval: 3e9})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r := &records[n]
		h.At++
		h.Raw(r.Kind, r.Source, r.Payload)
		if n++; n == len(records) {
			n = 0
			h.Raw(capture.KindTick, 0, tick)
		}
	}
}

// BenchmarkReportOfEvents measures a report of connections that only events show, in us a
// connection.
func BenchmarkReportOfEvents(b *testing.B) {
	for _, n := range []int{1000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHost(b)
			for _, r := range eventsOfConnections(b, n) {
				h.Raw(r.Kind, r.Source, r.Payload)
			}
			h.Pass(3)
			h.Raw(capture.KindTick, 0, capture.AppendPayload(nil, &capture.Tick{Number: 1, Interval: 3e9}))
			b.ReportAllocs()
			for b.Loop() {
				if r := h.r.Report(); len(r.Connections) != n {
					b.Fatalf("%d connections", len(r.Connections))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "us/connection")
		})
	}
}
