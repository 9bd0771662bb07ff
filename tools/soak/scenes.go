//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
)

// sceneChanges add whole scenes: a little of a tape that means much.
var sceneChanges = []change{
	{"sources by the thousand", 4, func(g *generator) {
		var list []*record
		for k := range g.many(100000) {
			list = append(list, rec(kindSource, uint64(k+1), uint64(g.IntN(2)), pick(g, []string{"conntrack", "proc", "dns", "rdns", "sockets", "closes"}), uint64(k), fmt.Sprint("if", k), uint64(0), uint64(0), ""))
		}
		g.insert(list...)
	}},
	{"namespaces by the thousand", 4, func(g *generator) {
		g.walk(g.many(20000), func(netns int) []*record {
			return []*record{
				rec(kindProcNet, 2, uint64(netns), "tcp", uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), []byte(row(netns))),
				rec(kindProcSockets, 2, uint64(netns), uint64(0), uint64(0), []any{[]any{uint64(netns), uint64(1), uint64(5), "x", []byte{}, []any{uint64(1000 + netns)}, uint64(0)}}),
			}
		})
	}},
	{"empty processes in many namespaces", 3, func(g *generator) {
		process := pick(g, [][]byte{{0x90}, {0x97, 1, 1, 1, 0xa0, 0xc4, 0, 0x90, 0}})
		n := g.many(150000)
		all := rawList(n, bytes.Repeat(process, n))
		g.walk(g.many(300), func(netns int) []*record {
			return solid([]*record{rec(kindProcSockets, 2, uint64(netns), uint64(0), uint64(0), all)})
		})
	}},
	{"inodes by the million", 3, func(g *generator) {
		n := g.many(4000000)
		inodes := rawList(n, bytes.Repeat([]byte{7}, n))
		if n < 800000 && g.IntN(2) == 0 {
			var b []byte
			for k := range n {
				b = append(b, 0xce, byte(k>>24), byte(k>>16), byte(k>>8), byte(k))
			}
			inodes = rawList(n, b)
		}
		g.walk(g.many(20), func(netns int) []*record {
			return solid([]*record{rec(kindProcSockets, 2, uint64(netns), uint64(0), uint64(0), []any{[]any{uint64(1), uint64(1), uint64(1), "x", []byte{}, inodes, uint64(0)}})})
		})
	}},
	{"rows by the million", 3, func(g *generator) {
		table := strings.Repeat(row(1), g.many(20000))
		if g.IntN(2) == 0 {
			var b strings.Builder
			for k := range g.many(20000) {
				b.WriteString(row(k))
			}
			table = b.String()
		}
		parts := g.many(150)
		g.walk(1, func(int) (list []*record) {
			for part := range parts {
				more := uint64(1)
				if part == parts-1 {
					more = uint64(g.IntN(2))
				}
				list = append(list, rec(kindProcNet, 2, uint64(9), "tcp", uint64(0), uint64(0), uint64(0), uint64(part), more, []byte(table)))
			}
			return list
		})
	}},
	{"hosts by the thousand", 3, func(g *generator) {
		var list []*record
		interfaces := g.many(300)
		for k := range g.many(3000) {
			var all []any
			for i := range interfaces {
				all = append(all, []any{uint64(i), fmt.Sprint("if", i), []any{fmt.Sprintf("10.%d.%d.1/24", k%250, i%250)}})
			}
			list = append(list, rec(kindHost, 0, fmt.Sprint("id", k), fmt.Sprint("name", k), "boot", "kernel", all, []any{"10.0.0.0/8"}, []any{}, []any{}))
			if len(all)*len(list) > 200000 {
				break
			}
		}
		g.insert(list...)
	}},
	{"names by the thousand", 3, func(g *generator) {
		var list []*record
		for k := range g.many(20000) {
			list = append(list, rec(kindReverseName, 4, fmt.Sprintf("10.%d.%d.%d", k>>16, k>>8&255, k&255), []any{fmt.Sprint("n", k, pick(g, hostile))}, "", uint64(3600e9)))
		}
		g.insert(list...)
	}},
	{"connections by the thousand", 3, func(g *generator) {
		f, i := g.record(kindConntrack, kindDumpEntry)
		if f == nil {
			return
		}
		r := f.records[i]
		var list []*record
		for range g.many(20000) {
			b := bytes.Clone(r.bytes())
			for range 3 {
				if len(b) > 24 {
					b[24+g.IntN(len(b)-24)] = byte(g.Uint32())
				}
			}
			c := *r
			c.payload = b
			list = append(list, &c)
		}
		g.insert(list...)
	}},
	{"ticks by the thousand", 3, func(g *generator) {
		var list []*record
		for k := range g.many(5000) {
			list = append(list, rec(kindTick, 0, uint64(k+100), pick(g, []uint64{0, 1, 3e9, 1<<63 - 1})))
		}
		g.insert(list...)
	}},
	{"gaps, dumps and stalls by the thousand", 3, func(g *generator) {
		var list []*record
		for k := range g.many(20000) {
			list = append(list, pick(g, []*record{
				rec(kindGap, uint64(g.IntN(4)), uint64(k), uint64(g.IntN(2)), "why", uint64(g.IntN(1000))),
				rec(kindStall, 0, uint64(k)*1e6),
				rec(kindDumpBegin, 1, uint64(k), uint64(0), ""),
				rec(kindDumpEnd, 1, uint64(k), uint64(k), ""),
				rec(kindWalkBegin, 2, uint64(k), uint64(0), uint64(0), ""),
				rec(kindClock, 0, uint64(g.Uint64()>>1), uint64(g.Uint64()>>1)),
			}))
		}
		g.insert(list...)
	}},
	{"counters", 3, func(g *generator) {
		text := []byte(strings.Repeat("Tcp: 1 2 3 "+pick(g, hostile)+"\n", g.many(20000)))
		text = text[:min(len(text), maxValue-1000)]
		var list []*record
		for k := range g.many(50) {
			files := []any{[]any{pick(g, []string{"/proc/net/snmp", "/proc/net/netstat", "/proc/net/stat/nf_conntrack", g.text()}), text}}
			list = append(list, rec(kindCounters, 0, uint64(k), files))
		}
		g.insert(solid(list)...)
	}},
	{"totals by the thousand", 2, func(g *generator) {
		n := g.many(400000)
		total := pick(g, [][]byte{{0x90}, {0x97, 1, 0xa1, 'x', 1, 1, 1, 1, 1}})
		g.insert(solid([]*record{rec(kindEnd, 0, "end", rawList(n, bytes.Repeat(total, n)))})...)
	}},
	{"tiny records by the hundred thousand", 3, func(g *generator) {
		r := pick(g, []*record{rec(kindMark, 0, ""), rec(kindProcSockets, 2), rec(kindDNS, 3), {kind: kindConntrack, source: 1, payload: []byte{}},
			{kind: 99, payload: msgpack.RawMessage{0xc0}}, rec(kindProcNet, 2), rec(kindTick, 0), rec(kindGap, 1), rec(kindHost, 0)})
		var list []*record
		for range g.many(300000) {
			list = append(list, r)
		}
		g.tape().chunk = pick(g, []int{256 << 10, maxPayload - 100})
		g.insert(list...)
	}},
}

// walk adds a complete walk of /proc through n namespaces, and a tick.
func (g *generator) walk(n int, of func(netns int) []*record) {
	list := []*record{rec(kindWalkBegin, 2, uint64(1000), uint64(0), uint64(0), "")}
	for netns := range n {
		list = append(list, of(netns+1)...)
	}
	if g.IntN(4) > 0 {
		list = append(list, rec(kindWalkEnd, 2, uint64(1000), uint64(n), uint64(n), ""))
	}
	list = append(list, rec(kindTick, 0, uint64(1000), uint64(3e9)))
	g.insert(list...)
}
