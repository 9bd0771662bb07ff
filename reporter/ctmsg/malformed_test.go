package ctmsg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
)

// sample returns a message with every attribute that Message has a field for.
func sample() Message {
	return Message{
		Type: Destroy, ID: 0x01020304, Zone: 7, ZoneDir: Reply,
		Orig:      TupleOf(netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:80"), protoTCP),
		Reply:     TupleOf(netip.MustParseAddrPort("10.0.0.2:80"), netip.MustParseAddrPort("10.0.0.1:40000"), protoTCP),
		HasStatus: true, Status: SeenReply, HasState: true, State: Established,
		HasFlags: true, FlagsOrig: 3, FlagsReply: 0x23, WScaleOrig: 7, WScaleReply: 8,
		HasTimeout: true, Timeout: 120, HasMark: true, Mark: 66, HasTimestamp: true, Start: 1, Stop: 2, EventTime: 3,
		CountersOrig: Counters{true, 4, 5}, CountersReply: Counters{true, 6, 7},
	}
}

// attribute returns one attribute in little-endian order, padded.
func attribute(typ uint16, payload ...byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(attrLen+len(payload)))
	b = binary.LittleEndian.AppendUint16(b, typ)
	b = append(b, payload...)
	return append(b, make([]byte, -len(payload)&3)...)
}

