package reporter

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/reportertest"
)

// BenchmarkStep measures one conntrack record of short connections. There is a tick after every
// 10,000 records.
func BenchmarkStep(b *testing.B) {
	messages := reportertest.ShortConnections(10000)
	h := newHost(b)
	tick := capture.AppendPayload(nil, &capture.Tick{Interval: 3e9})
	step := func(i int) {
		h.At++
		h.Raw(capture.KindConntrack, 1, messages[i%len(messages)])
		if i%10000 == 0 {
			h.Raw(capture.KindTick, 0, tick)
		}
	}
	for i := range 2 * len(messages) {
		step(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		step(i)
	}
}

// BenchmarkBusy measures one conntrack record of 5,000 short connections per second. The kernel
// keeps the last 100,000 in TIME_WAIT. A report and its digests are made every 3 s.
func BenchmarkBusy(b *testing.B) {
	const connections, kept = 150000, 100000
	one := reportertest.ShortConnections(connections)
	var messages [][]byte
	for i := 0; i < len(one); i += 7 * 10 {
		messages = append(messages, one[i:i+30]...) // ten are opened
		for k := range 10 {
			rest := one[i+30+4*k:]
			old := (i/7 + k + connections - kept) % connections
			destroy := one[old/10*70+30+4*(old%10)+3]
			messages = append(messages, rest[0], rest[1], rest[2], destroy)
		}
	}
	h := newHost(b)
	tick := capture.AppendPayload(nil, &capture.Tick{Interval: 3e9})
	n := 0
	step := func() {
		h.At += 30000
		h.Raw(capture.KindConntrack, 1, messages[n%len(messages)])
		if n++; n%100000 == 0 && h.Raw(capture.KindTick, 0, tick) {
			r := h.r.Report()
			r.Digests()
		}
	}
	for range len(messages) {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

// A kind is a kind of connections: with nat they are translated, with hub all have the same
// server.
type kind struct{ nat, hub, ipv6 bool }

// tuples returns the tuples of connection i.
func (k kind) tuples(i int) (orig, reply string) {
	server := i
	if k.hub {
		server = 0
	}
	ends := func(client, server, backend string) (orig, reply string) {
		if !k.nat {
			backend = server
		}
		return client + ">" + server, backend + ">" + client
	}
	if k.ipv6 {
		return ends(fmt.Sprintf("[2001:db8:1::%x:%x]:%d", i>>22, i>>6&0xffff, 20000+i&63),
			fmt.Sprintf("[2001:db8::%x]:80", server&0xffff), fmt.Sprintf("[fd00::%x]:8080", server&0xffff))
	}
	return ends(fmt.Sprintf("10.%d.%d.%d:%d", 1+i>>22, i>>14&255, i>>6&255, 20000+i&63),
		fmt.Sprintf("10.0.%d.%d:80", server>>8&255, server&255), fmt.Sprintf("172.17.%d.%d:8080", server>>8&255, server&255))
}

// established returns a host with n connections. Conntrack shows all of them, in random order, and
// /proc every fourth.
func established(b *testing.B, n int, k kind) *host {
	h := newHost(b)
	var sockets []reportertest.Socket
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
		orig, reply := k.tuples(i)
		h.Send(reportertest.Message{Type: ctmsg.Update, ID: uint32(i), State: "ESTABLISHED", Flags: 3, Tuples: orig + " | " + reply})
		if i%4 == 0 {
			sockets = append(sockets, reportertest.Socket{Netns: 1, Row: orig, Inode: uint64(i + 1)})
		}
	}
	h.Walk(sockets...)
	return h
}

// reports measures a report of n connections, and its tick.
func (h *host) reports(b *testing.B, n int) {
	h.Report()
	tick := capture.AppendPayload(nil, &capture.Tick{Interval: 3e9})
	var ticks time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begun := time.Now()
		h.Raw(capture.KindTick, 0, tick)
		ticks += time.Since(begun)
		r := h.r.Report()
		if len(r.Connections) != n {
			b.Fatal(len(r.Connections))
		}
	}
	perConnection := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) / float64(n) }
	b.ReportMetric(perConnection(b.Elapsed()-ticks), "report-ns/connection")
	b.ReportMetric(perConnection(ticks), "tick-ns/connection")
	b.ReportMetric(perConnection(b.Elapsed()), "ns/connection")
}

func BenchmarkReport(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000, 1000000} {
		if n > 100000 && testing.Short() {
			continue
		}
		for _, k := range []kind{{hub: true}, {nat: true, hub: true}, {}, {nat: true},
			{hub: true, ipv6: true}, {nat: true, hub: true, ipv6: true}, {ipv6: true}, {nat: true, ipv6: true}} {
			b.Run(fmt.Sprintf("connections=%d/nat=%v/hub=%v/ipv6=%v", n, k.nat, k.hub, k.ipv6), func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				h := established(b, n, k)
				runtime.GC()
				runtime.ReadMemStats(&after)
				perConnection := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
				h.reports(b, n)
				b.ReportMetric(perConnection, "heapB/connection")
			})
		}
	}
}

// BenchmarkReportOfSeveralSources measures a report of two conntrack sources: each has connections
// of its own, or both have the same ones, or one translates the connections that the other has.
func BenchmarkReportOfSeveralSources(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000, 1000000} {
		if n > 100000 && testing.Short() {
			continue
		}
		for _, how := range []string{"apart", "same", "translated"} {
			b.Run(fmt.Sprintf("connections=%d/%s", n, how), func(b *testing.B) {
				h := newHost(b)
				k := kind{nat: how == "translated"}
				for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
					orig, reply := k.tuples(i)
					m := reportertest.Message{Type: ctmsg.Update, ID: uint32(i), State: "ESTABLISHED", Flags: 3, Tuples: orig + " | " + reply, Source: uint32(1 + i&1)}
					h.Send(m)
					if how != "apart" {
						server, client, _ := strings.Cut(reply, ">")
						m.Tuples, m.Source = client+">"+server, 3-m.Source
						h.Send(m)
					}
				}
				h.Walk()
				h.reports(b, n)
			})
		}
	}
}

// BenchmarkJSON measures a report's canonical JSON and its digests.
func BenchmarkJSON(b *testing.B) {
	for _, nat := range []bool{false, true} {
		const n = 10000
		r := established(b, n, kind{nat: nat, hub: true}).Report()
		b.Run(fmt.Sprintf("nat=%v", nat), func(b *testing.B) {
			buf := r.AppendJSON(nil)
			b.ReportAllocs()
			for b.Loop() {
				buf = r.AppendJSON(buf[:0])
				r.Digests()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/connection")
		})
	}
}

func BenchmarkDigests(b *testing.B) {
	h := established(b, 10000, kind{nat: true, hub: true})
	r := h.Report()
	b.ReportAllocs()
	for b.Loop() {
		r.Digests()
	}
}
