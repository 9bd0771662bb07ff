package main

import (
	"fmt"
	"net/netip"
	"strings"
)

func (g *generator) gap() {
	o := object{"source": pick[any](g, tableOne, tableOne, "proc", g.tables[len(g.tables)-1], "dns", 99), "lost": pick[uint64](g, 0, 1, 42, 1<<63)}
	if g.chance(40) {
		o["why"] = "the queue was full"
	}
	g.add(0, "gap", o)
}

// sources closes a source, or opens a closed one.
func (g *generator) sources() {
	s := pick(g, append([]int{proc, dns, rdns}, g.tables...)...)
	if s == tableOne && g.chance(50) {
		return
	}
	if !g.open[s] {
		g.openSource(s)
		return
	}
	kind := map[int]string{proc: "proc", dns: "dns", rdns: "rdns"}[s]
	if kind == "" {
		kind = "conntrack"
	}
	g.open[s] = false
	g.add(0, "source", object{"number": s, "kind": kind, "open": false, "why": pick(g, "", "the namespace is gone")})
}

func (g *generator) host() {
	o := object{"id": pick(g, "", "host1", "host2"), "name": pick(g, "", "host1", "Other.Example.")}
	var faces []object
	for i := range 1 + g.IntN(2) {
		var list []string
		for range g.IntN(4) {
			list = append(list, pick(g, "10.0.0.1/24", "10.0.0.2/24", "10.0.0.3", "172.17.0.2/16", "127.0.0.1/8", "fd00::1/64", "::1/128", "169.254.0.1/16", "nonsense", "::ffff:10.0.0.4", "10.9.0.1/24", "10.9.0.2/24"))
		}
		faces = append(faces, object{"index": i + 1, "name": fmt.Sprintf("eth%d", i), "addresses": list})
	}
	o["interfaces"] = faces
	if g.chance(40) {
		o["local_networks"] = []string{pick(g, "10.0.0.0/30", "fd00::/64", "nonsense", "10.9.0.1/32")}
	}
	if g.chance(40) {
		o["sysctls"] = []object{{"name": "net.netfilter.nf_conntrack_events", "value": pick(g, "0\n", "1", "0", "2\n")}, {"name": "net.netfilter.nf_conntrack_acct", "value": "0"}}
	}
	g.add(0, "host", o)
}

// name adds a DNS answer or a reverse name.
func (g *generator) name() {
	addr := g.address()
	if g.v6 && g.chance(50) {
		addr, _ = g.ends()
	}
	if g.chance(40) {
		o := object{"addr": pick(g, addr, addr, addr, "::ffff:10.0.0.1", "fd00::1"), "names": []string{}}
		switch g.IntN(5) {
		case 0:
			o["error"] = "no such host"
		default:
			o["names"] = pick(g, []string{"B.Example.", "a.example"}, []string{"one.example"}, []string{"one.example", "ONE.example."}, []string{"", "."}, []string{"tab\tq\"b\\s<>&\u2028\x01\x7f\u00e4.example"})
		}
		if g.chance(60) {
			o["ttl"] = pick(g, "0s", "100ms", "2s", "1h")
		}
		if len(o["names"].([]string)) == 0 && g.chance(50) {
			var many []string
			for i := range 70 {
				many = append(many, fmt.Sprintf("n%02d.example", i))
			}
			o["names"] = many
		}
		g.add(0, "reverse_name", o)
		return
	}
	name := pick(g, "web.example", "Web.EXAMPLE", "db.internal", "x\xff\x01y.example", "a\"b\\c.example", "other.example")
	alias := ""
	if g.chance(30) {
		alias = "real." + pick(g, "example", "internal")
	}
	m := answer(name, alias, netip.MustParseAddr(addr), pick[uint32](g, 0, 1, 2, 5, 300))
	if g.chance(3) {
		for i := range 66 { // more than the core keeps for one address
			g.add(0, "dns", object{"message": answer(fmt.Sprintf("m%02d.example", i), "", netip.MustParseAddr(addr), uint32(i*7%50)), "src": "10.0.0.53", "dst": "10.0.0.1"})
		}
	}
	if g.chance(6) {
		m = m[:len(m)-3]
	}
	o := object{"message": m, "src": "10.0.0.53", "dst": "10.0.0.1"}
	if g.chance(15) {
		o["transport"] = "tcp"
	}
	g.add(0, "dns", o)
}

// answer returns a DNS message with a question and its answer, which goes through
// an alias if there is one.
func answer(name, alias string, addr netip.Addr, ttl uint32) []byte {
	text := func(b []byte, s string) []byte {
		for _, label := range strings.Split(s, ".") {
			b = append(append(b, byte(len(label))), label...)
		}
		return append(b, 0)
	}
	kind, data := byte(1), addr.AsSlice()
	if addr.Is6() {
		kind = 28
	}
	record := func(b []byte, owner string, kind byte, data []byte) []byte {
		b = append(text(b, owner), 0, kind, 0, 1, byte(ttl>>24), byte(ttl>>16), byte(ttl>>8), byte(ttl), 0, byte(len(data)))
		return append(b, data...)
	}
	b := []byte{0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}
	b = append(text(b, name), 0, kind, 0, 1)
	if alias == "" {
		return record(b, name, kind, data)
	}
	b[7] = 2
	return record(record(b, name, 5, text(nil, alias)), alias, kind, data)
}

// broken adds a record that cannot be decoded or that the core does not use.
func (g *generator) broken() {
	nonsense := []byte{0xc0}
	switch g.IntN(9) {
	case 0:
		g.raw(tableOne, "conntrack", object{"type": "update", "orig": tuple{"10.0.0.1", "10.0.0.2", 1, 2}.object()}, []byte{1, 2, 3})
	case 1:
		g.raw(proc, "proc_net", object{"table": "tcp"}, nonsense)
	case 2:
		g.raw(proc, "proc_sockets", object{"sockets": []object{}}, nonsense)
	case 3:
		g.raw(proc, "proc_unchanged", object{"table": "tcp"}, nonsense)
	case 4:
		g.raw(0, "tick", object{}, nonsense)
	case 5:
		g.raw(tableOne, "conntrack_dump", object{"phase": "begin"}, nonsense)
	case 6:
		g.raw(proc, "proc_walk", object{"phase": "end"}, nonsense)
	case 7:
		g.add(tableOne, "conntrack", object{"type": "new", "id": 9, "orig": object{"proto": "udp", "src": "10.0.0.1", "dst": "10.0.0.2", "sport": 1, "dport": 53}})
	default:
		g.raw(dns, "dns", object{"message": []byte{1}, "src": "10.0.0.1", "dst": "10.0.0.1"}, nonsense)
	}
}
