package render

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/report"
)

// draw makes the graph of a report, or of two laid over each other. One edge
// represents all connections that would look the same.
func draw(reports ...*report.Report) *graph {
	d := &drawer{frameAt: map[string]int{}, nodeAt: map[string]int{}, edgeAt: map[edgeKey]int{},
		netns: map[hostAddr]uint64{}, hostAddrs: map[hostAddr]bool{}, servers: map[string]bool{}}
	var titles []string
	for _, r := range reports {
		titles = append(titles, titleOf(r))
		d.begin(r)
		d.scan(r)
	}
	d.title = strings.Join(slices.Compact(titles), "  |  ")
	for i, r := range reports {
		d.begin(r)
		d.number, d.side = i, inBoth
		if len(reports) > 1 {
			d.side = side(1 << i)
		}
		d.add(r)
	}
	d.bundle()
	for _, n := range d.nodes {
		n.lines = n.text()
	}
	for _, e := range d.edges {
		e.lines = e.text()
	}
	d.makeLegend()
	return &d.graph
}

func titleOf(r *report.Report) string {
	return fmt.Sprintf("%s  %s  rules %s", hostText(r), time.Unix(0, r.At).UTC().Format(time.RFC3339Nano), r.Rules)
}

func hostText(r *report.Report) string { return shortened(cmp.Or(r.HostName, r.HostID)) }

// shortened cuts text so that it fits into a node.
func shortened(s string) string {
	const most = 64 // characters
	n := 0
	for at := range s {
		if n++; n > most {
			return s[:at] + "…"
		}
	}
	return s
}

// A drawer collects the nodes and edges of a graph. Its maps only find them again;
// order comes from the lists.
type drawer struct {
	graph
	frameAt map[string]int  // index in frames
	nodeAt  map[string]int  // index in nodes
	edgeAt  map[edgeKey]int // index in edges

	// what all reports together show
	netns     map[hostAddr]uint64 // the only network namespace seen with the address
	hostAddrs map[hostAddr]bool   // the host's own addresses
	servers   map[string]bool     // keys of endpoints that are a server of some connection
	zones     bool                // the connections of one of them are in different zones of conntrack

	// the current report
	number          int
	side            side
	host, hostLabel string
	namesOf         map[netip.Addr]*report.Names
}

// A hostAddr is an address as one host sees it.
type hostAddr struct {
	host string
	addr netip.Addr
}

// severalNetns replaces the namespace of an address that is in more than one.
const severalNetns = ^uint64(0)

// begin changes to another report.
func (d *drawer) begin(r *report.Report) {
	d.host, d.hostLabel, d.namesOf = r.HostID, hostText(r), fold.NamesByAddr(r)
}

// scan collects the namespaces of addresses, and which endpoints are servers.
func (d *drawer) scan(r *report.Report) {
	for i := range r.Names {
		if r.Names[i].Host != "" {
			d.hostAddrs[hostAddr{d.host, r.Names[i].Addr}] = true
		}
	}
	for i := range r.Connections {
		c := &r.Connections[i]
		for _, e := range [...]*report.End{&c.From, &c.To} {
			if e.Netns == 0 {
				continue
			}
			at := hostAddr{d.host, e.Addr.Addr()}
			if old := d.netns[at]; old == 0 || old == e.Netns {
				d.netns[at] = e.Netns
			} else {
				d.netns[at] = severalNetns
			}
		}
	}
	d.zones = d.zones || severalZones(r.Connections)
	for i := range r.Connections {
		d.servers[d.endpointKey(&r.Connections[i].To)] = true
	}
}

// netnsOf is the namespace of an end. If the connection does not have it, another
// connection of the same address may.
func (d *drawer) netnsOf(e *report.End) uint64 {
	if e.Netns != 0 || e.Addr.Addr().IsLoopback() {
		return e.Netns
	}
	if n := d.netns[hostAddr{d.host, e.Addr.Addr()}]; n != severalNetns {
		return n
	}
	return 0
}

func (d *drawer) endpointKey(e *report.End) string {
	return fmt.Sprintf("%d %s", d.frameOf(e), e.Addr)
}

// frameOf is the frame around an end: its namespace within its host. An address of
// unknown namespace is in no frame, except loopback and the host's own addresses.
func (d *drawer) frameOf(e *report.End) int {
	netns := d.netnsOf(e)
	if netns == 0 && !e.Addr.Addr().IsLoopback() && !d.hostAddrs[hostAddr{d.host, e.Addr.Addr()}] {
		return -1
	}
	host := d.frame("host "+d.host, "host "+d.hostLabel, -1)
	if netns == 0 {
		return host
	}
	return d.frame(fmt.Sprintf("netns %d %s", netns, d.host), fmt.Sprintf("network namespace %d", netns), host)
}

