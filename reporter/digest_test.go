package reporter

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
)

// Bucket is what the library's hash of the ends gives.
func TestBucketIsFNV(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	end := func() End {
		var b [16]byte
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		addr := netip.AddrFrom16(b)
		if rng.IntN(2) == 0 {
			addr = netip.AddrFrom4([4]byte(b[:4]))
		}
		return End{Addr: netip.AddrPortFrom(addr, uint16(rng.Uint32()))}
	}
	for range 10000 {
		c := Connection{From: end(), To: end()}
		h := fnv.New32a()
		for _, e := range []End{c.From, c.To} {
			a := e.Addr.Addr().As16()
			h.Write(binary.BigEndian.AppendUint16(a[:], e.Addr.Port()))
		}
		if got, want := c.Bucket(), int(h.Sum32()&7); got != want {
			t.Fatalf("%v > %v: %d, want %d", c.From.Addr, c.To.Addr, got, want)
		}
	}
}

// Every port, and addresses of all lengths, are written as the library does.
func TestAddressesAreThoseOfTheLibrary(t *testing.T) {
	for port := range 1 << 16 {
		if got, want := string(appendPort([]byte("x"), uint16(port))), "x"+strconv.Itoa(port); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	for i := range 256 {
		n := byte(i)
		for _, a := range [][4]byte{{n, 0, 255, 9}, {0, n, 10, 99}, {100, 99, n, 1}, {1, 2, 3, n}} {
			addr := netip.AddrFrom4(a)
			if got, want := string(appendAddr(nil, addr)), addr.String(); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	}
}
