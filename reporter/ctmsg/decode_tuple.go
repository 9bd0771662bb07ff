package ctmsg

import "encoding/binary"

// tupleParts is a set of the attributes that a tuple consists of.
type tupleParts uint8

const (
	partSrc tupleParts = 1 << iota
	partDst
	partProto
	partSrcPort
	partDstPort
	allParts = partSrc | partDst | partProto | partSrcPort | partDstPort
)

// decode reads a tuple and its zone. whole reports whether the tuple has addresses, protocol and, if its protocol has
// them, ports. ok is false if an attribute is malformed.
func (t *Tuple) decode(b []byte, big bool) (zone uint16, whole, ok bool) {
	if !big && t.decodeUsual(b) {
		return 0, true, true
	}
	*t = Tuple{}
	var seen tupleParts
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		ok := true
		switch typ {
		case ctaTupleIP:
			ok = t.addresses(p, big, &seen)
		case ctaTupleProto:
			ok = t.protocol(p, big, &seen)
		case ctaTupleZone:
			zone, ok = be16(p)
		case -1:
			ok = false
		}
		if !ok {
			return 0, false, false
		}
	}
	if !hasPorts(t.Proto) {
		t.SrcPort, t.DstPort = 0, 0
		seen |= partSrcPort | partDstPort
	}
	return zone, seen == allParts, true
}

func (t *Tuple) addresses(b []byte, big bool, seen *tupleParts) (ok bool) {
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		ok := true
		switch typ {
		case ctaIPv4Src:
			t.SrcIP, ok = ipv4(p)
			*seen |= partSrc
		case ctaIPv4Dst:
			t.DstIP, ok = ipv4(p)
			*seen |= partDst
		case ctaIPv6Src:
			t.SrcIP, ok = ipv6(p)
			*seen |= partSrc
		case ctaIPv6Dst:
			t.DstIP, ok = ipv6(p)
			*seen |= partDst
		case -1:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

func (t *Tuple) protocol(b []byte, big bool, seen *tupleParts) (ok bool) {
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		ok := true
		switch typ {
		case ctaProtoNum:
			t.Proto, ok = u8(p)
			*seen |= partProto
		case ctaProtoSrcPort:
			t.SrcPort, ok = be16(p)
			*seen |= partSrcPort
		case ctaProtoDstPort:
			t.DstPort, ok = be16(p)
			*seen |= partDstPort
		case -1:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// decodeUsual does what decode does for the layout that little-endian kernels send for a protocol with ports, in a
// third of the time: only its last branch depends on data. It reports whether b has that layout.
func (t *Tuple) decodeUsual(b []byte) bool {
	le := binary.LittleEndian
	switch len(b) {
	case 48:
		if le.Uint32(b) != 0x8001_0014 || le.Uint32(b[4:]) != 0x0001_0008 || le.Uint32(b[12:]) != 0x0002_0008 || !t.portsUsual(b[20:48]) {
			return false
		}
		t.SrcIP, t.DstIP = ipFrom4(b[8:]), ipFrom4(b[16:])
		t.SrcPort, t.DstPort = binary.BigEndian.Uint16(b[36:]), binary.BigEndian.Uint16(b[44:])
		return true
	case 72:
		if le.Uint32(b) != 0x8001_002c || le.Uint32(b[4:]) != 0x0003_0014 || le.Uint32(b[24:]) != 0x0004_0014 || !t.portsUsual(b[44:72]) {
			return false
		}
		t.SrcIP, t.DstIP = ipFrom16(b[8:]), ipFrom16(b[28:])
		t.SrcPort, t.DstPort = binary.BigEndian.Uint16(b[60:]), binary.BigEndian.Uint16(b[68:])
		return true
	}
	return false
}

// portsUsual reads the protocol from a CTA_TUPLE_PROTO of that layout: number, source port, destination port.
func (t *Tuple) portsUsual(b []byte) bool {
	le := binary.LittleEndian
	t.Proto = b[8]
	return le.Uint32(b) == 0x8002_001c && le.Uint32(b[4:]) == 0x0001_0005 && le.Uint32(b[12:]) == 0x0002_0006 &&
		le.Uint32(b[20:]) == 0x0003_0006 && hasPorts(t.Proto)
}
