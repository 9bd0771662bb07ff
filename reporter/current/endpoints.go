package current

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// An endRef refers to one end of a connection.
type endRef struct {
	scope      string
	addr       netip.AddrPort
	connection int // its index
}

// listEndpoints returns the endpoints of the connections: each once, with the aliases and the
// processes that any connection shows. swapped is the second result of inOrder.
func listEndpoints(connections []report.Connection, swapped []bool, hostID string) []report.Endpoint {
	scopes := loopbackScopes{host: hostID, names: make(map[uint64]string)}
	clients, servers := make([]endRef, len(connections)), make([]endRef, len(connections))
	for i := range connections {
		c := &connections[i]
		clients[i], servers[i] = endRef{scopes.of(&c.From), c.From.Addr, i}, endRef{scopes.of(&c.To), c.To.Addr, i}
	}
	slices.SortFunc(clients, endRef.compare) // nearly in order: connections are sorted by client
	slices.SortFunc(servers, endRef.compare)
	out := make([]report.Endpoint, 0, distinct(clients)+distinct(servers))
	for len(clients)+len(servers) > 0 {
		next := clients
		if len(clients) == 0 || len(servers) > 0 && servers[0].compare(clients[0]) < 0 {
			next = servers
		}
		n, m := leading(clients, next[0]), leading(servers, next[0])
		out = append(out, endpoint(connections, swapped, clients[:n], servers[:m]))
		clients, servers = clients[n:], servers[m:]
	}
	return out
}

// compare orders ends by scope and address.
func (e endRef) compare(other endRef) int {
	if order := strings.Compare(e.scope, other.scope); order != 0 {
		return order
	}
	return e.addr.Compare(other.addr)
}

func (e endRef) same(other endRef) bool { return e.addr == other.addr && e.scope == other.scope }

// leading returns how many of the first ends are at the same place as e.
func leading(ends []endRef, e endRef) int {
	n := 0
	for n < len(ends) && ends[n].same(e) {
		n++
	}
	return n
}

// distinct returns the number of different ends in a sorted list.
func distinct(ends []endRef) int {
	n := 0
	for i := range ends {
		if i == 0 || !ends[i].same(ends[i-1]) {
			n++
		}
	}
	return n
}

// endpoint combines what connections show of one endpoint: as their client, and as their
// server.
func endpoint(connections []report.Connection, swapped []bool, clients, servers []endRef) report.Endpoint {
	var out report.Endpoint
	add := func(e endRef, server bool) {
		c := &connections[e.connection]
		out.Scope, out.Addr = e.scope, e.addr
		out.Processes = appendNew(out.Processes, endOf(c, server).Processes)
		for i := range c.NAT {
			if alias, translated := aliasOf(&c.NAT[i], server != swapped[e.connection]); translated {
				out.Aliases = appendNew(out.Aliases, []netip.AddrPort{alias})
			}
		}
	}
	for _, e := range clients {
		add(e, false)
	}
	for _, e := range servers {
		add(e, true)
	}
	out.Aliases = sortedSet(out.Aliases, netip.AddrPort.Compare)
	out.Processes = sortedSet(out.Processes, report.Process.Compare)
	return out
}

// appendNew appends more, unless the list ends with it already: most connections of a busy
// server have the same aliases and processes.
func appendNew[T comparable](list, more []T) []T {
	if n := len(list) - len(more); n >= 0 && slices.Equal(list[n:], more) {
		return list
	}
	return append(list, more...)
}

// sortedSet sorts a list and removes duplicates.
func sortedSet[T comparable](list []T, compare func(a, b T) int) []T {
	if len(list) > 1 {
		slices.SortFunc(list, compare)
		list = slices.Compact(list)
	}
	return slices.Clip(list)
}

// endOf returns the server of a connection, or its client.
func endOf(c *report.Connection, server bool) *report.End {
	if server {
		return &c.To
	}
	return &c.From
}

// aliasOf returns the translated address of the client's or the server's end, if it is
// translated.
func aliasOf(n *report.NAT, server bool) (shown netip.AddrPort, translated bool) {
	if server {
		return n.OriginalDst, n.OriginalDst != n.ReplySrc
	}
	return n.ReplyDst, n.ReplyDst != n.OriginalSrc
}

// loopbackScopes are the scopes of loopback addresses, by namespace.
type loopbackScopes struct {
	host  string
	names map[uint64]string
}

// of returns the scope of an end: host and namespace for a loopback address, else "".
func (s *loopbackScopes) of(e *report.End) string {
	if !e.Addr.Addr().IsLoopback() {
		return ""
	}
	name, known := s.names[e.Netns]
	if !known {
		name = s.host
		if e.Netns != 0 {
			name += "-" + strconv.FormatUint(e.Netns, 10)
		}
		s.names[e.Netns] = name
	}
	return name
}
