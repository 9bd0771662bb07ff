package scope

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topotape/topotape/reporter/report"
)

// AppendJSON appends the report in JSON, without a final newline. Scope's app accepts
// it at /api/report as application/json.
func AppendJSON(b []byte, r *report.Report) []byte {
	e := &jsonEncoder{buf: b}
	(&writer{e, r, r.Scope()}).report()
	return e.buf
}

// AppendMsgpack appends the same in MessagePack, which the app accepts as
// application/msgpack.
func AppendMsgpack(b []byte, r *report.Report) []byte {
	e := &msgpackEncoder{buf: b}
	(&writer{e, r, r.Scope()}).report()
	return e.buf
}

// An encoder writes one value for each call. After openMap follow the keys and
// values in turn, after openList the elements. Maps and lists end by their length.
type encoder interface {
	openMap(pairs int)
	openList(elements int)
	text(string)
	number(uint64)
	boolFalse()
	null()
	time(at int64) // Unix ns
}

// A writer passes a report to an encoder. The keys of all maps are sorted.
type writer struct {
	encoder
	r    *report.Report
	view *report.ScopeReport
}

// topologies are the topologies of a report of 2016, each with the shape and the
// label by which the app draws its nodes.
var topologies = []struct{ key, shape, label, plural string }{
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

// A node is a node of any topology. The fields of a Scope node that are not here are
// always empty.
type node struct {
	report.ScopeNode
	topology string
	parents  []report.ScopeSet
}

func (w *writer) report() {
	nodes := map[string][]node{"Endpoint": w.endpoints(), "Host": {w.host()}, "Process": w.processes()}
	w.openMap(len(topologies) + 5)
	write := map[string]func(){
		"ID":       func() { w.text(w.id()) },
		"Plugins":  func() { w.openList(0) },
		"Sampling": func() { w.openMap(2); w.text("Count"); w.number(0); w.text("Total"); w.number(0) },
		"Shortcut": w.boolFalse,
		"Window":   func() { w.number(0) }, // the app fills it in
	}
	keys := []string{"ID", "Plugins", "Sampling", "Shortcut", "Window"}
	for _, t := range topologies {
		keys = append(keys, t.key)
		write[t.key] = func() { w.topology(t.shape, t.label, t.plural, nodes[t.key]) }
	}
	slices.Sort(keys)
	for _, k := range keys {
		w.text(k)
		write[k]()
	}
}

// id identifies the report: the app caches what it made of a report under this id.
// Equal reports have equal ids.
func (w *writer) id() string {
	sum := sha256.Sum256(w.r.AppendJSON(nil)) // the host and the tick are in it
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:])>>1, 10)
}

func (w *writer) topology(shape, label, plural string, nodes []node) {
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

func (w *writer) node(n *node) {
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
		w.time(v.At)
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

func (w *writer) empty(key string) {
	w.text(key)
	w.openMap(0)
}

// texts writes a list of strings, or null if it is empty.
func (w *writer) texts(list []string) {
	if len(list) == 0 {
		w.null()
		return
	}
	w.openList(len(list))
	for _, s := range list {
		w.text(s)
	}
}

func (w *writer) sets(list []report.ScopeSet) {
	w.openMap(len(list))
	for _, s := range list {
		w.text(s.Name)
		w.texts(s.Values)
	}
}

func (w *writer) endpoints() []node {
	out := make([]node, len(w.view.Nodes))
	for i, n := range w.view.Nodes {
		out[i] = node{ScopeNode: n, topology: "endpoint"}
	}
	return out
}

func (w *writer) hostNode() string { return w.view.HostID + ";<host>" }

// host is the node of the host. From its local networks the app knows which
// addresses belong to the internet.
func (w *writer) host() node {
	n := node{topology: "host", parents: w.inHost()}
	n.ID = w.hostNode()
	n.Latest = w.latest(w.view.At, "host_name", cmp.Or(w.view.HostName, w.view.HostID), "host_node_id", n.ID,
		"ts", time.Unix(0, w.view.At).UTC().Format(time.RFC3339Nano))
	if len(w.view.LocalNetworks) > 0 {
		n.Sets = []report.ScopeSet{{Name: "local_networks", Values: w.view.LocalNetworks}}
	}
	return n
}

func (w *writer) inHost() []report.ScopeSet {
	return []report.ScopeSet{{Name: "host", Values: []string{w.hostNode()}}}
}

// latest makes the values of a node from keys and values in turn, all of one time.
func (w *writer) latest(at int64, pairs ...string) []report.ScopeValue {
	var out []report.ScopeValue
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, report.ScopeValue{Key: pairs[i], Value: pairs[i+1], At: at})
	}
	return out
}

// processes are the nodes of the processes that endpoints and connections refer to.
func (w *writer) processes() []node {
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
		for _, e := range [...]*report.End{&c.From, &c.To} {
			for _, p := range e.Processes {
				names[strconv.FormatUint(uint64(p.PID), 10)] = p.Comm
			}
		}
	}
	var out []node
	for pid, name := range names {
		n := node{topology: "process", parents: w.inHost()}
		n.ID = w.view.HostID + ";" + pid
		n.Latest = w.latest(w.view.At, "host_node_id", w.hostNode(), "name", name, "pid", pid)
		if name == "" {
			n.Latest = slices.Delete(n.Latest, 1, 2)
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b node) int { return strings.Compare(a.ID, b.ID) })
	return out
}
