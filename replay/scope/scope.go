package scope

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topotape/topotape/reporter"
)

// AppendScopeJSON appends the report as Weave Scope's probe of 2016 would post
// it, in JSON, without a final newline.
func AppendScopeJSON(b []byte, r *reporter.Report) []byte {
	w := &scopeJSON{buf: b}
	(&scopeWriter{w, r, r.Scope()}).report()
	return w.buf
}

// AppendScopeMsgpack appends the same in MessagePack: what Scope's app takes
// at /api/report as application/msgpack.
func AppendScopeMsgpack(b []byte, r *reporter.Report) []byte {
	w := &scopeMsgpack{buf: b}
	(&scopeWriter{w, r, r.Scope()}).report()
	return w.buf
}

// scopeEncoding writes values one after the other. A map is its length, then
// keys and values in turn; a list its length, then its elements.
type scopeEncoding interface {
	openMap(pairs int)
	openList(elements int)
	text(string)
	number(uint64)
	no() // false
	null()
	moment(at int64) // Unix ns
}

// scopeWriter writes a report in the format of Weave Scope, whose structs are
// maps too. The keys of all maps are sorted.
type scopeWriter struct {
	scopeEncoding
	r    *reporter.Report
	view *reporter.ScopeReport
}

// scopeTopologies are those of a report of 2016, with the shape and the label
// that its app draws them with.
var scopeTopologies = []struct{ key, shape, label, plural string }{
	{"Container", "hexagon", "container", "containers"},
	{"ContainerImage", "hexagon", "image", "images"},
	{"Deployment", "heptagon", "deployment", "deployments"},
	{"Endpoint", "", "", ""},
	{"Host", "circle", "host", "hosts"},
	{"Overlay", "", "", ""},
	{"Pod", "heptagon", "pod", "pods"},
	{"Process", "square", "process", "processes"},
	{"ReplicaSet", "triangle", "replica set", "replica sets"},
	{"Service", "heptagon", "service", "services"},
}

// scopeNode is a node of any topology. Its other keys are always empty.
type scopeNode struct {
	reporter.ScopeNode
	topology string
	parents  []reporter.ScopeSet
}

func (w *scopeWriter) report() {
	nodes := map[string][]scopeNode{"Endpoint": w.endpoints(), "Host": {w.host()}, "Process": w.processes()}
	w.openMap(len(scopeTopologies) + 5)
	write := map[string]func(){
		"ID":       func() { w.text(w.id()) },
		"Plugins":  func() { w.openList(0) },
		"Sampling": func() { w.openMap(2); w.text("Count"); w.number(0); w.text("Total"); w.number(0) },
		"Shortcut": w.no,
		"Window":   func() { w.number(0) }, // a probe leaves it to the app
	}
	keys := []string{"ID", "Plugins", "Sampling", "Shortcut", "Window"}
	for _, t := range scopeTopologies {
		keys = append(keys, t.key)
		write[t.key] = func() { w.topology(t.shape, t.label, t.plural, nodes[t.key]) }
	}
	slices.Sort(keys)
	for _, k := range keys {
		w.text(k)
		write[k]()
	}
}

// id tells reports apart: the app keeps what it made of reports by their ids.
// The same report has the same one.
func (w *scopeWriter) id() string {
	sum := sha256.Sum256(w.r.AppendJSON(nil)) // the host and the tick are in it
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:])>>1, 10)
}

func (w *scopeWriter) topology(shape, label, plural string, nodes []scopeNode) {
	if shape == "" {
		w.openMap(1)
	} else {
		w.openMap(4)
		w.text("label")
		w.text(label)
		w.text("label_plural")
		w.text(plural)
	}
	w.text("nodes")
	w.openMap(len(nodes))
	for i := range nodes {
		w.text(nodes[i].ID)
		w.node(&nodes[i])
	}
	if shape != "" {
		w.text("shape")
		w.text(shape)
	}
}

