package fold

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// shipped2016 returns every report of the shipped tape under the rules of 2016.
func shipped2016(t *testing.T) []*report.Report {
	t.Helper()
	return replaytest.Replay(t, replaytest.Lab(t), reporter.RulesScope2016)
}

// folded folds reports into one.
func folded(list []*report.Report) *report.Report {
	f := New(0)
	for _, r := range list {
		f.Add(r)
	}
	return f.Finish()
}

// The part of a view that belongs to all connections is the view. The part of some
// connections has their nodes, copies of these, and no adjacency to other nodes.
func TestPartOfView(t *testing.T) {
	one, err := ParseSelector("198.18.1.2:8080")
	if err != nil {
		t.Fatal(err)
	}
	smaller := 0
	for _, r := range append(shipped2016(t), folded(shipped2016(t))) {
		view := r.Scope()
		if d := cmp.Diff(view, partOfView(view, r), cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
		part := Filter(r, []*Selector{one})
		ids := map[string]bool{}
		for _, n := range part.Scope().Nodes {
			ids[n.ID] = true
		}
		for _, e := range part.Endpoints {
			if !ids[e.ID()] {
				t.Errorf("%s lacks", e.ID())
			}
			delete(ids, e.ID())
		}
		for _, n := range part.Scope().Nodes {
			if ids[n.ID] && copyOf(&n) == "" {
				t.Errorf("%s belongs to no connection", n.ID)
			}
			for _, to := range n.Adjacency {
				if !strings.HasSuffix(to, ";198.18.1.2;8080") && !strings.HasSuffix(n.ID, ";198.18.1.2;8080") && copyOf(&n) == "" {
					t.Errorf("%s -> %s", n.ID, to)
				}
			}
		}
		if n := len(part.Scope().Nodes); n > 0 && n < len(view.Nodes) {
			smaller++
		}
	}
	if smaller == 0 {
		t.Error("the selector selects nothing")
	}
}

// The folded view has every node and adjacency of every report, and the newest value
// of every key.
func TestWholeView(t *testing.T) {
	nodes := map[string]map[string]string{}
	edges := map[[2]string]bool{}
	for _, r := range shipped2016(t) {
		for _, n := range r.Scope().Nodes {
			if nodes[n.ID] == nil {
				nodes[n.ID] = map[string]string{}
			}
			for _, v := range n.Latest {
				nodes[n.ID][v.Key] = v.Value
			}
			for _, to := range n.Adjacency {
				edges[[2]string{n.ID, to}] = true
			}
		}
	}
	whole := folded(shipped2016(t)).Scope()
	got := map[string]map[string]string{}
	for _, n := range whole.Nodes {
		got[n.ID] = map[string]string{}
		for _, v := range n.Latest {
			got[n.ID][v.Key] = v.Value
		}
		for _, to := range n.Adjacency {
			if !edges[[2]string{n.ID, to}] {
				t.Errorf("%s -> %s is in no report", n.ID, to)
			}
			delete(edges, [2]string{n.ID, to})
		}
		if !slices.IsSorted(n.Adjacency) {
			t.Errorf("%s: %q", n.ID, n.Adjacency)
		}
	}
	if d := cmp.Diff(nodes, got); d != "" {
		t.Error(d)
	}
	if len(edges) > 0 {
		t.Errorf("missing %v", slices.Collect(maps.Keys(edges)))
	}
}

// A newer value replaces an older one, in either order.
func TestMergeNodes(t *testing.T) {
	a := report.ScopeNode{ID: "x", Latest: []report.ScopeValue{{Key: "b", Value: "new", At: 2}, {Key: "c", Value: "1", At: 1}},
		Sets: []report.ScopeSet{{Name: "s", Values: []string{"1", "3"}}}, Adjacency: []string{"p"}}
	b := report.ScopeNode{ID: "x", Latest: []report.ScopeValue{{Key: "a", Value: "1", At: 1}, {Key: "b", Value: "old", At: 1}},
		Sets: []report.ScopeSet{{Name: "r", Values: []string{"1"}}, {Name: "s", Values: []string{"2"}}}, Adjacency: []string{"o", "p"}}
	want := report.ScopeNode{ID: "x", Latest: []report.ScopeValue{{Key: "a", Value: "1", At: 1}, {Key: "b", Value: "new", At: 2}, {Key: "c", Value: "1", At: 1}},
		Sets: []report.ScopeSet{{Name: "r", Values: []string{"1"}}, {Name: "s", Values: []string{"1", "2", "3"}}}, Adjacency: []string{"o", "p"}}
	for _, pair := range [][2]report.ScopeNode{{a, b}, {b, a}} {
		got := pair[0]
		mergeNodes(&got, &pair[1])
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	if a.Sets[0].Values[1] != "3" || b.Latest[1].Value != "old" {
		t.Error("the values of the merged nodes changed")
	}
}
