package reporter

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// half opens so many flows of which no answer is seen.
func (h *host) half(n int) {
	for i := range n {
		client := fmt.Sprintf("10.7.%d.%d:40000", i>>8, i&255)
		h.ct(ctmsg.New, uint32(1000000+i), "SYN_SENT", client+">10.0.0.2:80")
	}
}

// A flood of SYNs makes no connections, and takes no memory for them.
func TestHalfOpenFlowsReserveNothing(t *testing.T) {
	h := newHost(t)
	h.ct(ctmsg.Update, 1, "ESTABLISHED", "10.0.0.1:40000>10.0.0.2:80")
	h.half(20000)
	for range 2 {
		r := h.report()
		if len(r.Connections) != 1 || cap(r.Connections) > 1000 {
			t.Errorf("%d connections, room for %d", len(r.Connections), cap(r.Connections))
		}
		r.Release()
	}
}

// Reports are values: neither does one part of them reach into another, nor the
// next report into the last.
func TestReportsShareNoMemory(t *testing.T) {
	h := newHost(t)
	for i := range 8 {
		client, server := fmt.Sprintf("10.0.1.%d:40000", i), "10.0.0.2:80"
		tuples := client + ">" + server
		if i%4 < 2 {
			tuples += fmt.Sprintf(" | 172.17.0.%d:8080>%s", i, client)
		}
		h.ct(ctmsg.Update, uint32(i), "ESTABLISHED", tuples)
	}
	h.report()
	r := h.report()
	want := string(r.AppendJSON(nil))
	mine := netip.MustParseAddr("192.0.2.1")
	copied := *r
	copied.Connections = slices.Clone(r.Connections)
	copied.Endpoints = slices.Clone(r.Endpoints)
	for i := range copied.Connections {
		c := &copied.Connections[i]
		c.NAT = append(c.NAT, NAT{OriginalSrc: netip.AddrPortFrom(mine, uint16(i))})
	}
	for i := range copied.Endpoints {
		e := &copied.Endpoints[i]
		e.Aliases = append(e.Aliases, netip.AddrPortFrom(mine, uint16(i)))
		e.Processes = append(e.Processes, Process{PID: 1, Comm: "other"})
	}
	for i := range copied.Connections {
		if c := &copied.Connections[i]; c.NAT[len(c.NAT)-1].OriginalSrc != netip.AddrPortFrom(mine, uint16(i)) {
			t.Errorf("connection %d: what was appended is gone", i)
		}
	}
	if string(r.AppendJSON(nil)) != want {
		t.Error("the report changed by what was appended to a copy")
	}
	h.report()
	if string(r.AppendJSON(nil)) != want {
		t.Error("the report changed by the next one")
	}
}

// A server's sockets may be held by many processes; each is listed once, in
// order, and the connections keep theirs.
func TestAnEndpointHasTheProcessesOfAllItsConnections(t *testing.T) {
	h := newHost(t)
	var socks []sock
	for i, pid := range []uint32{30, 10, 20, 10, 40, 30} {
		client := fmt.Sprintf("10.0.1.%d:40000", i)
		h.ct(ctmsg.Update, uint32(i), "ESTABLISHED", client+">10.0.0.2:80")
		socks = append(socks, sock{netns: 1, row: "10.0.0.2:80>" + client, inode: uint64(100 + i), procs: []Process{{pid, "server"}}})
	}
	h.walk(socks...)
	r := h.report()
	var pids []uint32
	for _, e := range r.Endpoints {
		for _, p := range e.Processes {
			pids = append(pids, p.PID)
		}
	}
	if !slices.Equal(pids, []uint32{10, 20, 30, 40}) {
		t.Errorf("the endpoint has processes %v", pids)
	}
	for i, want := range []uint32{30, 10, 20, 10, 40, 30} {
		if p := r.Connections[i].To.Processes; len(p) != 1 || p[0].PID != want {
			t.Errorf("connection %d has %v, want %d", i, p, want)
		}
	}
}

// One half of an address, well chosen, does not make all hashes one: those of the
// first two are numbers that they are mixed with.
func TestHashesCannotBeMadeEqualByOneAddress(t *testing.T) {
	for _, addresses := range []string{"a076:1d64:78bd:642f:1:%x:0:%x", "2001:db8:%x:%x:e703:7ed1:a0b4:28db", "2001:db8:0:1:0:0:%x:%x"} {
		flows, rows := map[uint32]bool{}, map[uint64]bool{}
		const n = 5000
		for i := range n {
			src := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf(addresses, i>>8, i&255)), 0)
			k := flowKey{orig: tcpTuple(src, netip.MustParseAddrPort("[2001:db8::2]:80"))}
			flows[k.hash()] = true
			rows[either(&k.orig)] = true
			if back := k.orig.Reversed(); either(&back) != either(&k.orig) {
				t.Fatalf("%v has another hash than its reverse", k.orig)
			}
		}
		if len(flows) < n-5 || len(rows) < n-5 {
			t.Errorf("%d addresses like %s have %d and %d hashes", n, addresses, len(flows), len(rows))
		}
	}
}

