package current

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/reporter/report"
)

// randomDrafts returns drafts with few different ends, so that many have ends in common.
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

// Every connection is sorted before the next one, and equal ones keep their order.
func TestConnectionsAreInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		drafts := randomDrafts(rng, rng.IntN(200))
		for i := range drafts { // so that each draft is identified
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
