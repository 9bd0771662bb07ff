package reporter

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

func randomEnd(rng *rand.Rand) netip.AddrPort {
	// Few high bytes, so that the low ones decide; ports of all lengths.
	a := netip.AddrFrom4([4]byte{byte(rng.IntN(3) * 9), byte(rng.IntN(256)), byte(rng.IntN(2)), byte(rng.IntN(256))})
	return netip.AddrPortFrom(a, uint16(rng.Uint32()>>rng.IntN(16)>>16))
}

func randomEnd6(rng *rand.Rand) netip.AddrPort {
	var b [16]byte
	for i := 0; i < 16; i += 2 {
		binary.BigEndian.PutUint16(b[i:], uint16(rng.Uint32()>>rng.IntN(16)>>16)*uint16(rng.IntN(2)))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(b), uint16(rng.Uint32()>>rng.IntN(16)>>16))
}

// Numbers order ends as netip does, and as the text of their ids does.
func TestNumbersOrderAsTheirTextAndAddress(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	id := func(a netip.AddrPort) string { return (&Endpoint{Addr: a}).ID() }
	for range 200000 {
		a, b := randomEnd(rng), randomEnd(rng)
		m, n := hostPortOf(a), hostPortOf(b)
		if got, want := cmp.Compare(numeric(m), numeric(n)), a.Compare(b); got != want {
			t.Fatalf("%v and %v: %d, netip says %d", a, b, got, want)
		}
		if got, want := cmp.Compare(textual(m), textual(n)), strings.Compare(id(a), id(b)); got != want {
			t.Fatalf("%v and %v: %d, their ids say %d", a, b, got, want)
		}
		if got := fromText(textual(m)); got != a || fromNumber(numeric(m)) != a {
			t.Fatalf("%v came back as %v", a, got)
		}
		x, y := randomEnd6(rng), randomEnd6(rng)
		if x.Addr().Is4In6() || y.Addr().Is4In6() {
			continue
		}
		var kx, ky sortKey
		textual6(&kx, ctmsg.IPOf(x.Addr()))
		textual6(&ky, ctmsg.IPOf(y.Addr()))
		kx[2], ky[2] = kx[2]|portText6(x.Port()), ky[2]|portText6(y.Port())
		if got, want := byAll.compare(&kx, &ky), strings.Compare(id(x), id(y)); got != want {
			t.Fatalf("%v and %v: %d, their ids say %d", x, y, got, want)
		}
		if got, want := textual(m) < behindStart(kx[0]>>startShift), id(a) < id(x); got != want {
			t.Fatalf("%v before %v: %v, their ids say %v", a, x, got, want)
		}
		for _, p := range [...][2]netip.AddrPort{{a, b}, {a, x}, {x, a}, {x, y}} {
			hostPortOf(p[0]).order(&kx, 0)
			hostPortOf(p[1]).order(&ky, 0)
			if got, want := byAll.compare(&kx, &ky), p[0].Compare(p[1]); got != want {
				t.Fatalf("%v: %d, netip says %d", p, got, want)
			}
			if got := kx.hostPort().addr(); got != p[0] {
				t.Fatalf("%v came back as %v", p[0], got)
			}
		}
	}
}

// Few or many bits differ, in few or many groups; many keys are equal, or have the
// higher bits in common.
func TestKeysAreSortedAndEqualOnesKeepTheirOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 1000 {
		keys := make([]sortKey, rng.IntN(3000))
		var masks [4]sortKey
		for i := range masks {
			masks[i] = sortKey{rng.Uint64() & rng.Uint64(), rng.Uint64() & rng.Uint64() & rng.Uint64(), rng.Uint64() & rng.Uint64() &^ atBits}
			if rng.IntN(2) == 0 {
				masks[i][0] = 0
			}
		}
		for i := range keys {
			m := &masks[rng.IntN(len(masks))]
			keys[i] = sortKey{rng.Uint64() & m[0], rng.Uint64() & m[1], rng.Uint64()&m[2] | uint64(i)}
		}
		want, by := slices.Clone(keys), &byAll
		if rng.IntN(2) == 0 {
			by = &byFirst
		}
		slices.SortStableFunc(want, func(a, b sortKey) int {
			if by == &byFirst {
				return cmp.Compare(a[0], b[0])
			}
			return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2]>>32, b[2]>>32))
		})
		if got, _ := sortKeys(keys, make([]sortKey, len(keys)), by); !slices.Equal(got, want) {
			t.Fatalf("%d keys with bits %x are out of order", len(keys), masks)
		}
	}
}

// What has ended and was reported is forgotten: memory does not grow with the
// length of a recording.
func TestMemoryIsBoundedByWhatIsOpen(t *testing.T) {
	h := newHost(t)
	c := h.r.rules.(*current)
	most := 0
	for i, m := range lives(100000) {
		h.at += 1e5
		h.raw(capture.KindConntrack, 1, m)
		if i%1000 == 999 {
			h.put(capture.KindTick, 0, &capture.Tick{})
			most = max(most, len(c.flows.pages))
		}
	}
	// 143 connections end between two ticks, twice that wait for their report.
	if flows := most * flowPage; flows > 1024 {
		t.Errorf("room for %d flows where 10 are open and 286 just ended", flows)
	}
	if n := len(c.flows.live) + len(c.flows.ended) + len(c.flows.dead) + len(c.flows.named.slots); n > 4*1024 {
		t.Errorf("%d entries of flows are kept", n)
	}
}

// However many flows claim one tuple, looking one up visits a few.
func TestOneTupleHasFewNames(t *testing.T) {
	for _, typ := range []ctmsg.Type{ctmsg.Update, ctmsg.Dump} {
		h := newHost(t)
		c := h.r.rules.(*current)
		for id := range uint32(1000) {
			h.send(ct{typ: typ, id: id, state: "ESTABLISHED", tuples: "10.0.0.1:40000>10.0.0.2:80"})
		}
		c.flows.named.each(func(first int32) {
			n := 0
			for f := c.flows.at(first); f != nil; f = c.flows.after(f) {
				n++
			}
			if n > maxLives {
				t.Errorf("%v: %d flows stand behind one tuple", typ, n)
			}
		})
		if n := len(c.flows.live); typ == ctmsg.Update && n != 1 {
			t.Errorf("%d flows of one tuple live", n)
		}
	}
}
