package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/capture"
)

// A ScopeInput is what Scope needs from the tape in addition to the other fields of a
// report.
type ScopeInput struct {
	Start         int64          // Unix ns at the recording's start, after all steps of the wall clock
	HostScoped    []netip.Prefix // networks whose addresses are scoped to the host
	LocalNetworks []string       // all local networks, sorted
}

// SetScope sets the view of Weave Scope. The rules of 2016 make their own view; the view of
// a report of the current rules is derived from its other fields.
func (r *Report) SetScope(s *ScopeReport) { r.scope = s }

// A viewBuilder makes the view of Scope from the connections of a report.
type viewBuilder struct {
	r     *Report
	index map[string]int // into nodes, by id
	nodes []viewNode
}

// A viewNode is a node while the view is made. Times are ns since the recording's
// start; -1 means never.
type viewNode struct {
	ScopeNode
	addr       netip.AddrPort
	seen       int64 // last, by any source
	conntrack  int64 // last seen by conntrack
	proc       int64 // last seen in /proc
	pid        uint32
	owned      int64 // last seen with a process
	copyOf     int   // index of the node that NAT shows at this address; -1 for none
	copiedLast int64 // last seen of the node that it is a copy of
}

// deriveScope makes the view of Scope from a report of the current rules. Only real ends
// have adjacencies. A copy has none, so that no connection counts twice.
func (r *Report) deriveScope() *ScopeReport {
	v := &viewBuilder{r: r, index: make(map[string]int)}
	for i := range r.Connections {
		v.connection(&r.Connections[i])
	}
	for i := range r.Connections {
		v.copies(&r.Connections[i])
	}
	names := make(map[netip.Addr]*Names, len(r.Names))
	for i := range r.Names {
		names[r.Names[i].Addr] = &r.Names[i]
	}
	s := &ScopeReport{HostID: r.HostID, HostName: r.HostName, LocalNetworks: r.ScopeInput.LocalNetworks, At: r.At, Nodes: make([]ScopeNode, len(v.nodes))}
	for i := range v.nodes {
		s.Nodes[i] = v.finish(&v.nodes[i], names)
	}
	slices.SortFunc(s.Nodes, func(a, b ScopeNode) int { return strings.Compare(a.ID, b.ID) })
	return s
}

// id returns scope;addr;port. An address of a local network is scoped to the host,
// because another host may have the same one; a loopback address is scoped to the host
// and the namespace.
func (v *viewBuilder) id(addr netip.AddrPort, netns uint64) string {
	scope, a := "", addr.Addr()
	switch {
	case slices.ContainsFunc(v.r.ScopeInput.HostScoped, func(p netip.Prefix) bool { return p.Contains(a) }):
		scope = v.r.HostID
	case a.IsLoopback():
		scope = v.r.HostID
		if netns != 0 {
			scope += "-" + strconv.FormatUint(netns, 10)
		}
	}
	return scope + ";" + a.String() + ";" + strconv.Itoa(int(addr.Port()))
}

// node returns the index of an address's node. It adds the node if there is none.
func (v *viewBuilder) node(addr netip.AddrPort, netns uint64) (at int, known bool) {
	id := v.id(addr, netns)
	at, known = v.index[id]
	if !known {
		at = len(v.nodes)
		v.index[id] = at
		v.nodes = append(v.nodes, viewNode{ScopeNode: ScopeNode{ID: id}, addr: addr, seen: -1, conntrack: -1, proc: -1, owned: -1, copyOf: -1})
	}
	return at, known
}

func (v *viewBuilder) connection(c *Connection) {
	from, to := v.end(c, &c.From), v.end(c, &c.To)
	n := &v.nodes[from]
	n.Adjacency = append(n.Adjacency, v.nodes[to].ID)
}

func (v *viewBuilder) end(c *Connection, e *End) int {
	at, _ := v.node(e.Addr, e.Netns)
	n := &v.nodes[at]
	n.seen = max(n.seen, c.LastSeen)
	if slices.Contains(c.Seen, capture.SourceConntrack) {
		n.conntrack = max(n.conntrack, c.LastSeen)
	}
	if slices.Contains(c.Seen, capture.SourceProc) {
		n.proc = max(n.proc, c.LastSeen)
	}
	if len(e.Processes) > 0 {
		if pid := e.Processes[0].PID; n.owned < 0 || pid < n.pid {
			n.pid = pid
		}
		n.owned = max(n.owned, c.LastSeen)
	}
	return at
}

// copies adds a node for each address that NAT shows instead of an end. A real end is
// never a copy. An address that NAT shows instead of several ends is a copy of the one
// seen last; if several were seen last, of the first one by id.
func (v *viewBuilder) copies(c *Connection) {
	from, to := c.Aliases()
	for _, shown := range from {
		v.copy(&c.From, shown, c.LastSeen)
	}
	for _, shown := range to {
		v.copy(&c.To, shown, c.LastSeen)
	}
}

func (v *viewBuilder) copy(of *End, shown netip.AddrPort, seen int64) {
	real := v.index[v.id(of.Addr, of.Netns)]
	at, known := v.node(shown, of.Netns)
	n := &v.nodes[at]
	if known && n.copyOf < 0 {
		return
	}
	if !known || cmp.Or(cmp.Compare(seen, n.copiedLast), strings.Compare(v.nodes[n.copyOf].ID, v.nodes[real].ID)) > 0 {
		n.copyOf, n.copiedLast = real, seen
	}
}

// finish makes a node of the view. A copy has the metadata of one end, the one that it
// is a copy of, but the names of its own address.
func (v *viewBuilder) finish(n *viewNode, names map[netip.Addr]*Names) ScopeNode {
	from := n
	if n.copyOf >= 0 {
		from = &v.nodes[n.copyOf]
	}
	out := n.ScopeNode
	add := func(key, value string, at int64) {
		if at >= 0 {
			out.Latest = append(out.Latest, ScopeValue{key, value, v.r.ScopeInput.Start + at})
		}
	}
	add("addr", n.addr.Addr().String(), from.seen)
	add("conntracked", "true", from.conntrack)
	if n.copyOf >= 0 {
		add("copy_of", from.ID, n.copiedLast)
	}
	add("host_node_id", v.r.HostID+";<host>", from.owned)
	add("pid", strconv.FormatUint(uint64(from.pid), 10), from.owned)
	add("port", strconv.Itoa(int(n.addr.Port())), from.seen)
	add("procspied", "true", from.proc)
	if known := names[n.addr.Addr()]; known != nil {
		if len(known.Reverse) > 0 {
			out.Sets = append(out.Sets, ScopeSet{"reverse_dns_names", known.Reverse})
		}
		if len(known.Forward) > 0 {
			out.Sets = append(out.Sets, ScopeSet{"snooped_dns_names", known.Forward})
		}
	}
	slices.Sort(out.Adjacency)
	out.Adjacency = slices.Compact(out.Adjacency)
	return out
}
