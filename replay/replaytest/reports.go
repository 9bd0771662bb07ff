package replaytest

import (
	"net/netip"
	"testing"

	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// AddrPort parses an address and a port. It panics on an error.
func AddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// ThreeConnections returns a report with a connection through NAT, one of IPv6, and one
// over the loopback interface of a network namespace.
func ThreeConnections() *report.Report {
	return &report.Report{
		Connections: []report.Connection{
			{Proto: "tcp", From: report.End{Addr: AddrPort("10.0.0.1:40000"), Processes: []report.Process{{PID: 4242, Comm: "curl"}}},
				To:  report.End{Addr: AddrPort("172.17.0.2:8080"), Processes: []report.Process{{PID: 7, Comm: "nginx"}}},
				NAT: []report.NAT{{OriginalSrc: AddrPort("10.0.0.1:40000"), OriginalDst: AddrPort("10.0.0.80:80"), ReplySrc: AddrPort("172.17.0.2:8080"), ReplyDst: AddrPort("192.0.2.1:1024")}}},
			{Proto: "tcp", From: report.End{Addr: AddrPort("[2001:db8::1]:40000")}, To: report.End{Addr: AddrPort("[2001:db8::2]:443")}},
			{Proto: "tcp", From: report.End{Addr: AddrPort("127.0.0.1:40000"), Netns: 5}, To: report.End{Addr: AddrPort("127.0.0.1:443"), Netns: 5}},
		},
		Endpoints: []report.Endpoint{
			{Addr: AddrPort("10.0.0.1:40000")}, {Addr: AddrPort("172.17.0.2:8080")},
			{Addr: AddrPort("[2001:db8::1]:40000")}, {Addr: AddrPort("[2001:db8::2]:443")},
			{Scope: "host1-5", Addr: AddrPort("127.0.0.1:40000")}, {Scope: "host1-5", Addr: AddrPort("127.0.0.1:443")},
			{Scope: "host1-6", Addr: AddrPort("127.0.0.1:443")},
		},
		Names: []report.Names{
			{Addr: netip.MustParseAddr("10.0.0.80"), Forward: []string{"shop.internal"}},
			{Addr: netip.MustParseAddr("172.17.0.2"), Reverse: []string{"web-1.internal"}},
			{Addr: netip.MustParseAddr("2001:db8::2"), Forward: []string{"db.internal"}},
		},
	}
}

// Connection returns a TCP connection. first and last are Unix ns; seen are the sources
// that saw it.
func Connection(from, to string, first, last int64, seen ...string) report.Connection {
	return report.Connection{Proto: "tcp", From: report.End{Addr: AddrPort(from)}, To: report.End{Addr: AddrPort(to)}, FirstSeen: first, LastSeen: last, Seen: seen}
}

// Report returns a report of tick 1 with those connections.
func Report(list ...report.Connection) *report.Report {
	return &report.Report{Tick: 1, Connections: list}
}

// Replay returns every report of a tape, made by a plain loop.
func Replay(t testing.TB, tape []byte, rules string) (list []*report.Report) {
	t.Helper()
	h, records := Read(t, tape)
	core, err := reporter.New(&h, rules)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if core.Step(&records[i]) {
			list = append(list, core.Report())
		}
	}
	return list
}
