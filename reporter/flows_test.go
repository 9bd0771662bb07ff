package reporter

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

func TestLifeOfAFlow(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.New, 7, "SYN_SENT", plain)
	h.want()
	h.ct(ctmsg.Update, 7, "SYN_RECV", plain)
	h.want()
	h.ct(ctmsg.Update, 7, "ESTABLISHED", plain)
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.ct(ctmsg.Update, 7, "", plain) // inherits
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.ct(ctmsg.Update, 7, "FIN_WAIT", plain)
	h.ct(ctmsg.Update, 7, "LAST_ACK", plain)
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 LAST_ACK handshake")
	h.ct(ctmsg.Update, 7, "TIME_WAIT", plain)
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 TIME_WAIT handshake closed")
	h.ct(ctmsg.Update, 7, "", plain) // a mark changed: it stays ended
	h.want()
	h.ct(ctmsg.Destroy, 7, "TIME_WAIT", plain)
	h.want()
}

func TestNoEdgeWithoutAnEstablishedPast(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.New, 1, "SYN_SENT", plain) // refused
	h.ct(ctmsg.Destroy, 1, "", plain)
	h.send(ct{typ: ctmsg.Update, id: 2, state: "ESTABLISHED", tuples: "10.0.0.3:1>10.0.0.2:80", unseen: true})
	h.ct(ctmsg.New, 3, "SYN_SENT", "10.0.0.4:1>10.0.0.2:80") // half open, then reset
	h.ct(ctmsg.Update, 3, "SYN_RECV", "10.0.0.4:1>10.0.0.2:80")
	h.ct(ctmsg.Update, 3, "CLOSE", "10.0.0.4:1>10.0.0.2:80")
	h.ct(ctmsg.Destroy, 3, "CLOSE", "10.0.0.4:1>10.0.0.2:80")
	h.ct(ctmsg.Update, 4, "", "10.0.0.5:1>10.0.0.2:80") // nothing to inherit
	h.ct(ctmsg.Update, 5, "SYN_SENT2", "10.0.0.6:1>10.0.0.2:80")
	h.dumpBegin()
	h.ct(ctmsg.Dump, 6, "TIME_WAIT", "10.0.0.7:1>10.0.0.2:80")
	h.ct(ctmsg.Dump, 7, "CLOSE", "10.0.0.8:1>10.0.0.2:80")
	h.ct(ctmsg.Dump, 8, "SYN_SENT", "10.0.0.9:1>10.0.0.2:80")
	h.dumpEnd()
	h.want()
	h.ct(ctmsg.Destroy, 6, "TIME_WAIT", "10.0.0.7:1>10.0.0.2:80") // it was known, and ended
	h.want()
}

func TestWholeLifeInOneWindow(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.New, 1, "SYN_SENT", dnat)
	h.ct(ctmsg.Update, 1, "ESTABLISHED", dnat)
	h.ct(ctmsg.Destroy, 1, "", dnat)
	h.ct(ctmsg.Update, 2, "TIME_WAIT", plain)                       // unknown until now
	h.ct(ctmsg.Destroy, 3, "ESTABLISHED", "10.0.0.9:7>10.0.0.2:80") // its only trace
	h.ct(ctmsg.Destroy, 3, "ESTABLISHED", "10.0.0.9:7>10.0.0.2:80") // twice is once
	h.send(ct{typ: ctmsg.Destroy, id: 4, state: "CLOSE", tuples: "10.0.0.9:8>10.0.0.2:80", assured: true})
	h.send(ct{typ: ctmsg.Destroy, id: 5, tuples: "10.0.0.9:9>10.0.0.2:80", assured: true})
	h.send(ct{typ: ctmsg.Update, id: 6, state: "SYN_RECV", tuples: "10.0.0.9:10>10.0.0.2:80", assured: true})
	r := h.want("10.0.0.1:40000 -> 10.0.0.2:80 TIME_WAIT original closed",
		"10.0.0.1:40000 -> 172.17.0.2:8080 ESTABLISHED handshake nat1 closed",
		"10.0.0.9:7 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.9:8 -> 10.0.0.2:80 CLOSE original closed")
	for _, e := range r.Endpoints {
		if e.ID() == ";172.17.0.2;8080" && (len(e.Aliases) != 1 || e.Aliases[0].String() != "10.0.0.80:80") {
			t.Errorf("aliases of the server: %v", e.Aliases)
		}
	}
	h.want()
}

func TestCloseEndsAFlow(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 1, "ESTABLISHED", plain)
	h.ct(ctmsg.Update, 1, "CLOSE", plain)
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 CLOSE original closed")
	h.want()
	h.ct(ctmsg.Destroy, 1, "CLOSE", plain)
	h.want()
}

