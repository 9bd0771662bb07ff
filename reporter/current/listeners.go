package current

import "net/netip"

// listeners are the listening sockets.
type listeners struct {
	in  map[listenKey]bool
	any map[netip.AddrPort]bool // addresses of listeners in any namespace

	namespaces map[uint64]bool // those with tables
}

type listenKey struct {
	netns uint64
	addr  netip.AddrPort
}

func (l *listeners) init() {
	l.in = make(map[listenKey]bool)
	l.any = make(map[netip.AddrPort]bool)
	l.namespaces = make(map[uint64]bool)
}

// only returns netns if it is known. If it is unknown, and there are tables of one namespace
// only, it returns that one.
func (l *listeners) only(netns uint64) uint64 {
	if netns == 0 && len(l.namespaces) == 1 {
		for n := range l.namespaces { // the order cannot matter: there is one
			return n
		}
	}
	return netns
}

// add adds a listener.
func (l *listeners) add(netns uint64, a netip.AddrPort) {
	l.in[listenKey{netns, a}] = true
	l.any[a] = true
}

// at reports whether a listener of the namespace accepts connections to the address: it is bound
// to the address, or to all addresses. A listener on [::] accepts IPv4 too, unless it has the
// option IPV6_V6ONLY, which no table shows.
func (l *listeners) at(netns uint64, a netip.AddrPort) bool {
	return len(l.in) > 0 && (l.in[listenKey{netns, a}] ||
		l.in[listenKey{netns, netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())}] ||
		a.Addr().Is4() && l.in[listenKey{netns, netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())}])
}

// bound reports whether a listener of any namespace is bound to the address itself. For a
// loopback address it returns false, because every namespace has its own.
func (l *listeners) bound(a netip.AddrPort) bool {
	return len(l.any) > 0 && !a.Addr().IsLoopback() && l.any[a]
}
