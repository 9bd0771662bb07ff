package reporter

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// A scopeModel implements the rules of scope2016 in the plainest way: with texts, maps
// and merges of whole nodes, in which each key has the stamp of when it was set. It is
// slow, and its inputs are not records.
type scopeModel struct {
	hostID string
	local  []*net.IPNet
	now    int64 // ns

	flows, nat *modelWalker
	text       string
	owners     map[uint64]modelOwner
	snooped    map[string]map[string]bool
	order      []string // of snooped, in the order in which they were first learnt
	reverse    []modelAnswer

	stamps int                  // the last stamp in a report
	plain  map[string]modelNode // the last report before NAT
}

// A modelFlow is one element of conntrack's output.
type modelFlow struct {
	typ         string // new, update, destroy or dump
	id          int
	proto       string
	state       string // "" for none
	orig, reply modelTuple
	nat         bool // --any-nat shows it
}

type modelTuple struct {
	src, dst     string
	sport, dport int
}

type modelOwner struct {
	pid   int
	netns uint64
}

type modelAnswer struct {
	addr  string
	names []string
	at    int64
}

// A modelTable is one table of a walk.
type modelTable struct {
	netns  uint64
	name   string
	text   string
	absent bool
}

// A modelList is one socket of one process in a walk.
type modelList struct {
	netns uint64
	inode uint64
	pid   int
}

type modelNode struct {
	latest    map[string]modelValue
	sets      map[string]map[string]bool
	adjacency map[string]bool
}

type modelValue struct {
	value string
	stamp int
}

// A modelWalker is one conntrack process of the original.
type modelWalker struct {
	active   map[int]modelFlow
	buffered []modelFlow
}

func newScopeModel(hostID string, local []string) *scopeModel {
	m := &scopeModel{hostID: hostID, snooped: map[string]map[string]bool{},
		flows: &modelWalker{active: map[int]modelFlow{}}, nat: &modelWalker{active: map[int]modelFlow{}}}
	m.setLocal(local)
	return m
}

func (m *scopeModel) setLocal(networks []string) {
	m.local = nil
	for _, n := range networks {
		if _, network, err := net.ParseCIDR(n); err == nil {
			m.local = append(m.local, network)
		}
	}
}

func (m *scopeModel) flow(f modelFlow) {
	if f.proto != "tcp" {
		return
	}
	m.flows.flow(f)
	if f.nat {
		m.nat.flow(f)
	}
}

func (w *modelWalker) flow(f modelFlow) {
	stored, active := w.active[f.id]
	switch f.typ {
	case "update", "dump":
		if f.state != "TIME_WAIT" {
			w.active[f.id] = f
		} else if active {
			delete(w.active, f.id)
			w.buffered = append(w.buffered, f)
		}
	case "destroy":
		if active {
			delete(w.active, f.id)
			w.buffered = append(w.buffered, stored)
		}
	}
}

// gap ends both conntrack processes.
func (m *scopeModel) gap() {
	for _, w := range []*modelWalker{m.flows, m.nat} {
		for _, id := range slices.Sorted(maps.Keys(w.active)) {
			w.buffered = append(w.buffered, w.active[id])
		}
		w.active = map[int]modelFlow{}
	}
}

func (w *modelWalker) walk() []modelFlow {
	var list []modelFlow
	for _, id := range slices.Sorted(maps.Keys(w.active)) {
		list = append(list, w.active[id])
	}
	list = append(list, w.buffered...)
	w.buffered = nil
	return list
}

// walk is one finished walk of /proc.
func (m *scopeModel) walk(tables []modelTable, lists []modelList) {
	m.text = ""
	m.owners = map[uint64]modelOwner{}
	unread := map[uint64]bool{}
	for _, t := range tables {
		m.text += t.text
		unread[t.netns] = unread[t.netns] || t.absent
	}
	for _, l := range lists {
		if !unread[l.netns] {
			m.owners[l.inode] = modelOwner{l.pid, l.netns}
		}
	}
}

// A modelMessage is a DNS message.
type modelMessage struct {
	response  bool
	rcode     int
	questions []modelQuestion
	records   []modelRecord // answers, then additionals
}

type modelQuestion struct {
	name        string
	typ, class_ int
}

type modelRecord struct {
	owner       string
	typ, class_ int
	target      string // of a CNAME
	ip          net.IP // of an A
}

func (m *scopeModel) dns(d modelMessage) {
	if !d.response || d.rcode != 0 || len(d.questions) != 1 || d.questions[0].typ != 1 || d.questions[0].class_ != 1 {
		return
	}
	names := []string{d.questions[0].name}
	for _, r := range d.records {
		if r.typ == 5 && r.class_ == 1 && r.owner == names[0] {
			names = append(names, r.target)
			break
		}
	}
	for _, r := range d.records {
		if r.typ != 1 || r.class_ != 1 || !slices.Contains(names, r.owner) {
			continue
		}
		ip := r.ip.String()
		if m.snooped[ip] == nil {
			if len(m.order) == 10000 {
				delete(m.snooped, m.order[0])
				m.order = m.order[1:]
			}
			m.snooped[ip] = map[string]bool{}
			m.order = append(m.order, ip)
		}
		m.snooped[ip][names[0]] = true
	}
}