func TestRecycledIDs(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 7, "ESTABLISHED", "10.0.0.1:1>10.0.0.2:80")
	h.ct(ctmsg.Update, 7, "ESTABLISHED", "10.0.0.1:2>10.0.0.2:80")
	h.ct(ctmsg.Destroy, 7, "", "10.0.0.1:1>10.0.0.2:80")
	h.want("10.0.0.1:1 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original")
	// The same id and tuple again, right after its end: two connections.
	h.ct(ctmsg.Destroy, 7, "", "10.0.0.1:2>10.0.0.2:80")
	h.pass(1).ct(ctmsg.New, 7, "SYN_SENT", "10.0.0.1:2>10.0.0.2:80")
	h.ct(ctmsg.Update, 7, "ESTABLISHED", "10.0.0.1:2>10.0.0.2:80")
	h.want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake")
}

func TestNewFlowEndsTheOneOfItsTuple(t *testing.T) {
	h := newMachineHost(t)
	shifted := "10.0.0.1:2>10.0.0.2:80 | 10.0.0.2:80>192.0.2.1:"
	h.ct(ctmsg.New, 7, "SYN_SENT", plain)
	h.ct(ctmsg.Update, 7, "ESTABLISHED", plain)
	h.ct(ctmsg.New, 8, "SYN_SENT", shifted+"2")
	h.ct(ctmsg.Update, 8, "ESTABLISHED", shifted+"2")
	h.send(ct{typ: ctmsg.Update, id: 7, zone: 1, state: "ESTABLISHED", tuples: plain})
	h.pass(1)
	h.ct(ctmsg.New, 9, "SYN_SENT", plain)
	h.ct(ctmsg.Update, 9, "ESTABLISHED", plain)
	h.ct(ctmsg.New, 8, "SYN_SENT", shifted+"3")
	h.ct(ctmsg.Update, 8, "ESTABLISHED", shifted+"3")
	r := h.want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake nat1 closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake nat1",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake closed",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original", // of the other zone
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	if got := r.Connections[1].NAT[0].ReplyDst.Port(); got != 3 {
		t.Errorf("the new connection is translated to port %d", got)
	}
	// An end that comes late is not reported again.
	h.pass(1).ct(ctmsg.Destroy, 7, "TIME_WAIT", plain)
	h.want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake nat1",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	// An entry that is in SYN_SENT again was closed before.
	h.pass(1).ct(ctmsg.Update, 9, "SYN_SENT", plain)
	h.want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED handshake nat1",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake closed")
}

func TestZonesNeverMix(t *testing.T) {
	h := newMachineHost(t)
	h.send(ct{typ: ctmsg.Update, id: 1, zone: 1, state: "ESTABLISHED", tuples: plain})
	h.send(ct{typ: ctmsg.Update, id: 1, zone: 2, state: "ESTABLISHED", tuples: plain})
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original", "10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	h.send(ct{typ: ctmsg.Destroy, id: 1, zone: 1, tuples: plain})
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed", "10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
}

func TestDumpReconciles(t *testing.T) {
	h := newMachineHost(t)
	a, b, c := "10.0.0.1:1>10.0.0.2:80", "10.0.0.1:2>10.0.0.2:80", "10.0.0.1:3>10.0.0.2:80"
	h.ct(ctmsg.Update, 1, "ESTABLISHED", a)
	h.ct(ctmsg.Update, 2, "ESTABLISHED", b)
	h.ct(ctmsg.Update, 3, "ESTABLISHED", c)
	h.report()
	h.dumpBegin()
	h.ct(ctmsg.Dump, 1, "ESTABLISHED", a)
	h.ct(ctmsg.Destroy, 1, "", a)
	h.ct(ctmsg.Dump, 1, "ESTABLISHED", a) // older than its end
	h.ct(ctmsg.Update, 2, "", b)          // touched, though not in the dump
	h.dumpEnd()
	h.want("10.0.0.1:1 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:3 -> 10.0.0.2:80 ESTABLISHED original closed")
	h.dumpBegin()
	h.dumpBegin() // the first one is void
	h.want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original")
	h.dumpEnd()
	h.want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original closed")
	h.dump(map[uint32]string{2: b}) // the kernel has it again
	h.want("10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original")
}

