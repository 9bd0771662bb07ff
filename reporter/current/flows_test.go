package current

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

func TestFlowFromOpenToClosed(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.New, 7, "SYN_SENT", reportertest.Plain)
	h.Want()
	h.Conntrack(ctmsg.Update, 7, "SYN_RECV", reportertest.Plain)
	h.Want()
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.Conntrack(ctmsg.Update, 7, "", reportertest.Plain) // keeps the state
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.Conntrack(ctmsg.Update, 7, "FIN_WAIT", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 7, "LAST_ACK", reportertest.Plain)
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 LAST_ACK handshake")
	h.Conntrack(ctmsg.Update, 7, "TIME_WAIT", reportertest.Plain)
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 TIME_WAIT handshake closed")
	h.Conntrack(ctmsg.Update, 7, "", reportertest.Plain) // a mark changed: it stays ended
	h.Want()
	h.Conntrack(ctmsg.Destroy, 7, "TIME_WAIT", reportertest.Plain)
	h.Want()
}

func TestFlowsWithoutEstablishedStateShowNoConnection(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.New, 1, "SYN_SENT", reportertest.Plain) // refused
	h.Conntrack(ctmsg.Destroy, 1, "", reportertest.Plain)
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 2, State: "ESTABLISHED", Tuples: "10.0.0.3:1>10.0.0.2:80", Unseen: true})
	h.Conntrack(ctmsg.New, 3, "SYN_SENT", "10.0.0.4:1>10.0.0.2:80") // half open, then reset
	h.Conntrack(ctmsg.Update, 3, "SYN_RECV", "10.0.0.4:1>10.0.0.2:80")
	h.Conntrack(ctmsg.Update, 3, "CLOSE", "10.0.0.4:1>10.0.0.2:80")
	h.Conntrack(ctmsg.Destroy, 3, "CLOSE", "10.0.0.4:1>10.0.0.2:80")
	h.Conntrack(ctmsg.Update, 4, "", "10.0.0.5:1>10.0.0.2:80") // there is no state to keep
	h.Conntrack(ctmsg.Update, 5, "SYN_SENT2", "10.0.0.6:1>10.0.0.2:80")
	h.DumpBegin()
	h.Conntrack(ctmsg.Dump, 6, "TIME_WAIT", "10.0.0.7:1>10.0.0.2:80")
	h.Conntrack(ctmsg.Dump, 7, "CLOSE", "10.0.0.8:1>10.0.0.2:80")
	h.Conntrack(ctmsg.Dump, 8, "SYN_SENT", "10.0.0.9:1>10.0.0.2:80")
	h.DumpEnd()
	h.Want()
	h.Conntrack(ctmsg.Destroy, 6, "TIME_WAIT", "10.0.0.7:1>10.0.0.2:80") // it was known, and had ended
	h.Want()
}

func TestConnectionsOfOneWindow(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.New, 1, "SYN_SENT", reportertest.DNAT)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.DNAT)
	h.Conntrack(ctmsg.Destroy, 1, "", reportertest.DNAT)
	h.Conntrack(ctmsg.Update, 2, "TIME_WAIT", reportertest.Plain)          // unknown until now
	h.Conntrack(ctmsg.Destroy, 3, "ESTABLISHED", "10.0.0.9:7>10.0.0.2:80") // the only message of the flow
	h.Conntrack(ctmsg.Destroy, 3, "ESTABLISHED", "10.0.0.9:7>10.0.0.2:80") // a repeated message
	h.Send(reportertest.Message{Type: ctmsg.Destroy, ID: 4, State: "CLOSE", Tuples: "10.0.0.9:8>10.0.0.2:80", Status: ctmsg.Assured})
	h.Send(reportertest.Message{Type: ctmsg.Destroy, ID: 5, Tuples: "10.0.0.9:9>10.0.0.2:80", Status: ctmsg.Assured})
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 6, State: "SYN_RECV", Tuples: "10.0.0.9:10>10.0.0.2:80", Status: ctmsg.Assured})
	r := h.Want("10.0.0.1:40000 -> 10.0.0.2:80 TIME_WAIT original closed",
		"10.0.0.1:40000 -> 172.17.0.2:8080 ESTABLISHED handshake nat1 closed",
		"10.0.0.9:7 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.9:8 -> 10.0.0.2:80 CLOSE original closed",
		"10.0.0.9:9 -> 10.0.0.2:80  original closed")
	for _, e := range r.Endpoints {
		if e.ID() == ";172.17.0.2;8080" && (len(e.Aliases) != 1 || e.Aliases[0].String() != "10.0.0.80:80") {
			t.Errorf("aliases of the server: %v", e.Aliases)
		}
	}
	h.Want()
}

