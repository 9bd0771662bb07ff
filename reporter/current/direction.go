package current

import (
	"github.com/topotape/topotape/reporter/events"
	"github.com/topotape/topotape/reporter/report"
)

// flowDirection decides which end of a flow is the client, by the most certain evidence. swapped
// reports that it is the end that sends the flow's replies.
func (k *sockets) flowDirection(handshake bool, netns uint64, client, server *side) (how report.Direction, swapped bool) {
	if handshake {
		return report.DirectionHandshake, false
	}
	if swapped, shown := eventDirection(client, server); shown {
		return report.DirectionSocket, swapped
	}
	c, s := k.listening(client), k.listening(server)
	if client.state == "" && server.state == "" && !c && !s {
		netns = k.listen.only(netns)
		c, s = k.listen.at(netns, client.addr), k.listen.at(netns, server.addr)
	}
	if c == s {
		return report.DirectionOriginal, false
	}
	return report.DirectionListener, c
}

// rowDirection does the same for the two ends of a connection that only rows show. swapped
// reports that y is the client.
func (k *sockets) rowDirection(x, y *side) (how report.Direction, swapped bool) {
	if swapped, shown := eventDirection(x, y); shown {
		return report.DirectionSocket, swapped
	}
	lx, ly := k.listening(x), k.listening(y)
	switch px, py := x.addr.Port(), y.addr.Port(); {
	case lx != ly:
		return report.DirectionListener, lx
	case px != py:
		return report.DirectionPortOrder, px < py
	}
	return report.DirectionUnknown, x.addr.Compare(y.addr) > 0
}

// listening reports whether a listener accepts connections to the side: in its namespace, or in
// any if the namespace is unknown.
func (k *sockets) listening(s *side) bool {
	if s.state != "" || s.netns != 0 {
		return k.listen.at(s.netns, s.addr)
	}
	return k.listen.bound(s.addr)
}

// eventDirection decides by what the sockets of both ends did. swapped reports that y is the
// client; shown is false if no event shows who is.
func eventDirection(x, y *side) (swapped, shown bool) {
	did := func(s *side, role events.Role) bool { return s.event != nil && s.event.Role == role }
	switch {
	case did(x, events.Client) || did(y, events.Accepted):
		return false, true
	case did(y, events.Client) || did(x, events.Accepted):
		return true, true
	}
	return false, false
}