func TestDumpEntriesMayBeOlderThanEvents(t *testing.T) {
	h := newMachineHost(t)
	a, b := "10.0.0.1:1>10.0.0.2:80", "10.0.0.1:2>10.0.0.2:80"
	h.ct(ctmsg.Update, 1, "ESTABLISHED", a)
	h.dumpBegin()
	h.ct(ctmsg.Update, 1, "LAST_ACK", a)
	h.ct(ctmsg.Dump, 1, "ESTABLISHED", a)
	h.ct(ctmsg.Destroy, 2, "", b) // unknown
	h.ct(ctmsg.Dump, 2, "ESTABLISHED", b)
	h.dumpEnd()
	h.want("10.0.0.1:1 -> 10.0.0.2:80 LAST_ACK original")
}

func TestShortLivesCostTheMemoryOfAWindow(t *testing.T) {
	const perWindow = 700
	h := newMachineHost(t)
	h.walk()
	window := func() int {
		for i := range perWindow {
			tuples := fmt.Sprintf("10.0.0.1:%d>10.0.0.2:80", 1000+i)
			h.ct(ctmsg.New, uint32(i), "SYN_SENT", tuples)
			h.ct(ctmsg.Update, uint32(i), "ESTABLISHED", tuples)
			h.ct(ctmsg.Destroy, uint32(i), "TIME_WAIT", tuples)
		}
		h.pass(1).walk()
		if n := len(h.report().Connections); n != perWindow {
			t.Fatalf("tick %d shows %d connections", h.tick, n)
		}
		return len(h.c.flows.all)
	}
	window()
	early := window()
	for range 20 {
		if now := window(); now > early {
			t.Fatalf("%d flows in window %d, %d at first", now, h.tick, early)
		}
	}
}

func TestGapForgetsNothing(t *testing.T) {
	h := newMachineHost(t)
	a, b, c := "10.0.0.1:1>10.0.0.2:80", "10.0.0.1:2>10.0.0.2:80", "10.0.0.1:3>10.0.0.2:80"
	h.ct(ctmsg.Update, 1, "ESTABLISHED", a)
	h.ct(ctmsg.Update, 2, "ESTABLISHED", b)
	h.ct(ctmsg.Update, 3, "ESTABLISHED", c)
	h.dumpBegin()
	h.put(capture.KindGap, 1, &capture.Gap{Lost: 42})
	h.ct(ctmsg.Update, 2, "ESTABLISHED", b)
	h.ct(ctmsg.Update, 3, "", c) // a mark, say: it may have closed all the same
	h.dumpEnd()                  // add-only: something was lost during the dump
	r := h.want("10.0.0.1:1 -> 10.0.0.2:80 ESTABLISHED original maybe",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:3 -> 10.0.0.2:80 ESTABLISHED original maybe")
	if c := coverageOf(r, "conntrack"); c.State != CoverageDegraded || c.Lost != 42 || c.Why == "" {
		t.Errorf("coverage %+v", c)
	}
	h.dump(map[uint32]string{2: b, 3: c})
	r = h.want("10.0.0.1:1 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:2 -> 10.0.0.2:80 ESTABLISHED original",
		"10.0.0.1:3 -> 10.0.0.2:80 ESTABLISHED original")
	if c := coverageOf(r, "conntrack"); c.State != CoverageOK || c.Lost != 42 {
		t.Errorf("coverage %+v", c)
	}
}

func TestDumpEntryMayBeOlderThanAGap(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 1, "ESTABLISHED", plain)
	h.dumpBegin()
	h.put(capture.KindGap, 1, &capture.Gap{Lost: 1})
	h.ct(ctmsg.Dump, 1, "ESTABLISHED", plain)
	h.dumpEnd()
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original maybe")
	h.dumpBegin()
	h.ct(ctmsg.Dump, 1, "ESTABLISHED", plain)
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	h.dumpEnd()
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
}

func TestNAT(t *testing.T) {
	for name, c := range map[string]struct{ tuples, want string }{
		"DNAT":           {dnat, "10.0.0.1:40000 -> 172.17.0.2:8080"},
		"SNAT":           {"10.0.0.1:40000>8.8.8.8:443 | 8.8.8.8:443>1.2.3.4:1024", "10.0.0.1:40000 -> 8.8.8.8:443"},
		"both":           {"10.77.1.2:56254>10.77.1.1:80 | 10.77.2.2:8080>10.77.2.1:56254", "10.77.1.2:56254 -> 10.77.2.2:8080"},
		"redirect":       {"10.0.0.9:50000>10.0.0.1:80 | 10.0.0.1:8080>10.0.0.9:50000", "10.0.0.9:50000 -> 10.0.0.1:8080"},
		"port-only SNAT": {"10.0.0.1:42001>10.0.0.1:9090 | 10.0.0.1:9090>10.0.0.1:1024", "10.0.0.1:42001 -> 10.0.0.1:9090"},
		"IPv6":           {"[fd00::1]:40000>[fd00::80]:80 | [fd00::2]:8080>[fd00::1]:40000", "[fd00::1]:40000 -> [fd00::2]:8080"},
	} {
		h := newMachineHost(t)
		h.ct(ctmsg.Update, 1, "ESTABLISHED", c.tuples)
		t.Run(name, func(t *testing.T) { h.t = t; h.want(c.want + " ESTABLISHED original nat1") })
	}
}

