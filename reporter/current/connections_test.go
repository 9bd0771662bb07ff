package current

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/reporter/report"
)

// randomDrafts are drafts of few ends, so that many have some in common.
func randomDrafts(rng *rand.Rand, n int) []draft {
	addrs := []string{"9.0.0.1", "10.0.0.1", "127.0.0.1", "2001:db8::1", "::1", "2001:db8::10"}
	addr := func() netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(addrs[rng.IntN(len(addrs))]), uint16(rng.IntN(2)*90+9))
	}
	end := func() (e report.End) {
		e = report.End{Addr: addr(), Netns: uint64(rng.IntN(2))}
		for range rng.IntN(3) {
			e.Processes = addProcess(e.Processes, report.Process{PID: uint32(rng.IntN(4))})
		}
		return e
	}
	out := make([]draft, n)
	for i := range out {
		d := &out[i]
		d.Connection = report.Connection{From: end(), To: end(), FirstSeen: int64(rng.IntN(2)), LastSeen: int64(rng.IntN(2)), State: string(rune('a' + i%26))}
		if d.swapped = rng.IntN(2) == 0; rng.IntN(2) == 0 {
			d.head = &flow{key: flowKey{source: uint32(rng.IntN(2)), zone: uint16(rng.IntN(2)), id: uint32(rng.IntN(2))}}
		}
		for range rng.IntN(3) {
			d.NAT = append(d.NAT, report.NAT{OriginalSrc: addr(), OriginalDst: addr(), ReplySrc: addr(), ReplyDst: addr()})
		}
	}
	return out
}

// Each connection goes before the next, and equal ones keep their order: then they have
// one place only.
func TestConnectionsAreInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		drafts := randomDrafts(rng, rng.IntN(200))
		for i := range drafts { // so that each is found again
			drafts[i].Proto, drafts[i].State = "tcp", string(rune(i+1))
		}
		connections, swapped := inOrder(drafts)
		if len(connections) != len(drafts) || len(swapped) != len(drafts) {
			t.Fatalf("%d connections of %d drafts", len(connections), len(drafts))
		}
		before := -1
		for i := range connections {
			at := slices.IndexFunc(drafts, func(d draft) bool { return d.State == connections[i].State })
			if swapped[i] != drafts[at].swapped {
				t.Fatalf("connection %d is swapped: %v", i, swapped[i])
			}
			if i > 0 {
				p, d := &drafts[before], &drafts[at]
				order := p.From.Addr.Compare(d.From.Addr)
				if order == 0 {
					order = p.To.Addr.Compare(d.To.Addr)
				}
				if order == 0 {
					order = p.compareRest(d)
				}
				if order > 0 || order == 0 && before > at {
					t.Fatalf("draft %d precedes %d: %+v %+v", before, at, p, d)
				}
			}
			before = at
		}
	}
}

// The list of endpoints has each end once, in order, with all that any connection shows.
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

// Endpoints are in the order of scopes, then of addresses as netip has it, then of ports.
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
