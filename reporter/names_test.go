package reporter

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// answer sends a DNS answer with the records given in zone-file notation.
func (h *host) answer(question string, qtype uint16, records ...string) {
	m := new(dns.Msg)
	m.SetQuestion(question, qtype)
	m.Response = true
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			h.t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	b, err := m.Pack()
	if err != nil {
		h.t.Fatal(err)
	}
	packet, err := dnsmsg.AppendUDPPacket(nil, netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.1:33000"), b)
	if err != nil {
		h.t.Fatal(err)
	}
	h.put(capture.KindDNS, 3, &capture.DNS{Packet: packet, Length: uint32(len(packet))})
}

func (h *host) wantNames(want string) {
	h.t.Helper()
	var got []string
	for _, n := range h.report().Names {
		got = append(got, fmt.Sprintf("%s=%s/%s", n.Addr, strings.Join(n.Forward, ","), strings.Join(n.Reverse, ",")))
	}
	if g := strings.Join(got, " "); g != want {
		h.t.Errorf("tick %d: names %q, want %q", h.tick, g, want)
	}
}

func TestNames(t *testing.T) {
	h := newHost(t)
	h.answer("WWW.Example.com.", dns.TypeA, "www.example.COM. 300 IN CNAME cdn.example.net.",
		"cdn.example.net. 300 IN CNAME edge.example.net.", "edge.example.net. 10 IN A 10.0.0.2")
	h.answer("six.example.com.", dns.TypeAAAA, "six.example.com. 60 IN AAAA fd00::2")
	h.answer("other.example.com.", dns.TypeA, "other.example.com. 60 IN A 10.0.0.99") // occurs nowhere
	h.answer("svc.", dns.TypeA, "svc. 60 IN A 10.0.0.80")
	h.wantNames("")
	h.pass(1).ct(ctmsg.Update, 1, "ESTABLISHED", plain)
	h.ct(ctmsg.Update, 2, "ESTABLISHED", "[fd00::1]:4000>[fd00::2]:80")
	h.ct(ctmsg.Update, 3, "ESTABLISHED", dnat)
	h.wantNames("10.0.0.2=www.example.com/ 10.0.0.80=svc/ fd00::2=six.example.com/")
	h.pass(3600) // the connections were first seen before the names ran out
	h.wantNames("10.0.0.2=www.example.com/ 10.0.0.80=svc/ fd00::2=six.example.com/")
	h.ct(ctmsg.Destroy, 1, "", plain)
	h.ct(ctmsg.New, 4, "SYN_SENT", "10.0.0.1:40001>10.0.0.2:80")
	h.ct(ctmsg.Update, 4, "ESTABLISHED", "10.0.0.1:40001>10.0.0.2:80")
	h.report()
	h.wantNames("10.0.0.80=svc/ fd00::2=six.example.com/") // of 10.0.0.2 a younger one is left
	h.put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "10.0.0.2", Names: []string{"DB.internal."}, TTL: 60e9})
	h.put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "10.0.0.1", Error: "no such host", TTL: 60e9})
	h.wantNames("10.0.0.2=/db.internal 10.0.0.80=svc/ fd00::2=six.example.com/")
	h.pass(61).wantNames("10.0.0.80=svc/ fd00::2=six.example.com/")
}

func TestNamesAreBounded(t *testing.T) {
	var n names
	n.init()
	for i := range maxNames + 100 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		n.forward.add(a, "x", 1)
	}
	if len(n.forward.byAddr) != maxNames || len(n.forward.order) != maxNames {
		t.Errorf("%d addresses", len(n.forward.byAddr))
	}
	if n.forward.byAddr[netip.MustParseAddr("10.0.0.0")] != nil {
		t.Error("the oldest address is still there")
	}
	a := netip.MustParseAddr("10.9.9.9")
	for i := range 3 * maxNamesPerAddr {
		n.forward.add(a, fmt.Sprint(i), int64(i))
	}
	if got := n.forward.of(a, 0); len(got) != maxNamesPerAddr {
		t.Errorf("%d names of one address", len(got))
	}
}

func TestDNSGapDegradesOneWindow(t *testing.T) {
	h := newHost(t)
	h.answer("x.", dns.TypeA, "x. 60 IN A 10.0.0.99")
	h.put(capture.KindGap, 3, &capture.Gap{Lost: 5})
	if c := h.report().coverageOf("dns"); c.State != CoverageDegraded || c.Lost != 5 {
		t.Errorf("%+v", c)
	}
	if c := h.report().coverageOf("dns"); c.State != CoverageOK || c.Lost != 5 {
		t.Errorf("%+v", c)
	}
}
