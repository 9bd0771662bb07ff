package current

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// answer sends a DNS answer with the records given in zone-file notation.
func (h *machineHost) answer(question string, qtype uint16, records ...string) {
	m := new(dns.Msg)
	m.SetQuestion(question, qtype)
	m.Response = true
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			h.T.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	b, err := m.Pack()
	if err != nil {
		h.T.Fatal(err)
	}
	packet, err := dnsmsg.AppendUDPPacket(nil, netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.1:33000"), b)
	if err != nil {
		h.T.Fatal(err)
	}
	h.Put(capture.KindDNS, 3, &capture.DNS{Packet: packet, Length: uint32(len(packet))})
}

func (h *machineHost) wantNames(want string) {
	h.T.Helper()
	var got []string
	for _, n := range h.Report().Names {
		got = append(got, fmt.Sprintf("%s=%s/%s", n.Addr, strings.Join(n.Forward, ","), strings.Join(n.Reverse, ",")))
	}
	if g := strings.Join(got, " "); g != want {
		h.T.Errorf("tick %d: names %q, want %q", h.Tick, g, want)
	}
}

func TestNames(t *testing.T) {
	h := newMachineHost(t)
	h.answer("WWW.Example.com.", dns.TypeA, "www.example.COM. 300 IN CNAME cdn.example.net.",
		"cdn.example.net. 300 IN CNAME edge.example.net.", "edge.example.net. 10 IN A 10.0.0.2")
	h.answer("six.example.com.", dns.TypeAAAA, "six.example.com. 60 IN AAAA fd00::2")
	h.answer("other.example.com.", dns.TypeA, "other.example.com. 60 IN A 10.0.0.99") // not in a connection
	h.answer("svc.", dns.TypeA, "svc. 60 IN A 10.0.0.80")
	h.wantNames("")
	h.Pass(1).Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", "[fd00::1]:4000>[fd00::2]:80")
	h.Conntrack(ctmsg.Update, 3, "ESTABLISHED", reportertest.DNAT)
	h.wantNames("10.0.0.2=www.example.com/ 10.0.0.80=svc/ fd00::2=six.example.com/")
	h.Pass(3600) // the connections were first seen before the names expired
	h.wantNames("10.0.0.2=www.example.com/ 10.0.0.80=svc/ fd00::2=six.example.com/")
	h.Conntrack(ctmsg.Destroy, 1, "", reportertest.Plain)
	h.Conntrack(ctmsg.New, 4, "SYN_SENT", "10.0.0.1:40001>10.0.0.2:80")
	h.Conntrack(ctmsg.Update, 4, "ESTABLISHED", "10.0.0.1:40001>10.0.0.2:80")
	h.Report()
	h.wantNames("10.0.0.80=svc/ fd00::2=six.example.com/") // the name of 10.0.0.2 expired before its other connection began
}

func (h *machineHost) reverse(addr string, ttl int64, names ...string) {
	h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: addr, Names: names, TTL: ttl})
}

func TestReverseNames(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "10.0.0.2", Error: "server misbehaving", TTL: 1e9})
	h.wantNames("")
	h.reverse("10.0.0.2", 60e9, "DB.internal.", "a.internal", "db.Internal")
	h.reverse("10.0.0.1", 0, "client.internal.")
	h.reverse("10.0.0.3", 60e9, "elsewhere.internal.")
	h.reverse("no address", 60e9, "x.")
	const both = "10.0.0.1=/client.internal 10.0.0.2=/a.internal,db.internal"
	h.wantNames(both)
	h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "10.0.0.2", Error: "timeout", TTL: 60e9})
	h.reverse("10.0.0.2", 60e9)
	h.reverse("10.0.0.2", 60e9, "", ".")
	h.Pass(61)
	h.wantNames(both) // a connection that was first seen before they expire keeps them
	h.reverse("10.0.0.2", 60e9, "new.internal.")
	h.wantNames("10.0.0.1=/client.internal 10.0.0.2=/new.internal")
	h.Conntrack(ctmsg.Destroy, 1, "", reportertest.Plain)
	h.Pass(61).Report()
	younger := func(id uint32) {
		h.Conntrack(ctmsg.New, id, "SYN_SENT", reportertest.Plain)
		h.Conntrack(ctmsg.Update, id, "ESTABLISHED", reportertest.Plain)
	}
	younger(2)
	h.wantNames("10.0.0.1=/client.internal") // for half an hour: the answer had no time-to-live
	h.Conntrack(ctmsg.Destroy, 2, "", reportertest.Plain)
	h.Pass(1800).Report()
	younger(3)
	h.wantNames("")
}

