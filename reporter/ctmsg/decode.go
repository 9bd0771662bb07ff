package ctmsg

import (
	"encoding/binary"
	"math/bits"
)

// Decode reads one conntrack message into m and keeps nothing of b. bigEndian is the byte order of the host that
// received the message: netlink and attribute headers are in host order, attribute payloads in network order.
//
// Attributes that m has no field for are skipped, nested ones too; of an attribute that stands twice the last counts.
// After an error m is the zero Message. Decode does not allocate.
func (m *Message) Decode(b []byte, bigEndian bool) error {
	*m = Message{}
	if err := m.decode(b, bigEndian); err != nil {
		*m = Message{}
		return err
	}
	return nil
}

func (m *Message) decode(b []byte, big bool) error {
	if len(b) < headerLen {
		return ErrLength
	}
	length := binary.LittleEndian.Uint32(b)
	typ, flags := halves(b[4:], big)
	if big {
		length = bits.ReverseBytes32(length)
	}
	// Up to three bytes may follow, for alignment.
	if length < headerLen || uint64(length) > uint64(len(b)) || uint64(len(b)) > (uint64(length)+3)&^3 {
		return ErrLength
	}
	switch {
	case typ == msgDelete:
		m.Type = Destroy
	case typ != msgNew:
		return ErrType
	case flags&flagMulti != 0:
		m.Type = Dump
	case flags&(flagCreate|flagExcl) != 0:
		m.Type = New
	default:
		m.Type = Update
	}
	return m.attributes(b[headerLen:length], big)
}

// halves reads the two 16-bit numbers that b begins with: type and flags of a message, length and type of an attribute.
func halves(b []byte, big bool) (first, second uint16) {
	v := binary.LittleEndian.Uint32(b)
	first, second = uint16(v), uint16(v>>16)
	if big {
		first, second = bits.ReverseBytes16(first), bits.ReverseBytes16(second)
	}
	return first, second
}

// attr splits the first attribute off b: its type without flags, its payload, what follows. A negative type means
// that its length is impossible.
func attr(b []byte, big bool) (typ int, payload, rest []byte) {
	if len(b) < attrLen {
		return -1, nil, nil
	}
	l, t := halves(b, big)
	length := int(l)
	if length < attrLen || length > len(b) {
		return -1, nil, nil
	}
	return int(t & attrTypeMask), b[attrLen:length], b[min((length+3)&^3, len(b)):]
}

func (m *Message) attributes(b []byte, big bool) error {
	var zoneOrig, zoneReply uint16
	var haveOrig, haveReply bool
	for len(b) > 0 {
		var typ int
		var p []byte
		typ, p, b = attr(b, big)
		ok := true
		switch typ {
		case ctaTupleOrig:
			zoneOrig, haveOrig, ok = m.Orig.decode(p, big)
		case ctaTupleReply:
			zoneReply, haveReply, ok = m.Reply.decode(p, big)
		case ctaID:
			m.ID, ok = be32(p)
		case ctaStatus:
			var status uint32
			status, ok = be32(p)
			m.Status, m.HasStatus = Status(status), true
		case ctaTimeout:
			m.Timeout, ok = be32(p)
			m.HasTimeout = true
		case ctaProtoInfo:
			ok = m.protoInfo(p, big)
		case ctaMark:
			m.Mark, ok = be32(p)
			m.HasMark = true
		case ctaZone:
			m.Zone, ok = be16(p)
		case ctaCountersOrig:
			ok = m.CountersOrig.decode(p, big)
		case ctaCountersReply:
			ok = m.CountersReply.decode(p, big)
		case ctaTimestamp:
			ok = m.timestamp(p, big)
		case ctaTimestampEvent:
			m.EventTime, ok = be64(p)
		case -1:
			ok = false
		}
		if !ok {
			return ErrAttribute
		}
	}
	if m.Zone == 0 && zoneOrig != 0 {
		m.Zone, m.ZoneDir = zoneOrig, Original
	} else if m.Zone == 0 && zoneReply != 0 {
		m.Zone, m.ZoneDir = zoneReply, Reply
	}
	if !haveOrig || !haveReply {
		return ErrTuple
	}
	return nil
}

