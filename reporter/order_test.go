package reporter

import (
	"bytes"
	"cmp"
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

// Numbers order ends as netip does, and as the text of their ids does.
func TestNumbersOrderAsTheirTextAndAddress(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	id := func(a netip.AddrPort) string { return (&Endpoint{Addr: a}).ID() }
	for range 200000 {
		a, b := randomEnd(rng), randomEnd(rng)
		if got, want := cmp.Compare(numeric(a), numeric(b)), a.Compare(b); got != want {
			t.Fatalf("%v and %v: %d, netip says %d", a, b, got, want)
		}
		if got, want := cmp.Compare(textual(a), textual(b)), strings.Compare(id(a), id(b)); got != want {
			t.Fatalf("%v and %v: %d, their ids say %d", a, b, got, want)
		}
		if got := fromText(textual(a)); got != a || fromNumber(numeric(a)) != a {
			t.Fatalf("%v came back as %v", a, got)
		}
	}
}

func TestRadixSortIsAStableSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 300 {
		keys := make([]sortKey, rng.IntN(3000))
		hi, lo := rng.Uint64(), rng.Uint64() // bits that may differ
		for i := range keys {
			keys[i] = sortKey{rng.Uint64() & hi & rng.Uint64(), rng.Uint64() & lo, uint32(i)}
		}
		want, sort := slices.Clone(keys), radixSort
		slices.SortStableFunc(want, func(a, b sortKey) int { return cmp.Compare(a.hi, b.hi) })
		if rng.IntN(2) == 0 {
			sort = sortKeys
			slices.SortStableFunc(want, func(a, b sortKey) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) })
		}
		if got, _ := sort(keys, make([]sortKey, len(keys))); !slices.Equal(got, want) {
			t.Fatalf("%d keys with bits %x %x are out of order", len(keys), hi, lo)
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

// Texts are sorted as bytes are compared, whatever they have in common, also where
// one begins another or holds zeros; equal ones keep their order.
func TestTextsAreSortedAsBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		prefix := make([]byte, rng.IntN(20))
		texts := make([][]byte, rng.IntN(500))
		keys := make([]sortKey, len(texts))
		for i := range texts {
			texts[i] = slices.Clone(prefix)
			for range rng.IntN(30) {
				texts[i] = append(texts[i], byte(rng.IntN(2))*byte(rng.IntN(3)))
			}
			keys[i].at = uint32(i)
		}
		want := make([]uint32, len(keys))
		for i := range want {
			want[i] = uint32(i)
		}
		slices.SortStableFunc(want, func(a, b uint32) int { return bytes.Compare(texts[a], texts[b]) })
		sorted, _ := sortTexts(keys, make([]sortKey, len(keys)), func(at uint32) []byte { return texts[at] })
		for i := range sorted {
			if sorted[i].at != want[i] {
				t.Fatalf("%d texts: at place %d stands %x, want %x", len(texts), i, texts[sorted[i].at], texts[want[i]])
			}
		}
	}
}
