//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// kernelChanges change bytes that the kernel, the network or the core wrote: netlink
// messages, tables of /proc, DNS packets, carries.
var kernelChanges = []change{
	{"attributes of a conntrack message", 10, func(g *generator) { g.changeBytes(g.changedMessage, kindConntrack, kindDumpEntry) }},
	{"lines of a table", 8, func(g *generator) { g.changeBytes(g.changedLines, kindProcNet, kindCounters, kindProcSockets) }},
	{"a DNS packet", 10, func(g *generator) {
		var list []*record
		for range g.many(300) {
			p := g.dnsPacket()
			list = append(list, rec(kindDNS, 3, uint64(1), uint64(g.IntN(3)), uint64(len(p)), p))
		}
		g.insert(list...)
	}},
	{"bytes of a DNS packet", 4, func(g *generator) { g.changeBytes(g.changedRaw, kindDNS) }},
	{"state of a carry", 10, func(g *generator) { g.changeBytes(g.changedRaw, kindCarry) }},
	{"bytes of a carry's state", 8, func(g *generator) {
		for range 1 + g.IntN(10) {
			g.changeBytes(func(b []byte) []byte {
				b = bytes.Clone(b)
				if len(b) > 0 {
					b[g.IntN(len(b))] ^= 1 << g.IntN(8)
				}
				return b
			}, kindCarry)
		}
	}},
	{"carries without an end", 4, func(g *generator) {
		state := bytes.Repeat([]byte{byte(g.Uint32())}, pick(g, []int{0, 1, 1000, maxValue - 100}))
		var list []*record
		for i := range g.many(500) {
			list = append(list, rec(kindCarry, 0, uint64(3), state, pick(g, []string{"current", "scope2016", "none"}), uint64(i), uint64(1)))
		}
		if g.IntN(2) == 0 {
			g.chunk().records = slices.Concat(solid(list), g.chunk().records)
		} else {
			g.insert(solid(list)...)
		}
	}},
}

// changeBytes changes the bytes in the payload of a random record of one of the kinds.
func (g *generator) changeBytes(change func([]byte) []byte, kinds ...uint64) {
	f, i := g.record(kinds...)
	if f == nil {
		return
	}
	r := *f.records[i]
	r.payload = g.changedIf(r.payload, func(v any) bool { _, ok := v.([]byte); return ok }, func(v any) any { return change(v.([]byte)) })
	f.records[i] = &r
}

// An attribute of a netlink message.
type attribute struct {
	kind    uint16
	value   []byte
	lie     int // added to its length
	nesting []attribute
}

const nested = 0x8000

func attributes(b []byte, depth int) (list []attribute) {
	for len(b) >= 4 {
		n := int(binary.LittleEndian.Uint16(b))
		if n < 4 || n > len(b) {
			break
		}
		a := attribute{kind: binary.LittleEndian.Uint16(b[2:]), value: b[4:n]}
		if a.kind&nested != 0 && depth < 8 {
			a.nesting = attributes(a.value, depth+1)
		}
		list = append(list, a)
		b = b[min((n+3)&^3, len(b)):]
	}
	return list
}

func appendAttributes(b []byte, list []attribute) []byte {
	for _, a := range list {
		if a.nesting != nil {
			a.value = appendAttributes(nil, a.nesting)
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(4+len(a.value)+a.lie))
		b = append(binary.LittleEndian.AppendUint16(b, a.kind), a.value...)
		b = append(b, make([]byte, -len(a.value)&3)...)
	}
	return b
}

// changedMessage changes a message: its netlink header, or some of its attributes.
func (g *generator) changedMessage(b []byte) []byte {
	const header = 20
	if len(b) < header || g.IntN(6) == 0 {
		return g.changedRaw(b)
	}
	list := attributes(b[header:], 0)
	for range 1 + g.IntN(4) {
		list = g.changedAttributes(list, 0)
	}
	b = appendAttributes(bytes.Clone(b[:header]), list)
	if g.IntN(4) > 0 {
		binary.LittleEndian.PutUint32(b, uint32(len(b)))
	}
	if g.IntN(6) == 0 {
		b[g.IntN(header)] = byte(g.Uint32())
	}
	return b
}

