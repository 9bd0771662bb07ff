package current

import (
	"net/netip"
	"testing"

	"github.com/topotape/topotape/reporter/report"
)

func sideOf(addr string, netns uint64, state string) *side {
	return &side{addr: netip.MustParseAddrPort(addr), netns: netns, state: state}
}

func listening(netns uint64, addrs ...string) *sockets {
	k := new(sockets)
	k.listen.init()
	k.listen.namespaces[netns] = true
	for _, a := range addrs {
		k.listen.add(netns, netip.MustParseAddrPort(a))
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
