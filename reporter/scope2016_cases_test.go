package reporter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// nodeText returns a node of the view in short notation, "" if there is none.
func nodeText(r *report.Report, id string) string {
	for _, n := range r.Scope().Nodes {
		if n.ID != id {
			continue
		}
		var parts []string
		for _, v := range n.Latest {
			if v.At != r.At {
				parts = append(parts, fmt.Sprintf("%s at %d", v.Key, v.At))
			}
			if v.Key != "addr" && v.Key != "port" && v.Key != "host_node_id" {
				parts = append(parts, v.Key+"="+v.Value)
			}
		}
		for _, s := range n.Sets {
			parts = append(parts, s.Name+"="+strings.Join(s.Values, ","))
		}
		return strings.Join(append(parts, "->"+strings.Join(n.Adjacency, ",")), " ")
	}
	return ""
}

func (h *host) wantNode(r *report.Report, id, want string) {
	h.T.Helper()
	if got := nodeText(r, id); got != want {
		h.T.Errorf("tick %d, node %q:\n got %s\nwant %s", r.Tick, id, got, want)
	}
}

// Connections have the same fields as under the current rules.
func TestScope2016Connections(t *testing.T) {
	h := newHostOf(t, RulesScope2016)
	h.Pass(1).Conntrack(ctmsg.Update, 1, "ESTABLISHED", "10.0.0.1:40000>10.0.0.80:80 | 172.17.0.2:8080>10.0.0.1:40000")
	h.Pass(1).Walk(reportertest.Socket{Netns: 7, Row: "172.17.0.2:8080>10.0.0.1:40000", Inode: 5, Processes: []report.Process{{PID: 50, Comm: "srv"}}})
	r := h.Pass(1).Want("10.0.0.1:40000 -> 172.17.0.2:8080@7(50 srv) ESTABLISHED scope")
	if c := r.Connections[0]; c.FirstSeen != 1e9 || c.LastSeen != 2e9 || !slices.Equal(c.Seen, report.SeenBy(true, true, false)) {
		t.Errorf("%+v", c)
	}
	h.Pass(1).Conntrack(ctmsg.Destroy, 1, "", "10.0.0.1:40000>10.0.0.80:80 | 172.17.0.2:8080>10.0.0.1:40000")
	r = h.Pass(1).Want("10.0.0.1:40000 -> 172.17.0.2:8080@7(50 srv) ESTABLISHED scope") // the row still shows it
	if c := r.Connections[0]; c.FirstSeen != 1e9 || c.LastSeen != 4e9 {
		t.Errorf("%+v", c)
	}
	h.Pass(1).Walk()
	h.Conntrack(ctmsg.Update, 2, "FIN_WAIT", "10.0.0.3:1000>10.0.0.4:80")
	h.Want("10.0.0.3:1000 -> 10.0.0.4:80 FIN_WAIT scope")
	h.Conntrack(ctmsg.Update, 3, "SYN_SENT", "10.0.0.3:1000>10.0.0.4:80") // the same tuple with another id
	h.Walk(reportertest.Socket{Row: "10.0.0.3:1000>10.0.0.4:80", Inode: 1})
	h.Want("10.0.0.3:1000 -> 10.0.0.4:80 FIN_WAIT scope")
	h.Conntrack(ctmsg.Destroy, 3, "", "10.0.0.3:1000>10.0.0.4:80")
	h.Walk()
	h.Want("10.0.0.3:1000 -> 10.0.0.4:80 FIN_WAIT scope")
	h.Pass(1).Conntrack(ctmsg.Update, 2, "TIME_WAIT", "10.0.0.3:1000>10.0.0.4:80")
	r = h.Want("10.0.0.3:1000 -> 10.0.0.4:80 TIME_WAIT scope closed")
	if c := r.Connections[0]; c.FirstSeen != 6e9 || c.LastSeen != 7e9 || r.Rules != RulesScope2016 {
		t.Errorf("%+v", c)
	}
	h.Want()
}

// A row keeps the time at which a walk first read it; the same tuple with another inode
// is a new row.
func TestScope2016FirstSeen(t *testing.T) {
	h := newHostOf(t, RulesScope2016)
	first := func(inode uint64) int64 {
		h.Pass(1).Walk(reportertest.Socket{Row: "10.0.0.1:40000>10.0.0.2:80", Inode: inode})
		return h.Report().Connections[0].FirstSeen
	}
	if got := []int64{first(1), first(1), first(2)}; !slices.Equal(got, []int64{1e9, 1e9, 3e9}) {
		t.Error(got)
	}
}