func TestCloseEndsAFlow(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 1, "CLOSE", reportertest.Plain)
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 CLOSE original closed")
	h.Want()
	h.Conntrack(ctmsg.Destroy, 1, "CLOSE", reportertest.Plain)
	h.Want()
}

func TestRecycledIDs(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", "10.0.0.1:1>10.0.0.2:80")
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", "10.0.0.1:2>10.0.0.2:80")
	h.Conntrack(ctmsg.Destroy, 7, "", "10.0.0.1:1>10.0.0.2:80")
	h.Want("10.0.0.1:1 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original")
	// The same id and tuple are used again right after the end: two connections.
	h.Conntrack(ctmsg.Destroy, 7, "", "10.0.0.1:2>10.0.0.2:80")
	h.Pass(1).Conntrack(ctmsg.New, 7, "SYN_SENT", "10.0.0.1:2>10.0.0.2:80")
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", "10.0.0.1:2>10.0.0.2:80")
	h.Want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.Want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake")
}

func TestNewFlowEndsTheEarlierOne(t *testing.T) {
	h := newMachineHost(t)
	shifted := "10.0.0.1:2>10.0.0.2:80 | 10.0.0.2:80>192.0.2.1:"
	h.Conntrack(ctmsg.New, 7, "SYN_SENT", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
	h.Conntrack(ctmsg.New, 8, "SYN_SENT", shifted+"2")
	h.Conntrack(ctmsg.Update, 8, "ESTABLISHED", shifted+"2")
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 7, Zone: 1, State: "ESTABLISHED", Tuples: reportertest.Plain})
	h.Pass(1)
	h.Conntrack(ctmsg.New, 9, "SYN_SENT", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 9, "ESTABLISHED", reportertest.Plain)
	h.Conntrack(ctmsg.New, 8, "SYN_SENT", shifted+"3")
	h.Conntrack(ctmsg.Update, 8, "ESTABLISHED", shifted+"3")
	r := h.Want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake nat1 closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake nat1",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake closed",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original", // in the other zone
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	if got := r.Connections[1].NAT[0].ReplyDst.Port(); got != 3 {
		t.Errorf("the new connection is translated to port %d", got)
	}
	// A late DESTROY is not reported again.
	h.Pass(1).Conntrack(ctmsg.Destroy, 7, "TIME_WAIT", reportertest.Plain)
	h.Want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake nat1",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	// An entry that is in SYN_SENT again had closed.
	h.Pass(1).Conntrack(ctmsg.Update, 9, "SYN_SENT", reportertest.Plain)
	h.Want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake nat1",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake closed")
}

func TestZonesNeverMix(t *testing.T) {
	h := newMachineHost(t)
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, Zone: 1, State: "ESTABLISHED", Tuples: reportertest.Plain})
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, Zone: 2, State: "ESTABLISHED", Tuples: reportertest.Plain})
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original", "10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	h.Send(reportertest.Message{Type: ctmsg.Destroy, ID: 1, Zone: 1, Tuples: reportertest.Plain})
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed", "10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
}

func TestDumpReconciles(t *testing.T) {
	h := newMachineHost(t)
	a, b, c := "10.0.0.1:1>10.0.0.2:80", "10.0.0.1:2>10.0.0.2:80", "10.0.0.1:3>10.0.0.2:80"
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", a)
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", b)
	h.Conntrack(ctmsg.Update, 3, "ESTABLISHED", c)
	h.Report()
	h.DumpBegin()
	h.Conntrack(ctmsg.Dump, 1, "ESTABLISHED", a)
	h.Conntrack(ctmsg.Destroy, 1, "", a)
	h.Conntrack(ctmsg.Dump, 1, "ESTABLISHED", a) // older than its end
	h.Conntrack(ctmsg.Update, 2, "", b)          // an event of a flow that the dump lacks
	h.DumpEnd()
	h.Want("10.0.0.1:1 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:3 -> 10.0.0.2:80 ESTABLISHED original closed")
	h.DumpBegin()
	h.DumpBegin() // an unfinished dump has no effect
	h.Want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original")
	h.DumpEnd()
	h.Want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original closed")
	h.Dump(map[uint32]string{2: b}) // the kernel has it again
	h.Want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original")
}

