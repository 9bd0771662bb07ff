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
	d := &drawer{frames: map[string]int{}, boxes: map[string]*box{}, lines: map[lineKey]*boxLine{},
		netns: map[hostAddr]uint64{}, hostAddrs: map[hostAddr]bool{}, servers: map[string]bool{}}
	var titles []string
	for _, r := range reports {
		titles = append(titles, titleOf(r))
		d.begin(r)
		d.scan(r)
	}
	d.g.title = strings.Join(slices.Compact(titles), "  |  ")
	for i, r := range reports {
		d.begin(r)
		d.number, d.side = i, inBoth
		if len(reports) > 1 {
			d.side = side(1 << i)
		}
		d.add(r)
	}
	d.bundle()
	return d.graph()
}

func titleOf(r *report.Report) string {
	return fmt.Sprintf("%s  %s  rules %s", hostText(r), time.Unix(0, r.At).UTC().Format(time.RFC3339Nano), r.Rules)
}

func hostText(r *report.Report) string { return shortened(cmp.Or(r.HostName, r.HostID)) }

// shortened cuts text so that it fits into a box.
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

// drawer collects boxes and the lines between them. Its maps only find them again;
// order comes from the lists.
type drawer struct {
	g        graph
	frames   map[string]int // index in g.frames
	boxes    map[string]*box
	boxList  []*box
	lines    map[lineKey]*boxLine
	lineList []*boxLine

	// what all reports together show
	netns     map[hostAddr]uint64 // the only network namespace seen with the address
	hostAddrs map[hostAddr]bool   // the host's own addresses
	servers   map[string]bool     // keys of endpoints that are a server of some connection

	// the current report
	number          int
	side            side
	host, hostLabel string
	names           map[netip.Addr]*report.Names
}

// A hostAddr is an address as one host sees it.
type hostAddr struct {
	host string
	addr netip.Addr
}

// severalNetns replaces the namespace of an address that is in more than one.
const severalNetns = ^uint64(0)

// A box becomes a node: a server's address and port, or the ports that one process
// or one address uses as a client.
type box struct {
	at        int // index in boxList
	frame     int
	addr      netip.Addr
	more      int // addresses that look the same and share this box
	server    bool
	ports     map[uint16]bool
	processes map[report.Process]bool
	names     map[string]bool
	alias     bool
	side      side
}

// A lineKey is what distinguishes the lines of two boxes.
type lineKey struct {
	from, to              int // indexes in boxList
	line                  line
	closed, mayHaveClosed bool
}

// A boxLine becomes an edge. It counts its connections, for each report.
type boxLine struct {
	lineKey
	count [2]int
	side  side
}

// begin changes to another report.
func (d *drawer) begin(r *report.Report) {
	d.host, d.hostLabel, d.names = r.HostID, hostText(r), fold.NamesByAddr(r)
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
	at, ok := d.frames[key]
	if !ok {
		at = len(d.g.frames)
		d.frames[key] = at
		d.g.frames = append(d.g.frames, frame{label, in})
	}
	return at
}

// add draws the connections of a report.
func (d *drawer) add(r *report.Report) {
	for i := range r.Connections {
		c := &r.Connections[i]
		from, to := d.end(&c.From), d.end(&c.To)
		d.connect(lineKey{from.at, to.at, lineOf(c.Direction), c.Closed, c.MayHaveClosed})
		ofClient, ofServer := c.Aliases()
		for _, a := range ofClient {
			d.alias(from, &c.From, a)
		}
		for _, a := range ofServer {
			d.alias(to, &c.To, a)
		}
	}
}

// end returns the box of an end. The ports of a client are many and mean little:
// those of one process share a box.
func (d *drawer) end(e *report.End) *box {
	key := d.endpointKey(e)
	server := d.servers[key]
	if !server {
		key = fmt.Sprintf("%d %s client", d.frameOf(e), e.Addr.Addr())
		for _, p := range e.Processes {
			key += " " + strconv.FormatUint(uint64(p.PID), 10)
		}
	}
	n := d.box(key, e.Addr)
	n.frame, n.server = d.frameOf(e), server
	for _, p := range e.Processes {
		n.processes[p] = true
	}
	return n
}

func (d *drawer) box(key string, addr netip.AddrPort) *box {
	n := d.boxes[key]
	if n == nil {
		n = &box{at: len(d.boxList), frame: -1, addr: addr.Addr(), ports: map[uint16]bool{}, processes: map[report.Process]bool{}, names: map[string]bool{}}
		d.boxes[key] = n
		d.boxList = append(d.boxList, n)
	}
	n.ports[addr.Port()] = true
	n.side |= d.side
	if names := d.names[addr.Addr()]; names != nil {
		for _, name := range slices.Concat(names.Forward, names.Reverse) {
			n.names[name] = true
		}
	}
	return n
}

// alias draws a translated address of an end, outside of the end's namespace. The
// line from a server leads to it, with its port; the line of a client comes from it.
func (d *drawer) alias(of *box, e *report.End, addr netip.AddrPort) {
	server := d.servers[d.endpointKey(e)]
	key := fmt.Sprintf("alias %d %s", of.at, addr.Addr())
	if server {
		key = fmt.Sprintf("alias %d %s", of.at, addr)
	}
	n := d.box(key, addr)
	n.alias, n.frame = true, of.frame
	if n.frame >= 0 && d.g.frames[n.frame].in >= 0 {
		n.frame = d.g.frames[n.frame].in
	}
	if server {
		d.connect(lineKey{from: of.at, to: n.at, line: lineAlias})
	} else {
		d.connect(lineKey{from: n.at, to: of.at, line: lineAlias})
	}
}

func (d *drawer) connect(key lineKey) {
	l := d.lines[key]
	if l == nil {
		l = &boxLine{lineKey: key}
		d.lines[key] = l
		d.lineList = append(d.lineList, l)
	}
	l.count[d.number]++
	l.side |= d.side
}

// graph writes the texts of all boxes and lines.
func (d *drawer) graph() *graph {
	for _, n := range d.boxList {
		d.g.nodes = append(d.g.nodes, node{lines: n.text(), in: n.frame, alias: n.alias, side: n.side})
	}
	for _, l := range d.lineList {
		d.g.edges = append(d.g.edges, edge{from: l.from, to: l.to, lines: l.text(), line: l.line, closed: l.closed, side: l.side})
	}
	d.g.makeLegend()
	return &d.g
}

// maxNames is how many names a box shows.
const maxNames = 3

func (n *box) text() []string {
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

func (l *boxLine) text() []string {
	if l.line == lineAlias {
		return nil
	}
	var lines []string
	a, b := l.count[0], l.count[1]
	switch {
	case l.side == inBoth && b > 0 && a != b:
		lines = append(lines, fmt.Sprintf("%d, then %d connections", a, b))
	case max(a, b) > 1:
		lines = append(lines, fmt.Sprintf("%d connections", max(a, b)))
	}
	if l.closed {
		lines = append(lines, "closed")
	}
	if l.mayHaveClosed {
		lines = append(lines, "closed?")
	}
	return lines
}
