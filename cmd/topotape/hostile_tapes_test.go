//go:build linux && !race

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/capture/wire"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockdiag"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// A hostileTape is a small file whose content takes very much memory if a reader keeps
// all of it.
type hostileTape struct {
	name string
	make func(*hostileWriter)
}

// hostileTapes has one tape for each way in which content repeats. All of them are
// written by a Writer, so their checksums are right.
var hostileTapes = []hostileTape{
	{"processes without sockets in many namespaces", func(w *hostileWriter) {
		p := &capture.ProcSockets{Processes: make([]capture.Process, 150_000)}
		w.walk(func() {
			for p.Netns = range uint64(40) {
				w.put(capture.KindProcSockets, 2, p)
			}
		})
	}},
	{"inodes that no table has", func(w *hostileWriter) {
		p := &capture.ProcSockets{Processes: []capture.Process{{PID: 1, Comm: "x"}}}
		w.walk(func() {
			for i := range uint64(20) {
				p.Processes[0].Inodes = p.Processes[0].Inodes[:0]
				for n := range uint64(500_000) {
					p.Processes[0].Inodes = append(p.Processes[0].Inodes, i*500_000+n)
				}
				w.put(capture.KindProcSockets, 2, p)
			}
		})
	}},
	{"one inode, listed again and again", func(w *hostileWriter) {
		p := &capture.ProcSockets{}
		for range 60 {
			p.Processes = append(p.Processes, capture.Process{PID: 1, Inodes: bytes8(7, 30_000)})
		}
		w.walk(func() {
			w.put(capture.KindProcNet, 2, &capture.ProcNet{Table: "tcp", Text: []byte(socketRow(1, 7, "01"))})
			for range 10 {
				w.put(capture.KindProcSockets, 2, p)
			}
		})
	}},
	{"one socket of very many processes", func(w *hostileWriter) {
		p := &capture.ProcSockets{}
		w.walk(func() {
			w.put(capture.KindProcNet, 2, &capture.ProcNet{Table: "tcp", Text: []byte(socketRow(1, 7, "01"))})
			for i := range uint32(20) {
				p.Processes = p.Processes[:0]
				for pid := range uint32(100_000) {
					p.Processes = append(p.Processes, capture.Process{PID: 1<<31 - 100_000*i - pid, Inodes: []uint64{7}})
				}
				w.put(capture.KindProcSockets, 2, p)
			}
		})
	}},
	{"one row, listed again and again", func(w *hostileWriter) { w.rows(1, 150, func(int) string { return socketRow(1, 7, "01") }) }},
	{"one row, in two states, of many namespaces", func(w *hostileWriter) { w.rows(75, 2, func(int) string { return socketRow(1, 7, "01") }) }},
	{"one row with many inodes", func(w *hostileWriter) { w.rows(1, 100, func(i int) string { return socketRow(1, i, "01") }) }},
	{"one listener, listed again and again", func(w *hostileWriter) { w.rows(1, 150, func(int) string { return socketRow(1, 7, "0A") }) }},
	{"listeners by the million", func(w *hostileWriter) { w.rows(1, 200, func(i int) string { return socketRow(i, 7, "0A") }) }},
	{"tables of namespaces by the hundred thousand", func(w *hostileWriter) {
		w.walk(func() {
			for n := range uint64(200_000) {
				w.put(capture.KindProcNet, 2, &capture.ProcNet{Netns: n, Table: "tcp"})
				w.put(capture.KindProcSockets, 2, &capture.ProcSockets{Netns: n})
			}
		})
	}},
	{"a table, unchanged in many walks without a tick", func(w *hostileWriter) {
		w.rows(1, 2, func(i int) string { return socketRow(i, i, "01") })
		for range 100 {
			w.put(capture.KindWalkBegin, 2, &capture.ProcWalk{})
			for range 100 {
				w.put(capture.KindProcUnchanged, 2, &capture.ProcUnchanged{Table: "tcp"})
			}
			w.put(capture.KindWalkEnd, 2, &capture.ProcWalk{})
		}
	}},
	{"texts of 4 MiB", func(w *hostileWriter) {
		text := strings.Repeat("x", 4<<20-100)
		for i := range uint32(150) {
			w.put(capture.KindMark, 0, &capture.Mark{Text: text})
			w.put(capture.KindFault, 0, &capture.Fault{Record: 1, Message: text})
			w.put(capture.KindGap, i, &capture.Gap{Why: text})
			w.put(capture.KindSource, i, &capture.Source{Open: true, Kind: "dns", Why: text})
		}
	}},
	{"texts of 60 KiB", func(w *hostileWriter) {
		for i := range uint32(2000) {
			text := fmt.Sprint(i, strings.Repeat("x", 60<<10))
			w.put(capture.KindMark, 0, &capture.Mark{Text: text})
			w.put(capture.KindFault, 0, &capture.Fault{Record: 1, Message: text})
			w.put(capture.KindGap, i, &capture.Gap{Why: text})
			w.put(capture.KindSource, i, &capture.Source{Open: true, Kind: "dns", Interface: text[:4000], Why: text[:4000]})
		}
	}},
	{"a source that is degraded again and again", func(w *hostileWriter) {
		for i := range uint32(300_000) {
			w.at++
			w.put(capture.KindGap, i&7, &capture.Gap{Why: fmt.Sprint(i, longWhy)})
		}
	}},
	{"parts of a carry without an end", func(w *hostileWriter) {
		for i := range uint32(300) {
			w.carry(i, true, make([]byte, 4<<20-100))
		}
	}},
	{"parts of a carry without an end that seem right", func(w *hostileWriter) {
		w.carry(0, true, w.state()[:10])
		for i := range uint32(300) {
			w.carry(i+1, true, make([]byte, 4<<20-100))
		}
	}},
	{"hosts by the thousand", func(w *hostileWriter) {
		h := &capture.Host{Name: "h"}
		for i := range 40 {
			h.Interfaces, h.LocalNetworks = nil, nil
			for n := range 60_000 {
				a := fmt.Sprintf("10.%d.%d.%d/32", i, n>>8&255, n&255)
				h.Interfaces = append(h.Interfaces, capture.Interface{Addresses: []string{a}})
				h.LocalNetworks = append(h.LocalNetworks, a)
			}
			w.put(capture.KindHost, 0, h)
		}
	}},
	{"lists of a host that are too long", func(w *hostileWriter) {
		h := &capture.Host{Name: "h", Routes: make([]string, 900_000)}
		h.Interfaces = []capture.Interface{{Addresses: make([]string, 100_000)}}
		for range 100 {
			w.put(capture.KindHost, 0, h)
		}
	}},
	{"records without a tick", func(w *hostileWriter) {
		for range 1_000_000 {
			w.put(capture.KindProcUnchanged, 2, &capture.ProcUnchanged{})
		}
	}},
	{"steps of the clock", func(w *hostileWriter) {
		for range 500_000 {
			w.put(capture.KindClock, 0, &capture.Clock{Step: 1})
		}
	}},
	{"packets and answers of 60 KiB", func(w *hostileWriter) {
		names := make([]string, 3000)
		for i := range uint32(3000) {
			names[0] = fmt.Sprint(i)
			w.put(capture.KindDNS, i, &capture.DNS{Interface: i, Packet: make([]byte, 60<<10)})
			w.put(capture.KindReverseName, 4, &capture.ReverseName{Addr: fmt.Sprintf("10.0.%d.%d", i>>8, i&255), Names: names})
		}
	}},
	{"files of counters", func(w *hostileWriter) {
		c := &capture.Counters{Files: []capture.CounterFile{{Name: "/proc/net/snmp", Text: make([]byte, 4<<20-100)}}}
		for range 150 {
			w.put(capture.KindCounters, 0, c)
		}
	}},
	{"lists of running processes", func(w *hostileWriter) {
		p := &capture.ProcSockets{Processes: make([]capture.Process, 150_000)}
		for p.Netns = range uint64(60) {
			for i := range p.Processes {
				p.Processes[i] = capture.Process{PID: uint32(p.Netns)*150_000 + uint32(i)}
			}
			w.put(capture.KindProcesses, 5, p)
		}
	}},
	{"processes that begin and do not end", func(w *hostileWriter) {
		for i := range uint32(2_000_000) {
			p := sockmsg.Process{Kind: sockmsg.Fork, PID: i, TID: i, PPID: 1, PTID: 1}
			w.raw(capture.KindProcessEvent, 5, p.Append(nil, false))
		}
	}},
	{"names of processes of 60 KiB", func(w *hostileWriter) {
		for i := range uint32(5000) {
			p := sockmsg.Process{Kind: sockmsg.Comm, PID: i, TID: i, Comm: strings.Repeat("x", 60<<10)}
			w.raw(capture.KindProcessEvent, 5, p.Append(nil, false))
		}
	}},
	{"cgroups and layouts of socket events", func(w *hostileWriter) {
		c := &capture.Cgroups{Dirs: make([]capture.Cgroup, 200_000)}
		for range 60 {
			w.put(capture.KindCgroups, 5, c)
			w.put(capture.KindSocketFormat, 5, &capture.SocketFormat{Text: bytes.Repeat([]byte(reportertest.UsualFormatText), 4000)})
		}
	}},
	{"answers of sock_diag", func(w *hostileWriter) {
		row := sockdiag.Row{Row: procnet.Row{Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.MustParseAddrPort("10.0.0.2:1"), State: procnet.Established}}
		messages := bytes.Repeat(row.Append(nil, false, false), 40_000)
		w.walk(func() {
			for n := range uint64(60) {
				w.put(capture.KindSocketTable, 2, &capture.SocketTable{Netns: n, Table: "tcp", Messages: messages})
			}
		})
	}},
	{"tapes with long notes", func(w *hostileWriter) {
		for i := range 150 {
			w.head(&capture.Header{HostID: "h", TapeID: [16]byte{1, byte(i)}, Note: strings.Repeat("x", 60<<10), Command: repeated(strings.Repeat("x", 60<<10), 100)})
		}
	}},
}

