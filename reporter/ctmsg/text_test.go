package ctmsg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// received is when the messages of these tests were received, Unix nanoseconds.
const received = 1795367700_000000000

// Every captured message becomes its line of the golden file.
func TestTextCaptured(t *testing.T) {
	var got strings.Builder
	for _, c := range captures(t) {
		line, err := AppendText(nil, c.raw, false, received)
		if err != nil {
			t.Errorf("%s: %v", c.label, err)
		}
		fmt.Fprintf(&got, "%s: %s\n", c.label, line)
	}
	compareGolden(t, "testdata/linux-6.18.lines", got.String())
}

// protoTuple returns a tuple with these attributes in its CTA_TUPLE_PROTO.
func protoTuple(typ uint16, proto byte, parts ...[]byte) []byte {
	return tuple(typ, ip4, attribute(ctaTupleProto|attrNested, join(attribute(ctaProtoNum, proto), join(parts...))...))
}

func nested(typ uint16, parts ...[]byte) []byte { return attribute(typ|attrNested, join(parts...)...) }

// withHeader returns a message with another address family and port ID.
func withHeader(b []byte, family byte, portID uint32) []byte {
	b[nlHeaderLen] = family
	binary.LittleEndian.PutUint32(b[12:], portID)
	return b
}

func TestText(t *testing.T) {
	const (
		flow = "src=10.0.0.1 dst=10.0.0.2 sport=80 dport=90 "
		tcp4 = "    [NEW] ipv4     2 tcp      6 " + flow + flow
	)
	id := attribute(ctaID, 0, 0, 0, 9)
	event := func(parts ...[]byte) []byte {
		return message(msgNew, flagCreate, orig, reply, join(parts...), id)
	}
	both := func(proto byte, parts ...[]byte) []byte {
		return message(msgNew, flagCreate, protoTuple(ctaTupleOrig, proto, parts...), protoTuple(ctaTupleReply, proto, parts...), id)
	}
	echo := join(attribute(ctaProtoICMPID, 1, 2), attribute(ctaProtoICMPType, 8), attribute(ctaProtoICMPCode, 3))
	echo6 := join(attribute(ctaProtoICMPv6ID, 1, 2), attribute(ctaProtoICMPv6Type, 128), attribute(ctaProtoICMPv6Code, 3))
	start := attribute(ctaTimestampStart, binary.BigEndian.AppendUint64(nil, received-7_000000000)...)
	stop := attribute(ctaTimestampStop, binary.BigEndian.AppendUint64(nil, received-2_000000000)...)
	for name, test := range map[string]struct {
		b    []byte
		want string
	}{
		"plain":            {event(), tcp4 + "id=9"},
		"update":           {message(msgNew, 0, orig, reply, id), " [UPDATE] " + tcp4[10:] + "id=9"},
		"destroy":          {message(msgDelete, 0, orig, reply, id), "[DESTROY] " + tcp4[10:] + "id=9"},
		"dump":             {withHeader(message(msgNew, flagMulti, orig, reply, id), familyIPv4, 7), tcp4[10:] + "id=9"},
		"user space":       {withHeader(event(), familyIPv4, 7), tcp4 + "id=9 [USERSPACE] portid=7"},
		"mapped addresses": {withHeader(event(), familyIPv6, 0), strings.NewReplacer("ipv4     2", "ipv6     10", "=10.", "=::ffff:10.").Replace(tcp4) + "id=9"},
		"timeout":          {event(attribute(ctaTimeout, 0, 0, 0, 60)), strings.Replace(tcp4, "6 ", "6 60 ", 1) + "id=9"},
		"TCP state":        {event(nested(ctaProtoInfo, nested(ctaProtoInfoTCP, attribute(ctaTCPState, 3)))), strings.Replace(tcp4, "6 ", "6 ESTABLISHED ", 1) + "id=9"},
		"SCTP state":       {event(nested(ctaProtoInfo, nested(ctaProtoInfoSCTP, attribute(ctaOtherState, 3)))), strings.Replace(tcp4, "6 ", "6 COOKIE_ECHOED ", 1) + "id=9"},
		"DCCP state":       {event(nested(ctaProtoInfo, nested(ctaProtoInfoDCCP, attribute(ctaOtherState, 3), attribute(2, 1)))), strings.Replace(tcp4, "6 ", "6 PARTOPEN ", 1) + "id=9"},
		"unknown state":    {event(nested(ctaProtoInfo, nested(ctaProtoInfoSCTP, attribute(ctaOtherState, 10)))), tcp4 + "id=9"},
		"other state":      {event(nested(ctaProtoInfo, nested(9, attribute(ctaOtherState, 1)))), tcp4 + "id=9"},
		"no reply":         {event(attribute(ctaStatus, 0, 0, 0, 0)), strings.TrimSuffix(tcp4, flow) + "[UNREPLIED] " + flow + "id=9"},
		"assured":          {event(attribute(ctaStatus, 0, 0, 0, 6)), tcp4 + "[ASSURED] id=9"},
		"offload":          {event(attribute(ctaStatus, 0, 0, 0x40, 6)), tcp4 + "[OFFLOAD] id=9"},
		"hardware offload": {event(attribute(ctaStatus, 0, 0, 0xc0, 6)), tcp4 + "[HW_OFFLOAD] id=9"},
		"security":         {event(attribute(ctaSecmark, 0, 0, 1, 2), nested(ctaSecctx, attribute(ctaName, []byte("u:r:t\x00")...))), tcp4 + "secmark=258 secctx=u:r:t id=9"},
		"helper":           {event(nested(ctaHelp, attribute(ctaName, []byte("ftp\x00x")...), attribute(2, 1))), tcp4 + "helper=ftp id=9"},
		"hostile helper":   {event(nested(ctaHelp, attribute(ctaName, []byte("f\x1b\n")...))), tcp4 + `helper=f\x1b\n id=9`},
		"use and mark":     {event(attribute(ctaUse, 0, 0, 0, 2), attribute(ctaMark, 0, 0, 0, 0)), tcp4 + "mark=0 use=2 id=9"},
		"wrong size":       {event(attribute(ctaUse, 0, 2), attribute(ctaSecmark, 1)), tcp4 + "id=9"},
		"damaged nest":     {event(nested(ctaHelp, []byte{9, 0, 1, 0, 'x'})), tcp4 + "id=9"},
		"zone":             {event(attribute(ctaZone, 0, 5)), tcp4 + "zone=5 id=9"},
		"zone of orig":     {message(msgNew, flagCreate, tuple(ctaTupleOrig, ip4, tcp, attribute(ctaTupleZone, 0, 6)), reply, id), strings.Replace(tcp4, flow, flow+"zone-orig=6 ", 1) + "id=9"},
		"zone of reply":    {message(msgNew, flagCreate, orig, tuple(ctaTupleReply, ip4, tcp, attribute(ctaTupleZone, 0, 6)), id), tcp4 + "zone-reply=6 id=9"},
		"age":              {event(nested(ctaTimestamp, start)), tcp4 + "delta-time=7 id=9"},
		"age at its end":   {event(nested(ctaTimestamp, start, stop)), tcp4 + "delta-time=5 id=9"},
		"ICMP":             {both(protoICMP, echo), "    [NEW] ipv4     2 icmp     1 " + strings.Repeat("src=10.0.0.1 dst=10.0.0.2 type=8 code=3 id=258 ", 2) + "id=9"},
		"ICMPv6":           {both(protoICMPv6, echo6), "    [NEW] ipv4     2 icmpv6   58 " + strings.Repeat("src=10.0.0.1 dst=10.0.0.2 type=128 code=3 id=258 ", 2) + "id=9"},
		"ICMP without id":  {both(protoICMP), "    [NEW] ipv4     2 icmp     1 " + strings.Repeat("src=10.0.0.1 dst=10.0.0.2 ", 2) + "id=9"},
		"GRE":              {both(protoGRE, ports), "    [NEW] ipv4     2 gre      47 " + strings.Repeat("src=10.0.0.1 dst=10.0.0.2 srckey=0x50 dstkey=0x5a ", 2) + "id=9"},
		"unknown protocol": {both(200, ports), "    [NEW] ipv4     2 unknown  200 " + strings.Repeat("src=10.0.0.1 dst=10.0.0.2 ", 2) + "id=9"},
		"counters": {event(nested(ctaCountersOrig, attribute(ctaCountersPackets, 0, 0, 0, 0, 0, 0, 0, 1), attribute(ctaCountersBytes, 0, 0, 0, 0, 0, 0, 0, 40))),
			strings.Replace(tcp4, flow, flow+"packets=1 bytes=40 ", 1) + "id=9"},
	} {
		got, err := AppendText([]byte("> "), test.b, false, received)
		if err != nil || string(got) != "> "+test.want {
			t.Errorf("%s: %v\n got %q\nwant %q", name, err, got, test.want)
		}
	}
}

// After an error AppendText returns the slice as it was.
func TestTextOfABadMessage(t *testing.T) {
	if got, err := AppendText([]byte("> "), message(msgNew, 0, orig), false, received); err != errTuple || string(got) != "> " {
		t.Errorf("%q %v", got, err)
	}
}

// A line has no control characters, and there is one if Decode accepts the message.
func FuzzText(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(c.raw, false)
	}
	m := sample()
	f.Add(m.Append(nil, true), true)
	f.Fuzz(func(t *testing.T, b []byte, big bool) {
		line, err := AppendText(nil, b, big, received)
		if at := bytes.IndexFunc(line, unicode.IsControl); at >= 0 {
			t.Fatalf("control character in %q", line)
		}
		var m Message
		if decoded := m.Decode(b, big); decoded != err || (err == nil) != (len(line) > 0) {
			t.Fatalf("error %v, of Decode %v, %q", err, decoded, line)
		}
	})
}
