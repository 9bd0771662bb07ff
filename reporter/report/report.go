package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
)

// A Report describes the host's connections at a tick. It contains only values, and every
// list in it is sorted: the same records give equal reports.
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
	Attempts    []Attempt
	HostEvents  []HostEvent

	ScopeInput ScopeInput   // what else Scope needs
	scope      *ScopeReport // the view of rules scope2016; nil if Scope derives it
}

// Coverage describes how completely a source saw the host. Counts are totals since the
// recording's start.
type Coverage struct {
	Source      string // the source's kind: closes, conntrack, dns, proc, rdns or sockets
	State       CoverageState
	Why         string // why the state is not CoverageOK, or what an ok source is not expected to see
	Records     uint64 // messages, tables, lists or packets; begins and ends of dumps and walks do not count
	Lost        uint64
	Undecodable uint64
	Ignored     uint64 // decoded, but not used by the rules: not TCP, or no answer
	Netns       uint64 // the namespace that the source sees; 0 if it is the only source of its kind
}

// CoverageState is whether a source saw everything.
type CoverageState string

const (
	CoverageOK       CoverageState = "ok"
	CoverageDegraded CoverageState = "degraded"
	CoverageOff      CoverageState = "off"
)

// A Connection has two real ends: the client before source NAT, and the server after
// destination NAT.
type Connection struct {
	Proto     string // tcp
	From      End    // the client
	To        End    // the server
	State     string // the kernel's name of the conntrack or socket state
	Direction Direction
	NAT       []NAT    // in the order in which NAT translates a packet from the client
	FirstSeen int64    // ns since the recording's start
	LastSeen  int64    // ns since the recording's start
	Closed    bool     // it ended in the report's window
	Seen      []string // sources that show it, sorted
	Zone      uint16   // of the conntrack entry nearest to the client; 0 is the default zone, or that no entry shows it
	Connect   int64    // ns from the client's SYN to its answer; 0 if unknown
	// MayHaveClosed is set while a gap could have hidden the end.
	MayHaveClosed bool
}

// Compare orders connections as a report lists them: by protocol, ends, namespaces,
// and when they were first seen.
func (c *Connection) Compare(o *Connection) int {
	return cmp.Or(strings.Compare(c.Proto, o.Proto),
		c.From.Addr.Compare(o.From.Addr), c.To.Addr.Compare(o.To.Addr),
		cmp.Compare(c.From.Netns, o.From.Netns), cmp.Compare(c.To.Netns, o.To.Netns),
		cmp.Compare(c.FirstSeen, o.FirstSeen))
}

// An End is one end of a connection.
type End struct {
	Addr      netip.AddrPort
	Netns     uint64    // inode of the namespace, 0 if unknown
	Processes []Process // those that have the socket open, by PID
}

// A Process is a process that has a socket open.
type Process struct {
	PID  uint32
	Comm string
}

// Compare orders processes by PID, then by name.
func (p Process) Compare(q Process) int {
	return cmp.Or(cmp.Compare(p.PID, q.PID), strings.Compare(p.Comm, q.Comm))
}

// Direction is how the rules decided which end is the client, the most certain first.
type Direction string

const (
	DirectionSocket    Direction = "socket"     // a process connected, or a listening socket accepted
	DirectionHandshake Direction = "handshake"  // a SYN was seen
	DirectionListener  Direction = "listener"   // a socket listens at that end
	DirectionOriginal  Direction = "original"   // the flow's own order
	DirectionPortOrder Direction = "port-order" // the lower port is the server's
	DirectionUnknown   Direction = "unknown"    // From is the end that sorts first
	DirectionScope     Direction = "scope"      // the direction of Weave Scope (rules scope2016)
)

// NAT is one translation: the two tuples of a conntrack entry, and its zone.
type NAT struct {
	OriginalSrc, OriginalDst netip.AddrPort
	ReplySrc, ReplyDst       netip.AddrPort
	Zone                     uint16
}

// Aliases returns the addresses that NAT shows instead of the connection's two ends, in
// the order in which NAT translates packets, each once.
func (c *Connection) Aliases() (from, to []netip.AddrPort) {
	add := func(list []netip.AddrPort, shown, real netip.AddrPort) []netip.AddrPort {
		if shown == real || slices.Contains(list, shown) {
			return list
		}
		return append(list, shown)
	}
	// A listener, for example, may have reversed the flow's own direction.
	client, server := c.From.Addr, c.To.Addr
	reversed := len(c.NAT) > 0 && c.NAT[0].OriginalSrc == server && client != server
	if reversed {
		client, server = server, client
	}
	for i := range c.NAT {
		n := &c.NAT[i]
		from = add(add(from, n.OriginalSrc, client), n.ReplyDst, client)
		to = add(add(to, n.OriginalDst, server), n.ReplySrc, server)
	}
	if reversed {
		from, to = to, from
	}
	return from, to
}

// An Endpoint is one end of the report's connections. Endpoints are ordered by scope,
// address, as netip compares, and port.
type Endpoint struct {
	Scope     string // HOST-NETNS for loopback, because every namespace has its own; else empty
	Addr      netip.AddrPort
	Aliases   []netip.AddrPort // the addresses that NAT shows instead
	Processes []Process
}

// Names are the names of one address of the report, sorted.
type Names struct {
	Addr    netip.Addr
	Forward []string // from captured DNS answers
	Reverse []string // from reverse look-ups
	Host    string   // the host's name if the address is its own, and neither loopback nor link-local
}

// ID returns the endpoint's id: scope;addr;port.
func (e *Endpoint) ID() string {
	b := append([]byte(e.Scope), ';')
	b = append(appendAddr(b, e.Addr.Addr()), ';')
	return string(appendPort(b, e.Addr.Port()))
}

// Compare orders endpoints as a report does: by scope, address and port.
func (e *Endpoint) Compare(other *Endpoint) int {
	return cmp.Or(strings.Compare(e.Scope, other.Scope), e.Addr.Compare(other.Addr))
}

// A HostEvent is something that happened on the host and may explain what a report shows or lacks,
// such as packets that the kernel dropped. Events are ordered by time, then by What.
type HostEvent struct {
	At    int64  // Unix ns at the end of the time in which it happened
	What  string // the kernel's name of a counter, such as "nf_conntrack drop", or "recorder stall"
	Count uint64
}

// Compare orders events as a report does.
func (e HostEvent) Compare(o HostEvent) int {
	return cmp.Or(cmp.Compare(e.At, o.At), strings.Compare(e.What, o.What))
}

// seen are the lists of sources that show a TCP connection: bit 0 of the index is conntrack, bit 1 proc, bit 2 sockets.
var seen = [8][]string{
	1: {capture.SourceConntrack},
	2: {capture.SourceProc},
	3: {capture.SourceConntrack, capture.SourceProc},
	4: {capture.SourceSockets},
	5: {capture.SourceConntrack, capture.SourceSockets},
	6: {capture.SourceProc, capture.SourceSockets},
	7: {capture.SourceConntrack, capture.SourceProc, capture.SourceSockets},
}

// SeenBy returns the list of the sources that show a TCP connection. It is shared: do not change it.
func SeenBy(conntrack, proc, sockets bool) []string {
	at := 0
	for bit, shows := range [...]bool{conntrack, proc, sockets} {
		if shows {
			at |= 1 << bit
		}
	}
	return seen[at]
}