// An address with too many names keeps the same ones for every order of the answer.
func TestManyReverseNamesAreStable(t *testing.T) {
	var all []string
	for i := range 2 * maxNamesPerAddr {
		all = append(all, fmt.Sprintf("n%03d.", i))
	}
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.reverse("10.0.0.2", math.MaxInt64, all...)
	first := h.Report().Names
	slices.Reverse(all)
	h.reverse("10.0.0.2", math.MaxInt64, all...)
	if again := h.Report().Names; len(first[0].Reverse) != maxNamesPerAddr || !reflect.DeepEqual(first, again) {
		t.Errorf("%v, then %v", first, again)
	}
}

func TestHostNamesItsOwnAddresses(t *testing.T) {
	h := newMachineHost(t)
	own := capture.Host{Name: "GW1.", Interfaces: []capture.Interface{{Addresses: []string{"10.0.0.1/8", "127.0.0.1/8", "fe80::1/64", "10.9.9.9/32"}}}}
	h.Put(capture.KindHost, 0, &own)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", "127.0.0.1:4000>127.0.0.1:80")
	h.Conntrack(ctmsg.Update, 3, "ESTABLISHED", "[fe80::1]:4000>[fe80::2]:80")
	r := h.Report()
	want := []report.Names{{Addr: netip.MustParseAddr("10.0.0.1"), Host: "gw1"}}
	if !reflect.DeepEqual(r.Names, want) {
		t.Errorf("names %+v", r.Names)
	}
	if !strings.Contains(string(r.AppendJSON(nil)), `{"addr":"10.0.0.1","forward":[],"reverse":[],"host":"gw1"}`) {
		t.Errorf("%s", r.AppendJSON(nil))
	}
	own.Interfaces = nil
	h.Put(capture.KindHost, 0, &own)
	h.Conntrack(ctmsg.Update, 4, "ESTABLISHED", reportertest.Plain)
	h.wantNames("")
}

func TestNamesAreBounded(t *testing.T) {
	var c cache
	c.init()
	numbered := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxNames {
		c.add(numbered(i), "x", 0, 1e9)
	}
	c.add(numbered(0), "x", 0, 1e9) // answered again
	for i, want := range []int{1, 0} {
		if n := c.add(numbered(maxNames+i), "x", int64(i)*2e9, 1e9); n != want {
			t.Errorf("%d addresses lost a name that had not expired, want %d", n, want)
		}
	}
	if len(c.byAddr) != maxNames || c.order.Len() != maxNames || c.get(numbered(0)) == nil || c.get(numbered(1)) != nil || c.get(numbered(2)) != nil {
		t.Errorf("%d addresses", len(c.byAddr))
	}
	a := netip.MustParseAddr("10.255.9.9")
	for i := range 3 * maxNamesPerAddr {
		c.add(a, fmt.Sprint(i), 0, int64(i))
	}
	if got := c.of(a, 0); len(got) != maxNamesPerAddr || slices.Contains(got, "127") || !slices.Contains(got, "128") {
		t.Errorf("names of one address: %v", got)
	}
	long := strings.Repeat("x", 1000)
	for i := range maxNames {
		c.add(numbered(i), long+fmt.Sprint(i), 0, 1e9)
	}
	bytes := 0
	for _, e := range c.byAddr {
		for _, n := range e.Value.(*addrNames).names {
			bytes += n.cost()
		}
	}
	if bytes != c.bytes || bytes > maxNameBytes || bytes < maxNameBytes-2000 {
		t.Errorf("%d bytes, says %d", bytes, c.bytes)
	}
}