// decode says whether the tuple is whole, with addresses, protocol and ports; ok is false if an attribute is malformed.
func (t *Tuple) decode(b []byte, big bool) (zone uint16, whole, ok bool) {
	if !big && t.decodeUsual(b) {
		return 0, true, true
	}
	var haveSrc, haveDst, haveProto, haveSport, haveDport bool
	*t = Tuple{}
	for len(b) > 0 {
		var typ int
		var p []byte
		typ, p, b = attr(b, big)
		switch typ {
		case ctaTupleIP:
			for len(p) > 0 {
				var v []byte
				typ, v, p = attr(p, big)
				switch typ {
				case ctaIPv4Src, ctaIPv4Dst:
					if len(v) != 4 {
						return 0, false, false
					}
					if typ == ctaIPv4Src {
						t.SrcIP, haveSrc = ipv4(v), true
					} else {
						t.DstIP, haveDst = ipv4(v), true
					}
				case ctaIPv6Src, ctaIPv6Dst:
					if len(v) != 16 {
						return 0, false, false
					}
					if typ == ctaIPv6Src {
						t.SrcIP, haveSrc = ipv6(v), true
					} else {
						t.DstIP, haveDst = ipv6(v), true
					}
				case -1:
					return 0, false, false
				}
			}
		case ctaTupleProto:
			for len(p) > 0 {
				var v []byte
				ok = true
				typ, v, p = attr(p, big)
				switch typ {
				case ctaProtoNum:
					t.Proto, ok = u8(v)
					haveProto = true
				case ctaProtoSrcPort:
					t.SrcPort, ok = be16(v)
					haveSport = true
				case ctaProtoDstPort:
					t.DstPort, ok = be16(v)
					haveDport = true
				case -1:
					ok = false
				}
				if !ok {
					return 0, false, false
				}
			}
		case ctaTupleZone:
			if zone, ok = be16(p); !ok {
				return 0, false, false
			}
		case -1:
			return 0, false, false
		}
	}
	if !hasPorts(t.Proto) {
		t.SrcPort, t.DstPort, haveSport, haveDport = 0, 0, true, true
	}
	return zone, haveSrc && haveDst && haveProto && haveSport && haveDport, true
}

// decodeUsual reads a tuple laid out as little-endian kernels lay out that of a protocol with ports, and says whether b was one.
// It does what decode does, in a third of the time: no branch of it depends on data but the last.
func (t *Tuple) decodeUsual(b []byte) bool {
	le := binary.LittleEndian
	switch len(b) {
	case 48:
		if le.Uint32(b) != 0x8001_0014 || le.Uint32(b[4:]) != 0x0001_0008 || le.Uint32(b[12:]) != 0x0002_0008 || !t.ports(b[20:48]) {
			return false
		}
		t.SrcIP, t.DstIP = ipv4(b[8:]), ipv4(b[16:])
		t.SrcPort, t.DstPort = binary.BigEndian.Uint16(b[36:]), binary.BigEndian.Uint16(b[44:])
		return true
	case 72:
		if le.Uint32(b) != 0x8001_002c || le.Uint32(b[4:]) != 0x0003_0014 || le.Uint32(b[24:]) != 0x0004_0014 || !t.ports(b[44:72]) {
			return false
		}
		t.SrcIP, t.DstIP = ipv6(b[8:]), ipv6(b[28:])
		t.SrcPort, t.DstPort = binary.BigEndian.Uint16(b[60:]), binary.BigEndian.Uint16(b[68:])
		return true
	}
	return false
}