func TestNamespacesMeet(t *testing.T) {
	h := newMachineHost(t)
	for source, netns := range map[uint32]uint64{1: 100, 5: 200, 6: 300} {
		h.put(capture.KindSource, source, &capture.Source{Open: true, Kind: "conntrack", Netns: netns})
	}
	// The client's host masquerades, the gateway forwards to a backend, the
	// backend's namespace sees the packets pass.
	h.send(ct{typ: ctmsg.Update, source: 1, id: 1, state: "ESTABLISHED", tuples: "10.1.0.2:4000>10.9.9.9:80 | 10.9.9.9:80>10.8.0.1:4000"})
	h.send(ct{typ: ctmsg.Update, source: 5, id: 2, state: "ESTABLISHED", tuples: "10.8.0.1:4000>10.9.9.9:80 | 10.7.0.2:8080>10.8.0.1:4000"})
	h.send(ct{typ: ctmsg.Update, source: 6, id: 3, state: "ESTABLISHED", tuples: "10.8.0.1:4000>10.7.0.2:8080"})
	h.want("10.1.0.2:4000 -> 10.7.0.2:8080 ESTABLISHED original nat2")
	h.send(ct{typ: ctmsg.Destroy, source: 1, id: 1, tuples: "10.1.0.2:4000>10.9.9.9:80 | 10.9.9.9:80>10.8.0.1:4000"})
	h.send(ct{typ: ctmsg.Destroy, source: 6, id: 3, tuples: "10.8.0.1:4000>10.7.0.2:8080"})
	h.send(ct{typ: ctmsg.Destroy, source: 5, id: 2, tuples: "10.8.0.1:4000>10.9.9.9:80 | 10.7.0.2:8080>10.8.0.1:4000"})
	h.want("10.1.0.2:4000 -> 10.7.0.2:8080 ESTABLISHED original nat2 closed")
	h.want()
}

func TestHairpin(t *testing.T) {
	h := newMachineHost(t)
	for source, netns := range []uint64{1: 100, 2: 200} {
		if netns != 0 {
			h.put(capture.KindSource, uint32(source), &capture.Source{Open: true, Kind: "conntrack", Netns: netns})
		}
	}
	// What a namespace sends to a service comes back to it, translated by another.
	out, between, back := "10.0.0.2:4000>10.9.9.9:80", "10.0.0.2:4000>10.9.9.9:80 | 10.0.0.2:8080>10.0.0.1:4000", "10.0.0.1:4000>10.0.0.2:8080"
	all := func(typ ctmsg.Type, state string) {
		h.send(ct{typ: typ, source: 1, id: 1, state: state, tuples: out})
		h.send(ct{typ: typ, source: 2, id: 1, state: state, tuples: between})
		h.send(ct{typ: typ, source: 1, id: 2, state: state, tuples: back})
	}
	all(ctmsg.New, "SYN_SENT")
	all(ctmsg.Update, "ESTABLISHED")
	h.walk(sock{netns: 100, row: out, inode: 7, procs: []Process{{300, "check"}}}, sock{netns: 100, row: "10.0.0.2:8080>10.0.0.1:4000", inode: 8, procs: nginx})
	h.want("10.0.0.2:4000@100(300 check) -> 10.0.0.2:8080@100(200 nginx) ESTABLISHED handshake nat1")
	h.pass(1)
	all(ctmsg.Update, "TIME_WAIT")
	h.want("10.0.0.2:4000@100(300 check) -> 10.0.0.2:8080@100(200 nginx) TIME_WAIT handshake nat1 closed")
	h.want()
}

func TestHalfOpenFlowIsNoViewOfAnEndedOne(t *testing.T) {
	h := newMachineHost(t)
	h.put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 100})
	h.put(capture.KindSource, 2, &capture.Source{Open: true, Kind: "conntrack", Netns: 200})
	h.send(ct{typ: ctmsg.Update, source: 1, id: 1, state: "ESTABLISHED", tuples: plain})
	h.send(ct{typ: ctmsg.New, source: 2, id: 1, state: "SYN_SENT", tuples: plain})
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.send(ct{typ: ctmsg.Destroy, source: 1, id: 1, tuples: plain})
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed")
	h.want()
}

