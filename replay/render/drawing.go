package render

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter"
)

// drawing makes the graph of a report; of two, laid over each other. One edge
// stands for all connections that would look alike.
func drawing(reports ...*reporter.Report) *graph {
	d := &drawer{frames: map[string]int{}, nodes: map[string]*drawn{}, edges: map[edgeKey]*drawnEdge{},
		homes: map[home]uint64{}, own: map[home]bool{}, servers: map[string]bool{}}
	var titles []string
	for _, r := range reports {
		titles = append(titles, titleOf(r))
		d.survey(r)
	}
	d.g.title = strings.Join(slices.Compact(titles), "  |  ")
	for i, r := range reports {
		d.side, d.at = inBoth, i
		if len(reports) > 1 {
			d.side = side(1 << i)
		}
		d.report(r)
	}
	return d.finish()
}

func titleOf(r *reporter.Report) string {
	return fmt.Sprintf("%s  %s  rules %s", hostText(r), time.Unix(0, r.At).UTC().Format(time.RFC3339Nano), r.Rules)
}

func hostText(r *reporter.Report) string {
	if r.HostName != "" {
		return shortened(r.HostName)
	}
	return shortened(r.HostID)
}

// shortened text fits into a box.
func shortened(s string) string {
	const most = 64 // runes
	n := 0
	for at := range s {
		if n++; n > most {
			return s[:at] + "…"
		}
	}
	return s
}

// A home is an address of a host.
type home struct {
	host string
	addr netip.Addr
}

// drawn is a node in the making: a server's address and port, or the ports
// that one process or one address uses as a client.
type drawn struct {
	at        int // in order
	frame     int
	addr      netip.Addr
	more      int // addresses that look alike, and are in this box too
	server    bool
	ports     map[uint16]bool
	processes []reporter.Process
	names     []string
	alias     bool
	side      side
}

type edgeKey struct {
	from, to    int
	line        line
	closed, may bool
}

// drawnEdge counts the connections of an edge, per report.
type drawnEdge struct {
	edgeKey
	count [2]int
	side  side
}

// drawer makes a graph. Its maps are only looked into; order comes from lists.
type drawer struct {
	g         graph
	frames    map[string]int
	homes     map[home]uint64 // the one namespace that is known to have the address
	own       map[home]bool   // the host's own addresses
	servers   map[string]bool
	nodes     map[string]*drawn
	nodeList  []*drawn
	edges     map[edgeKey]*drawnEdge
	edgeList  []*drawnEdge
	names     map[netip.Addr]*reporter.Names
	side      side
	at        int // number of the report
	host      string
	hostLabel string
}

// several stands for an address that several namespaces have.
const several = ^uint64(0)

// survey notes in which namespaces addresses are, and which endpoints serve.
func (d *drawer) survey(r *reporter.Report) {
	d.host, d.hostLabel = r.HostID, hostText(r)
	for i := range r.Names {
		if r.Names[i].Host != "" {
			d.own[home{d.host, r.Names[i].Addr}] = true
		}
	}
	for i := range r.Connections {
		c := &r.Connections[i]
		for _, e := range [...]*reporter.End{&c.From, &c.To} {
			at := home{d.host, e.Addr.Addr()}
			if had := d.homes[at]; e.Netns != 0 && had != e.Netns {
				d.homes[at] = e.Netns
				if had != 0 {
					d.homes[at] = several
				}
			}
		}
	}
	for i := range r.Connections {
		to := &r.Connections[i].To
		d.servers[d.endpointKey(to)] = true
	}
}

// netns is the end's namespace. Where a connection does not tell, another one
// of the same address may.
func (d *drawer) netns(e *reporter.End) uint64 {
	if e.Netns != 0 || e.Addr.Addr().IsLoopback() {
		return e.Netns
	}
	if n := d.homes[home{d.host, e.Addr.Addr()}]; n != several {
		return n
	}
	return 0
}

func (d *drawer) endpointKey(e *reporter.End) string {
	return fmt.Sprintf("%d %s", d.home(e), e.Addr)
}

// home is the frame around an end: its namespace within its host. Addresses
// of unknown namespaces stand outside, but for loopback and the host's own.
func (d *drawer) home(e *reporter.End) int {
	netns := d.netns(e)
	if netns == 0 && !e.Addr.Addr().IsLoopback() && !d.own[home{d.host, e.Addr.Addr()}] {
		return -1
	}
	host := d.frame("host "+d.host, "host "+d.hostLabel, -1)
	if netns == 0 {
		return host
	}
	return d.frame(fmt.Sprintf("netns %d %s", netns, d.host), fmt.Sprintf("network namespace %d", netns), host)
}

func (d *drawer) frame(key, label string, in int) int {
	at, ok := d.frames[key]
	if !ok {
		at = len(d.g.frames)
		d.frames[key] = at
		d.g.frames = append(d.g.frames, frame{label, in})
	}
	return at
}

