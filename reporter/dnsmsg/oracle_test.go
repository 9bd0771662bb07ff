package dnsmsg

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/miekg/dns"
)

// labels decodes a name in presentation form into its labels, each after its length. miekg/dns escapes more characters
// than this package does.
func labels(name string) string {
	var out, label []byte
	end := func() {
		if len(label) > 0 {
			out = append(append(out, byte(len(label))), label...)
		}
		label = label[:0]
	}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			end()
		case c == '\\' && i+3 < len(name) && name[i+1] >= '0' && name[i+1] <= '9':
			label = append(label, (name[i+1]-'0')*100+(name[i+2]-'0')*10+name[i+3]-'0')
			i += 3
		case c == '\\' && i+1 < len(name):
			i++
			label = append(label, name[i])
		default:
			label = append(label, c)
		}
	}
	end()
	return string(out)
}

func lower(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// addrOf returns the address of an A or AAAA record.
func addrOf(rr dns.RR) (netip.Addr, bool) {
	var ip []byte
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

func ttlOf(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl < 1<<31 {
		return ttl
	}
	return 0
}

// reference implements Message.Answers again, with the types of miekg/dns and without regard to speed.
func reference(m *dns.Msg) []Answer {
	if !m.Response || m.Opcode != dns.OpcodeQuery || m.Rcode != dns.RcodeSuccess {
		return nil
	}
	records := slices.DeleteFunc(slices.Concat(m.Answer, m.Extra), func(rr dns.RR) bool { return rr.Header().Class != dns.ClassINET })
	best := map[Answer]uint32{}
	for _, q := range m.Question[:min(8, len(m.Question))] {
		if q.Qclass != dns.ClassINET || q.Qtype != dns.TypeA && q.Qtype != dns.TypeAAAA || labels(q.Name) == "" {
			continue
		}
		type hop struct {
			name string
			ttl  uint32
		}
		queue := []hop{{lower(labels(q.Name)), 1<<32 - 1}}
		seen := map[string]bool{}
		for len(queue) > 0 {
			h := queue[0]
			queue = queue[1:]
			if seen[h.name] {
				continue
			}
			seen[h.name] = true
			for _, rr := range records {
				if lower(labels(rr.Header().Name)) != h.name {
					continue
				}
				ttl := min(h.ttl, ttlOf(rr))
				if c, ok := rr.(*dns.CNAME); ok {
					queue = append(queue, hop{lower(labels(c.Target)), ttl})
				} else if addr, ok := addrOf(rr); ok {
					a := Answer{Addr: addr, Name: lower(labels(q.Name))}
					best[a] = max(best[a], ttl)
				}
			}
		}
	}
	var out []Answer
	for a, ttl := range best {
		a.TTL = ttl
		out = append(out, a)
	}
	return sorted(out)
}

func sorted(all []Answer) []Answer {
	slices.SortFunc(all, func(a, b Answer) int {
		return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Name, b.Name))
	})
	return all
}

// unknown reports whether miekg/dns accepted a record of type A, AAAA or CNAME without data.
func unknown(m *dns.Msg) bool {
	for _, rr := range slices.Concat(m.Answer, m.Extra) {
		switch rr.Header().Rrtype {
		case dns.TypeA, dns.TypeAAAA:
			if _, ok := addrOf(rr); !ok {
				return true
			}
		case dns.TypeCNAME:
			if c, ok := rr.(*dns.CNAME); !ok || c.Target == "" {
				return true
			}
		}
	}
	return false
}

// compare checks that both decoders agree on every message that both accept, and that Message accepts all messages that
// miekg/dns writes.
func compare(t *testing.T, b []byte) {
	var m Message
	err := m.Decode(b)
	want := new(dns.Msg)
	if want.Unpack(b) != nil || unknown(want) {
		return
	}
	want.Compress = true
	if b, packErr := want.Pack(); packErr == nil && len(b) < 1<<14 {
		// Compare with the written message: miekg/dns does not write all names unchanged.
		again := new(dns.Msg)
		if again.Unpack(b) == nil && !unknown(again) {
			if m2 := new(Message); m2.Decode(b) != nil {
				t.Fatalf("%v: %x", m2.Decode(b), b)
			} else {
				same(t, m2, again)
			}
		}
	}
	if err == nil {
		same(t, &m, want)
	}
}

