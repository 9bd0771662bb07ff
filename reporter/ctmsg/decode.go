package ctmsg

import (
	"encoding/binary"
	"math/bits"
)

// Decode reads one conntrack message into m and keeps no reference to b. bigEndian is the byte order of the host that
// received the message: netlink and attribute headers are in host order, attribute payloads in network order.
//
// Decode skips attributes that m has no field for, nested ones too. If an attribute occurs twice, the last one counts.
// After an error m is the zero Message. An error means that the message cannot be used; it is a fixed value, so that a
// stream of bad messages costs no allocation. Decode does not allocate.
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
		return errLength
	}
	length := binary.LittleEndian.Uint32(b)
	typ, flags := halves(b[4:], big)
	if big {
		length = bits.ReverseBytes32(length)
	}
	// Up to three bytes may follow, for alignment.
	if length < headerLen || uint64(length) > uint64(len(b)) || uint64(len(b)) > (uint64(length)+3)&^3 {
		return errLength
	}
	switch {
	case typ == msgDelete:
		m.Type = Destroy
	case typ != msgNew:
		return errType
	case flags&flagMulti != 0:
		m.Type = Dump
	case flags&(flagCreate|flagExcl) != 0:
		m.Type = New
	default:
		m.Type = Update
	}
	return m.attributes(b[headerLen:length], big)
}

// halves reads the first two 16-bit numbers of b: type and flags of a message, length and type of an attribute.
func halves(b []byte, big bool) (first, second uint16) {
	v := binary.LittleEndian.Uint32(b)
	first, second = uint16(v), uint16(v>>16)
	if big {
		first, second = bits.ReverseBytes16(first), bits.ReverseBytes16(second)
	}
	return first, second
}

// attr splits the first attribute off b and returns its type without flags, its payload, and the attributes after it.
// A length that is impossible gives the type -1 and no rest, so that a loop over the rest ends.
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
		typ, p, rest := attr(b, big)
		b = rest
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
			return errAttribute
		}
	}
	if m.Zone == 0 && zoneOrig != 0 {
		m.Zone, m.ZoneDir = zoneOrig, Original
	} else if m.Zone == 0 && zoneReply != 0 {
		m.Zone, m.ZoneDir = zoneReply, Reply
	}
	if !haveOrig || !haveReply {
		return errTuple
	}
	return nil
}

// protoInfo reads the state of a TCP connection and skips that of other protocols.
func (m *Message) protoInfo(b []byte, big bool) (ok bool) {
	if !big && m.protoInfoUsual(b) {
		return true
	}
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		if typ < 0 || typ == ctaProtoInfoTCP && !m.tcp(p, big) {
			return false
		}
	}
	return true
}

func (m *Message) tcp(b []byte, big bool) (ok bool) {
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		ok := true
		switch typ {
		case ctaTCPState:
			var state uint8
			state, ok = u8(p)
			m.State, m.HasState = State(state), true
		case ctaTCPWScaleOrig:
			m.WScaleOrig, ok = u8(p)
			m.HasFlags = true
		case ctaTCPWScaleRepl:
			m.WScaleReply, ok = u8(p)
			m.HasFlags = true
		case ctaTCPFlagsOrig:
			m.FlagsOrig, ok = tcpFlags(p)
			m.HasFlags = true
		case ctaTCPFlagsReply:
			m.FlagsReply, ok = tcpFlags(p)
			m.HasFlags = true
		case -1:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// protoInfoUsual does what protoInfo does for the layout that little-endian kernels send for a TCP connection, faster.
// It reports whether b has that layout.
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

func (c *Counters) decode(b []byte, big bool) (ok bool) {
	*c = Counters{Has: true}
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		ok := true
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

func (m *Message) timestamp(b []byte, big bool) (ok bool) {
	m.HasTimestamp, m.Start, m.Stop = true, 0, 0
	for len(b) > 0 {
		typ, p, rest := attr(b, big)
		b = rest
		ok := true
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

func ipv4(p []byte) (IP, bool) {
	if len(p) != 4 {
		return IP{}, false
	}
	return ipFrom4(p), true
}

func ipv6(p []byte) (IP, bool) {
	if len(p) != 16 {
		return IP{}, false
	}
	return ipFrom16(p), true
}