var longWhy = strings.Repeat(" because", 100)

func repeated(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

func bytes8(v uint64, n int) []uint64 {
	list := make([]uint64, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// socketRow is a line of /proc/net/tcp with the n-th local address.
func socketRow(n, inode int, state string) string {
	return fmt.Sprintf(" 0: %08X:0050 0100007F:1F90 %s 0:0 0:0 0 0 0 %d 1\n", n, state, inode)
}

// A hostileWriter writes records with numbers and times that are in order.
type hostileWriter struct {
	t   testing.TB
	to  io.Writer
	w   *tape.Writer
	seq uint64
	at  int64

	same int // bytes of records since the last random ones
	rng  *rand.Rand
}

// writeHostile writes a tape to a file. Before and after its records are ticks.
func writeHostile(t testing.TB, file string, h hostileTape) {
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	w := &hostileWriter{t: t, to: out, rng: rand.New(rand.NewPCG(1, 1))}
	if w.w, err = tape.NewWriter(out, &capture.Header{Minor: tape.Minor, HostID: "h", TapeID: [16]byte{0xff}}); err != nil {
		t.Fatal(err)
	}
	w.put(capture.KindTick, 0, &capture.Tick{Number: 1})
	h.make(w)
	if w.w != nil {
		w.put(capture.KindTick, 0, &capture.Tick{Number: 2})
		w.put(capture.KindTick, 0, &capture.Tick{Number: 3})
		w.put(capture.KindEnd, 0, &capture.End{})
		if err := w.w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func (w *hostileWriter) put(k capture.Kind, source uint32, p capture.Payload) {
	w.raw(k, source, capture.AppendPayload(nil, p))
}

func (w *hostileWriter) raw(k capture.Kind, source uint32, payload []byte) {
	r := capture.Record{At: w.at, Kind: k, Source: source, Payload: payload}
	if k != capture.KindCarry {
		w.seq++
		r.Seq = w.seq
	}
	if err := w.w.Write(&r); err != nil {
		w.t.Fatal(err)
	}
	w.vary(len(r.Payload))
}

// vary writes random bytes, one for 200 of other records, in a record that readers skip: a Writer
// compresses no chunk that would be much smaller.
func (w *hostileWriter) vary(bytes int) {
	if w.same += bytes; w.same < 50_000 {
		return
	}
	random := make([]byte, w.same/200)
	for i := range random {
		random[i] = byte(w.rng.Uint32())
	}
	w.same = 0
	w.seq++
	if err := w.w.Write(&capture.Record{Seq: w.seq, At: w.at, Kind: 99, Payload: wire.AppendBin(nil, random)}); err != nil {
		w.t.Fatal(err)
	}
}

// walk writes a walk of /proc twice: the second one is read while the first is current.
func (w *hostileWriter) walk(records func()) {
	for range 2 {
		w.put(capture.KindWalkBegin, 2, &capture.ProcWalk{})
		records()
		w.put(capture.KindWalkEnd, 2, &capture.ProcWalk{})
		w.put(capture.KindTick, 0, &capture.Tick{Number: 1})
	}
}

// rows writes a walk with tables of some namespaces, in parts of 10,000 rows.
func (w *hostileWriter) rows(namespaces, parts int, row func(i int) string) {
	w.walk(func() {
		i := 0
		for n := range namespaces {
			for part := range parts {
				var text []byte
				for range 10_000 {
					text = append(text, row(i)...)
					i++
				}
				w.put(capture.KindProcNet, 2, &capture.ProcNet{Netns: uint64(n), Table: "tcp", Part: uint32(part), More: true, Text: text})
			}
		}
	})
}

func (w *hostileWriter) carry(part uint32, more bool, state []byte) {
	for _, rules := range [...]string{reporter.RulesCurrent, reporter.RulesScope2016} {
		w.put(capture.KindCarry, 0, &capture.Carry{Core: reporter.CoreVersion, Rules: rules, Part: part, More: more, State: state})
	}
}

// state is the state of a new reporter.
func (w *hostileWriter) state() []byte {
	r, err := reporter.New(&capture.Header{}, reporter.RulesCurrent)
	if err != nil {
		w.t.Fatal(err)
	}
	for part := range r.Carry() {
		return part.State
	}
	return nil
}

// head writes a compressed head, as of a tape that was cut after it. No record follows.
func (w *hostileWriter) head(h *capture.Header) {
	if w.w != nil {
		if err := w.w.Close(); err != nil {
			w.t.Fatal(err)
		}
		w.w = nil
	}
	var plain headPayload
	w2, err := tape.NewWriter(&plain, h)
	if err != nil || w2 == nil {
		w.t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		w.t.Fatal(err)
	}
	payload := plain.Bytes()[53:]
	stored := enc.EncodeAll(payload, nil)
	frame := bytes.Clone(plain.Bytes()[:53])
	frame[14] = 1 // coding
	binary.BigEndian.PutUint32(frame[34:], uint32(len(payload)))
	binary.BigEndian.PutUint32(frame[49:], uint32(len(stored)))
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.BigEndian.PutUint32(frame[39:], crc32.Checksum(stored, table))
	binary.BigEndian.PutUint32(frame[44:], crc32.Update(crc32.Checksum(frame[:43], table), table, frame[48:]))
	if _, err := w.to.Write(append(frame, stored...)); err != nil {
		w.t.Fatal(err)
	}
}

// A headPayload gets the head that a Writer writes.
type headPayload struct{ bytes.Buffer }
