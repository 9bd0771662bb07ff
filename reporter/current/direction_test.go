package current

import (
	"net/netip"
	"testing"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

func sideOf(addr string, netns uint64, state string) *side {
	return &side{addr: netip.MustParseAddrPort(addr), netns: netns, state: state}
}

func listening(netns uint64, addrs ...string) *sockets {
	k := new(sockets)
	k.listen.init()
	k.listen.namespaces[netns] = true
	for _, a := range addrs {
		k.listen.add(netns, listenRow{addr: netip.MustParseAddrPort(a)})
	}
	return k
}

func TestFlowDirection(t *testing.T) {
	client, server := "10.0.0.1:40000", "10.0.0.2:80"
	for name, c := range map[string]struct {
		handshake      bool
		client, server *side
		k              *sockets
		how            report.Direction
		swapped        bool
	}{
		"handshake":              {true, sideOf(client, 0, ""), sideOf(server, 0, ""), listening(1, client), report.DirectionHandshake, false},
		"server listens":         {false, sideOf(client, 0, ""), sideOf(server, 0, ""), listening(1, server), report.DirectionListener, false},
		"client listens":         {false, sideOf(client, 0, ""), sideOf(server, 0, ""), listening(1, client), report.DirectionListener, true},
		"both listen":            {false, sideOf(client, 0, ""), sideOf(server, 0, ""), listening(1, client, server), report.DirectionOriginal, false},
		"nobody listens":         {false, sideOf(client, 0, ""), sideOf(server, 0, ""), listening(1), report.DirectionOriginal, false},
		"another namespace":      {false, sideOf(client, 0, ""), sideOf(server, 2, "01"), listening(1, server), report.DirectionOriginal, false},
		"the only namespace":     {false, sideOf(client, 0, ""), sideOf(server, 0, ""), listening(1, "0.0.0.0:80"), report.DirectionListener, false},
		"the socket's namespace": {false, sideOf(client, 1, "01"), sideOf(server, 0, ""), listening(1, "[::]:40000"), report.DirectionListener, true},
	} {
		if how, swapped := c.k.flowDirection(c.handshake, 0, c.client, c.server); how != c.how || swapped != c.swapped {
			t.Errorf("%s: %s, swapped %v", name, how, swapped)
		}
	}
}

func TestRowDirection(t *testing.T) {
	for name, c := range map[string]struct {
		x, y    *side
		k       *sockets
		how     report.Direction
		swapped bool
	}{
		"x listens":   {sideOf("10.0.0.1:80", 1, "01"), sideOf("10.0.0.2:20", 0, ""), listening(1, "0.0.0.0:80"), report.DirectionListener, true},
		"y listens":   {sideOf("10.0.0.1:20", 1, "01"), sideOf("10.0.0.2:80", 0, ""), listening(1, "10.0.0.2:80"), report.DirectionListener, false},
		"lower port":  {sideOf("10.0.0.1:80", 1, "01"), sideOf("10.0.0.2:400", 0, ""), listening(1), report.DirectionPortOrder, true},
		"higher port": {sideOf("10.0.0.1:400", 1, "01"), sideOf("10.0.0.2:80", 0, ""), listening(1), report.DirectionPortOrder, false},
		"equal ports": {sideOf("10.0.0.2:80", 1, "01"), sideOf("10.0.0.1:80", 0, ""), listening(1), report.DirectionUnknown, true},
	} {
		if how, swapped := c.k.rowDirection(c.x, c.y); how != c.how || swapped != c.swapped {
			t.Errorf("%s: %s, swapped %v", name, how, swapped)
		}
	}
}

func TestDirection(t *testing.T) {
	srv := "10.0.0.2:50051>10.0.0.1:33000"
	for name, c := range map[string]struct {
		say  func(*machineHost)
		want string
	}{
		"listener above port order": {func(h *machineHost) {
			h.Walk(reportertest.Socket{Netns: 1, Row: srv}, reportertest.Listen(1, "0.0.0.0:50051"))
		},
			"10.0.0.1:33000 -> 10.0.0.2:50051@1 ESTABLISHED listener"},
		"a listener of another namespace is none": {func(h *machineHost) {
			h.Walk(reportertest.Socket{Netns: 1, Row: srv}, reportertest.Listen(2, "0.0.0.0:50051"))
		},
			"10.0.0.2:50051@1 -> 10.0.0.1:33000 ESTABLISHED port-order"},
		"dual-stack listener": {func(h *machineHost) {
			h.Walk(reportertest.Socket{Netns: 1, Row: srv}, reportertest.Listen(1, "[::]:50051"))
		},
			"10.0.0.1:33000 -> 10.0.0.2:50051@1 ESTABLISHED listener"},
		"both listen": {func(h *machineHost) {
			h.Walk(reportertest.Socket{Netns: 1, Row: "10.0.0.2:7946>10.0.0.1:7946"}, reportertest.Socket{Netns: 2, Row: "10.0.0.1:7946>10.0.0.2:7946"},
				reportertest.Listen(1, "0.0.0.0:7946"), reportertest.Listen(2, "0.0.0.0:7946"))
		}, "10.0.0.1:7946@2 -> 10.0.0.2:7946@1 ESTABLISHED unknown"},
		"pickup, with a listener": {func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.New, ID: 1, State: "ESTABLISHED", Flags: 0x0a, Tuples: srv, Unseen: true})
			h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, Tuples: srv})
			h.Walk(reportertest.Socket{Netns: 1, Row: srv, Inode: 9, Processes: nginx}, reportertest.Listen(1, "0.0.0.0:50051"))
		}, "10.0.0.1:33000 -> 10.0.0.2:50051@1(200 nginx) ESTABLISHED listener"},
		"pickup, its listener elsewhere": {func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, State: "ESTABLISHED", Flags: 0x08, Tuples: srv})
			h.Walk(reportertest.Listen(1, "10.0.0.2:50051"))
		}, "10.0.0.1:33000 -> 10.0.0.2:50051 ESTABLISHED listener"},
		"pickup, a listener of the one namespace there is": {func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, State: "ESTABLISHED", Flags: 0x08, Tuples: srv})
			h.Walk(reportertest.Listen(1, "0.0.0.0:50051"))
		}, "10.0.0.1:33000 -> 10.0.0.2:50051 ESTABLISHED listener"},
		"pickup, a listener of one of two": {func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, State: "ESTABLISHED", Flags: 0x08, Tuples: srv})
			h.Walk(reportertest.Listen(1, "0.0.0.0:50051"), reportertest.Listen(2, "0.0.0.0:1"))
		}, "10.0.0.2:50051 -> 10.0.0.1:33000 ESTABLISHED original"},
		"pickup": {func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, State: "ESTABLISHED", Flags: 0x08, Tuples: srv})
		},
			"10.0.0.2:50051 -> 10.0.0.1:33000 ESTABLISHED original"},
		"flags of a handshake": {func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, State: "ESTABLISHED", Flags: 0x03, Tuples: srv})
			h.Walk(reportertest.Socket{Netns: 1, Row: srv}, reportertest.Listen(1, "0.0.0.0:50051"))
		}, "10.0.0.2:50051@1 -> 10.0.0.1:33000 ESTABLISHED handshake"},
		"flags of a handshake without options": {func(h *machineHost) {
			h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, State: "ESTABLISHED", Flags: 0x20, Tuples: srv})
		}, "10.0.0.2:50051 -> 10.0.0.1:33000 ESTABLISHED handshake"},
		"masqueraded peer with a low port": {func(h *machineHost) {
			h.Walk(reportertest.Socket{Netns: 1, Row: "10.0.0.2:9090>10.0.0.1:1024"}, reportertest.Listen(1, "10.0.0.2:9090"))
		},
			"10.0.0.1:1024 -> 10.0.0.2:9090@1 ESTABLISHED listener"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			c.say(h)
			h.Want(c.want)
		})
	}
}