func TestClosedSource(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 1, "ESTABLISHED", plain)
	h.put(capture.KindSource, 1, &capture.Source{Kind: "conntrack", Why: "permission denied"})
	r := h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original maybe")
	if c := coverageOf(r, "conntrack"); c.State != CoverageOff || c.Why != "permission denied" {
		t.Errorf("%+v", c)
	}
	h.put(capture.KindSource, 1, &capture.Source{Kind: "conntrack", Open: true})
	if c := coverageOf(h.report(), "conntrack"); c.State != CoverageDegraded {
		t.Errorf("%+v", c)
	}
	h.dump(map[uint32]string{1: plain})
	r = h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	if c := coverageOf(r, "conntrack"); c.State != CoverageOK {
		t.Errorf("%+v", c)
	}
}

func TestPartsOfAChainEndApart(t *testing.T) {
	one := "10.1.0.1:40000>10.9.9.9:80 | 10.2.0.1:8080>10.2.0.254:50000"
	two := "10.2.0.254:50000>10.2.0.1:8080 | 10.3.0.1:9000>10.3.0.254:60000"
	for _, firstOne := range []bool{true, false} {
		h := newMachineHost(t)
		h.put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 100})
		h.put(capture.KindSource, 5, &capture.Source{Open: true, Kind: "conntrack", Netns: 200})
		h.send(ct{typ: ctmsg.Update, source: 1, id: 1, state: "ESTABLISHED", tuples: one})
		h.send(ct{typ: ctmsg.Update, source: 5, id: 2, state: "ESTABLISHED", tuples: two})
		h.want("10.1.0.1:40000 -> 10.3.0.1:9000 ESTABLISHED original nat2")
		ends := []ct{{typ: ctmsg.Destroy, source: 1, id: 1, tuples: one}, {typ: ctmsg.Destroy, source: 5, id: 2, tuples: two}}
		if !firstOne {
			ends[0], ends[1] = ends[1], ends[0]
		}
		h.send(ends[0])
		h.want("10.1.0.1:40000 -> 10.3.0.1:9000 ESTABLISHED original nat2")
		h.want("10.1.0.1:40000 -> 10.3.0.1:9000 ESTABLISHED original nat2")
		h.send(ends[1])
		h.want("10.1.0.1:40000 -> 10.3.0.1:9000 ESTABLISHED original nat2 closed")
		h.want()
		if n := h.c.flows.gone; n > 0 {
			t.Errorf("%d gone flows are kept", n)
		}
	}
}

func TestPickupElsewhereIsTheSameConnection(t *testing.T) {
	h := newMachineHost(t)
	h.put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 100})
	h.put(capture.KindSource, 5, &capture.Source{Open: true, Kind: "conntrack", Netns: 200})
	h.send(ct{typ: ctmsg.Update, source: 5, id: 2, state: "ESTABLISHED", flags: 0x0a, tuples: "10.0.0.2:80>10.0.0.1:40000"})
	h.send(ct{typ: ctmsg.Update, source: 1, id: 1, state: "ESTABLISHED", flags: 0x23, tuples: plain})
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	// Two sockets in one namespace see everything twice: that is no chain.
	h.put(capture.KindSource, 5, &capture.Source{Open: true, Kind: "conntrack", Netns: 100})
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake", "10.0.0.2:80 -> 10.0.0.1:40000 ESTABLISHED original")
}

func TestUnusableMessagesAreCounted(t *testing.T) {
	h := newMachineHost(t)
	h.raw(capture.KindConntrack, 1, []byte("no message"))
	h.send(ct{typ: ctmsg.Update, id: 1, tuples: "10.0.0.1:40000>10.0.0.2:53", protocol: 17})
	h.raw(capture.KindDNS, 3, []byte{0xc1})
	h.put(capture.KindDNS, 3, &capture.DNS{Packet: []byte{0x45, 0}})
	h.raw(capture.KindProcNet, 2, nil)
	r := h.want()
	for kind, want := range map[string]Coverage{
		"conntrack": {Records: 2, Undecodable: 1, Ignored: 1},
		"dns":       {Records: 2, Undecodable: 2},
		"proc":      {Records: 1, Undecodable: 1},
	} {
		want.Source, want.State = kind, CoverageOK
		if got := coverageOf(r, kind); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := coverageOf(newMachineHost(t).want(), "conntrack"); got.State != CoverageOff {
		t.Errorf("nothing recorded: %+v", got)
	}
}