func TestDumpEntriesMayBeOlderThanEvents(t *testing.T) {
	h := newMachineHost(t)
	a, b := "10.0.0.1:1>10.0.0.2:80", "10.0.0.1:2>10.0.0.2:80"
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", a)
	h.DumpBegin()
	h.Conntrack(ctmsg.Update, 1, "LAST_ACK", a)
	h.Conntrack(ctmsg.Dump, 1, "ESTABLISHED", a)
	h.Conntrack(ctmsg.Destroy, 2, "", b) // unknown
	h.Conntrack(ctmsg.Dump, 2, "ESTABLISHED", b)
	h.DumpEnd()
	h.Want("10.0.0.1:1 -> 10.0.0.2:80 LAST_ACK original")
}

func TestShortConnectionsUseTheMemoryOfAWindow(t *testing.T) {
	const perWindow = 700
	h := newMachineHost(t)
	h.Walk()
	window := func() int {
		for i := range perWindow {
			tuples := fmt.Sprintf("10.0.0.1:%d>10.0.0.2:80", 1000+i)
			h.Conntrack(ctmsg.New, uint32(i), "SYN_SENT", tuples)
			h.Conntrack(ctmsg.Update, uint32(i), "ESTABLISHED", tuples)
			h.Conntrack(ctmsg.Destroy, uint32(i), "TIME_WAIT", tuples)
		}
		h.Pass(1).Walk()
		if n := len(h.Report().Connections); n != perWindow {
			t.Fatalf("tick %d shows %d connections", h.Tick, n)
		}
		return len(h.m.flows.all)
	}
	window()
	early := window()
	for range 20 {
		if now := window(); now > early {
			t.Fatalf("%d flows in window %d, %d at first", now, h.Tick, early)
		}
	}
}

