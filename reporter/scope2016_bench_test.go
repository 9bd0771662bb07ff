package reporter

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// A scopeShape returns the original and the reply tuple of the i-th connection.
type scopeShape func(i int) (orig, reply string)

var scopeShapes = []struct {
	name  string
	shape scopeShape
}{
	{"plain", func(i int) (string, string) {
		client := clientOf(i)
		return client + ">10.0.0.2:80", "10.0.0.2:80>" + client
	}},
	{"vip", func(i int) (string, string) { // one address for a few backends
		client := clientOf(i)
		return client + ">10.0.0.80:80", fmt.Sprintf("172.17.0.%d:8080>%s", i%4, client)
	}},
	{"masquerade", func(i int) (string, string) {
		server := fmt.Sprintf("192.0.%d.%d:443", i>>8&255, i&255)
		return clientOf(i) + ">" + server, fmt.Sprintf("%s>198.51.100.1:%d", server, 1024+i%60000)
	}},
	{"one-copy", func(i int) (string, string) { // one address and port for all clients
		server := fmt.Sprintf("192.0.%d.%d:443", i>>8&255, i&255)
		return clientOf(i) + ">" + server, server + ">198.51.100.1:1024"
	}},
}

func clientOf(i int) string { return fmt.Sprintf("10.1.%d.%d:%d", i>>14&255, i>>6&255, 20000+i&63) }

// hostOf2016 returns a host with n connections: conntrack shows all of them, /proc every
// fourth.
func hostOf2016(b *testing.B, n int, shape scopeShape) *host {
	h := newHostOf(b, RulesScope2016)
	var socks []reportertest.Socket
	for i := range n {
		orig, reply := shape(i)
		o, r := reportertest.Ends(orig), reportertest.Ends(reply)
		m := ctmsg.Message{Type: ctmsg.Update, ID: uint32(i), HasState: true, State: ctmsg.Established, HasStatus: true, Status: ctmsg.SeenReply,
			Orig: ctmsg.TupleOf(o.Src, o.Dst, 6), Reply: ctmsg.TupleOf(r.Src, r.Dst, 6)}
		if r.Src != o.Dst || r.Dst != o.Src {
			m.Status |= ctmsg.DstNAT
		}
		h.Raw(capture.KindConntrack, 1, m.Append(nil, false))
		if i%4 == 0 {
			socks = append(socks, reportertest.Socket{Netns: 1, Row: orig, State: procnet.Established, Inode: uint64(i + 1), Processes: []report.Process{{PID: uint32(i + 1)}}})
		}
	}
	h.Walk(socks...)
	return h
}

func BenchmarkScope2016Report(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000} {
		for _, s := range scopeShapes {
			b.Run(fmt.Sprintf("connections=%d/%s", n, s.name), func(b *testing.B) {
				h := hostOf2016(b, n, s.shape)
				h.Report()
				b.ReportAllocs()
				for b.Loop() {
					if r := h.r.Report(); len(r.Connections) < n || len(r.Scope().Nodes) < n {
						b.Fatal(len(r.Connections), len(r.Scope().Nodes))
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/connection")
			})
		}
	}
}

// BenchmarkScope2016Step measures one conntrack record of short connections. There is a
// tick after every 10,000 records.
func BenchmarkScope2016Step(b *testing.B) {
	messages := reportertest.ShortConnections(10000)
	h := newHostOf(b, RulesScope2016)
	tick := capture.AppendPayload(nil, &capture.Tick{Interval: 3e9})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.At++
		h.Raw(capture.KindConntrack, 1, messages[i%len(messages)])
		if i%10000 == 0 {
			h.Raw(capture.KindTick, 0, tick)
		}
	}
}