// ports reads the protocol of a CTA_TUPLE_PROTO of usual layout: number, source port, destination port.
func (t *Tuple) ports(b []byte) bool {
	le := binary.LittleEndian
	t.Proto = b[8]
	return le.Uint32(b) == 0x8002_001c && le.Uint32(b[4:]) == 0x0001_0005 && le.Uint32(b[12:]) == 0x0002_0006 &&
		le.Uint32(b[20:]) == 0x0003_0006 && hasPorts(t.Proto)
}

// protoInfo reads a TCP connection's state; what other protocols have to tell is skipped.
func (m *Message) protoInfo(b []byte, big bool) bool {
	if !big && m.protoInfoUsual(b) {
		return true
	}
	for len(b) > 0 {
		var typ int
		var p []byte
		typ, p, b = attr(b, big)
		if typ < 0 {
			return false
		}
		if typ != ctaProtoInfoTCP {
			continue
		}
		for len(p) > 0 {
			var v []byte
			var state uint8
			ok := true
			typ, v, p = attr(p, big)
			switch typ {
			case ctaTCPState:
				state, ok = u8(v)
				m.State, m.HasState = State(state), true
			case ctaTCPWScaleOrig:
				m.WScaleOrig, ok = u8(v)
				m.HasFlags = true
			case ctaTCPWScaleRepl:
				m.WScaleReply, ok = u8(v)
				m.HasFlags = true
			case ctaTCPFlagsOrig:
				m.FlagsOrig, ok = tcpFlags(v)
				m.HasFlags = true
			case ctaTCPFlagsReply:
				m.FlagsReply, ok = tcpFlags(v)
				m.HasFlags = true
			case -1:
				ok = false
			}
			if !ok {
				return false
			}
		}
	}
	return true
}

// protoInfoUsual is protoInfo of what little-endian kernels send of a TCP connection that goes on. It says whether b was that.
func (m *Message) protoInfoUsual(b []byte) bool {
	le := binary.LittleEndian
	if len(b) != 44 || le.Uint32(b) != 0x8001_002c || le.Uint32(b[4:]) != 0x0001_0005 || le.Uint32(b[12:]) != 0x0002_0005 ||
		le.Uint32(b[20:]) != 0x0003_0005 || le.Uint32(b[28:]) != 0x0004_0006 || le.Uint32(b[36:]) != 0x0005_0006 {
		return false
	}
	m.State, m.HasState = State(b[8]), true
	m.WScaleOrig, m.WScaleReply, m.FlagsOrig, m.FlagsReply, m.HasFlags = b[16], b[24], b[32], b[40], true
	return true
}

func (c *Counters) decode(b []byte, big bool) bool {
	*c = Counters{Has: true}
	for len(b) > 0 {
		var typ int
		var p []byte
		ok := true
		typ, p, b = attr(b, big)
		switch typ {
		case ctaCountersPackets:
			c.Packets, ok = be64(p)
		case ctaCountersBytes:
			c.Bytes, ok = be64(p)
		case -1:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

func (m *Message) timestamp(b []byte, big bool) bool {
	m.HasTimestamp, m.Start, m.Stop = true, 0, 0
	for len(b) > 0 {
		var typ int
		var p []byte
		ok := true
		typ, p, b = attr(b, big)
		switch typ {
		case ctaTimestampStart:
			m.Start, ok = be64(p)
		case ctaTimestampStop:
			m.Stop, ok = be64(p)
		case -1:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// tcpFlags reads a struct nf_ct_tcp_flags: flags, then a mask that only matters in requests.
func tcpFlags(p []byte) (uint8, bool) {
	if len(p) != 2 {
		return 0, false
	}
	return p[0], true
}

func u8(p []byte) (uint8, bool) {
	if len(p) != 1 {
		return 0, false
	}
	return p[0], true
}

func be16(p []byte) (uint16, bool) {
	if len(p) != 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(p), true
}

func be32(p []byte) (uint32, bool) {
	if len(p) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(p), true
}

func be64(p []byte) (uint64, bool) {
	if len(p) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(p), true
}