func TestGapForgetsNothing(t *testing.T) {
	h := newMachineHost(t)
	a, b, c := "10.0.0.1:1>10.0.0.2:80", "10.0.0.1:2>10.0.0.2:80", "10.0.0.1:3>10.0.0.2:80"
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", a)
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", b)
	h.Conntrack(ctmsg.Update, 3, "ESTABLISHED", c)
	h.DumpBegin()
	h.Put(capture.KindGap, 1, &capture.Gap{Lost: 42})
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", b)
	h.Conntrack(ctmsg.Update, 3, "", c) // without a state, for example a changed mark: it may have closed
	h.DumpEnd()                         // the dump had a gap: it ends no flow
	r := h.Want("10.0.0.1:1 -> 10.0.0.2:80 ESTABLISHED original maybe",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:3 -> 10.0.0.2:80 ESTABLISHED original maybe")
	if c := reportertest.CoverageOf(r, "conntrack"); c.State != report.CoverageDegraded || c.Lost != 42 || c.Why == "" {
		t.Errorf("coverage %+v", c)
	}
	h.Dump(map[uint32]string{2: b, 3: c})
	r = h.Want("10.0.0.1:1 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:3 -> 10.0.0.2:80 ESTABLISHED original")
	if c := reportertest.CoverageOf(r, "conntrack"); c.State != report.CoverageOK || c.Lost != 42 {
		t.Errorf("coverage %+v", c)
	}
}

func TestDumpEntryMayBeOlderThanAGap(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.DumpBegin()
	h.Put(capture.KindGap, 1, &capture.Gap{Lost: 1})
	h.Conntrack(ctmsg.Dump, 1, "ESTABLISHED", reportertest.Plain)
	h.DumpEnd()
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original maybe")
	h.DumpBegin()
	h.Conntrack(ctmsg.Dump, 1, "ESTABLISHED", reportertest.Plain)
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	h.DumpEnd()
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
}

func TestNAT(t *testing.T) {
	for name, c := range map[string]struct{ tuples, want string }{
		"DNAT":           {reportertest.DNAT, "10.0.0.1:40000 -> 172.17.0.2:8080"},
		"SNAT":           {"10.0.0.1:40000>8.8.8.8:443 | 8.8.8.8:443>1.2.3.4:1024", "10.0.0.1:40000 -> 8.8.8.8:443"},
		"both":           {"10.77.1.2:56254>10.77.1.1:80 | 10.77.2.2:8080>10.77.2.1:56254", "10.77.1.2:56254 -> 10.77.2.2:8080"},
		"redirect":       {"10.0.0.9:50000>10.0.0.1:80 | 10.0.0.1:8080>10.0.0.9:50000", "10.0.0.9:50000 -> 10.0.0.1:8080"},
		"port-only SNAT": {"10.0.0.1:42001>10.0.0.1:9090 | 10.0.0.1:9090>10.0.0.1:1024", "10.0.0.1:42001 -> 10.0.0.1:9090"},
		"IPv6":           {"[fd00::1]:40000>[fd00::80]:80 | [fd00::2]:8080>[fd00::1]:40000", "[fd00::1]:40000 -> [fd00::2]:8080"},
	} {
		h := newMachineHost(t)
		h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", c.tuples)
		t.Run(name, func(t *testing.T) { h.T = t; h.Want(c.want + " ESTABLISHED original nat1") })
	}
}

func TestChainOfThreeNamespaces(t *testing.T) {
	h := newMachineHost(t)
	for source, netns := range map[uint32]uint64{1: 100, 5: 200, 6: 300} {
		h.Put(capture.KindSource, source, &capture.Source{Open: true, Kind: "conntrack", Netns: netns})
	}
	// The client's host masquerades, the gateway forwards to a backend, the
	// backend's namespace sees the packets pass.
	h.Send(reportertest.Message{Type: ctmsg.Update, Source: 1, ID: 1, State: "ESTABLISHED", Tuples: "10.1.0.2:4000>10.9.9.9:80 | 10.9.9.9:80>10.8.0.1:4000"})
	h.Send(reportertest.Message{Type: ctmsg.Update, Source: 5, ID: 2, State: "ESTABLISHED", Tuples: "10.8.0.1:4000>10.9.9.9:80 | 10.7.0.2:8080>10.8.0.1:4000"})
	h.Send(reportertest.Message{Type: ctmsg.Update, Source: 6, ID: 3, State: "ESTABLISHED", Tuples: "10.8.0.1:4000>10.7.0.2:8080"})
	h.Want("10.1.0.2:4000 -> 10.7.0.2:8080 ESTABLISHED original nat2")
	h.Send(reportertest.Message{Type: ctmsg.Destroy, Source: 1, ID: 1, Tuples: "10.1.0.2:4000>10.9.9.9:80 | 10.9.9.9:80>10.8.0.1:4000"})
	h.Send(reportertest.Message{Type: ctmsg.Destroy, Source: 6, ID: 3, Tuples: "10.8.0.1:4000>10.7.0.2:8080"})
	h.Send(reportertest.Message{Type: ctmsg.Destroy, Source: 5, ID: 2, Tuples: "10.8.0.1:4000>10.9.9.9:80 | 10.7.0.2:8080>10.8.0.1:4000"})
	h.Want("10.1.0.2:4000 -> 10.7.0.2:8080 ESTABLISHED original nat2 closed")
	h.Want()
}

func TestHairpin(t *testing.T) {
	h := newMachineHost(t)
	for source, netns := range []uint64{1: 100, 2: 200} {
		if netns != 0 {
			h.Put(capture.KindSource, uint32(source), &capture.Source{Open: true, Kind: "conntrack", Netns: netns})
		}
	}
	// Packets from a namespace to a service return to the namespace, translated by another one.
	out, between, back := "10.0.0.2:4000>10.9.9.9:80", "10.0.0.2:4000>10.9.9.9:80 | 10.0.0.2:8080>10.0.0.1:4000", "10.0.0.1:4000>10.0.0.2:8080"
	all := func(typ ctmsg.Type, state string) {
		h.Send(reportertest.Message{Type: typ, Source: 1, ID: 1, State: state, Tuples: out})
		h.Send(reportertest.Message{Type: typ, Source: 2, ID: 1, State: state, Tuples: between})
		h.Send(reportertest.Message{Type: typ, Source: 1, ID: 2, State: state, Tuples: back})
	}
	all(ctmsg.New, "SYN_SENT")
	all(ctmsg.Update, "ESTABLISHED")
	h.Walk(reportertest.Socket{Netns: 100, Row: out, Inode: 7, Processes: []report.Process{{PID: 300, Comm: "check"}}}, reportertest.Socket{Netns: 100, Row: "10.0.0.2:8080>10.0.0.1:4000", Inode: 8, Processes: nginx})
	h.Want("10.0.0.2:4000@100(300 check) -> 10.0.0.2:8080@100(200 nginx) ESTABLISHED handshake nat1")
	h.Pass(1)
	all(ctmsg.Update, "TIME_WAIT")
	h.Want("10.0.0.2:4000@100(300 check) -> 10.0.0.2:8080@100(200 nginx) TIME_WAIT handshake nat1 closed")
	h.Want()
}

func TestHalfOpenFlowDoesNotJoinAnEndedOne(t *testing.T) {
	h := newMachineHost(t)
	h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 100})
	h.Put(capture.KindSource, 2, &capture.Source{Open: true, Kind: "conntrack", Netns: 200})
	h.Send(reportertest.Message{Type: ctmsg.Update, Source: 1, ID: 1, State: "ESTABLISHED", Tuples: reportertest.Plain})
	h.Send(reportertest.Message{Type: ctmsg.New, Source: 2, ID: 1, State: "SYN_SENT", Tuples: reportertest.Plain})
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.Send(reportertest.Message{Type: ctmsg.Destroy, Source: 1, ID: 1, Tuples: reportertest.Plain})
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed")
	h.Want()
}

