package current

import "net/netip"

// listeners are the sockets that accept connections, by namespace.
type listeners struct {
	in  map[listenKey]bool
	any map[netip.AddrPort]bool // in any namespace

	namespaces map[uint64]bool // that tables were read of
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

// only is the namespace that an unknown one must be: the one that tables were
// read of, if they were of one only.
func (l *listeners) only(netns uint64) uint64 {
	if netns == 0 && len(l.namespaces) == 1 {
		for n := range l.namespaces { // order cannot matter: there is one
			return n
		}
	}
	return netns
}

func (l *listeners) add(netns uint64, a netip.AddrPort) {
	l.in[listenKey{netns, a}] = true
	l.any[a] = true
}

// at reports whether a socket of the namespace accepts connections to the
// address: one bound to it, or to all addresses. A socket on [::] accepts
// IPv4 too, unless it has an option that no table shows.
func (l *listeners) at(netns uint64, a netip.AddrPort) bool {
	return len(l.in) > 0 && (l.in[listenKey{netns, a}] ||
		l.in[listenKey{netns, netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())}] ||
		a.Addr().Is4() && l.in[listenKey{netns, netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())}])
}

// bound reports whether a socket of any namespace accepts connections to just
// that address. A loopback address says nothing without its namespace.
func (l *listeners) bound(a netip.AddrPort) bool {
	return len(l.any) > 0 && !a.Addr().IsLoopback() && l.any[a]
}