func same(t *testing.T, m *Message, want *dns.Msg) {
	h := header{ID: want.Id, Response: want.Response, Opcode: uint8(want.Opcode), Authoritative: want.Authoritative, Truncated: want.Truncated,
		RecursionDesired: want.RecursionDesired, RecursionAvailable: want.RecursionAvailable, Rcode: m.Rcode}
	if m.header != h || int(m.Rcode)&0xf != want.Rcode&0xf {
		t.Fatalf("header %+v, oracle %+v", m.header, want.MsgHdr)
	}
	if len(m.Questions) != len(want.Question) {
		t.Fatalf("%d questions, oracle %d", len(m.Questions), len(want.Question))
	}
	for i, q := range m.Questions {
		if w := want.Question[i]; labels(m.QuestionName(q)) != labels(w.Name) || q.Type != w.Qtype || q.Class != w.Qclass {
			t.Fatalf("question %s %d, oracle %v", m.QuestionName(q), q.Type, w)
		}
	}
	records := m.Records
	for _, list := range [][]dns.RR{want.Answer, want.Extra} {
		for _, rr := range list {
			header := rr.Header()
			if header.Class != dns.ClassINET || header.Rrtype != dns.TypeA && header.Rrtype != dns.TypeAAAA && header.Rrtype != dns.TypeCNAME {
				continue
			}
			if len(records) == 0 {
				t.Fatalf("record missing: %v", rr)
			}
			r := records[0]
			records = records[1:]
			addr, _ := addrOf(rr)
			if r.Type != header.Rrtype || r.TTL != ttlOf(rr) || r.Addr != addr || labels(m.Owner(r)) != labels(header.Name) {
				t.Fatalf("record %+v of %s, oracle %v", r, m.Owner(r), rr)
			}
			if c, ok := rr.(*dns.CNAME); ok && labels(m.Target(r)) != labels(c.Target) {
				t.Fatalf("target %s, oracle %v", m.Target(r), rr)
			}
		}
	}
	if len(records) > 0 {
		t.Fatalf("%d records too many", len(records))
	}
	if int(m.Rcode) != want.Rcode {
		return // several OPT records: the last counts here
	}
	got := m.Answers(nil)
	for i := range got {
		got[i].Name = labels(got[i].Name)
	}
	if want := reference(want); !slices.Equal(sorted(got), want) {
		t.Fatalf("answers %v, reference %v", got, want)
	}
}

// messages returns a corpus of responses, compressed and not.
func messages(t testing.TB) [][]byte {
	var all [][]byte
	for _, zone := range []string{
		"a.example. 5 IN A 10.0.0.1",
		"a.example. 300 IN CNAME b.example.\nb.example. 20 IN CNAME c.example.\nc.example. 60 IN A 10.0.0.1\nc.example. 60 IN AAAA 2001:db8::1",
		"A.example. 300 IN CNAME a.EXAMPLE.\na.example. 5 IN TXT x\na.example. 5 IN MX 10 mail.example.",
		`a\.b.example. 5 IN A 10.0.0.1` + "\n" + `\000\255\\.example. 5 IN CNAME a\.b.example.`,
		"",
	} {
		for _, compress := range []bool{false, true} {
			m := new(dns.Msg)
			m.SetQuestion("a.example.", dns.TypeA)
			m.Response, m.Compress = true, compress
			parser := dns.NewZoneParser(strings.NewReader(zone), ".", "")
			for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
				m.Answer = append(m.Answer, rr)
				m.Extra = append([]dns.RR{rr}, m.Extra...)
			}
			m.SetEdns0(1232, true)
			b, err := m.Pack()
			if err != nil || parser.Err() != nil {
				t.Fatal(err, parser.Err())
			}
			all = append(all, b)
		}
	}
	return all
}

func TestMessageOracle(t *testing.T) {
	for _, b := range messages(t) {
		compare(t, b)
	}
}

func FuzzMessage(f *testing.F) {
	for _, b := range messages(f) {
		f.Add(b)
	}
	f.Fuzz(compare)
}

// packets returns a corpus with each kind of packet that Packet.Decode distinguishes.
func packets(t testing.TB) [][]byte {
	ip4 := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: []byte{10, 0, 0, 53}, DstIP: []byte{10, 0, 0, 1}}
	ip6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: netip.MustParseAddr("2001:db8::53").AsSlice(),
		DstIP: netip.MustParseAddr("2001:db8::1").AsSlice()}
	udp, tcp := &layers.UDP{SrcPort: 53, DstPort: 40000}, &layers.TCP{SrcPort: 53, DstPort: 40000, Seq: 7, ACK: true, PSH: true, Window: 100,
		Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}}
	tcp4, tcp6 := *ip4, *ip6
	tcp4.Protocol, tcp6.NextHeader = layers.IPProtocolTCP, layers.IPProtocolTCP
	frag := *ip4
	frag.Flags, frag.Id = layers.IPv4MoreFragments, 9
	_ = udp.SetNetworkLayerForChecksum(ip4)
	_ = tcp.SetNetworkLayerForChecksum(&tcp4)
	var all [][]byte
	for _, stack := range [][]gopacket.SerializableLayer{
		{ip4, udp}, {ip6, udp}, {&tcp4, tcp}, {&tcp6, tcp}, {&frag, udp},
	} {
		buf := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
			append(stack, gopacket.Payload("payload"))...); err != nil {
			t.Fatal(err)
		}
		all = append(all, slices.Clone(buf.Bytes()))
	}
	return append(all, append([]byte{0x40, 5, 0x08, 0x00}, all[0]...), append([]byte{0x60, 5, 0x86, 0xdd}, all[1]...))
}

