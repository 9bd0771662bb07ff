package reporter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// scopeNodeText returns a node in one line, with times in seconds since start (Unix ns).
func scopeNodeText(n *report.ScopeNode, start int64) string {
	s := n.ID
	for _, v := range n.Latest {
		s += fmt.Sprintf(" %s=%s@%g", v.Key, v.Value, float64(v.At-start)/1e9)
	}
	for _, set := range n.Sets {
		s += fmt.Sprintf(" %s=%v", set.Name, set.Values)
	}
	for _, id := range n.Adjacency {
		s += " -> " + id
	}
	return s
}

// wantScope sends a tick and compares the nodes of the view.
func (h *host) wantScope(start int64, lines ...string) *report.ScopeReport {
	h.T.Helper()
	s := h.Report().Scope()
	var got []string
	for i := range s.Nodes {
		got = append(got, scopeNodeText(&s.Nodes[i], start))
	}
	if !slices.Equal(got, lines) {
		h.T.Errorf("got\n     %s\nwant\n     %s", strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
	}
	return s
}

// scopeHost returns a host with local networks, whose recording starts at start (Unix ns).
func scopeHost(t *testing.T, start int64, local ...string) *host {
	return newHostWith(t, &capture.Header{HostID: "h1", HostName: "web", Start: start, LocalNetworks: local}, RulesCurrent)
}

// The view has ids, sources, processes and names, and the times at which each was last seen.
func TestScopeView(t *testing.T) {
	const start = 1767323045e9
	h := scopeHost(t, start, "172.17.0.0/16", "no network")
	h.Put(capture.KindHost, 0, &capture.Host{LocalNetworks: []string{"10.0.0.0/8", "172.17.0.0/16"},
		Interfaces: []capture.Interface{{Name: "eth0", Addresses: []string{"10.0.0.1/8"}}}})
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.DNAT)
	h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "172.17.0.2", Names: []string{"db.internal"}, TTL: 60e9})
	h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "10.0.0.80", Names: []string{"vip.internal"}, TTL: 60e9})
	h.Pass(2).Walk(
		reportertest.Socket{Netns: 5, Row: "10.0.0.1:40000>10.0.0.80:80", Inode: 9, Processes: []report.Process{{PID: 101, Comm: "curl"}, {PID: 100, Comm: "sh"}}},
		reportertest.Listen(5, "127.0.0.1:80"),
		reportertest.Socket{Netns: 5, Row: "127.0.0.1:5000>127.0.0.1:80", Inode: 10},
	)
	h.Pass(1)
	s := h.wantScope(start,
		";10.0.0.1;40000 addr=10.0.0.1@2 conntracked=true@2 host_node_id=h1;<host>@2 pid=100@2 port=40000@2 procspied=true@2 -> h1;172.17.0.2;8080",
		";10.0.0.80;80 addr=10.0.0.80@2 conntracked=true@2 copy_of=h1;172.17.0.2;8080@2 port=80@2 procspied=true@2 reverse_dns_names=[vip.internal]",
		"h1-5;127.0.0.1;5000 addr=127.0.0.1@2 port=5000@2 procspied=true@2 -> h1-5;127.0.0.1;80",
		"h1-5;127.0.0.1;80 addr=127.0.0.1@2 port=80@2 procspied=true@2",
		"h1;172.17.0.2;8080 addr=172.17.0.2@2 conntracked=true@2 port=8080@2 procspied=true@2 reverse_dns_names=[db.internal]",
	)
	if s.HostID != "h1" || s.HostName != "web" || s.At != start+3e9 || !slices.Equal(s.LocalNetworks, []string{"10.0.0.0/8", "172.17.0.0/16", "no network"}) {
		t.Errorf("%q %q %d %q", s.HostID, s.HostName, s.At, s.LocalNetworks)
	}
}

// A service address with two backends is a copy of one of them, with all its keys. Each
// client is adjacent to its own server.
func TestScopeCopyOfOneEnd(t *testing.T) {
	h := scopeHost(t, 0)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "10.0.0.20:1000>10.0.0.88:80 | 10.0.0.19:8080>10.0.0.20:1000")
	h.Pass(1).Conntrack(ctmsg.Update, 2, "ESTABLISHED", "10.0.0.21:1000>10.0.0.88:80 | 10.0.0.18:8080>10.0.0.21:1000")
	h.Pass(1)
	h.wantScope(0,
		";10.0.0.18;8080 addr=10.0.0.18@1 conntracked=true@1 port=8080@1",
		";10.0.0.19;8080 addr=10.0.0.19@0 conntracked=true@0 port=8080@0",
		";10.0.0.20;1000 addr=10.0.0.20@0 conntracked=true@0 port=1000@0 -> ;10.0.0.19;8080",
		";10.0.0.21;1000 addr=10.0.0.21@1 conntracked=true@1 port=1000@1 -> ;10.0.0.18;8080",
		";10.0.0.88;80 addr=10.0.0.88@1 conntracked=true@1 copy_of=;10.0.0.18;8080@1 port=80@1",
	)
}

// NAT translates both ends of one connection; an address that is also a real end is no
// copy.
func TestScopeCopiesOfBothEnds(t *testing.T) {
	h := scopeHost(t, 0)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "10.77.1.2:56254>10.77.1.1:80 | 10.77.2.2:8080>10.77.2.1:56254")
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", "10.77.1.9:1000>10.77.1.1:80")
	h.wantScope(0,
		";10.77.1.1;80 addr=10.77.1.1@0 conntracked=true@0 port=80@0",
		";10.77.1.2;56254 addr=10.77.1.2@0 conntracked=true@0 port=56254@0 -> ;10.77.2.2;8080",
		";10.77.1.9;1000 addr=10.77.1.9@0 conntracked=true@0 port=1000@0 -> ;10.77.1.1;80",
		";10.77.2.1;56254 addr=10.77.2.1@0 conntracked=true@0 copy_of=;10.77.1.2;56254@0 port=56254@0",
		";10.77.2.2;8080 addr=10.77.2.2@0 conntracked=true@0 port=8080@0",
	)
}

// A listener that reverses a flow's direction also swaps the aliases of its ends.
func TestAliasesOfAReversedFlow(t *testing.T) {
	h := scopeHost(t, 0)
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, State: "ESTABLISHED", Tuples: "10.0.0.1:80>10.0.0.2:40000 | 10.0.0.2:40000>192.0.2.1:1024"})
	h.Walk(reportertest.Listen(5, "10.0.0.1:80"), reportertest.Socket{Netns: 5, Row: "10.0.0.1:80>10.0.0.2:40000", Inode: 3})
	r := h.Want("10.0.0.2:40000 -> 10.0.0.1:80@5 ESTABLISHED listener nat1")
	from, to := r.Connections[0].Aliases()
	if len(from) != 0 || len(to) != 1 || to[0].String() != "192.0.2.1:1024" || !slices.Equal(r.Endpoints[0].Aliases, to) {
		t.Errorf("aliases %v and %v; %+v", from, to, r.Endpoints)
	}
}
