package events

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/reporter/report"
)

// A Listener is a listening socket.
type Listener struct {
	Netns   uint64 // of the thread that called listen, 0 if unknown
	Process report.Process
	Named   bool // Process is known
}

// listener is a listening socket with its address.
type listener struct {
	Listener
	number uint64
	addr   netip.AddrPort
}

// listeners are the listening sockets.
type listeners struct {
	byNumber map[uint64]*listener
	byPort   map[uint16][]*listener // in the order of their events
}

func newListeners() listeners {
	return listeners{byNumber: map[uint64]*listener{}, byPort: map[uint16][]*listener{}}
}

// maxListeners bounds the listening sockets.
const maxListeners = 64 << 10

// add adds a listener. It returns false if there is no room.
func (l *listeners) add(n *listener) bool {
	l.remove(n.number)
	if len(l.byNumber) >= maxListeners {
		return false
	}
	l.byNumber[n.number] = n
	l.byPort[n.addr.Port()] = append(l.byPort[n.addr.Port()], n)
	return true
}

// remove removes a listener, if there is one of that number.
func (l *listeners) remove(number uint64) {
	n := l.byNumber[number]
	if n == nil {
		return
	}
	delete(l.byNumber, number)
	port := n.addr.Port()
	l.byPort[port] = slices.DeleteFunc(l.byPort[port], func(o *listener) bool { return o == n })
	if len(l.byPort[port]) == 0 {
		delete(l.byPort, port)
	}
}

// accepting returns the listeners that may accept connections to an address: of each namespace those that are bound to
// it, or else those that are bound to all addresses. A listener on [::] may accept IPv4 too.
func (l *listeners) accepting(a netip.AddrPort) []Listener {
	var out []Listener
	bound := map[uint64]bool{}
	for _, n := range l.byPort[a.Port()] {
		if n.addr == a {
			bound[n.Netns] = true
			out = append(out, n.Listener)
		}
	}
	for _, n := range l.byPort[a.Port()] {
		any := n.addr.Addr()
		if any.IsUnspecified() && (any.Is6() || a.Addr().Is4()) && !bound[n.Netns] {
			out = append(out, n.Listener)
		}
	}
	if len(out) > maxAccepting {
		return nil // nothing can be concluded from so many
	}
	return out
}

// maxAccepting bounds the listeners of one socket.
const maxAccepting = 256
