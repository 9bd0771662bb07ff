package ctmsg

import "encoding/binary"

// Append appends m to b as the kernel of a host with that byte order sends it, attributes in the order of the kernel's
// events, and returns the extended slice. Sequence number and port ID are zero. Decode returns m again if m follows the
// rules in the comments of its fields. Append does not write ports of protocols without ports, nor values that a false
// Has field guards. It writes an unknown Type as Update.
func (m *Message) Append(b []byte, bigEndian bool) []byte {
	e := encoder{b: b, start: len(b), order: binary.LittleEndian}
	if bigEndian {
		e.order = binary.BigEndian
	}
	e.header(m)
	e.tuple(ctaTupleOrig, m.Orig, m.Zone, m.ZoneDir == Original)
	e.tuple(ctaTupleReply, m.Reply, m.Zone, m.ZoneDir == Reply)
	if m.Zone != 0 && m.ZoneDir != Original && m.ZoneDir != Reply {
		e.u16(ctaZone, m.Zone)
	}
	e.u32(ctaID, m.ID)
	if m.HasStatus {
		e.u32(ctaStatus, uint32(m.Status))
	}
	if m.HasTimeout {
		e.u32(ctaTimeout, m.Timeout)
	}
	e.counters(ctaCountersOrig, m.CountersOrig)
	e.counters(ctaCountersReply, m.CountersReply)
	if m.HasTimestamp {
		nest := e.open(ctaTimestamp)
		e.u64(ctaTimestampStart, m.Start)
		if m.Stop != 0 {
			e.u64(ctaTimestampStop, m.Stop)
		}
		e.close(nest)
	}
	e.protoInfo(m)
	if m.HasMark {
		e.u32(ctaMark, m.Mark)
	}
	if m.EventTime != 0 {
		e.u64(ctaTimestampEvent, m.EventTime)
	}
	e.order.PutUint32(e.b[e.start:], uint32(len(e.b)-e.start))
	return e.b
}

// encoder appends attributes. Every attribute is padded to four bytes.
type encoder struct {
	b     []byte
	start int // of the message in b
	order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}
}

func (e *encoder) header(m *Message) {
	typ, flags := uint16(msgNew), uint16(0)
	switch m.Type {
	case New:
		flags = flagCreate | flagExcl
	case Destroy:
		typ = msgDelete
	case Dump:
		flags = flagMulti
	}
	e.b = e.order.AppendUint32(e.b, 0) // nlmsg_len: Append knows it at the end
	e.b = e.order.AppendUint16(e.b, typ)
	e.b = e.order.AppendUint16(e.b, flags)
	e.b = e.order.AppendUint32(e.b, 0) // nlmsg_seq
	e.b = e.order.AppendUint32(e.b, 0) // nlmsg_pid
	family := byte(familyIPv6)
	if isIPv4(m.Orig) {
		family = familyIPv4
	}
	e.b = append(e.b, family, 0, 0, 0) // NFNETLINK_V0, resource 0
}

func isIPv4(t Tuple) bool { return t.SrcIP.Is4() && t.DstIP.Is4() }

func (e *encoder) tuple(typ uint16, t Tuple, zone uint16, hasZone bool) {
	nest := e.open(typ)
	ip := e.open(ctaTupleIP)
	if isIPv4(t) {
		e.u32(ctaIPv4Src, uint32(t.SrcIP.Lo))
		e.u32(ctaIPv4Dst, uint32(t.DstIP.Lo))
	} else {
		e.addr6(ctaIPv6Src, t.SrcIP)
		e.addr6(ctaIPv6Dst, t.DstIP)
	}
	e.close(ip)
	proto := e.open(ctaTupleProto)
	e.bytes(ctaProtoNum, []byte{t.Proto})
	if hasPorts(t.Proto) {
		e.u16(ctaProtoSrcPort, t.SrcPort)
		e.u16(ctaProtoDstPort, t.DstPort)
	}
	e.close(proto)
	if hasZone && zone != 0 {
		e.u16(ctaTupleZone, zone)
	}
	e.close(nest)
}

func (e *encoder) addr6(typ uint16, a IP) {
	var p [16]byte
	binary.BigEndian.PutUint64(p[:], a.Hi)
	binary.BigEndian.PutUint64(p[8:], a.Lo)
	e.bytes(typ, p[:])
}

func (e *encoder) protoInfo(m *Message) {
	if !m.HasState && !m.HasFlags {
		return
	}
	nest := e.open(ctaProtoInfo)
	tcp := e.open(ctaProtoInfoTCP)
	if m.HasState {
		e.bytes(ctaTCPState, []byte{byte(m.State)})
	}
	if m.HasFlags {
		e.bytes(ctaTCPWScaleOrig, []byte{m.WScaleOrig})
		e.bytes(ctaTCPWScaleRepl, []byte{m.WScaleReply})
		e.bytes(ctaTCPFlagsOrig, []byte{m.FlagsOrig, 0})
		e.bytes(ctaTCPFlagsReply, []byte{m.FlagsReply, 0})
	}
	e.close(tcp)
	e.close(nest)
}

func (e *encoder) counters(typ uint16, c Counters) {
	if !c.Has {
		return
	}
	nest := e.open(typ)
	e.u64(ctaCountersPackets, c.Packets)
	e.u64(ctaCountersBytes, c.Bytes)
	e.close(nest)
}

// open begins a nested attribute and returns its offset, where close writes the length.
func (e *encoder) open(typ uint16) int {
	at := len(e.b)
	e.b = e.order.AppendUint16(e.b, 0)
	e.b = e.order.AppendUint16(e.b, typ|attrNested)
	return at
}

func (e *encoder) close(at int) {
	e.order.PutUint16(e.b[at:], uint16(len(e.b)-at))
}

func (e *encoder) bytes(typ uint16, payload []byte) {
	e.b = e.order.AppendUint16(e.b, uint16(attrLen+len(payload)))
	e.b = e.order.AppendUint16(e.b, typ)
	e.b = append(e.b, payload...)
	for (len(e.b)-e.start)&3 != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) u16(typ uint16, v uint16) {
	e.bytes(typ, []byte{byte(v >> 8), byte(v)})
}

func (e *encoder) u32(typ uint16, v uint32) {
	var p [4]byte
	binary.BigEndian.PutUint32(p[:], v)
	e.bytes(typ, p[:])
}

func (e *encoder) u64(typ uint16, v uint64) {
	var p [8]byte
	binary.BigEndian.PutUint64(p[:], v)
	e.bytes(typ, p[:])
}
