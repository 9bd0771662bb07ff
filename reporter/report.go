package reporter

import (
	"net/netip"
	"slices"
)

// A Report is what the core reports at a tick. It is values only, and every list
// in it is sorted, so two reports of the same records are equal.
type Report struct {
	HostID      string
	HostName    string
	Tick        uint64
	At          int64 // Unix ns
	Window      int64 // ns since the tick before
	Rules       string
	Coverage    []Coverage
	Connections []Connection
	Endpoints   []Endpoint
	Names       []Names

	scope *ScopeReport // the rules' own view of Scope, nil when it follows from the rest
	tape  tapeFacts
}

// Coverage says how well a source saw the host. Counts are totals since the
// recording's start.
type Coverage struct {
	Source      string // its kind: conntrack, dns, proc or rdns
	State       CoverageState
	Why         string // when the state is not OK
	Records     uint64 // messages, tables, lists or packets; not the marks between them
	Lost        uint64
	Undecodable uint64
	Ignored     uint64 // decoded, and of no use to the rules: not TCP, or no answer
	Netns       uint64 // the namespace it sees, where a kind has several sources
}

// CoverageState is how much a source's silence is worth.
type CoverageState string

const (
	CoverageOK       CoverageState = "ok"
	CoverageDegraded CoverageState = "degraded"
	CoverageOff      CoverageState = "off"
)

// A Connection is between two real ends: the client before source NAT, the server behind
// destination NAT.
type Connection struct {
	Proto     string // tcp
	From      End    // the client
	To        End    // the server
	State     string // the kernel's name of the conntrack or socket state
	Direction Direction
	NAT       []NAT // in the order in which a packet from the client passes it
	FirstSeen int64 // ns since the recording's start
	LastSeen  int64
	Closed    bool
	Seen      []string // sources that show it, sorted
	// MayHaveClosed is set while a gap could have hidden the end.
	MayHaveClosed bool
}

// An End of a connection.
type End struct {
	Addr      netip.AddrPort
	Netns     uint64    // inode, 0 unknown
	Processes []Process // that own the socket, by pid
}

// A Process owns a socket.
type Process struct {
	PID  uint32
	Comm string
}

// Direction is the evidence for which end is the client, best first.
type Direction string

const (
	DirectionHandshake Direction = "handshake"  // a SYN was seen
	DirectionListener  Direction = "listener"   // a socket listens at that end
	DirectionOriginal  Direction = "original"   // the flow's own order
	DirectionPortOrder Direction = "port-order" // the lower port serves
	DirectionUnknown   Direction = "unknown"    // from is the smaller end
	DirectionScope     Direction = "scope"      // what Weave Scope took for it (rules scope2016)
)

// NAT is one translation: the tuples as conntrack has them.
type NAT struct {
	OriginalSrc, OriginalDst netip.AddrPort
	ReplySrc, ReplyDst       netip.AddrPort
}

// Aliases returns the translated addresses of the connection's two ends, in the order in
// which packets pass the translations, each once.
func (c *Connection) Aliases() (from, to []netip.AddrPort) {
	add := func(list []netip.AddrPort, shown, real netip.AddrPort) []netip.AddrPort {
		if shown == real || slices.Contains(list, shown) {
			return list
		}
		return append(list, shown)
	}
	// Other evidence may have turned the flow's own direction around.
	client, server := c.From.Addr, c.To.Addr
	turned := len(c.NAT) > 0 && c.NAT[0].OriginalSrc == server && client != server
	if turned {
		client, server = server, client
	}
	for i := range c.NAT {
		n := &c.NAT[i]
		from = add(add(from, n.OriginalSrc, client), n.ReplyDst, client)
		to = add(add(to, n.OriginalDst, server), n.ReplySrc, server)
	}
	if turned {
		from, to = to, from
	}
	return from, to
}

// An Endpoint is one end of the report's connections. Endpoints are ordered by scope,
// address, as netip compares, and port.
type Endpoint struct {
	Scope     string // host-netns of loopback, which is different in every namespace, else empty
	Addr      netip.AddrPort
	Aliases   []netip.AddrPort // translated addresses of it
	Processes []Process
}

// Names of one address of the report, sorted.
type Names struct {
	Addr    netip.Addr
	Forward []string // from DNS answers that were seen
	Reverse []string // from reverse look-ups
	Host    string   // the host's own name, of its own addresses; not of loopback or link-local ones
}
