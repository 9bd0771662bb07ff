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
	connection int  // its index
	server     bool // the end is the server
}

// listEndpoints returns the endpoints of the connections: each once, with the aliases and the
// processes that any connection shows. swapped is the second result of inOrder.
func listEndpoints(connections []report.Connection, swapped []bool, hostID string) []report.Endpoint {
	scopes := loopbackScopes{host: hostID, names: make(map[uint64]string)}
	ends := make([]endRef, 0, 2*len(connections))
	for i := range connections {
		c := &connections[i]
		ends = append(ends, endRef{scopes.of(&c.From), c.From.Addr, i, false}, endRef{scopes.of(&c.To), c.To.Addr, i, true})
	}
	slices.SortFunc(ends, func(a, b endRef) int {
		if order := strings.Compare(a.scope, b.scope); order != 0 {
			return order
		}
		return a.addr.Compare(b.addr)
	})
	count := 0
	for i := range ends {
		if i == 0 || !ends[i].same(&ends[i-1]) {
			count++
		}
	}
	out := make([]report.Endpoint, 0, count)
	for first, i := 0, 1; i <= len(ends); i++ {
		if i == len(ends) || !ends[i].same(&ends[first]) {
			out = append(out, endpoint(connections, swapped, ends[first:i]))
			first = i
		}
	}
	return out
}

func (e *endRef) same(other *endRef) bool { return e.addr == other.addr && e.scope == other.scope }

// endpoint combines what connections show of one endpoint.
func endpoint(connections []report.Connection, swapped []bool, ends []endRef) report.Endpoint {
	out := report.Endpoint{Scope: ends[0].scope, Addr: ends[0].addr}
	for i := range ends {
		c, server := &connections[ends[i].connection], ends[i].server
		if list := endOf(c, server).Processes; len(list) > 0 {
			out.Processes = appendNew(out.Processes, list)
		}
		for j := range c.NAT {
			if alias, translated := aliasOf(&c.NAT[j], server != swapped[ends[i].connection]); translated {
				out.Aliases = appendNew(out.Aliases, []netip.AddrPort{alias})
			}
		}
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
