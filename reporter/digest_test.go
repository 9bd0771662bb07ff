package reporter

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/topotape/topotape/reporter/report"
)

// Bucket equals the hash of the standard library.
func TestBucketIsFNV(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	end := func() report.End {
		var b [16]byte
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		addr := netip.AddrFrom16(b)
		if rng.IntN(2) == 0 {
			addr = netip.AddrFrom4([4]byte(b[:4]))
		}
		return report.End{Addr: netip.AddrPortFrom(addr, uint16(rng.Uint32()))}
	}
	for range 10000 {
		c := report.Connection{From: end(), To: end()}
		h := fnv.New32a()
		for _, e := range []report.End{c.From, c.To} {
			a := e.Addr.Addr().As16()
			h.Write(binary.BigEndian.AppendUint16(a[:], e.Addr.Port()))
		}
		if got, want := c.Bucket(), int(h.Sum32()&7); got != want {
			t.Fatalf("%v > %v: %d, want %d", c.From.Addr, c.To.Addr, got, want)
		}
	}
}
