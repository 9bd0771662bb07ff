package current

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// half sends the SYNs of n flows without an answer.
func (h *machineHost) half(n int) {
	for i := range n {
		client := fmt.Sprintf("10.7.%d.%d:40000", i>>8, i&255)
		h.Conntrack(ctmsg.New, uint32(1000000+i), "SYN_SENT", client+">10.0.0.2:80")
	}
}

// A SYN flood makes no connections, and the report reserves no memory for them.
func TestHalfOpenFlowsReserveNothing(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "10.0.0.1:40000>10.0.0.2:80")
	h.half(20000)
	for range 2 {
		r := h.Report()
		if len(r.Connections) != 1 || cap(r.Connections) > 1000 {
			t.Errorf("%d connections, room for %d", len(r.Connections), cap(r.Connections))
		}
	}
}

// Reports are values: appending to one list changes no other, and the next report does not change
// the one before.
func TestReportsShareNoMemory(t *testing.T) {
	h := newMachineHost(t)
	for i := range 8 {
		client, server := fmt.Sprintf("10.0.1.%d:40000", i), "10.0.0.2:80"
		tuples := client + ">" + server
		if i%4 < 2 {
			tuples += fmt.Sprintf(" | 172.17.0.%d:8080>%s", i, client)
		}
		h.Conntrack(ctmsg.Update, uint32(i), "ESTABLISHED", tuples)
	}
	h.Report()
	r := h.Report()
	want := string(r.AppendJSON(nil))
	mine := netip.MustParseAddr("192.0.2.1")
	copied := *r
	copied.Connections = slices.Clone(r.Connections)
	copied.Endpoints = slices.Clone(r.Endpoints)
	for i := range copied.Connections {
		c := &copied.Connections[i]
		c.NAT = append(c.NAT, report.NAT{OriginalSrc: netip.AddrPortFrom(mine, uint16(i))})
	}
	for i := range copied.Endpoints {
		e := &copied.Endpoints[i]
		e.Aliases = append(e.Aliases, netip.AddrPortFrom(mine, uint16(i)))
		e.Processes = append(e.Processes, report.Process{PID: 1, Comm: "other"})
	}
	for i := range copied.Connections {
		if c := &copied.Connections[i]; c.NAT[len(c.NAT)-1].OriginalSrc != netip.AddrPortFrom(mine, uint16(i)) {
			t.Errorf("connection %d: the appended translation is gone", i)
		}
	}
	if string(r.AppendJSON(nil)) != want {
		t.Error("appending to a copy changed the report")
	}
	h.Report()
	if string(r.AppendJSON(nil)) != want {
		t.Error("the next report changed this one")
	}
}

// Many processes may have a server's sockets open. The endpoint lists each once, in order, and
// each connection lists its own.
func TestAnEndpointHasTheProcessesOfAllItsConnections(t *testing.T) {
	h := newMachineHost(t)
	var socks []reportertest.Socket
	for i, pid := range []uint32{30, 10, 20, 10, 40, 30} {
		client := fmt.Sprintf("10.0.1.%d:40000", i)
		h.Conntrack(ctmsg.Update, uint32(i), "ESTABLISHED", client+">10.0.0.2:80")
		socks = append(socks, reportertest.Socket{Netns: 1, Row: "10.0.0.2:80>" + client, Inode: uint64(100 + i), Processes: []report.Process{{PID: pid, Comm: "server"}}})
	}
	h.Walk(socks...)
	r := h.Report()
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

// A translated loopback flow joins the rows of its ends only if all of them are in one namespace.
func TestTranslatedLoopback(t *testing.T) {
	const flow = "127.0.0.1:42001>127.0.0.1:80 | 127.0.0.1:8080>127.0.0.1:42001"
	client := func(netns uint64) reportertest.Socket {
		return reportertest.Socket{Netns: netns, Row: "127.0.0.1:42001>127.0.0.1:80"}
	}
	server := func(netns uint64) reportertest.Socket {
		return reportertest.Socket{Netns: netns, Row: "127.0.0.1:8080>127.0.0.1:42001"}
	}
	const alone = "127.0.0.1:42001 -> 127.0.0.1:8080 ESTABLISHED original nat1"
	for name, c := range map[string]struct {
		socks []reportertest.Socket
		want  string
	}{
		"one namespace":      {[]reportertest.Socket{client(2), server(2)}, "127.0.0.1:42001@2 -> 127.0.0.1:8080@2 ESTABLISHED original nat1"},
		"one row":            {[]reportertest.Socket{server(3)}, "127.0.0.1:42001@3 -> 127.0.0.1:8080@3 ESTABLISHED original nat1"},
		"an end in each":     {[]reportertest.Socket{client(2), server(3)}, alone},
		"two clients":        {[]reportertest.Socket{client(2), client(3), server(3)}, alone},
		"another flow's row": {[]reportertest.Socket{{Netns: 3, Row: "10.0.0.1:1>10.0.0.2:2"}, server(2)}, "127.0.0.1:42001@2 -> 127.0.0.1:8080@2 ESTABLISHED original nat1"},
	} {
		h := newMachineHost(t)
		h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", flow)
		h.Walk(c.socks...)
		found := ""
		for _, c := range h.Report().Connections {
			if len(c.NAT) > 0 {
				found = reportertest.ConnectionText(&c)
			}
		}
		if found != c.want {
			t.Errorf("%s: %s, want %s", name, found, c.want)
		}
	}
}
