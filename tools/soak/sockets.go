//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// socketChanges add and change the records of socket events, and of tables that sock_diag reads.
var socketChanges = []change{
	{"bytes of the perf ring", 6, func(g *generator) { g.changeBytes(g.changedSample, kindSocketEvent, kindProcessEvent) }},
	{"layout of socket events", 4, func(g *generator) {
		text := reportertest.UsualFormatText
		switch g.IntN(4) {
		case 0:
			text = strings.Replace(text, pick(g, []string{"offset:8;", "offset:24;", "offset:56;", "size:16;"}), fmt.Sprintf("offset:%d;", g.Uint32()>>g.IntN(32)), 1)
		case 1:
			text = strings.Repeat(text, g.many(2000))
		case 2:
			text = text[:g.IntN(len(text))]
		case 3:
			text = g.text()
		}
		g.insert(rec(kindSocketFormat, 5, []byte(text)))
	}},
	{"socket events by the thousand", 6, func(g *generator) {
		f := sockmsg.UsualFormat()
		var list []*record
		for k := range g.many(50000) {
			list = append(list, &record{kind: kindSocketEvent, source: 5, payload: g.sample(k, &f)})
		}
		g.insert(append(list, rec(kindTick, 0, uint64(1000), uint64(3e9)))...)
	}},
	{"processes by the thousand", 4, func(g *generator) {
		text := g.text()
		text = strings.ReplaceAll(text[:min(len(text), 60000)], "\x00", "")
		var list []*record
		for k := range min(g.many(50000), 32<<20/(len(text)+1)) {
			p := sockmsg.Process{Kind: sockmsg.ProcessKind(1 + g.IntN(5)), PID: uint32(k), TID: uint32(k), PPID: g.Uint32N(9), Comm: text, Path: text, Cgroup: uint64(k), Netns: uint64(k)}
			list = append(list, &record{kind: kindProcessEvent, source: 5, payload: p.Append(nil, false)})
		}
		g.insert(list...)
	}},
	{"lists of processes and cgroups", 4, func(g *generator) {
		process, dir := []byte{0x97, 7, 1, 1, 0xa1, 'x', 0xc4, 0, 0x90, 0}, []byte{0x92, 7, 0xa2, '/', 'x'}
		n := g.many(300000)
		var list []*record
		for range g.many(50) {
			list = append(list, pick(g, []*record{
				rec(kindProcesses, 5, uint64(g.IntN(3)), uint64(0), uint64(g.IntN(2)), rawList(n, bytes.Repeat(process, n))),
				rec(kindCgroups, 5, uint64(0), uint64(g.IntN(2)), rawList(n, bytes.Repeat(dir, n))),
			}))
		}
		g.insert(solid(list)...)
	}},
	{"answers of sock_diag", 4, func(g *generator) {
		messages := bytes.Repeat(g.diagMessage(), g.many(20000))
		g.walk(g.many(20), func(netns int) []*record {
			return solid([]*record{rec(kindSocketTable, 2, uint64(netns), pick(g, []string{"tcp", "tcp6", "x"}), uint64(0), uint64(0), uint64(0), uint64(g.IntN(2)), uint64(g.IntN(2)), messages)})
		})
		g.insert(&record{kind: kindSocketClose, source: 6, payload: g.changedSample(g.diagMessage())})
	}},
}

// sample returns the k-th of many samples: some sockets have several.
func (g *generator) sample(k int, f *sockmsg.Format) []byte {
	e := sockmsg.Event{PID: uint32(k) % 1000, TID: uint32(k) % 1000, Time: int64(k), Flags: pick(g, []uint8{0, sockmsg.FlagSoftIRQ | sockmsg.FlagBHOff, uint8(g.Uint32())}),
		Socket: uint64(g.IntN(k + 1)), Old: procnet.State(1 + g.IntN(12)), New: procnet.State(1 + g.IntN(12)), Protocol: pick(g, []uint16{sockmsg.TCP, sockmsg.TCP, sockmsg.MPTCP}),
		Local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(k >> 8), byte(k)}), uint16(k)),
		Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(k)}), pick(g, []uint16{0, 80, uint16(k)}))}
	if g.IntN(3) == 0 {
		e.Old, e.New = procnet.Close, procnet.SynSent
	}
	b := e.Append(nil, f, false)
	if g.IntN(100) == 0 {
		return g.changedSample(b)
	}
	return b
}

// changedSample changes the bytes or one of the lengths of a record of the ring, or of a message.
func (g *generator) changedSample(b []byte) []byte {
	if b = bytes.Clone(b); len(b) < 32 || g.IntN(2) == 0 {
		return g.changedRaw(b)
	}
	switch g.IntN(3) {
	case 0:
		binary.LittleEndian.PutUint16(b[6:], uint16(g.Uint32()))
	case 1:
		binary.LittleEndian.PutUint32(b[24:], g.Uint32()>>g.IntN(32))
	case 2:
		b = b[:g.IntN(len(b))]
		if len(b) >= 8 {
			binary.LittleEndian.PutUint16(b[6:], uint16(len(b)))
		}
	}
	return b
}

// diagMessage returns a message of sock_diag about one socket.
func (g *generator) diagMessage() []byte {
	b := binary.LittleEndian.AppendUint32(nil, pick(g, []uint32{88, 88, 88, 0, 16, 1 << 31}))
	b = append(binary.LittleEndian.AppendUint16(b, 20), make([]byte, 10)...)
	b = append(b, pick(g, []byte{2, 10, 99}), byte(g.IntN(14)), 0, 0, 0x9c, 0x40, 0, 80, 10, 0, 0, 1)
	return append(b, make([]byte, 88-len(b))...)
}
