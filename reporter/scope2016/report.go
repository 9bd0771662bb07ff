package scope2016

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// A node is a node of the original's Endpoint topology while a report is made.
//
// The original stamped each key of a node's metadata with the time at which it was
// set. When it merged two nodes with one id, the later stamp won. Only two keys ever
// differ between such nodes: the process and copy_of. A copy sets copy_of again, so
// the last one counts. A copy's process has the stamp of the node that it was copied
// from: here the number of the row that set it.
type node struct {
	addr        netip.AddrPort // an address that could not be read is invalid: "<nil>"
	netns       uint64         // part of the id; 0 for most addresses
	local       bool           // the id begins with the host's id
	conntracked bool
	procspied   bool
	owner       owner
	ownerRow    int       // from 1; 0 without a process
	copyOf      int       // index of a node; -1 for none
	servers     *indexSet // nodes that this one is a client of
	names       *indexSet // namedAddrs
}

type nodeKey struct {
	addr  netip.AddrPort
	netns uint64
}

// An observation is one flow or one socket row that shows a connection between two
// nodes.
type observation struct {
	from, to    int // indexes of nodes, the client first
	first, last int64
	state       string
	row         bool // a socket row, not a flow
	ended       bool
}

// A namedAddr is an address that has names.
type namedAddr struct {
	addr             netip.Addr
	forward, reverse []string
}

// A topology is one report while it is made.
type topology struct {
	machine      *Machine
	nodes        []node
	index        map[nodeKey]int // of nodes
	observations []observation
	named        []namedAddr
	nameSets     map[netip.Addr]*indexSet // the address alone; nil if it has no names
	ids          []string                 // of nodes
	order        []int                    // nodes, sorted by id
	rank         []int                    // of nodes: their places in order
}

// Report returns the report of the last tick.
func (m *Machine) Report() *report.Report {
	n := len(m.flows.active) + len(m.flows.shown) + len(m.proc.rows) // observations
	t := &topology{machine: m, nodes: make([]node, 0, 2*n), index: make(map[nodeKey]int, 2*n), observations: make([]observation, 0, n),
		nameSets: make(map[netip.Addr]*indexSet)}
	t.observe()
	r := &report.Report{HostID: m.hostID, HostName: m.host}
	m.ticks.Set(r, m.wall)
	real := len(t.nodes) // the nodes that copyNodes adds are copies
	processes := t.processes()
	r.Connections = t.connections(processes)
	aliases := t.copyNodes(real)
	t.assignIDs()
	r.Endpoints = t.endpoints(processes, aliases)
	r.Names = t.names(r)
	r.Coverage = m.sources.Coverage(&m.ticks, "", "")
	r.HostEvents = m.sources.HostEvents(&m.ticks, m.wall)
	r.SetScope(t.view(r))
	return r
}

// node returns the index of an end's node. It adds the node if there is none.
func (t *topology) node(addr netip.AddrPort, netns uint64) (at int, added bool) {
	key, local := t.key(addr, netns)
	if at, ok := t.index[key]; ok {
		return at, false
	}
	at = len(t.nodes)
	t.index[key] = at
	t.nodes = append(t.nodes, node{addr: addr, netns: key.netns, local: local, copyOf: -1})
	return at, true
}

// key returns what identifies a node. An address in a local network is scoped to the
// host, any other loopback address to the host and the namespace.
func (t *topology) key(addr netip.AddrPort, netns uint64) (k nodeKey, local bool) {
	switch a := addr.Addr(); {
	case t.machine.isLocal(a):
		return nodeKey{addr, 0}, true
	case a.IsLoopback():
		return nodeKey{addr, netns}, true
	}
	return nodeKey{addr, 0}, false
}

// observe adds the nodes and the observation of every flow and every row, and then
// the servers of every node.
func (t *topology) observe() {
	clientFirst := make(map[tuple]tuple, len(t.machine.flows.active)) // by undirected tuple
	t.machine.flows.each(func(f *flow, ended bool) {
		drawn := f.tuple()
		clientFirst[drawn.undirected()] = drawn
		state := ""
		if f.hasState {
			state = f.state.String()
		}
		from, to := t.endNode(drawn.src, 0), t.endNode(drawn.dst, 0)
		t.nodes[from].conntracked, t.nodes[to].conntracked = true, true
		t.observations = append(t.observations, observation{from: from, to: to, first: f.first, last: f.last, state: state, ended: ended})
	})
	for i := range t.machine.proc.rows {
		row := &t.machine.proc.rows[i]
		from, to := t.endNode(row.src, row.owner.netns), t.endNode(row.dst, row.owner.netns)
		if local := &t.nodes[from]; row.owner.pid > 0 {
			local.owner, local.ownerRow = row.owner, i+1
		}
		t.nodes[from].procspied, t.nodes[to].procspied = true, true
		// A flow shows which end is the client. Without one it is the end with the
		// higher port or, if the ports are equal, the local end.
		drawn, known := clientFirst[row.undirected()]
		if known && drawn != row.tuple || !known && row.src.Port() < row.dst.Port() {
			from, to = to, from
		}
		t.observations = append(t.observations, observation{from: from, to: to, first: row.first, last: t.machine.proc.read, state: "ESTABLISHED", row: true})
	}
	t.addServers()
}