// NAT copies appear in the view and among the aliases only.
func TestScope2016Copies(t *testing.T) {
	h := newHostOf(t, RulesScope2016)
	nat := func(id uint32, orig, reply string) {
		o, r := reportertest.Ends(orig), reportertest.Ends(reply)
		m := ctmsg.Message{Type: ctmsg.Update, ID: id, HasStatus: true, Status: ctmsg.DstNAT,
			Orig: ctmsg.TupleOf(o.Src, o.Dst, 6), Reply: ctmsg.TupleOf(r.Src, r.Dst, 6)}
		h.Raw(capture.KindConntrack, 1, m.Append(nil, false))
	}
	answer(h, "a.example", "172.17.0.2")
	answer(h, "vip.example", "10.0.0.80")
	nat(1, "10.0.0.1:40000>10.0.0.80:80", "172.17.0.2:8080>10.0.0.1:40000")
	nat(2, "10.0.0.2:40000>10.0.0.80:80", "172.17.0.3:8080>10.0.0.2:40000")
	h.Walk(reportertest.Socket{Netns: 7, Row: "172.17.0.2:8080>10.0.0.1:40000", Inode: 5, Processes: []report.Process{{PID: 50, Comm: "srv"}}})
	r := h.Report()
	h.wantNode(r, ";10.0.0.80;80", "conntracked=true copy_of=;172.17.0.3;8080 pid=50 procspied=true snooped_dns_names=a.example ->")
	if len(r.Connections) != 2 || len(r.Endpoints) != 4 {
		t.Errorf("%d connections, %d endpoints", len(r.Connections), len(r.Endpoints))
	}
	vip := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.80:80")}
	if e := r.Endpoints[2]; e.ID() != ";172.17.0.2;8080" || !slices.Equal(e.Aliases, vip) {
		t.Errorf("%+v", e)
	}
	if e := r.Endpoints[3]; e.ID() != ";172.17.0.3;8080" || !slices.Equal(e.Aliases, vip) || len(e.Processes) != 0 {
		t.Errorf("%+v", e)
	}
	if len(r.Names) != 2 || r.Names[0].Addr != vip[0].Addr() || r.Names[0].Forward[0] != "vip.example" {
		t.Errorf("%+v", r.Names)
	}
}

// A copy that was copied itself grows without changing its copies.
func TestScope2016CopiesShareNothing(t *testing.T) {
	h := newHostOf(t, RulesScope2016)
	masquerade := func(id uint32, from, as string) {
		to := fmt.Sprintf("192.0.2.%d:443", id)
		o, r := reportertest.Ends(from+">"+to), reportertest.Ends(to+">"+as)
		m := ctmsg.Message{Type: ctmsg.Update, ID: id, HasStatus: true, Status: ctmsg.SrcNAT,
			Orig: ctmsg.TupleOf(o.Src, o.Dst, 6), Reply: ctmsg.TupleOf(r.Src, r.Dst, 6)}
		h.Raw(capture.KindConntrack, 1, m.Append(nil, false))
	}
	masquerade(1, "10.0.0.1:1", "10.9.9.9:1") // 9.9 has 1
	masquerade(2, "10.9.9.9:1", "10.8.8.8:1") // 9.9 has 1, 2; so has 8.8
	masquerade(3, "10.0.0.3:1", "10.9.9.9:1") // 9.9 has 1, 2, 3
	masquerade(4, "10.9.9.9:1", "10.8.8.8:1") // 9.9 has 2 and 4 of its own; 8.8 has all of them
	masquerade(5, "10.8.8.8:1", "10.7.7.7:1")
	r := h.Report()
	server := func(ids ...int) (list string) {
		for i, id := range ids {
			list += map[bool]string{true: ","}[i > 0] + fmt.Sprintf(";192.0.2.%d;443", id)
		}
		return list
	}
	h.wantNode(r, ";10.0.0.1;1", "conntracked=true ->"+server(1))
	h.wantNode(r, ";10.0.0.3;1", "conntracked=true ->"+server(3))
	h.wantNode(r, ";10.9.9.9;1", "conntracked=true copy_of=;10.0.0.3;1 ->"+server(1, 2, 3, 4))
	h.wantNode(r, ";10.8.8.8;1", "conntracked=true copy_of=;10.9.9.9;1 ->"+server(1, 2, 3, 4, 5))
	h.wantNode(r, ";10.7.7.7;1", "conntracked=true copy_of=;10.8.8.8;1 ->"+server(1, 2, 3, 4, 5))
}