func (d *drawer) report(r *reporter.Report) {
	d.host, d.hostLabel, d.names = r.HostID, hostText(r), fold.NamesByAddr(r)
	for i := range r.Connections {
		c := &r.Connections[i]
		from, to := d.end(&c.From), d.end(&c.To)
		d.edge(edgeKey{from.at, to.at, lineOf(c.Direction), c.Closed, c.MayHaveClosed})
		asClient, asServer := c.Aliases()
		for _, shown := range asClient {
			d.alias(from, &c.From, shown)
		}
		for _, shown := range asServer {
			d.alias(to, &c.To, shown)
		}
	}
}

// end is the node of one end. A client's ports are many and say little: those
// of one process are one node.
func (d *drawer) end(e *reporter.End) *drawn {
	key := d.endpointKey(e)
	server := d.servers[key]
	if !server {
		key = fmt.Sprintf("%d %s client", d.home(e), e.Addr.Addr())
		for _, p := range e.Processes {
			key += " " + strconv.FormatUint(uint64(p.PID), 10)
		}
	}
	n := d.node(key, e.Addr)
	n.frame, n.server = d.home(e), server
	n.processes = fold.Union(n.processes, e.Processes, reporter.Process.Compare)
	return n
}

func (d *drawer) node(key string, addr netip.AddrPort) *drawn {
	n := d.nodes[key]
	if n == nil {
		n = &drawn{at: len(d.nodeList), frame: -1, addr: addr.Addr(), ports: map[uint16]bool{}}
		d.nodes[key] = n
		d.nodeList = append(d.nodeList, n)
	}
	n.ports[addr.Port()] = true
	n.side |= d.side
	if names := d.names[addr.Addr()]; names != nil {
		n.names = fold.Union(fold.Union(n.names, names.Forward, strings.Compare), names.Reverse, strings.Compare)
	}
	return n
}

// alias draws what NAT shows in place of an end: a server's with its port and
// behind it, a client's by address and before it. It is not in the end's own
// namespace.
func (d *drawer) alias(of *drawn, e *reporter.End, shown netip.AddrPort) {
	server := d.servers[d.endpointKey(e)]
	key := fmt.Sprintf("alias %d %s", of.at, shown.Addr())
	if server {
		key = fmt.Sprintf("alias %d %s", of.at, shown)
	}
	n := d.node(key, shown)
	n.alias, n.frame = true, of.frame
	if n.frame >= 0 && d.g.frames[n.frame].in >= 0 {
		n.frame = d.g.frames[n.frame].in
	}
	from, to := n.at, of.at
	if server {
		from, to = to, from
	}
	d.edge(edgeKey{from: from, to: to, line: lineAlias})
}

func (d *drawer) edge(key edgeKey) {
	e := d.edges[key]
	if e == nil {
		e = &drawnEdge{edgeKey: key}
		d.edges[key] = e
		d.edgeList = append(d.edgeList, e)
	}
	e.count[d.at]++
	e.side |= d.side
}

func (d *drawer) finish() *graph {
	d.gather()
	for _, n := range d.nodeList {
		d.g.nodes = append(d.g.nodes, node{lines: n.text(), in: n.frame, alias: n.alias, side: n.side})
	}
	for _, e := range d.edgeList {
		d.g.edges = append(d.g.edges, edge{from: e.from, to: e.to, lines: e.text(), line: e.line, closed: e.closed, side: e.side})
	}
	d.g.explain()
	return &d.g
}

func (n *drawn) text() []string {
	var lines []string
	if len(n.names) > 0 {
		for i, name := range n.names {
			if i == 3 {
				lines = append(lines, fmt.Sprintf("and %d more names", len(n.names)-i))
				break
			}
			lines = append(lines, shortened(name))
		}
	}
	switch {
	case n.more > 0 && n.server:
		lines = append(lines, fmt.Sprintf("%d addresses, one is", n.more+1))
		fallthrough
	case len(n.ports) == 1 && n.more == 0:
		for p := range n.ports {
			lines = append(lines, netip.AddrPortFrom(n.addr, p).String())
		}
	case n.more > 0:
		lines = append(lines, fmt.Sprintf("%d addresses, one is", n.more+1), n.addr.String())
	default:
		lines = append(lines, fmt.Sprintf("%s, %d ports", n.addr, len(n.ports)))
	}
	if n.alias {
		return append(lines, "NAT")
	}
	if len(n.processes) > 0 {
		lines = append(lines, shortened(ProcessText(n.processes)))
	}
	return lines
}

func (e *drawnEdge) text() []string {
	if e.line == lineAlias {
		return nil
	}
	var lines []string
	a, b := e.count[0], e.count[1]
	switch {
	case e.side == inBoth && b > 0 && a != b:
		lines = append(lines, fmt.Sprintf("%d, then %d connections", a, b))
	case max(a, b) > 1:
		lines = append(lines, fmt.Sprintf("%d connections", max(a, b)))
	}
	if e.closed {
		lines = append(lines, "closed")
	}
	if e.may {
		lines = append(lines, "closed?")
	}
	return lines
}