func (w *scopeWriter) node(n *scopeNode) {
	w.openMap(11)
	w.text("adjacency")
	w.texts(n.Adjacency)
	w.text("children")
	w.null()
	w.empty("controls")
	w.empty("counters")
	w.text("edges")
	w.openMap(len(n.Adjacency))
	for _, id := range n.Adjacency {
		w.empty(id)
	}
	w.text("id")
	w.text(n.ID)
	w.text("latest")
	w.openMap(len(n.Latest))
	for _, v := range n.Latest {
		w.text(v.Key)
		w.openMap(2)
		w.text("timestamp")
		w.moment(v.At)
		w.text("value")
		w.text(v.Value)
	}
	w.empty("latestControls")
	w.text("parents")
	w.sets(n.parents)
	w.text("sets")
	w.sets(n.Sets)
	w.text("topology")
	w.text(n.topology)
}

func (w *scopeWriter) empty(key string) {
	w.text(key)
	w.openMap(0)
}

// texts are a list, null when it is empty.
func (w *scopeWriter) texts(list []string) {
	if len(list) == 0 {
		w.null()
		return
	}
	w.openList(len(list))
	for _, s := range list {
		w.text(s)
	}
}

func (w *scopeWriter) sets(list []reporter.ScopeSet) {
	w.openMap(len(list))
	for _, s := range list {
		w.text(s.Name)
		w.texts(s.Values)
	}
}

func (w *scopeWriter) endpoints() []scopeNode {
	out := make([]scopeNode, len(w.view.Nodes))
	for i, n := range w.view.Nodes {
		out[i] = scopeNode{ScopeNode: n, topology: "endpoint"}
	}
	return out
}

func (w *scopeWriter) hostNode() string { return w.view.HostID + ";<host>" }

// host is the node by whose local networks the app tells the internet from
// what is near.
func (w *scopeWriter) host() scopeNode {
	n := scopeNode{topology: "host", parents: w.inHost()}
	n.ID = w.hostNode()
	n.Latest = w.latest(w.view.At, "host_name", cmp.Or(w.view.HostName, w.view.HostID), "host_node_id", n.ID,
		"ts", time.Unix(0, w.view.At).UTC().Format(time.RFC3339Nano))
	if len(w.view.LocalNetworks) > 0 {
		n.Sets = []reporter.ScopeSet{{Name: "local_networks", Values: w.view.LocalNetworks}}
	}
	return n
}

func (w *scopeWriter) inHost() []reporter.ScopeSet {
	return []reporter.ScopeSet{{Name: "host", Values: []string{w.hostNode()}}}
}

// latest pairs keys with values, as they are all known at one time.
func (w *scopeWriter) latest(at int64, pairs ...string) []reporter.ScopeValue {
	var out []reporter.ScopeValue
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, reporter.ScopeValue{Key: pairs[i], Value: pairs[i+1], At: at})
	}
	return out
}

// processes are those that the endpoints name, and those of the connections.
func (w *scopeWriter) processes() []scopeNode {
	names := map[string]string{}
	for i := range w.view.Nodes {
		for _, v := range w.view.Nodes[i].Latest {
			if v.Key == "pid" {
				names[v.Value] = ""
			}
		}
	}
	for i := range w.r.Connections {
		c := &w.r.Connections[i]
		for _, e := range [...]*reporter.End{&c.From, &c.To} {
			for _, p := range e.Processes {
				names[strconv.FormatUint(uint64(p.PID), 10)] = p.Comm
			}
		}
	}
	var out []scopeNode
	for pid, name := range names {
		n := scopeNode{topology: "process", parents: w.inHost()}
		n.ID = w.view.HostID + ";" + pid
		n.Latest = w.latest(w.view.At, "host_node_id", w.hostNode(), "name", name, "pid", pid)
		if name == "" {
			n.Latest = slices.Delete(n.Latest, 1, 2)
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b scopeNode) int { return strings.Compare(a.ID, b.ID) })
	return out
}
