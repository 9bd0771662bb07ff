package current

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// Endpoints are in order for any id of the host.
func TestEndpointsOfAnyHostAreInOrder(t *testing.T) {
	for _, id := range []string{"", "0", "9abc", ";", ";10", ";127.0.0.1", "host", "~"} {
		h := machineHostWith(t, &capture.Header{HostID: id})
		for i, tuples := range []string{"10.0.0.1:1000>10.0.0.2:80", "127.0.0.1:1000>127.0.0.1:80", "127.0.0.1:9>127.0.0.1:10", "[::1]:1000>[::1]:80", "[2001:db8::1]:9>[2001:db8::2]:80"} {
			h.Conntrack(ctmsg.Update, uint32(i), "ESTABLISHED", tuples)
		}
		h.Walk(reportertest.Socket{Netns: 7, Row: "127.0.0.1:3000>127.0.0.1:80", Inode: 3}, reportertest.Socket{Netns: 70, Row: "127.0.0.1:3000>127.0.0.1:80", Inode: 4})
		r := h.Report()
		reportertest.CheckReport(t, r)
		if len(r.Endpoints) != 14 {
			t.Errorf("host %q: %d endpoints: %s", id, len(r.Endpoints), r.AppendJSON(nil))
		}
	}
}

// If the host has no id, loopback addresses in the unknown namespace have no scope, but those in
// known namespaces have one.
func TestLoopbackWithScopesAndWithout(t *testing.T) {
	h := machineHostWith(t, &capture.Header{})
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "[2001:db8::1]:9>[2001:db8::2]:80")
	h.Walk(reportertest.Socket{Netns: 7, Row: "[::1]:3000>[::1]:80", Inode: 3}, reportertest.Socket{Row: "[::1]:3001>[::1]:80", Inode: 4})
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", "[::1]:3002>[::1]:80")
	r := h.Report()
	reportertest.CheckReport(t, r)
	if len(r.Connections) != 4 || len(r.Endpoints) != 7 {
		t.Errorf("%s", r.AppendJSON(nil))
	}
}

// The list of endpoints has each end once, in order, with what all connections show.
func TestListEndpoints(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		connections, swapped := inOrder(randomDrafts(rng, rng.IntN(60)))
		want := map[string]*report.Endpoint{}
		for i := range connections {
			c := &connections[i]
			for _, server := range [...]bool{false, true} {
				e := report.Endpoint{Addr: endOf(c, server).Addr}
				if e.Addr.Addr().IsLoopback() {
					e.Scope = [...]string{"h", "h-1"}[endOf(c, server).Netns]
				}
				w := want[e.ID()]
				if w == nil {
					w = &e
					want[e.ID()] = w
				}
				for _, p := range endOf(c, server).Processes {
					w.Processes = addProcess(w.Processes, p)
				}
				for _, n := range c.NAT {
					shown, real := n.ReplyDst, n.OriginalSrc
					if server != swapped[i] {
						shown, real = n.OriginalDst, n.ReplySrc
					}
					if shown != real && !slices.Contains(w.Aliases, shown) {
						w.Aliases = append(w.Aliases, shown)
					}
				}
			}
		}
		got := listEndpoints(connections, swapped, "h")
		if len(got) != len(want) {
			t.Fatalf("%d endpoints, want %d", len(got), len(want))
		}
		for i := range got {
			e, w := &got[i], want[got[i].ID()]
			slices.SortFunc(w.Aliases, netip.AddrPort.Compare)
			if !slices.Equal(e.Aliases, w.Aliases) || !slices.Equal(e.Processes, w.Processes) {
				t.Fatalf("%+v, want %+v", e, w)
			}
			if i > 0 && got[i-1].Compare(e) >= 0 {
				t.Fatalf("%s precedes %s", got[i-1].ID(), e.ID())
			}
		}
	}
}

// Endpoints are ordered by scope, then by address as netip compares, then by port.
func TestOrderOfEndpoints(t *testing.T) {
	var list []report.Endpoint
	for _, e := range []struct{ scope, addr string }{
		{"", "9.0.0.1:80"}, {"", "10.0.0.1:9"}, {"", "10.0.0.1:80"}, {"", "[2001:db8::9]:1"}, {"", "[2001:db8::10]:1"},
		{"h", "127.0.0.1:80"}, {"h-1", "127.0.0.1:9"}, {"h-1", "[::1]:9"}, {"h-2", "127.0.0.1:1"},
	} {
		list = append(list, report.Endpoint{Scope: e.scope, Addr: netip.MustParseAddrPort(e.addr)})
	}
	for i := range list {
		for j := range list {
			if got := list[i].Compare(&list[j]); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s and %s: %d", list[i].ID(), list[j].ID(), got)
			}
		}
	}
}