func (m *scopeModel) answer(addr string, names []string, failed bool) {
	kept := m.reverse[:0]
	for _, a := range m.reverse {
		if m.now-a.at <= int64(30*60*1e9) {
			kept = append(kept, a)
		}
	}
	m.reverse = kept
	if m.lookup(addr) != nil {
		return
	}
	a := modelAnswer{addr: addr, at: m.now}
	for _, n := range names {
		if !failed {
			a.names = append(a.names, strings.TrimRight(n, "."))
		}
	}
	if len(m.reverse) == 500 {
		m.reverse = m.reverse[1:]
	}
	m.reverse = append(m.reverse, a)
}

func (m *scopeModel) lookup(addr string) *modelAnswer {
	for i := range m.reverse {
		if a := &m.reverse[i]; a.addr == addr && m.now-a.at <= int64(30*60*1e9) {
			return a
		}
	}
	return nil
}

// report makes the Endpoint topology, and sets m.plain.
func (m *scopeModel) report() map[string]modelNode {
	m.stamps = 0
	nodes := map[string]modelNode{}
	seen := map[string]modelTuple{}
	for _, f := range m.flows.walk() {
		t := f.orig
		if f.orig.dst != f.reply.src {
			t = f.reply.reversed()
		}
		seen[t.key()] = t
		marks := map[string]string{"conntracked": "true"}
		m.connection(nodes, t, "", marks, marks)
	}
	m.rows(nodes, seen)
	m.plain = map[string]modelNode{}
	for id, n := range nodes {
		m.plain[id] = n
	}
	for _, f := range m.nat.walk() {
		real, realPort, shown, shownPort := f.orig.src, f.orig.sport, f.reply.dst, f.reply.dport
		if f.orig.src == f.reply.dst {
			real, realPort, shown, shownPort = f.reply.src, f.reply.sport, f.orig.dst, f.orig.dport
		}
		id := m.id("", real, realPort)
		if n, ok := nodes[id]; ok {
			n = m.set(n, map[string]string{"addr": shown, "port": strconv.Itoa(shownPort), "copy_of": id})
			m.add(nodes, m.id("", shown, shownPort), n)
		}
	}
	return nodes
}

func (m *scopeModel) connection(nodes map[string]modelNode, t modelTuple, netns string, from, to map[string]string) {
	client, server := m.node(t.src, t.sport, from), m.node(t.dst, t.dport, to)
	client.adjacency = map[string]bool{m.id(netns, t.dst, t.dport): true}
	m.add(nodes, m.id(netns, t.src, t.sport), client)
	m.add(nodes, m.id(netns, t.dst, t.dport), server)
}

func (m *scopeModel) node(addr string, port int, more map[string]string) modelNode {
	n := m.set(modelNode{}, map[string]string{"addr": addr, "port": strconv.Itoa(port)})
	n.sets = map[string]map[string]bool{}
	if names := m.snooped[addr]; len(names) > 0 {
		n.sets["snooped_dns_names"] = maps.Clone(names)
	}
	if a := m.lookup(addr); a != nil && len(a.names) > 0 {
		n.sets["reverse_dns_names"] = map[string]bool{}
		for _, name := range a.names {
			n.sets["reverse_dns_names"][name] = true
		}
	}
	return m.set(n, more)
}

// set sets keys to new values, all with one new stamp.
func (m *scopeModel) set(n modelNode, values map[string]string) modelNode {
	m.stamps++
	n.latest = maps.Clone(n.latest)
	if n.latest == nil {
		n.latest = map[string]modelValue{}
	}
	for k, v := range values {
		n.latest[k] = modelValue{v, m.stamps}
	}
	return n
}

// add merges a node into the node of an id.
func (m *scopeModel) add(nodes map[string]modelNode, id string, n modelNode) {
	out := modelNode{map[string]modelValue{}, map[string]map[string]bool{}, map[string]bool{}}
	for _, part := range []modelNode{nodes[id], n} {
		for k, v := range part.latest {
			if v.stamp > out.latest[k].stamp {
				out.latest[k] = v
			}
		}
		for k, set := range part.sets {
			if out.sets[k] == nil {
				out.sets[k] = map[string]bool{}
			}
			maps.Copy(out.sets[k], set)
		}
		maps.Copy(out.adjacency, part.adjacency)
	}
	nodes[id] = out
}

func (t modelTuple) reversed() modelTuple { return modelTuple{t.dst, t.src, t.dport, t.sport} }

func (t modelTuple) key() string {
	ends := []string{t.src + ":" + strconv.Itoa(t.sport), t.dst + ":" + strconv.Itoa(t.dport)}
	slices.Sort(ends)
	return strings.Join(ends, " ")
}

func (m *scopeModel) id(netns, addr string, port int) string {
	scope := ""
	if ip := net.ParseIP(addr); ip != nil {
		local := slices.ContainsFunc(m.local, func(n *net.IPNet) bool { return n.Contains(ip) })
		switch {
		case local:
			scope = m.hostID
		case ip.IsLoopback():
			scope = m.hostID
			if netns != "" {
				scope += "-" + netns
			}
		}
	}
	return scope + ";" + addr + ";" + strconv.Itoa(port)
}
