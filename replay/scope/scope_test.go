package scope

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
	"github.com/vmihailenco/msgpack/v5"
)

// The schema of a report of Weave Scope's probe, as its app decodes it.
type scopeSchema struct {
	Endpoint, Process, Container, Pod, Service, Deployment, ReplicaSet, ContainerImage, Host, Overlay topologySchema

	Sampling struct{ Count, Total uint64 }
	Window   time.Duration
	Shortcut bool
	Plugins  []any
	ID       string
}

type topologySchema struct {
	Shape       string                `json:"shape" msgpack:"shape"`
	Label       string                `json:"label" msgpack:"label"`
	LabelPlural string                `json:"label_plural" msgpack:"label_plural"`
	Nodes       map[string]nodeSchema `json:"nodes" msgpack:"nodes"`
}

type nodeSchema struct {
	ID             string                       `json:"id" msgpack:"id"`
	Topology       string                       `json:"topology" msgpack:"topology"`
	Counters       map[string]int               `json:"counters" msgpack:"counters"`
	Sets           map[string][]string          `json:"sets" msgpack:"sets"`
	Adjacency      []string                     `json:"adjacency" msgpack:"adjacency"`
	Edges          map[string]map[string]uint64 `json:"edges" msgpack:"edges"`
	Controls       map[string]any               `json:"controls" msgpack:"controls"`
	LatestControls map[string]any               `json:"latestControls" msgpack:"latestControls"`
	Latest         map[string]latestSchema      `json:"latest" msgpack:"latest"`
	Parents        map[string][]string          `json:"parents" msgpack:"parents"`
	Children       []any                        `json:"children" msgpack:"children"`
}

type latestSchema struct {
	Timestamp stampSchema `json:"timestamp" msgpack:"timestamp"`
	Value     string      `json:"value" msgpack:"value"`
}

// stampSchema is a time: RFC 3339 in JSON, 15 raw bytes in MessagePack.
type stampSchema struct{ time.Time }

func (s *stampSchema) DecodeMsgpack(d *msgpack.Decoder) error {
	text, err := d.DecodeString()
	if err != nil {
		return err
	}
	if len(text) != 15 || text[0] != 1 || text[13:] != "\xff\xff" {
		return fmt.Errorf("timestamp %q", text)
	}
	return s.Time.UnmarshalBinary([]byte(text))
}

// decoded encodes a report in both formats and decodes both. They must be equal.
func decoded(t *testing.T, r *report.Report) *scopeSchema {
	t.Helper()
	text, packed := AppendJSON(nil, r), AppendMsgpack(nil, r)
	if !bytes.Equal(text, AppendJSON(nil, r)) || !bytes.Equal(packed, AppendMsgpack(nil, r)) {
		t.Error("the second encoding differs")
	}
	if !bytes.Equal(append([]byte("x"), text...), AppendJSON([]byte("x"), r)) || !bytes.Equal(append([]byte("x"), packed...), AppendMsgpack([]byte("x"), r)) {
		t.Error("appended to other bytes the encoding differs")
	}
	var fromText, fromPacked scopeSchema
	j := json.NewDecoder(bytes.NewReader(text))
	j.DisallowUnknownFields()
	if err := j.Decode(&fromText); err != nil {
		t.Fatalf("%v in %.1000s", err, text)
	}
	if j.More() {
		t.Error("more than one value")
	}
	rest := bytes.NewReader(packed)
	m := msgpack.NewDecoder(rest)
	m.DisallowUnknownFields(true)
	if err := m.Decode(&fromPacked); err != nil || rest.Len() > 0 {
		t.Fatalf("%v, %d bytes left", err, rest.Len())
	}
	if d := cmp.Diff(fromText, fromPacked); d != "" {
		t.Error(d)
	}
	return &fromText
}

// generic decodes JSON into maps and lists, and checks that its keys are sorted.
func generic(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	e := json.NewEncoder(&again) // sorts keys
	e.SetEscapeHTML(false)
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var exact any
	if err := d.Decode(&exact); err != nil {
		t.Fatal(err)
	}
	if err := e.Encode(exact); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(again.String()); got != string(text) {
		at := 0
		for at < min(len(got), len(text)) && got[at] == text[at] {
			at++
		}
		t.Errorf("not canonical at %d: %.100s, want %.100s", at, text[at:], got[at:])
	}
	return v
}