func TestFlowsOfAChainEndInDifferentWindows(t *testing.T) {
	one := "10.1.0.1:40000>10.9.9.9:80 | 10.2.0.1:8080>10.2.0.254:50000"
	two := "10.2.0.254:50000>10.2.0.1:8080 | 10.3.0.1:9000>10.3.0.254:60000"
	for _, firstOne := range []bool{true, false} {
		h := newMachineHost(t)
		h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 100})
		h.Put(capture.KindSource, 5, &capture.Source{Open: true, Kind: "conntrack", Netns: 200})
		h.Send(reportertest.Message{Type: ctmsg.Update, Source: 1, ID: 1, State: "ESTABLISHED", Tuples: one})
		h.Send(reportertest.Message{Type: ctmsg.Update, Source: 5, ID: 2, State: "ESTABLISHED", Tuples: two})
		h.Want("10.1.0.1:40000 -> 10.3.0.1:9000 ESTABLISHED original nat2")
		ends := []reportertest.Message{{Type: ctmsg.Destroy, Source: 1, ID: 1, Tuples: one}, {Type: ctmsg.Destroy, Source: 5, ID: 2, Tuples: two}}
		if !firstOne {
			ends[0], ends[1] = ends[1], ends[0]
		}
		h.Send(ends[0])
		h.Want("10.1.0.1:40000 -> 10.3.0.1:9000 ESTABLISHED original nat2")
		h.Want("10.1.0.1:40000 -> 10.3.0.1:9000 ESTABLISHED original nat2")
		h.Send(ends[1])
		h.Want("10.1.0.1:40000 -> 10.3.0.1:9000 ESTABLISHED original nat2 closed")
		h.Want()
		if n := h.m.flows.gone; n > 0 {
			t.Errorf("%d gone flows are kept", n)
		}
	}
}

func TestPickupInAnotherNamespaceIsTheSameConnection(t *testing.T) {
	h := newMachineHost(t)
	h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 100})
	h.Put(capture.KindSource, 5, &capture.Source{Open: true, Kind: "conntrack", Netns: 200})
	h.Send(reportertest.Message{Type: ctmsg.Update, Source: 5, ID: 2, State: "ESTABLISHED", Flags: 0x0a, Tuples: "10.0.0.2:80>10.0.0.1:40000"})
	h.Send(reportertest.Message{Type: ctmsg.Update, Source: 1, ID: 1, State: "ESTABLISHED", Flags: 0x23, Tuples: reportertest.Plain})
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	// Two netlink sockets in one namespace receive every message twice: that is no chain.
	h.Put(capture.KindSource, 5, &capture.Source{Open: true, Kind: "conntrack", Netns: 100})
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake", "10.0.0.2:80 -> 10.0.0.1:40000 ESTABLISHED original")
}
