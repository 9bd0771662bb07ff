package ctmsg_test

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// oracle decodes with ti-mo/conntrack; ok is false if it does not accept the bytes as a message of a flow.
func oracle(b []byte) (conntrack.Event, bool) {
	var e conntrack.Event
	if len(b) < 20 {
		return e, false
	}
	msg := netlink.Message{
		Header: netlink.Header{
			Length: binary.NativeEndian.Uint32(b),
			Type:   netlink.HeaderType(binary.NativeEndian.Uint16(b[4:])),
			Flags:  netlink.HeaderFlags(binary.NativeEndian.Uint16(b[6:])),
		},
		Data: b[16:],
	}
	return e, e.Unmarshal(msg) == nil && e.Flow != nil
}

// compare checks that both decoders give the same result for a message that both accept. They differ in what they accept
// on purpose: ctmsg skips unknown nested attributes, requires both tuples, and checks the message's length.
func compare(t *testing.T, b []byte) {
	var m ctmsg.Message
	native := binary.NativeEndian.Uint16([]byte{0, 1}) == 1
	err := m.Decode(b, native)
	if len(b) > 20 && err == nil {
		b = b[:binary.NativeEndian.Uint32(b)] // ti-mo decodes the padding as attributes
	}
	e, ok := oracle(b)
	if err != nil || !ok || strange(b[20:]) {
		return
	}
	same := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: %v, oracle %v\n%x", what, got, want, b)
		}
	}
	flow := e.Flow
	switch e.Type {
	case conntrack.EventNew:
		same("new", m.Type == ctmsg.New || m.Type == ctmsg.Dump, true)
	case conntrack.EventUpdate:
		same("update", m.Type == ctmsg.Update || m.Type == ctmsg.Dump, true)
	case conntrack.EventDestroy:
		same("destroy", m.Type, ctmsg.Destroy)
	}
	same("id", m.ID, flow.ID)
	same("status", uint32(m.Status), uint32(flow.Status))
	same("timeout", m.Timeout, flow.Timeout)
	same("mark", m.Mark, flow.Mark)
	compareTuple(same, m.Orig, flow.TupleOrig)
	compareTuple(same, m.Reply, flow.TupleReply)
	switch m.ZoneDir {
	case ctmsg.Both:
		same("zone", m.Zone, flow.Zone)
	case ctmsg.Original:
		same("zone", m.Zone, flow.TupleOrig.Zone)
	case ctmsg.Reply:
		same("zone", m.Zone, flow.TupleReply.Zone)
	}
	if tcp := flow.ProtoInfo.TCP; tcp != nil {
		same("state", uint8(m.State), tcp.State)
		same("flags", m.FlagsOrig, uint8(tcp.OriginalFlags>>8)) // the low byte is the mask
		same("reply flags", m.FlagsReply, uint8(tcp.ReplyFlags>>8))
		same("window scale", m.WScaleOrig, tcp.OriginalWindowScale)
		same("reply window scale", m.WScaleReply, tcp.ReplyWindowScale)
	} else {
		same("TCP", m.HasState || m.HasFlags, false)
	}
	same("packets", m.CountersOrig.Packets, flow.CountersOrig.Packets)
	same("bytes", m.CountersOrig.Bytes, flow.CountersOrig.Bytes)
	same("reply packets", m.CountersReply.Packets, flow.CountersReply.Packets)
	same("reply bytes", m.CountersReply.Bytes, flow.CountersReply.Bytes)
	if m.HasTimestamp {
		same("start", time.Unix(0, int64(m.Start)).Equal(flow.Timestamp.Start) || flow.Timestamp.Start.IsZero() && m.Start == 0, true)
		same("stop", time.Unix(0, int64(m.Stop)).Equal(flow.Timestamp.Stop) || flow.Timestamp.Stop.IsZero() && m.Stop == 0, true)
	}
}

func compareTuple(same func(string, any, any), got ctmsg.Tuple, want conntrack.Tuple) {
	src, dst := want.Proto.SourcePort, want.Proto.DestinationPort
	switch want.Proto.Protocol {
	case 6, 17, 33, 47, 132, 136:
	default:
		src, dst = 0, 0
	}
	same("protocol", got.Proto, want.Proto.Protocol)
	same("source", got.Src(), netip.AddrPortFrom(want.IP.SourceAddress.Unmap(), src))
	same("destination", got.Dst(), netip.AddrPortFrom(want.IP.DestinationAddress.Unmap(), dst))
}

// strange reports whether an attribute occurs twice in its container, where ti-mo merges values that ctmsg replaces, or
// has a type above 255, where ti-mo reads the low byte only. It looks into every payload: a container need not have the
// nested flag.
func strange(b []byte) bool {
	var seen [256]bool
	for len(b) >= 4 {
		n, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if n < 4 || n > len(b) {
			return false
		}
		typ &^= 0xc000 // NLA_F_NESTED, NLA_F_NET_BYTEORDER
		if typ > 255 || seen[typ] || strange(b[4:n]) {
			return true
		}
		seen[typ] = true
		b = b[min((n+3)&^3, len(b)):]
	}
	return false
}

func captured(t testing.TB) [][]byte {
	text, err := os.ReadFile("testdata/linux-6.18.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for line := range strings.Lines(string(text)) {
		if _, digits, ok := strings.Cut(strings.TrimSpace(line), " "); ok && line[0] != '#' {
			raw, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, raw)
		}
	}
	return all
}

func TestOracle(t *testing.T) {
	for _, raw := range captured(t) {
		if _, ok := oracle(raw); !ok {
			t.Errorf("the oracle rejects %x", raw)
		}
		compare(t, raw)
	}
}

func FuzzOracle(f *testing.F) {
	for _, raw := range captured(f) {
		f.Add(raw)
	}
	f.Fuzz(compare)
}