func answer(h *host, name, addr string) {
	d := modelMessage{response: true, questions: []modelQuestion{{name, 1, 1}},
		records: []modelRecord{{owner: name, typ: 1, class_: 1, ip: netip.MustParseAddr(addr).AsSlice()}}}
	message(h, d.bytes(1))
}

func message(h *host, m []byte) {
	packet, err := dnsmsg.AppendUDPPacket(nil, netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.1:3000"), m)
	if err != nil {
		h.T.Fatal(err)
	}
	h.Put(capture.KindDNS, 3, &capture.DNS{Packet: packet})
}

// A gap ends the flows of its source only, and so does the end of a source.
func TestScope2016Gap(t *testing.T) {
	h := newHostOf(t, RulesScope2016)
	one, two := "10.0.0.1:1000 -> 10.0.0.2:80 ESTABLISHED scope", "10.0.0.3:1000 -> 10.0.0.4:80 ESTABLISHED scope"
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, State: "ESTABLISHED", Tuples: "10.0.0.1:1000>10.0.0.2:80", Source: 1})
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 2, State: "ESTABLISHED", Tuples: "10.0.0.3:1000>10.0.0.4:80", Source: 9})
	h.Put(capture.KindGap, 1, &capture.Gap{Lost: 4})
	r := h.Want(one+" closed", two)
	if c := r.Coverage[0]; c.State != report.CoverageDegraded || c.Lost != 4 {
		t.Errorf("%+v", c)
	}
	h.Dump(map[uint32]string{1: "10.0.0.1:1000>10.0.0.2:80"})
	if r = h.Want(one, two); r.Coverage[0].State != report.CoverageOK {
		t.Errorf("%+v", r.Coverage[0])
	}
	h.Put(capture.KindSource, 9, &capture.Source{Kind: capture.SourceConntrack, Open: false, Why: "the namespace is gone"})
	h.Want(one, two+" closed")
	h.Want(one)
}

// Tables outside a walk add to the current ones, and become current at the next tick.
func TestScope2016NoWalk(t *testing.T) {
	h := newHostOf(t, RulesScope2016)
	row := func(netns uint64, tuple string) reportertest.Socket {
		return reportertest.Socket{Netns: netns, Row: tuple, Inode: netns}
	}
	one, two := "10.0.0.1:1000 -> 10.0.0.2:80 ESTABLISHED scope", "10.0.0.3:1000 -> 10.0.0.4:80 ESTABLISHED scope"
	h.Walk(row(7, "10.0.0.1:1000>10.0.0.2:80"))
	h.Tables(row(8, "10.0.0.3:1000>10.0.0.4:80"))
	h.Want(one, two)
	h.Tables(row(7, "10.0.0.5:1000>10.0.0.6:80"))
	h.Want(two, "10.0.0.5:1000 -> 10.0.0.6:80 ESTABLISHED scope")
	for range 1000 {
		h.Tables(reportertest.Socket{Netns: 7, Row: "10.0.0.1:1000>10.0.0.2:80", Inode: 1, Processes: []report.Process{{PID: 1, Comm: "x"}}})
		h.Report()
	}
	h.Walk(row(7, "10.0.0.1:1000>10.0.0.2:80"))
	h.Want(one)
}

// The networks of the host's interfaces are not local, except the Docker bridge's. Those
// that a user gave are local.
func TestScope2016LocalNetworks(t *testing.T) {
	h := newHostWith(t, &capture.Header{HostID: "host1", LocalNetworks: []string{"10.3.0.0/16"}}, RulesScope2016)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "10.0.0.1:1000>172.17.0.2:80")
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", "10.3.0.1:1000>10.4.0.1:80")
	ids := func(want ...string) {
		t.Helper()
		var got []string
		r := h.Report()
		for _, n := range r.Scope().Nodes {
			got = append(got, n.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tick %d:\n%s", r.Tick, diff)
		}
	}
	ids(";10.0.0.1;1000", ";10.4.0.1;80", ";172.17.0.2;80", "host1;10.3.0.1;1000")
	h.Put(capture.KindHost, 0, &capture.Host{ID: "h2", LocalNetworks: []string{"10.0.0.0/24", "10.4.0.0/16", "172.17.0.0/16"},
		Interfaces: []capture.Interface{{Name: "eth0", Addresses: []string{"10.0.0.9/24"}}, {Name: "docker0", Addresses: []string{"172.17.0.1/16"}}}})
	ids(";10.0.0.1;1000", "h2;10.3.0.1;1000", "h2;10.4.0.1;80", "h2;172.17.0.2;80")
	h.Put(capture.KindHost, 0, &capture.Host{})
	ids(";10.0.0.1;1000", ";10.4.0.1;80", ";172.17.0.2;80", "h2;10.3.0.1;1000")
	if got := h.Report().Scope().LocalNetworks; !slices.Equal(got, []string{"10.3.0.0/16"}) {
		t.Error(got)
	}
}