func TestForgottenNamesDegradeTheWindow(t *testing.T) {
	h := newMachineHost(t)
	for i := range maxNames + 1 {
		h.reverse(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), 3600e9, "x.")
	}
	if c := reportertest.CoverageOf(h.Report(), "rdns"); c.State != report.CoverageDegraded || !strings.Contains(c.Why, "forgotten") || c.Lost != 0 {
		t.Errorf("%+v", c)
	}
	if c := reportertest.CoverageOf(h.Report(), "rdns"); c.State != report.CoverageOK {
		t.Errorf("%+v", c)
	}
}

// segment makes a TCP segment from the name server.
func segment(seq int, flags byte, payload []byte) *capture.DNS {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, dnsmsg.TCP, 0, 0, 10, 0, 0, 53, 10, 0, 0, 1}
	b = binary.BigEndian.AppendUint32(append(b, 0, 53, 0x80, 0), uint32(seq))
	b = append(append(b, 0, 0, 0, 0, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0), payload...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return &capture.DNS{Packet: b, Length: uint32(len(b))}
}

// A truncated answer gives the names that it has; the answer over TCP gives the others.
func TestTruncatedAnswerAndTCP(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("db.internal.", dns.TypeA)
	m.Response, m.Truncated = true, true
	rr, _ := dns.NewRR("db.internal. 60 IN A 10.0.0.2")
	m.Answer = append(m.Answer, rr)
	short, _ := m.Pack()
	packet, err := dnsmsg.AppendUDPPacket(nil, netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.1:33000"), short)
	if err != nil {
		t.Fatal(err)
	}
	m.Truncated = false
	for i := range 100 {
		rr, _ = dns.NewRR(fmt.Sprintf("db.internal. 60 IN A 10.0.1.%d", i))
		m.Answer = append(m.Answer, rr)
	}
	long, _ := m.Pack()
	stream := append(binary.BigEndian.AppendUint16(nil, uint16(len(long))), long...)

	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", "10.0.0.1:4001>10.0.1.99:80")
	h.Put(capture.KindDNS, 3, &capture.DNS{Packet: packet, Length: uint32(len(packet))})
	h.wantNames("10.0.0.2=db.internal/")
	h.Put(capture.KindDNS, 3, segment(0, dnsmsg.SYN|dnsmsg.ACK, nil))
	h.Put(capture.KindDNS, 3, segment(1, dnsmsg.ACK, stream[:1000]))
	h.wantNames("10.0.0.2=db.internal/")
	h.Put(capture.KindDNS, 3, segment(1001, dnsmsg.ACK|dnsmsg.FIN, stream[1000:]))
	h.wantNames("10.0.0.2=db.internal/ 10.0.1.99=db.internal/")
	if c := reportertest.CoverageOf(h.Report(), "dns"); c.Records != 4 || c.Undecodable != 0 || c.Ignored != 1 {
		t.Errorf("%+v", c)
	}
	// A gap, the end of the source and a late tick drop an incomplete message.
	for i, drop := range []func(){
		func() { h.Put(capture.KindGap, 3, &capture.Gap{Lost: 1}) },
		func() { h.Put(capture.KindSource, 3, &capture.Source{Kind: "dns"}) },
		func() { h.Pass(31).Report() },
	} {
		h.Put(capture.KindDNS, 3, segment(1<<30, dnsmsg.SYN|dnsmsg.ACK, nil))
		h.Put(capture.KindDNS, 3, segment(1<<30+1, dnsmsg.ACK, stream[:1000]))
		drop()
		if c := reportertest.CoverageOf(h.Report(), "dns"); c.Undecodable != uint64(i+1) {
			t.Errorf("%d: %+v", i, c)
		}
	}
}

func TestDNSGapDegradesOneWindow(t *testing.T) {
	h := newMachineHost(t)
	h.answer("x.", dns.TypeA, "x. 60 IN A 10.0.0.99")
	h.Put(capture.KindGap, 3, &capture.Gap{Lost: 5})
	if c := reportertest.CoverageOf(h.Report(), "dns"); c.State != report.CoverageDegraded || c.Lost != 5 {
		t.Errorf("%+v", c)
	}
	if c := reportertest.CoverageOf(h.Report(), "dns"); c.State != report.CoverageOK || c.Lost != 5 {
		t.Errorf("%+v", c)
	}
}