// message returns a message of attributes in little-endian order.
func message(typ, flags uint16, attributes ...[]byte) []byte {
	body := bytes.Join(attributes, nil)
	b := binary.LittleEndian.AppendUint32(nil, uint32(headerLen+len(body)))
	b = binary.LittleEndian.AppendUint16(b, typ)
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...)
	b = append(b, familyIPv4, 0, 0, 0)
	return append(b, body...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func tuple(typ uint16, parts ...[]byte) []byte { return attribute(typ|attrNested, join(parts...)...) }

var (
	ip4   = attribute(ctaTupleIP|attrNested, join(attribute(ctaIPv4Src, 10, 0, 0, 1), attribute(ctaIPv4Dst, 10, 0, 0, 2))...)
	ports = join(attribute(ctaProtoSrcPort, 0, 80), attribute(ctaProtoDstPort, 0, 90))
	tcp   = attribute(ctaTupleProto|attrNested, join(attribute(ctaProtoNum, protoTCP), ports)...)
	orig  = tuple(ctaTupleOrig, ip4, tcp)
	reply = tuple(ctaTupleReply, ip4, tcp)
)

func TestTypes(t *testing.T) {
	for _, test := range []struct {
		typ, flags uint16
		want       Type
		err        error
	}{
		{msgNew, flagCreate | flagExcl, New, nil},
		{msgNew, flagCreate, New, nil},
		{msgNew, 0, Update, nil},
		{msgNew, flagMulti, Dump, nil},
		{msgNew, flagMulti | flagCreate, Dump, nil},
		{msgDelete, 0, Destroy, nil},
		{subsystem | 1, 0, 0, errType}, // IPCTNL_MSG_CT_GET
		{2 << 8, 0, 0, errType},        // NFNL_SUBSYS_CTNETLINK_EXP
		{2, 0, 0, errType},             // NLMSG_ERROR
		{3, flagMulti, 0, errType},     // NLMSG_DONE
	} {
		var m Message
		if err := m.Decode(message(test.typ, test.flags, orig, reply), false); err != test.err || m.Type != test.want {
			t.Errorf("type %#x flags %#x: %v, %v", test.typ, test.flags, m.Type, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	good := message(msgNew, 0, orig, reply)
	withLength := func(n uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b, n)
		return b
	}
	n := uint32(len(good))
	for name, test := range map[string]struct {
		b   []byte
		err error
	}{
		"whole":                      {good, nil},
		"three bytes of padding":     {append(withLength(n), 0, 0, 0), errLength},
		"empty":                      {nil, errLength},
		"two messages":               {join(good, good), errLength},
		"length too small":           {withLength(n - 4), errLength},
		"length too large":           {withLength(n + 1), errLength},
		"length below the header":    {withLength(19), errLength},
		"length overflows":           {withLength(0xffffffff), errLength},
		"no attributes":              {message(msgNew, 0), errTuple},
		"no reply":                   {message(msgNew, 0, orig), errTuple},
		"no original":                {message(msgNew, 0, reply), errTuple},
		"empty tuple":                {message(msgNew, 0, orig, tuple(ctaTupleReply)), errTuple},
		"no protocol":                {message(msgNew, 0, orig, tuple(ctaTupleReply, ip4)), errTuple},
		"no addresses":               {message(msgNew, 0, orig, tuple(ctaTupleReply, tcp)), errTuple},
		"no ports":                   {message(msgNew, 0, orig, tuple(ctaTupleReply, ip4, attribute(ctaTupleProto, attribute(ctaProtoNum, protoTCP)...))), errTuple},
		"one port":                   {message(msgNew, 0, orig, tuple(ctaTupleReply, ip4, attribute(ctaTupleProto, join(attribute(ctaProtoNum, protoTCP), ports[:8])...))), errTuple},
		"protocol without ports":     {message(msgNew, 0, orig, tuple(ctaTupleReply, ip4, attribute(ctaTupleProto, attribute(ctaProtoNum, 89)...))), nil},
		"IPv4 address of 16 bytes":   {message(msgNew, 0, orig, tuple(ctaTupleReply, attribute(ctaTupleIP, attribute(ctaIPv4Src, make([]byte, 16)...)...), tcp)), errAttribute},
		"IPv6 address of 4 bytes":    {message(msgNew, 0, orig, tuple(ctaTupleReply, attribute(ctaTupleIP, attribute(ctaIPv6Dst, 1, 2, 3, 4)...), tcp)), errAttribute},
		"port of 4 bytes":            {message(msgNew, 0, orig, tuple(ctaTupleReply, ip4, attribute(ctaTupleProto, attribute(ctaProtoSrcPort, 1, 2, 3, 4)...))), errAttribute},
		"status of 2 bytes":          {message(msgNew, 0, orig, reply, attribute(ctaStatus, 1, 2)), errAttribute},
		"state of 2 bytes":           {message(msgNew, 0, orig, reply, attribute(ctaProtoInfo, attribute(ctaProtoInfoTCP, attribute(ctaTCPState, 1, 2)...)...)), errAttribute},
		"time of 4 bytes":            {message(msgNew, 0, orig, reply, attribute(ctaTimestamp, attribute(ctaTimestampStart, 1, 2, 3, 4)...)), errAttribute},
		"attribute shorter than 4":   {message(msgNew, 0, orig, reply, []byte{3, 0, 99, 0}), errAttribute},
		"attribute leaves message":   {message(msgNew, 0, orig, reply, []byte{9, 0, 99, 0, 1, 2, 3, 4}), errAttribute},
		"attribute leaves container": {message(msgNew, 0, orig, reply, attribute(ctaProtoInfo, 12, 0, ctaProtoInfoTCP, 0, 1, 2, 3, 4)), errAttribute},
		"rest of a header":           {message(msgNew, 0, orig, reply, []byte{8, 0}), errAttribute},
		"last attribute unpadded":    {message(msgNew, 0, orig, reply, []byte{5, 0, 99, 0, 1}), nil},
	} {
		m := sample()
		err := m.Decode(test.b, false)
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", name, err, test.err)
		}
		if err != nil && m != (Message{}) {
			t.Errorf("%s: kept values of the previous message: %+v", name, m)
		}
	}
}

// Decode accepts padding after a message whose length is not a multiple of four.
func TestTrailingPadding(t *testing.T) {
	b := message(msgNew, 0, orig, reply, []byte{5, 0, 99, 0, 1})
	for pad := range 5 {
		var m Message
		want := error(nil)
		if pad > 3 {
			want = errLength
		}
		if err := m.Decode(append(bytes.Clone(b), make([]byte, pad)...), false); err != want {
			t.Errorf("%d bytes: %v", pad, err)
		}
	}
}

// Decode skips unknown attributes in every place.
func TestUnknownAttributes(t *testing.T) {
	var want, got Message
	if err := want.Decode(message(msgNew, 0, orig, reply), false); err != nil {
		t.Fatal(err)
	}
	unknown := attribute(1000, 1, 2, 3)
	ip := attribute(ctaTupleIP, join(unknown, ip4[attrLen:], unknown)...)
	proto := attribute(ctaTupleProto, join(unknown, tcp[attrLen:], unknown)...)
	b := message(msgNew, 0, unknown, tuple(ctaTupleOrig, unknown, proto, ip, unknown), unknown, tuple(ctaTupleReply, ip, unknown, proto),
		attribute(ctaProtoInfo, join(unknown, attribute(ctaProtoInfoSCTP, attribute(ctaOtherState, 5)...))...))
	if err := got.Decode(b, false); err != nil || got != want {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

func TestMappedAddresses(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:10.0.0.1").As16()
	ip := attribute(ctaTupleIP, join(attribute(ctaIPv6Src, mapped[:]...), attribute(ctaIPv6Dst, mapped[:]...))...)
	var m Message
	if err := m.Decode(message(msgNew, 0, tuple(ctaTupleOrig, ip, tcp), reply), false); err != nil {
		t.Fatal(err)
	}
	if want := netip.MustParseAddrPort("10.0.0.1:80"); m.Orig.Src() != want {
		t.Errorf("%v", m.Orig.Src())
	}
}

func TestZones(t *testing.T) {
	zone := func(typ uint16, v byte) []byte { return attribute(typ, 0, v) }
	for _, test := range []struct {
		parts [][]byte
		zone  uint16
		dir   Dir
	}{
		{[][]byte{orig, reply}, 0, Both},
		{[][]byte{orig, reply, zone(ctaZone, 0)}, 0, Both},
		{[][]byte{orig, reply, zone(ctaZone, 5)}, 5, Both},
		{[][]byte{tuple(ctaTupleOrig, ip4, tcp, zone(ctaTupleZone, 6)), reply}, 6, Original},
		{[][]byte{orig, tuple(ctaTupleReply, ip4, tcp, zone(ctaTupleZone, 7))}, 7, Reply},
		{[][]byte{tuple(ctaTupleOrig, ip4, tcp, zone(ctaTupleZone, 6)), reply, zone(ctaZone, 5)}, 5, Both},
	} {
		var m Message
		if err := m.Decode(message(msgNew, 0, test.parts...), false); err != nil || m.Zone != test.zone || m.ZoneDir != test.dir {
			t.Errorf("%v: zone %d/%d, want %d/%d", err, m.Zone, m.ZoneDir, test.zone, test.dir)
		}
	}
}

// Every prefix is an error, and a message with a flipped bit decodes to a valid Message or not at all.
func TestDamage(t *testing.T) {
	for _, big := range []bool{false, true} {
		m := sample()
		b := m.Append(nil, big)
		var got Message
		for n := range b {
			if got.Decode(b[:n], big) == nil {
				t.Errorf("prefix of %d bytes decoded", n)
			}
		}
		for i := range b {
			for bit := range 8 {
				d := bytes.Clone(b)
				d[i] ^= 1 << bit
				if got.Decode(d, big) == nil {
					checkInverse(t, got)
				}
			}
		}
	}
}

// checkInverse checks that a decoded message comes back from its encoding in either byte order.
func checkInverse(t *testing.T, m Message) {
	t.Helper()
	for _, big := range []bool{false, true} {
		var again Message
		if err := again.Decode(m.Append(nil, big), big); err != nil || again != m {
			t.Fatalf("big endian %v: %v\n got %+v\nwant %+v", big, err, again, m)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(c.raw, false)
	}
	m := sample()
	f.Add(m.Append(nil, true), true)
	f.Fuzz(func(t *testing.T, b []byte, big bool) {
		var m Message
		if m.Decode(b, big) == nil {
			checkInverse(t, m)
		}
	})
}