// undirected returns the same tuple for both directions of a connection.
func (t tuple) undirected() tuple {
	if t.dst.Compare(t.src) < 0 {
		return t.reversed()
	}
	return t
}

// endNode returns the index of an end's node, which has the names of its address.
func (t *topology) endNode(addr netip.AddrPort, netns uint64) int {
	at, added := t.node(addr, netns)
	if added {
		t.nodes[at].names = t.nameSet(addr.Addr())
	}
	return at
}

// nameSet returns the set with the address alone, nil if the address has no names.
func (t *topology) nameSet(a netip.Addr) *indexSet {
	if s, ok := t.nameSets[a]; ok {
		return s
	}
	var s *indexSet
	n := namedAddr{a, t.machine.snooped.of(a), t.machine.reversed.of(a, t.machine.ticks.At)}
	if len(n.forward) > 0 || len(n.reverse) > 0 {
		s = &indexSet{list: []int{len(t.named)}, shared: true}
		t.named = append(t.named, n)
	}
	t.nameSets[a] = s
	return s
}

// addServers sorts the observations by client and server, and gives each client its
// servers.
func (t *topology) addServers() {
	slices.SortStableFunc(t.observations, func(a, b observation) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	for i, o := range t.observations {
		if i > 0 && t.observations[i-1].from == o.from && t.observations[i-1].to == o.to {
			continue
		}
		client := &t.nodes[o.from]
		if client.servers == nil {
			client.servers = new(indexSet)
		}
		client.servers.list = append(client.servers.list, o.to)
	}
}

// copyNodes copies the node of each translated address to the address that NAT shows
// instead. It returns these addresses for each of the first n nodes. Flows come in the
// order of flows.each; a later flow can copy a copy.
func (t *topology) copyNodes(n int) [][]netip.AddrPort {
	aliases := make([][]netip.AddrPort, n)
	type pair struct{ from, to int }
	type lengths struct{ servers, names int } // of the sets when they were last copied
	done := make(map[pair]lengths)
	t.machine.nat.each(func(f *flow, _ bool) {
		addr, shown := f.mapping()
		key, _ := t.key(addr, 0)
		real, ok := t.index[key]
		if !ok {
			return
		}
		copied, _ := t.node(shown, 0)
		to, from := &t.nodes[copied], &t.nodes[real]
		to.copyOf = real
		if real == copied {
			return
		}
		to.conntracked = to.conntracked || from.conntracked
		to.procspied = to.procspied || from.procspied
		if from.ownerRow > to.ownerRow {
			to.owner, to.ownerRow = from.owner, from.ownerRow
		}
		before, again := done[pair{real, copied}]
		done[pair{real, copied}] = lengths{addAll(&to.servers, from.servers, before.servers), addAll(&to.names, from.names, before.names)}
		if real < n && !again {
			aliases[real] = append(aliases[real], shown)
		}
	})
	return aliases
}

// assignIDs makes the ids, and the order of the nodes by them.
func (t *topology) assignIDs() {
	t.ids = make([]string, len(t.nodes))
	t.order = make([]int, len(t.nodes))
	t.rank = make([]int, len(t.nodes))
	for i := range t.nodes {
		n := &t.nodes[i]
		t.ids[i], t.order[i] = t.scopeOf(n)+";"+n.addrText()+";"+n.portText(), i
	}
	slices.SortFunc(t.order, func(a, b int) int { return strings.Compare(t.ids[a], t.ids[b]) })
	for rank, at := range t.order {
		t.rank[at] = rank
	}
}

// scopeOf returns the first part of a node's id.
func (t *topology) scopeOf(n *node) string {
	switch {
	case !n.local:
		return ""
	case n.netns == 0:
		return t.machine.hostID
	}
	return t.machine.hostID + "-" + strconv.FormatUint(n.netns, 10)
}

func (n *node) addrText() string {
	if a := n.addr.Addr(); a.IsValid() {
		return a.String()
	}
	return "<nil>"
}

func (n *node) portText() string { return strconv.Itoa(int(n.addr.Port())) }