// What was written with other hashes is found again: flows of which one stood
// behind another one, which now has another hash.
func TestFlowsAreTakenOverWithOtherHashes(t *testing.T) {
	var flows flows
	flows.init()
	k := flowCarrier{Coder: new(carry.Coder), flows: &flows, depth: map[*flow]uint32{}}
	for i, depth := range []uint32{2, 1, 3, 2} { // the last two of one key
		f := &flows.grow()[0]
		f.used = true
		f.key = flowKey{orig: tcpFrom(fmt.Sprintf("10.0.0.%d:40000>10.0.0.9:80", min(i, 2))), id: uint32(i)}
		k.depth[f] = depth
		k.behind = append(k.behind, f)
	}
	k.link()
	for i := range 4 {
		key := flowKey{orig: tcpFrom(fmt.Sprintf("10.0.0.%d:40000>10.0.0.9:80", min(i, 2))), id: uint32(i)}
		if f := flows.find(&key); f == nil {
			t.Errorf("flow %d is not found", i)
		}
	}
	key := flowKey{orig: tcpFrom("10.0.0.2:40000>10.0.0.9:80")}
	if f := flows.first(key.hash()); f.key.id != 3 || flows.after(f) == nil || flows.after(f).key.id != 2 {
		t.Error("flows of one tuple changed their order")
	}
}

// A translated flow of loopback joins the rows of its ends only if one namespace
// has them all: it is never made of two.
func TestTranslatedLoopback(t *testing.T) {
	const flow = "127.0.0.1:42001>127.0.0.1:80 | 127.0.0.1:8080>127.0.0.1:42001"
	client := func(netns uint64) sock { return sock{netns: netns, row: "127.0.0.1:42001>127.0.0.1:80"} }
	server := func(netns uint64) sock { return sock{netns: netns, row: "127.0.0.1:8080>127.0.0.1:42001"} }
	const alone = "127.0.0.1:42001 -> 127.0.0.1:8080 ESTABLISHED original nat1"
	for name, c := range map[string]struct {
		socks []sock
		want  string
	}{
		"one namespace":      {[]sock{client(2), server(2)}, "127.0.0.1:42001@2 -> 127.0.0.1:8080@2 ESTABLISHED original nat1"},
		"one row":            {[]sock{server(3)}, "127.0.0.1:42001@3 -> 127.0.0.1:8080@3 ESTABLISHED original nat1"},
		"an end in each":     {[]sock{client(2), server(3)}, alone},
		"two clients":        {[]sock{client(2), client(3), server(3)}, alone},
		"another flow's row": {[]sock{{netns: 3, row: "10.0.0.1:1>10.0.0.2:2"}, server(2)}, "127.0.0.1:42001@2 -> 127.0.0.1:8080@2 ESTABLISHED original nat1"},
	} {
		h := newHost(t)
		h.ct(ctmsg.Update, 1, "ESTABLISHED", flow)
		h.walk(c.socks...)
		found := ""
		for _, c := range h.report().Connections {
			if len(c.NAT) > 0 {
				found = c.text()
			}
		}
		if found != c.want {
			t.Errorf("%s: %s, want %s", name, found, c.want)
		}
	}
}

// A report that is released leaves room for the next, but not for many more than
// that has.
func TestReleasedRoomIsGivenBack(t *testing.T) {
	h := newHost(t)
	tuples := func(i int) string { return fmt.Sprintf("10.0.%d.%d:40000>10.0.0.2:80", 1+i>>8, i&255) }
	for i := range 5000 {
		h.ct(ctmsg.Update, uint32(i), "ESTABLISHED", tuples(i))
	}
	r := h.report()
	first := &r.Connections[0]
	r.Release()
	if r = h.report(); &r.Connections[0] != first {
		t.Error("the room of a released report is not used again")
	}
	r.Release()
	for i := range 4999 {
		h.ct(ctmsg.Destroy, uint32(i), "", tuples(i))
	}
	for range 3 { // of the ended ones, in their room, in room of its own
		r = h.report()
		r.Release()
	}
	r = h.report()
	if len(r.Connections) != 1 || cap(r.Connections) > 2000 {
		t.Errorf("%d connections have room for %d", len(r.Connections), cap(r.Connections))
	}
}
