package current

import (
	"net/netip"
	"slices"
)

// homes are the namespaces that have addresses.
type homes map[netip.Addr]*home

// A home is the namespaces that have one address: those of which tables or the host show it,
// and those of which only the threads of sockets hint at it. More than maxHomes are ignored.
type home struct {
	sure  []uint64
	hints []hint
}

// A hint is how many sockets hint at a namespace.
type hint struct {
	netns   uint64
	sockets int
}

const maxHomes = 64

func (h homes) of(a netip.Addr) *home {
	if h[a] == nil {
		h[a] = new(home)
	}
	return h[a]
}

// have notes that a namespace has an address.
func (h homes) have(a netip.Addr, netns uint64) {
	if netns == 0 || a.IsLoopback() {
		return
	}
	if p := h.of(a); !slices.Contains(p.sure, netns) && len(p.sure) < maxHomes {
		p.sure = append(p.sure, netns)
	}
}

// hint notes that a socket hints at it.
func (h homes) hint(a netip.Addr, netns uint64) {
	if netns == 0 || a.IsLoopback() {
		return
	}
	p := h.of(a)
	at := slices.IndexFunc(p.hints, func(x hint) bool { return x.netns == netns })
	switch {
	case at >= 0:
		p.hints[at].sockets++
	case len(p.hints) < maxHomes:
		p.hints = append(p.hints, hint{netns, 1})
	}
}

// may reports whether a namespace may have an address: it is known to have it or, if none is,
// more sockets hint at it than at any other.
func (h homes) may(a netip.Addr, netns uint64) bool {
	p := h[a]
	if p == nil {
		return true
	}
	if len(p.sure) > 0 {
		return slices.Contains(p.sure, netns)
	}
	own, others := 0, 0
	for _, x := range p.hints {
		if x.netns == netns {
			own = x.sockets
		} else {
			others = max(others, x.sockets)
		}
	}
	return own > others
}

// only returns the one namespace that has an address, 0 if none or several may have it.
func (h homes) only(a netip.Addr) uint64 {
	p := h[a]
	switch {
	case p == nil || len(p.sure) > 1:
		return 0
	case len(p.sure) == 1:
		return p.sure[0]
	}
	for _, x := range p.hints {
		if h.may(a, x.netns) {
			return x.netns
		}
	}
	return 0
}