// comparePacket checks that gopacket agrees on every whole packet without extension headers that both decode. gopacket
// does not decode tags without an Ethernet header.
func comparePacket(t *testing.T, b []byte) {
	var p Packet
	err := p.Decode(b)
	if p.Payload != nil && (p.Proto != UDP && p.Proto != TCP || len(p.Payload) > p.PayloadLen) {
		t.Fatalf("%v %+v", err, p)
	}
	if err != nil || p.IsFragment() {
		return
	}
	switch etherType := int(b[2])<<8 | int(b[3]); etherType {
	case 0x8100, 0x88a8, 0x0800, 0x86dd:
		return // it may have been a tag
	}
	first := layers.LayerTypeIPv4
	if b[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	want := gopacket.NewPacket(b, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	var next layers.IPProtocol
	var src, dst []byte
	var length int
	switch ip := want.NetworkLayer().(type) {
	case *layers.IPv4:
		next, src, dst, length = ip.Protocol, ip.SrcIP, ip.DstIP, int(ip.Length)
	case *layers.IPv6:
		next, src, dst, length = ip.NextHeader, ip.SrcIP, ip.DstIP, int(ip.Length)
	}
	if length == 0 || next != layers.IPProtocolUDP && next != layers.IPProtocolTCP {
		return
	}
	addrPort := func(ip []byte, port uint16) netip.AddrPort {
		a, _ := netip.AddrFromSlice(ip)
		return netip.AddrPortFrom(a.Unmap(), port)
	}
	switch l := want.TransportLayer().(type) {
	case *layers.UDP:
		if l.Length == 0 {
			return
		}
		if p.Proto != UDP || p.Src != addrPort(src, uint16(l.SrcPort)) || p.Dst != addrPort(dst, uint16(l.DstPort)) || string(p.Payload) != string(l.Payload) {
			t.Fatalf("%+v, oracle %v\n%x", p, want, b)
		}
	case *layers.TCP:
		if p.Proto != TCP || p.Src != addrPort(src, uint16(l.SrcPort)) || p.Dst != addrPort(dst, uint16(l.DstPort)) || string(p.Payload) != string(l.Payload) ||
			p.Seq != l.Seq || p.Ack != l.Ack || p.TCPFlags&SYN != 0 != l.SYN || p.TCPFlags&FIN != 0 != l.FIN || p.TCPFlags&rst != 0 != l.RST {
			t.Fatalf("%+v, oracle %v\n%x", p, want, b)
		}
	}
}

func TestPacketOracle(t *testing.T) {
	for _, b := range packets(t) {
		comparePacket(t, b)
		var p Packet
		if err := p.Decode(b); err != nil || string(p.Payload) != "payload" {
			t.Errorf("%v %+v\n%x", err, p, b)
		}
	}
}

func FuzzPacket(f *testing.F) {
	for _, b := range packets(f) {
		f.Add(b)
	}
	f.Fuzz(comparePacket)
}

// Packet.Decode returns the addresses and the payload that AppendUDPPacket wrote.
func FuzzAppendUDPPacket(f *testing.F) {
	f.Add([]byte{10, 0, 0, 1}, []byte{10, 0, 0, 2}, uint16(53), uint16(40000), []byte("x"))
	f.Add(make([]byte, 16), []byte{10, 0, 0, 2}, uint16(53), uint16(40000), []byte{})
	f.Fuzz(func(t *testing.T, from, to []byte, sport, dport uint16, payload []byte) {
		src, ok := netip.AddrFromSlice(from)
		dst, ok2 := netip.AddrFromSlice(to)
		if !ok || !ok2 {
			return
		}
		b, err := AppendUDPPacket(nil, netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport), payload)
		var p Packet
		if err == nil {
			err = p.Decode(b)
		}
		if err != nil || p.Src != netip.AddrPortFrom(src.Unmap(), sport) || p.Dst != netip.AddrPortFrom(dst.Unmap(), dport) || string(p.Payload) != string(payload) {
			t.Fatalf("%v %+v", err, p)
		}
		comparePacket(t, b)
	})
}
