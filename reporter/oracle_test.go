package reporter_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// A scenario is a script and the answers that the original could give. An answer is a
// list of nodes for each tick.
type scenario struct {
	Name   string
	Script []json.RawMessage
	Accept [][][]node
}

// A node of the Endpoint topology, without times.
type node struct {
	ID        string              `json:"id"`
	Latest    map[string]string   `json:"latest"`
	Sets      map[string][]string `json:"sets"`
	Adjacency []string            `json:"adjacency"`
}

func scenarios(t testing.TB, name string) []scenario {
	t.Helper()
	f, err := os.Open("testdata/oracle/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var list []scenario
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s scenario
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// tape builds the tape of the script.
func (s *scenario) tape(t testing.TB) []byte {
	t.Helper()
	var text, tape bytes.Buffer
	for _, line := range s.Script {
		text.Write(line)
		text.WriteByte('\n')
	}
	if err := script.Build(&tape, &text, script.Options{}); err != nil {
		t.Fatal(err)
	}
	return tape.Bytes()
}

// reports makes the reports of a tape by the rules of 2016.
func reports(t testing.TB, recorded []byte) []*report.Report {
	t.Helper()
	tr, err := tape.NewReader(bytes.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	r, err := reporter.New(tr.Header(), reporter.RulesScope2016)
	if err != nil {
		t.Fatal(err)
	}
	var list []*report.Report
	for {
		rec, err := tr.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Step(&rec) {
			list = append(list, r.Report())
		}
	}
}

// nodes converts the view to the form of the oracle.
func nodes(s *report.ScopeReport) []node {
	out := []node{}
	for _, n := range s.Nodes {
		o := node{ID: n.ID, Latest: map[string]string{}, Sets: map[string][]string{}, Adjacency: append([]string{}, n.Adjacency...)}
		for _, v := range n.Latest {
			o.Latest[v.Key] = v.Value
		}
		for _, set := range n.Sets {
			o.Sets[set.Name] = set.Values
		}
		out = append(out, o)
	}
	return out
}

// The view is one of the original's answers for the same inputs.
func TestScope2016Oracle(t *testing.T) {
	for _, file := range []string{"named.jsonl", "random.jsonl.gz"} {
		for _, s := range scenarios(t, file) {
			t.Run(s.Name, func(t *testing.T) {
				tape := s.tape(t)
				list := reports(t, tape)
				var got [][]node
				for _, r := range list {
					got = append(got, nodes(r.Scope()))
				}
				for _, answer := range s.Accept {
					if cmp.Equal(got, answer) {
						return
					}
				}
				t.Errorf("not one of the original's %d answers; difference to the first one (-want +got):\n%s", len(s.Accept), cmp.Diff(s.Accept[0], got))
			})
		}
	}
}

// Two runs of a tape give the same bytes.
func TestScope2016Twice(t *testing.T) {
	for _, s := range scenarios(t, "named.jsonl") {
		tape := s.tape(t)
		a, b := reports(t, tape), reports(t, tape)
		for i := range a {
			if x, y := a[i].AppendJSON(nil), b[i].AppendJSON(nil); !bytes.Equal(x, y) {
				t.Errorf("%s, tick %d:\n%s\n%s", s.Name, i, x, y)
			}
			if diff := cmp.Diff(a[i].Scope(), b[i].Scope()); diff != "" {
				t.Errorf("%s, tick %d:\n%s", s.Name, i, diff)
			}
		}
	}
}
