package reporter

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
)

// tick sends a tick and compares the report with the model's.
func (p *scopePlayer) tick(t *testing.T, seen map[string]int) {
	if !p.put(capture.KindTick, 0, &capture.Tick{}) {
		t.Fatal("no tick")
	}
	p.ticks++
	r := p.every.Report()
	got := map[string]modelView{}
	for i, n := range r.Scope().Nodes {
		if i > 0 && r.Scope().Nodes[i-1].ID >= n.ID {
			t.Errorf("node %q precedes %q", r.Scope().Nodes[i-1].ID, n.ID)
		}
		got[n.ID] = viewOf(t, &n)
	}
	want := map[string]modelView{}
	nodes := p.model.report()
	for id, n := range nodes {
		want[id] = n.view()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tick %d (-model +rules):\n%s", p.ticks, diff)
	}
	p.connections(t, r)
	if p.ticks%3 == 0 {
		few := p.few.Report()
		if a, b := r.AppendJSON(nil), few.AppendJSON(nil); !bytes.Equal(a, b) || !reflect.DeepEqual(r.Scope(), few.Scope()) {
			t.Errorf("tick %d:\n%s\nwithout the reports before it:\n%s", p.ticks, a, b)
		}
		if r.Digests() != few.Digests() {
			t.Errorf("tick %d: digests differ", p.ticks)
		}
	}
	for id, n := range nodes {
		for k, v := range n.latest {
			seen[k]++
			if k == "copy_of" && nodes[v.value].latest["copy_of"].stamp > 0 && v.value != id {
				seen["copy of a copy"]++
			}
		}
		for k := range n.sets {
			seen[k]++
		}
		seen["adjacency"] += len(n.adjacency)
		for name, part := range map[string]string{"<nil>": "<nil>", "netns": "h-", "local": "h;172", "v6": "::"} {
			if strings.Contains(id, part) {
				seen[name]++
			}
		}
	}
}

// connections compares the connections and endpoints with the model's nodes before NAT,
// and checks what is true of any report.
func (p *scopePlayer) connections(t *testing.T, r *report.Report) {
	want := map[string]bool{}
	for id, n := range p.model.plain {
		for to := range n.adjacency {
			if !strings.Contains(id+to, "<nil>") {
				want[id+" "+to] = true
			}
		}
	}
	id := func(e *report.End) string {
		netns := ""
		if e.Netns != 0 {
			netns = fmt.Sprint(e.Netns)
		}
		return p.model.id(netns, e.Addr.Addr().String(), int(e.Addr.Port()))
	}
	got := map[string]bool{}
	for i := range r.Connections {
		c := &r.Connections[i]
		got[id(&c.From)+" "+id(&c.To)] = true
		if c.FirstSeen > c.LastSeen || c.LastSeen > p.at || len(c.Seen) == 0 || c.Direction != report.DirectionScope {
			t.Errorf("connection %+v", c)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != len(r.Connections) {
		t.Errorf("tick %d: connections (-model +rules):\n%s", p.ticks, diff)
	}
	ends := map[string]bool{}
	for i, e := range r.Endpoints {
		if i > 0 && r.Endpoints[i-1].Compare(&e) >= 0 {
			t.Errorf("endpoint %q precedes %q", r.Endpoints[i-1].ID(), e.ID())
		}
		ends[e.ID()] = true
		n, ok := p.model.plain[e.ID()]
		if pid := n.latest["pid"].value; !ok || len(e.Processes) > 1 || (pid != "") != (len(e.Processes) == 1) || pid != "" && pid != fmt.Sprint(e.Processes[0].PID) {
			t.Errorf("endpoint %+v, the model has pid %q", e, pid)
		}
	}
	for id := range p.model.plain {
		if !ends[id] && !strings.Contains(id, "<nil>") {
			t.Errorf("no endpoint %q", id)
		}
	}
}

// A modelView is a node in plain types.
type modelView struct {
	Latest    map[string]string
	Sets      map[string][]string
	Adjacency []string
}

func viewOf(t *testing.T, n *report.ScopeNode) modelView {
	v := modelView{map[string]string{}, map[string][]string{}, append([]string{}, n.Adjacency...)}
	for i, l := range n.Latest {
		v.Latest[l.Key] = l.Value
		if i > 0 && n.Latest[i-1].Key >= l.Key {
			t.Errorf("node %q: key %q precedes %q", n.ID, n.Latest[i-1].Key, l.Key)
		}
	}
	for _, s := range n.Sets {
		v.Sets[s.Name] = s.Values
	}
	return v
}

func (n modelNode) view() modelView {
	v := modelView{map[string]string{}, map[string][]string{}, []string{}}
	for k, l := range n.latest {
		v.Latest[k] = l.value
	}
	for k, s := range n.sets {
		for name := range s {
			v.Sets[k] = append(v.Sets[k], name)
		}
		slices.Sort(v.Sets[k])
	}
	for id := range n.adjacency {
		v.Adjacency = append(v.Adjacency, id)
	}
	slices.Sort(v.Adjacency)
	return v
}