func (g *generator) changedAttributes(list []attribute, depth int) []attribute {
	list = slices.Clone(list)
	if len(list) == 0 {
		return []attribute{{kind: uint16(g.IntN(30)), value: g.garbage(g.IntN(20))}}
	}
	i := g.IntN(len(list))
	a := &list[i]
	if a.nesting != nil && depth < 8 && g.IntN(3) > 0 {
		a.nesting = g.changedAttributes(a.nesting, depth+1)
		return list
	}
	switch g.IntN(9) {
	case 0:
		return slices.Delete(list, i, i+1)
	case 1:
		return slices.Insert(list, i, slices.Repeat([]attribute{*a}, g.many(1000))...)
	case 2:
		a.lie = pick(g, []int{-4, -1, 1, 4, 60000, -4 - len(a.value)})
	case 3:
		a.kind = uint16(g.IntN(40)) | uint16(g.IntN(2))*nested
	case 4:
		a.nesting, a.value = nil, a.value[:g.IntN(len(a.value)+1)]
	case 5:
		a.nesting, a.value = nil, g.garbage(g.many(100))
	case 6: // in itself
		for range g.many(10000) {
			a.value = append(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(4+len(a.value))), a.kind|nested), a.value...)
			if len(a.value) > 60000 {
				break
			}
		}
		a.nesting = nil
	case 7:
		o := list[g.IntN(len(list))]
		a.value, a.nesting = o.value, o.nesting
	case 8:
		for j := range a.value {
			a.value = bytes.Clone(a.value)
			a.value[j] = pick(g, []byte{0, 0xff, a.value[j]})
		}
	}
	return list
}

// changedLines changes lines of text.
func (g *generator) changedLines(b []byte) []byte {
	lines := strings.SplitAfter(string(b), "\n")
	i := g.IntN(len(lines))
	line := lines[i]
	fields := strings.Fields(line)
	switch g.IntN(9) {
	case 0:
		lines[i] = g.text() + "\n"
	case 1:
		lines[i] = line[:g.IntN(len(line)+1)]
	case 2:
		lines = slices.Insert(lines, i, slices.Repeat([]string{line}, min(g.many(50000), maxValue/(len(line)+1)-1))...)
	case 3:
		lines[i] = strings.ReplaceAll(line, " ", strings.Repeat(" ", g.many(1000)))
	case 4:
		lines[i] = strings.ReplaceAll(line, ":", "")
	case 5: // a field
		if len(fields) > 0 {
			fields[g.IntN(len(fields))] = pick(g, []string{"", "0", "FFFFFFFF", "FFFFFFFFFFFFFFFFFFFF", "-1", "ZZZZ:ZZZZ", "0100007F:1F90", ":", "99999999999999999999999", "\x00", "é", g.text()})
			lines[i] = strings.Join(fields, " ") + "\n"
		}
	case 6: // fields fewer or more
		fields = append(fields, fields...)
		lines[i] = strings.Join(fields[:g.IntN(len(fields)+1)], " ") + "\n"
	case 7:
		lines[i] = strings.TrimSuffix(line, "\n")
	case 8: // rows that differ
		for k := range min(g.many(30000), maxValue/160) {
			lines = append(lines, row(k))
		}
	}
	return []byte(strings.Join(lines, ""))
}

// row is a row of /proc/net/tcp of an established socket.
func row(k int) string {
	return fmt.Sprintf("%4d: 0100000A:%04X %08X:01BB 01 00000000:00000000 00:00000000 00000000     0        0 %d 1 0000000000000000 20 4 30 10 -1\n", k, k&0xffff, k, 1000+k)
}
