package ctmsg

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// An address comes back from its numbers unmapped, and it is loopback if it is for netip.
func TestIPIsTheAddress(t *testing.T) {
	list := []netip.Addr{{}}
	for _, s := range []string{"0.0.0.0", "127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0", "::", "::1", "::2", "::127.0.0.1",
		"::fffe:127.0.0.1", "0:0:0:1:0:ffff:127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "1::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		list = append(list, netip.MustParseAddr(s))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		var b [16]byte
		for i := range b[rng.IntN(16):] {
			b[15-i] = byte(rng.Uint32())
		}
		list = append(list, netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, a := range list {
		want := a.Unmap()
		if !a.IsValid() {
			want = netip.IPv6Unspecified()
		}
		ip := IPOf(a)
		if got := ip.Addr(); got != want || ip.Is4() != want.Is4() || ip.IsLoopback() != want.IsLoopback() {
			t.Errorf("%v became %v, of IPv4 %v, loopback %v", a, got, ip.Is4(), ip.IsLoopback())
		}
	}
}

func TestTupleHasItsEnds(t *testing.T) {
	src, dst := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("[2001:db8::2]:80")
	o := TupleOf(src, dst, 6)
	if o.Src() != src || o.Dst() != dst || o.Proto != 6 {
		t.Errorf("%v > %v", o.Src(), o.Dst())
	}
	if r := o.Reversed(); r != TupleOf(dst, src, 6) || r.Reversed() != o {
		t.Errorf("%v > %v", r.Src(), r.Dst())
	}
}

// The fast decoder of the usual layout gives the same result as the general one.
func TestUsualProtoInfoDecodesAsAnyOther(t *testing.T) {
	tcp := join(attribute(ctaTCPState, 3), attribute(ctaTCPWScaleOrig, 7), attribute(ctaTCPWScaleRepl, 8), attribute(ctaTCPFlagsOrig, 0x23, 1), attribute(ctaTCPFlagsReply, 0x25, 2))
	info := func(payload ...byte) []byte {
		return message(msgNew, 0, orig, reply, attribute(ctaProtoInfo, attribute(ctaProtoInfoTCP|attrNested, payload...)...))
	}
	var usual, other Message
	if err := usual.Decode(info(tcp...), false); err != nil || usual.State != Established || usual.WScaleOrig != 7 || usual.WScaleReply != 8 ||
		usual.FlagsOrig != 0x23 || usual.FlagsReply != 0x25 || !usual.HasState || !usual.HasFlags {
		t.Fatalf("%+v %v", usual, err)
	}
	if err := other.Decode(info(join(attribute(1000), tcp)...), false); err != nil || other != usual {
		t.Errorf("after another attribute: %+v %v", other, err)
	}
	for i := range tcp { // a length, a type or a value
		changed := append([]byte{}, tcp...)
		changed[i] ^= 0x10
		errUsual, errOther := usual.Decode(info(changed...), false), other.Decode(info(join(attribute(1000), changed)...), false)
		if errUsual != errOther || usual != other {
			t.Errorf("byte %d: %+v %v, after another attribute %+v %v", i, usual, errUsual, other, errOther)
		}
	}
}