func keys(v any) []string {
	var list []string
	for k := range v.(map[string]any) {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func scopeExample() *report.Report {
	r := replaytest.ThreeConnections()
	r.HostID, r.HostName, r.Tick, r.At = "h1", "web", 7, 1474891200123456789
	r.SetScope(&report.ScopeReport{HostID: "h1", HostName: "web", LocalNetworks: []string{"10.0.0.0/8", "172.17.0.0/16"}, At: r.At, Nodes: []report.ScopeNode{
		{ID: ";10.0.0.1;40000", Adjacency: []string{";172.17.0.2;8080", "h1;<x>;\xff\"&\\\n"},
			Latest: []report.ScopeValue{{Key: "addr", Value: "10.0.0.1", At: 1}, {Key: "pid", Value: "4242", At: -1}, {Key: "port", Value: "40000", At: r.At}},
			Sets:   []report.ScopeSet{{Name: "reverse_dns_names", Values: []string{"a", "b"}}, {Name: "snooped_dns_names", Values: []string{strings.Repeat("long", 300)}}}},
		{ID: "z"},
	}})
	return r
}

// Every field is where Scope reads it.
func TestScopeFormats(t *testing.T) {
	r := scopeExample()
	got := decoded(t, r)
	at := func(ns int64) stampSchema { return stampSchema{time.Unix(0, ns).UTC()} }
	now := at(r.At)
	type (
		sets   = map[string][]string
		latest = map[string]latestSchema
	)
	node := func(id, topology string, l latest, s, parents sets) nodeSchema {
		return nodeSchema{ID: id, Topology: topology, Counters: map[string]int{}, Sets: s, Edges: map[string]map[string]uint64{},
			Controls: map[string]any{}, LatestControls: map[string]any{}, Latest: l, Parents: parents}
	}
	client := node(";10.0.0.1;40000", "endpoint", latest{"addr": {at(1), "10.0.0.1"}, "pid": {at(-1), "4242"}, "port": {now, "40000"}},
		sets{"reverse_dns_names": {"a", "b"}, "snooped_dns_names": {strings.Repeat("long", 300)}}, sets{})
	client.Adjacency = []string{";172.17.0.2;8080", "h1;<x>;\ufffd\"&\\\n"}
	client.Edges = map[string]map[string]uint64{";172.17.0.2;8080": {}, "h1;<x>;\ufffd\"&\\\n": {}}
	inHost := sets{"host": {"h1;<host>"}}
	process := func(pid, name string) nodeSchema {
		return node("h1;"+pid, "process", latest{"host_node_id": {now, "h1;<host>"}, "name": {now, name}, "pid": {now, pid}}, sets{}, inHost)
	}
	none := map[string]nodeSchema{}
	want := &scopeSchema{
		Endpoint: topologySchema{Nodes: map[string]nodeSchema{client.ID: client, "z": node("z", "endpoint", latest{}, sets{}, sets{})}},
		Process:  topologySchema{"square", "process", "processes", map[string]nodeSchema{"h1;4242": process("4242", "curl"), "h1;7": process("7", "nginx")}},
		Host: topologySchema{"circle", "host", "hosts", map[string]nodeSchema{"h1;<host>": node("h1;<host>", "host",
			latest{"host_name": {now, "web"}, "host_node_id": {now, "h1;<host>"}, "ts": {now, "2016-09-26T12:00:00.123456789Z"}},
			sets{"local_networks": {"10.0.0.0/8", "172.17.0.0/16"}}, inHost)}},
		Container:      topologySchema{"hexagon", "container", "containers", none},
		ContainerImage: topologySchema{"hexagon", "image", "images", none},
		Pod:            topologySchema{"heptagon", "pod", "pods", none},
		Service:        topologySchema{"heptagon", "service", "services", none},
		Deployment:     topologySchema{"heptagon", "deployment", "deployments", none},
		ReplicaSet:     topologySchema{"triangle", "replica set", "replica sets", none},
		Overlay:        topologySchema{Nodes: none},
		Plugins:        []any{},
		ID:             got.ID,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if id, err := strconv.ParseInt(got.ID, 10, 64); err != nil || id <= 0 {
		t.Errorf("id %q", got.ID)
	}
	v := generic(t, AppendJSON(nil, r))
	if n := len(keys(v)); n != 15 {
		t.Errorf("%d keys: %v", n, keys(v))
	}
	endpoints := v["Endpoint"].(map[string]any)
	if got := keys(endpoints); !slices.Equal(got, []string{"nodes"}) {
		t.Errorf("endpoint topology %v", got)
	}
	bare := endpoints["nodes"].(map[string]any)["z"].(map[string]any)
	wantBare := map[string]any{"adjacency": nil, "children": nil}
	for _, k := range []string{"controls", "counters", "edges", "latest", "latestControls", "parents", "sets"} {
		wantBare[k] = map[string]any{}
	}
	wantBare["id"], wantBare["topology"] = "z", "endpoint"
	if d := cmp.Diff(wantBare, bare); d != "" {
		t.Error(d)
	}
}

// Different reports have different ids.
func TestScopeID(t *testing.T) {
	seen := map[string]bool{}
	for i, change := range []func(*report.Report){
		func(r *report.Report) {}, func(r *report.Report) { r.Tick++ }, func(r *report.Report) { r.At++ },
		func(r *report.Report) { r.HostID = "h2" }, func(r *report.Report) { r.Connections = r.Connections[1:] },
	} {
		r := scopeExample()
		change(r)
		if id := decoded(t, r).ID; seen[id] {
			t.Errorf("report %d has the id of another", i)
		} else {
			seen[id] = true
		}
	}
}

// Views with texts and lists of any length are decoded as they were encoded.
func TestScopeRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	sizes := []int{0, 1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 300}
	text := func(i int) string {
		return fmt.Sprintf("%06d", i) + strings.Repeat("é", sizes[rnd.Intn(len(sizes))])
	}
	texts := func() (list []string) {
		for i := range sizes[rnd.Intn(7)] {
			list = append(list, text(i))
		}
		return list
	}
	for _, size := range []int{0, 1, 2, 15, 16, 33} {
		view := &report.ScopeReport{HostID: text(0), HostName: text(1), At: rnd.Int63()}
		for i := range size {
			n := report.ScopeNode{ID: text(i)}
			n.Adjacency = texts()
			for k, s := range texts() {
				n.Latest = append(n.Latest, report.ScopeValue{Key: s, Value: text(k), At: rnd.Int63() - rnd.Int63()})
				n.Sets = append(n.Sets, report.ScopeSet{Name: s, Values: texts()})
			}
			if size == 2 { // lengths of more than two bytes
				for k := range 65535 + i {
					n.Adjacency = append(n.Adjacency, fmt.Sprintf("z%06d", k))
				}
				n.Latest = append(n.Latest, report.ScopeValue{Key: "z", Value: strings.Repeat("x", 65535+i)})
			}
			view.Nodes = append(view.Nodes, n)
		}
		r := &report.Report{HostID: view.HostID}
		r.SetScope(view)
		got := decoded(t, r)
		if len(got.Endpoint.Nodes) != size {
			t.Fatalf("%d nodes, want %d", len(got.Endpoint.Nodes), size)
		}
		for _, n := range view.Nodes {
			back := got.Endpoint.Nodes[n.ID]
			again := report.ScopeNode{ID: back.ID, Adjacency: back.Adjacency}
			for _, v := range n.Latest {
				again.Latest = append(again.Latest, report.ScopeValue{Key: v.Key, Value: back.Latest[v.Key].Value, At: back.Latest[v.Key].Timestamp.UnixNano()})
			}
			for _, s := range n.Sets {
				again.Sets = append(again.Sets, report.ScopeSet{Name: s.Name, Values: back.Sets[s.Name]})
			}
			if d := cmp.Diff(n, again); d != "" {
				t.Fatal(d)
			}
		}
	}
}

// Every report of the shipped tape refers to nodes that exist.
func TestScopeOfShippedTape(t *testing.T) {
	list := replaytest.Replay(t, replaytest.Lab(t), "")
	whole := fold.New(0)
	for _, r := range list {
		whole.Add(r)
	}
	for _, r := range append(list, whole.Finish()) {
		got := decoded(t, r)
		generic(t, AppendJSON(nil, r))
		edges := 0
		for id, n := range got.Endpoint.Nodes {
			edges += len(n.Adjacency)
			for _, to := range append(slices.Clone(n.Adjacency), n.Latest["copy_of"].Value) {
				if _, ok := got.Endpoint.Nodes[to]; !ok && to != "" {
					t.Errorf("%s refers to %s, which is no node", id, to)
				}
			}
			if pid, ok := n.Latest["pid"]; ok {
				if _, ok := got.Process.Nodes["gateway;"+pid.Value]; !ok {
					t.Errorf("%s belongs to process %s, which is no node", id, pid.Value)
				}
			}
		}
		if edges != len(r.Connections) {
			t.Errorf("%d edges of %d connections", edges, len(r.Connections))
		}
	}
}