func (d *drawer) frame(key, label string, in int) int {
	return indexIn(&d.frames, d.frameAt, key, frame{label, in})
}

// add draws the connections of a report.
func (d *drawer) add(r *report.Report) {
	for i := range r.Connections {
		c := &r.Connections[i]
		from, to := d.end(&c.From), d.end(&c.To)
		key := edgeKey{from, to, lineOf(c.Direction), c.Closed, c.MayHaveClosed, 0}
		if d.zones {
			key.zone = c.Zone
		}
		d.connect(key)
		ofClient, ofServer := c.Aliases()
		for _, a := range ofClient {
			d.alias(from, a)
		}
		for _, a := range ofServer {
			d.alias(to, a)
		}
	}
}

// end returns the node of an end. The ports of a client are many and mean little:
// those of one process share a node.
func (d *drawer) end(e *report.End) int {
	key := d.endpointKey(e)
	server := d.servers[key]
	if !server {
		key = fmt.Sprintf("%d %s client", d.frameOf(e), e.Addr.Addr())
		for _, p := range e.Processes {
			key += " " + strconv.FormatUint(uint64(p.PID), 10)
		}
	}
	at := d.node(key, e.Addr)
	n := d.nodes[at]
	n.in, n.server = d.frameOf(e), server
	for _, p := range e.Processes {
		n.processes[p] = true
	}
	return at
}

func (d *drawer) node(key string, addr netip.AddrPort) int {
	at := indexIn(&d.nodes, d.nodeAt, key, &node{addr: addr.Addr(), ports: map[uint16]bool{}, processes: map[report.Process]bool{}, names: map[string]bool{}})
	n := d.nodes[at]
	n.ports[addr.Port()] = true
	n.side |= d.side
	if names := d.namesOf[addr.Addr()]; names != nil {
		for _, name := range slices.Concat(names.Forward, names.Reverse) {
			n.names[name] = true
		}
	}
	return at
}

// alias draws a translated address of an end, outside of the end's namespace. The
// line from a server leads to it, with its port; the line of a client comes from it.
func (d *drawer) alias(of int, addr netip.AddrPort) {
	end := d.nodes[of]
	key := fmt.Sprintf("alias %d %s", of, addr.Addr())
	if end.server {
		key = fmt.Sprintf("alias %d %s", of, addr)
	}
	at := d.node(key, addr)
	n := d.nodes[at]
	n.alias, n.in = true, end.in
	if n.in >= 0 && d.frames[n.in].in >= 0 {
		n.in = d.frames[n.in].in
	}
	if end.server {
		d.connect(edgeKey{from: of, to: at, line: lineAlias})
	} else {
		d.connect(edgeKey{from: at, to: of, line: lineAlias})
	}
}

func (d *drawer) connect(key edgeKey) {
	e := d.edges[indexIn(&d.edges, d.edgeAt, key, &edge{edgeKey: key})]
	e.count[d.number]++
	e.side |= d.side
}

// maxNames is how many names a node shows.
const maxNames = 3

func (n *node) text() []string {
	var lines []string
	for i, name := range slices.Sorted(maps.Keys(n.names)) {
		if i == maxNames {
			lines = append(lines, fmt.Sprintf("and %d more names", len(n.names)-i))
			break
		}
		lines = append(lines, shortened(name))
	}
	if n.more > 0 {
		lines = append(lines, fmt.Sprintf("%d addresses, one is", n.more+1))
	}
	switch {
	case len(n.ports) == 1 && (n.server || n.more == 0):
		for port := range n.ports {
			lines = append(lines, netip.AddrPortFrom(n.addr, port).String())
		}
	case n.more > 0:
		lines = append(lines, n.addr.String())
	default:
		lines = append(lines, fmt.Sprintf("%s, %d ports", n.addr, len(n.ports)))
	}
	if n.alias {
		return append(lines, "NAT")
	}
	if len(n.processes) > 0 {
		lines = append(lines, shortened(processesText(slices.SortedFunc(maps.Keys(n.processes), report.Process.Compare))))
	}
	return lines
}

func (e *edge) text() []string {
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
	if e.zone != 0 {
		lines = append(lines, fmt.Sprintf("zone %d", e.zone))
	}
	if e.closed {
		lines = append(lines, "closed")
	}
	if e.mayHaveClosed {
		lines = append(lines, "closed?")
	}
	return lines
}
