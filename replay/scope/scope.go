package scope

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/topotape/topotape/reporter/report"
)

// An object is a value of the wire formats that has named fields. Fields are objects, nodes,
// lists of strings, strings, times, numbers, booleans and nil.
type object map[string]any

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

// content returns the Scope report. Its texts are valid UTF-8.
func content(r *report.Report) object {
	view := r.Scope()
	nodes := map[string]object{"Endpoint": endpoints(view), "Host": host(view), "Process": processes(view, r.Connections)}
	out := object{
		"ID":       id(r),
		"Plugins":  []string{},
		"Sampling": object{"Count": 0, "Total": 0},
		"Shortcut": false,
		"Window":   0, // the app fills it in
	}
	for _, t := range topologies {
		topology := object{"nodes": object{}}
		if n := nodes[t.key]; n != nil {
			topology["nodes"] = n
		}
		if t.shape != "" {
			topology["shape"], topology["label"], topology["label_plural"] = t.shape, t.label, t.plural
		}
		out[t.key] = topology
	}
	return out
}

// id identifies the report: the app caches what it made of a report under this id.
// Equal reports have equal ids.
func id(r *report.Report) string {
	sum := sha256.Sum256(r.AppendJSON(nil)) // the host and the tick are in it
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:])>>1, 10)
}

// A node is a value of the wire formats, too. Its fields are made when it is written: all of a
// large report together would take several times the memory of the text.
type node struct {
	topology string
	n        *report.ScopeNode
	parents  object
}

// fields returns the fields of a Scope node. Those that are neither in n nor parents are
// always empty.
func (v node) fields() object {
	n, empty := v.n, object{}
	adjacency, edges, latest, sets := texts(n.Adjacency), object{}, object{}, object{}
	for _, to := range adjacency {
		edges[to] = empty
	}
	for _, v := range n.Latest {
		latest[report.ValidText(v.Key)] = object{"timestamp": time.Unix(0, v.At).UTC(), "value": report.ValidText(v.Value)}
	}
	for _, s := range n.Sets {
		sets[report.ValidText(s.Name)] = texts(s.Values)
	}
	return object{
		"adjacency":      adjacency,
		"children":       nil,
		"controls":       empty,
		"counters":       empty,
		"edges":          edges,
		"id":             report.ValidText(n.ID),
		"latest":         latest,
		"latestControls": empty,
		"parents":        v.parents,
		"sets":           sets,
		"topology":       v.topology,
	}
}

// add adds a node to the nodes of a topology.
func (nodes object) add(topology string, n *report.ScopeNode, parents object) {
	nodes[report.ValidText(n.ID)] = node{topology, n, parents}
}

// texts returns the list with valid texts, nil if it is empty.
func texts(list []string) (valid []string) {
	for _, s := range list {
		valid = append(valid, report.ValidText(s))
	}
	return valid
}

func endpoints(view *report.ScopeReport) object {
	nodes := object{}
	for i := range view.Nodes {
		nodes.add("endpoint", &view.Nodes[i], object{})
	}
	return nodes
}

func hostNode(view *report.ScopeReport) string { return view.HostID + ";<host>" }

func inHost(view *report.ScopeReport) object {
	return object{"host": texts([]string{hostNode(view)})}
}

// host returns the node of the host. From its local networks the app knows which
// addresses belong to the internet.
func host(view *report.ScopeReport) object {
	n := report.ScopeNode{ID: hostNode(view), Latest: []report.ScopeValue{
		{Key: "host_name", Value: cmp.Or(view.HostName, view.HostID), At: view.At},
		{Key: "host_node_id", Value: hostNode(view), At: view.At},
		{Key: "ts", Value: time.Unix(0, view.At).UTC().Format(time.RFC3339Nano), At: view.At},
	}}
	if len(view.LocalNetworks) > 0 {
		n.Sets = []report.ScopeSet{{Name: "local_networks", Values: view.LocalNetworks}}
	}
	nodes := object{}
	nodes.add("host", &n, inHost(view))
	return nodes
}

// processes returns the nodes of the processes that endpoints and connections refer
// to.
func processes(view *report.ScopeReport, connections []report.Connection) object {
	names := map[string]string{} // by PID
	for i := range view.Nodes {
		for _, v := range view.Nodes[i].Latest {
			if v.Key == "pid" {
				names[v.Value] = ""
			}
		}
	}
	for i := range connections {
		for _, e := range [...]*report.End{&connections[i].From, &connections[i].To} {
			for _, p := range e.Processes {
				names[strconv.FormatUint(uint64(p.PID), 10)] = p.Comm
			}
		}
	}
	nodes := object{}
	for pid, name := range names {
		n := report.ScopeNode{ID: view.HostID + ";" + pid, Latest: []report.ScopeValue{
			{Key: "host_node_id", Value: hostNode(view), At: view.At},
			{Key: "pid", Value: pid, At: view.At},
		}}
		if name != "" {
			n.Latest = append(n.Latest, report.ScopeValue{Key: "name", Value: name, At: view.At})
		}
		nodes.add("process", &n, inHost(view))
	}
	return nodes
}