// The bounds of the caches, in addresses.
const snoopedAddresses, reversedAddresses = 10000, 500

// The caches drop the address that was written first.
func TestScope2016Caches(t *testing.T) {
	h := newHostOf(t, RulesScope2016)
	addr := func(i int) string { return fmt.Sprintf("10.1.%d.%d", i>>8, i&255) }
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "10.1.0.0:1000>10.1.0.1:80")
	for i := range snoopedAddresses {
		answer(h, "first.example", addr(i))
	}
	for i := range reversedAddresses {
		h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: addr(i), Names: []string{"r.example."}})
	}
	answer(h, "second.example", addr(0)) // the address is in the cache: it keeps its place
	r := h.Report()
	h.wantNode(r, ";10.1.0.0;1000", "conntracked=true reverse_dns_names=r.example snooped_dns_names=first.example,second.example ->;10.1.0.1;80")
	answer(h, "other.example", "10.2.0.0")
	h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "10.2.0.0", Error: "timeout"})
	r = h.Report()
	h.wantNode(r, ";10.1.0.0;1000", "conntracked=true ->;10.1.0.1;80")
	h.wantNode(r, ";10.1.0.1;80", "conntracked=true reverse_dns_names=r.example snooped_dns_names=first.example ->")
	if len(r.Names) != 1 {
		t.Errorf("%+v", r.Names)
	}
	h.Pass(30 * 60)
	h.wantNode(h.Report(), ";10.1.0.1;80", "conntracked=true reverse_dns_names=r.example snooped_dns_names=first.example ->")
	h.Pass(1)
	h.wantNode(h.Report(), ";10.1.0.1;80", "conntracked=true snooped_dns_names=first.example ->")
}

// Any segment to or from port 53 counts as a whole message. Packets with a VLAN tag and
// fragments do not count.
func TestScope2016Packets(t *testing.T) {
	d := modelMessage{response: true, questions: []modelQuestion{{"a.example", 1, 1}},
		records: []modelRecord{{owner: "a.example", typ: 1, class_: 1, ip: []byte{10, 0, 0, 1}}}}
	m := d.bytes(1)
	udp, err := dnsmsg.AppendUDPPacket(nil, netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.1:3000"), m)
	if err != nil {
		t.Fatal(err)
	}
	tcp := func(payload []byte) []byte {
		b := bytes.Clone(udp[:20])
		b[9] = dnsmsg.TCP
		binary.BigEndian.PutUint16(b[2:], uint16(40+len(payload)))
		b = append(b, 0, 53, 0xb, 0xb8, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, 0x10, 0, 0, 0, 0, 0, 0)
		return append(b, payload...)
	}
	fragment := bytes.Clone(udp)
	fragment[6] = 0x20
	for name, test := range map[string]struct {
		packet []byte
		learnt bool
	}{
		"whole":            {udp, true},
		"tagged":           {append([]byte{0, 1, 8, 0}, udp...), false},
		"fragment":         {fragment, false},
		"segment":          {tcp(append([]byte{0, byte(len(m))}, m...)), true},
		"two messages":     {tcp(append(append([]byte{0, byte(len(m))}, m...), 0, 9, 1)), true},
		"wrong length":     {tcp(append([]byte{9, 9}, m...)), true},
		"cut message":      {tcp(append([]byte{0, byte(len(m))}, m[:len(m)-1]...)), false},
		"segment of a SYN": {tcp(nil), false},
	} {
		h := newHostOf(t, RulesScope2016)
		h.Put(capture.KindDNS, 3, &capture.DNS{Packet: test.packet})
		h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "10.0.0.1:1000>10.0.0.2:80")
		if n := nodeText(h.Report(), ";10.0.0.1;1000"); strings.Contains(n, "a.example") != test.learnt {
			t.Errorf("%s: %s", name, n)
		}
	}
}
