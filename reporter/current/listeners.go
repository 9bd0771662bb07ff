package current

import (
	"net/netip"
	"slices"
)

// listeners are the listening sockets.
type listeners struct {
	in  map[listenKey][]uint64  // inodes of the sockets
	any map[netip.AddrPort]bool // addresses of listeners in any namespace

	namespaces map[uint64]bool // those with tables
}

type listenKey struct {
	netns uint64
	addr  netip.AddrPort
}

func (l *listeners) init() {
	l.in = make(map[listenKey][]uint64)
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
func (l *listeners) add(netns uint64, w listenRow) {
	key := listenKey{netns, w.addr}
	l.in[key] = append(l.in[key], w.inode)
	l.any[w.addr] = true
}

// accepting returns the inodes of the listeners of the namespace that accept connections to the
// address: those that are bound to it, else those that are bound to all addresses.
func (l *listeners) accepting(netns uint64, a netip.AddrPort) []uint64 {
	if bound := l.in[listenKey{netns, a}]; bound != nil {
		return bound
	}
	all := l.in[listenKey{netns, netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())}]
	if a.Addr().Is4() {
		all = append(slices.Clip(all), l.in[listenKey{netns, netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())}]...)
	}
	return all
}

// at reports whether a listener of the namespace accepts connections to the address: it is bound
// to the address, or to all addresses. A listener on [::] accepts IPv4 too, unless it has the
// option IPV6_V6ONLY, which no table shows.
func (l *listeners) at(netns uint64, a netip.AddrPort) bool {
	return len(l.in) > 0 && len(l.accepting(netns, a)) > 0
}

// bound reports whether a listener of any namespace is bound to the address itself. For a
// loopback address it returns false, because every namespace has its own.
func (l *listeners) bound(a netip.AddrPort) bool {
	return len(l.any) > 0 && !a.Addr().IsLoopback() && l.any[a]
}
