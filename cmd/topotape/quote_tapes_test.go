//go:build linux && !race

package main

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// hostileText has what a terminal obeys, hides or reorders, lines that look like ours
// or like workflow commands, and what the grammars of the formats interpret. It can be
// the name of a file.
const hostileText = "x\x1b[31m\a\b\r\n::error::FORGED\n\tFORGED\x7f\x9b\u009b2J\u202a\u202e\u2066\u2069\u200e\u200f\u061c" +
	"\u200b\u200c\u200d\u2060\ufeff\u2028\u2029\xff\xe2\x80\"'<b>|&amp;%s%0A;$(id)`id`${y}]]>```"

// texts calls each with every text of a value: the strings and slices of bytes in its
// fields, at any depth.
func texts(v reflect.Value, each func(text reflect.Value)) {
	switch {
	case v.Kind() == reflect.Pointer:
		texts(v.Elem(), each)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			texts(v.Field(i), each)
		}
	case v.Kind() == reflect.String || v.Type() == reflect.TypeFor[[]byte]():
		each(v)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			texts(v.Index(i), each)
		}
	}
}

// fill sets all fields of a value, at any depth. Lists get one element.
func fill(v reflect.Value, text string, flags bool) {
	switch {
	case v.Kind() == reflect.Pointer:
		fill(v.Elem(), text, flags)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text, flags)
		}
	case v.Kind() == reflect.String || v.Type() == reflect.TypeFor[[]byte]():
		v.Set(reflect.ValueOf(text).Convert(v.Type()))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text, flags)
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), text, flags)
		}
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1)
	case v.Kind() == reflect.Bool:
		v.SetBool(flags)
	}
}

// harmless returns a payload of the kind that the core understands, where that is more
// than a text of each field.
func harmless(k capture.Kind) capture.Payload {
	payload := k.New()
	fill(reflect.ValueOf(payload), "x", false)
	switch p := payload.(type) {
	case *capture.Source:
		p.Kind = capture.SourceConntrack
	case *capture.ProcNet:
		p.Table, p.Text = "tcp", tableOf(1)
	case *capture.ProcUnchanged:
		p.Table = "tcp"
	case *capture.DNS:
		p.Packet = answerPacket("x")
	case *capture.ReverseName:
		p.Addr = "10.0.0.1"
	case *capture.Host:
		p.LocalNetworks, p.Routes = []string{"10.0.0.0/8"}, []string{"10.0.0.0/8"}
	case *capture.Witness:
		p.Rules = reporter.RulesCurrent
	}
	return payload
}

// hostileRecords returns records of every kind: for each kind one that is hostile in
// all its texts, and for each of its texts one that is hostile only there.
func hostileRecords() (list []capture.Record) {
	for k := capture.Kind(1); k.Known(); k++ {
		if k.Raw() {
			for _, payload := range hostileMessages(k) {
				list = append(list, capture.Record{Kind: k, Payload: payload})
			}
			continue
		}
		all := k.New()
		fill(reflect.ValueOf(all), hostileText+"\x00", true)
		payloads := []capture.Payload{all}
		count := 0
		texts(reflect.ValueOf(harmless(k)), func(reflect.Value) { count++ })
		for i := range count {
			one, at := harmless(k), 0
			texts(reflect.ValueOf(one), func(v reflect.Value) {
				if at == i {
					v.Set(reflect.ValueOf(hostileText).Convert(v.Type()))
				}
				at++
			})
			payloads = append(payloads, one)
		}
		for _, p := range payloads {
			list = append(list, capture.Record{Kind: k, Payload: capture.AppendPayload(nil, p)})
		}
		list = append(list, capture.Record{Kind: k, Payload: capture.AppendPayload(nil, &capture.Mark{Text: hostileText})}) // often of the wrong type
	}
	list = append(list, capture.Record{Kind: capture.KindTick, Payload: capture.AppendPayload(nil, &capture.Tick{Number: 7, Interval: 1e9})},
		capture.Record{Kind: capture.KindEnd, Payload: capture.AppendPayload(nil, &capture.End{Why: hostileText})})
	for i := range list {
		list[i].At, list[i].Source = int64(i+1)*1e7, uint32(i%5)
		if list[i].Kind != capture.KindCarry {
			list[i].Seq = uint64(i + 1)
		}
	}
	return list
}

// hostileMessages returns payloads of a raw kind, the last one malformed.
func hostileMessages(k capture.Kind) (list [][]byte) {
	switch k {
	case capture.KindConntrack, capture.KindDumpEntry:
		list = append(list, conntrackMessage(ctmsg.Established, hostileText+"\x00"))
	case capture.KindSocketEvent:
		f := sockmsg.UsualFormat()
		e := sockmsg.Event{PID: 7, TID: 7, Socket: 1, Old: procnet.Close, New: procnet.SynSent, Protocol: sockmsg.TCP,
			Local: netip.MustParseAddrPort("10.0.0.1:0"), Remote: netip.MustParseAddrPort("10.0.0.2:80")}
		list = append(list, e.Append(nil, &f, false))
	case capture.KindProcessEvent:
		for _, p := range []sockmsg.Process{{Kind: sockmsg.Comm, PID: 7, TID: 7, Comm: hostileText, Exec: true}, {Kind: sockmsg.Cgroup, Cgroup: 1, Path: hostileText}} {
			list = append(list, p.Append(nil, false))
		}
	}
	return append(list, []byte(hostileText))
}

func hostileHeader() (h capture.Header) {
	fill(reflect.ValueOf(&h), hostileText, false)
	h.Start = 1767323045e9
	return h
}

// kindsTape returns a tape of hostileRecords.
func kindsTape(t testing.TB) []byte {
	return replaytest.Write(t, hostileHeader(), hostileRecords())
}

// shownTape returns a tape of a connection with processes and names whose texts reach
// reports. All of them end with the variant. The second of its two witnesses is wrong.
func shownTape(t testing.TB, variant string) []byte {
	h := hostileHeader()
	text := hostileText + variant
	h.HostName, h.Segment, h.TapeID[0], h.Recording = text, 0, byte(len(variant)), [16]byte{}
	core, err := reporter.New(&h, "")
	if err != nil {
		t.Fatal(err)
	}
	var list []capture.Record
	raw := func(k capture.Kind, source uint32, payload []byte) {
		n := uint64(len(list) + 1)
		r := capture.Record{Seq: n, At: int64(n) * 1e8, Kind: k, Source: source, Payload: payload}
		list = append(list, r)
		if !core.Step(&r) {
			return
		}
		report := core.Report()
		d := report.Digests()
		if report.Tick == 2 {
			d = capture.Digests{}
		}
		r = capture.Record{Seq: n + 1, At: r.At, Kind: capture.KindWitness, Payload: capture.AppendPayload(nil,
			&capture.Witness{Tick: report.Tick, Rules: reporter.RulesCurrent, Core: reporter.CoreVersion, Digests: d})}
		list = append(list, r)
		core.Step(&r)
	}
	add := func(k capture.Kind, source uint32, p capture.Payload) { raw(k, source, capture.AppendPayload(nil, p)) }
	for i, kind := range capture.UsualSources() {
		add(capture.KindSource, uint32(i+1), &capture.Source{Open: true, Kind: kind, Interface: text, Why: text})
	}
	add(capture.KindSource, 9, &capture.Source{Open: true, Kind: text})
	add(capture.KindHost, 0, &capture.Host{ID: text, Name: text, Kernel: text, LocalNetworks: []string{"10.0.0.0/8"}})
	for n := range uint64(2) {
		add(capture.KindWalkBegin, 2, &capture.ProcWalk{Number: n + 1})
		add(capture.KindProcNet, 2, &capture.ProcNet{Netns: 1, Table: "tcp", Text: tableOf(n + 1)})
		add(capture.KindProcSockets, 2, &capture.ProcSockets{Netns: 1, Processes: []capture.Process{{PID: uint32(7 + n), Comm: text, Cgroup: []byte(text), Inodes: []uint64{100, 101, 102}}}})
		add(capture.KindWalkEnd, 2, &capture.ProcWalk{Number: n + 1, Processes: 1, Netns: 1})
		raw(capture.KindConntrack, 1, conntrackMessage(ctmsg.Established, text))
		for _, k := range []capture.Kind{capture.KindProcessEvent, capture.KindSocketEvent} {
			for _, message := range hostileMessages(k) {
				raw(k, 5, message)
			}
		}
		add(capture.KindProcesses, 5, &capture.ProcSockets{Netns: 1, Processes: []capture.Process{{PID: 7, Comm: text, Cgroup: []byte(text)}}})
		add(capture.KindCgroups, 5, &capture.Cgroups{Dirs: []capture.Cgroup{{Inode: 1, Path: text}}})
		add(capture.KindSocketFormat, 5, &capture.SocketFormat{Text: []byte(text)})
		add(capture.KindDNS, 3, &capture.DNS{Packet: answerPacket(text)})
		for _, addr := range []string{"10.0.0.1", "10.0.0.2"} {
			add(capture.KindReverseName, 4, &capture.ReverseName{Addr: addr, Names: []string{text}, TTL: 1e12})
		}
		add(capture.KindTick, 0, &capture.Tick{Number: n + 1, Interval: 1e9})
	}
	add(capture.KindGap, 1, &capture.Gap{Lost: 7, Why: text})
	add(capture.KindFault, 0, &capture.Fault{Record: 3, Message: text, Stack: text})
	add(capture.KindMark, 0, &capture.Mark{Text: text})
	add(capture.KindTick, 0, &capture.Tick{Number: 3, Interval: 1e9})
	add(capture.KindEnd, 0, &capture.End{Why: text})
	return replaytest.Write(t, h, list)
}

// tableOf returns a TCP table with a listener and so many connections to it.
func tableOf(connections uint64) []byte {
	server := netip.MustParseAddrPort("10.0.0.2:80")
	b := procnet.AppendHeader(nil)
	b = procnet.AppendRow(b, 0, procnet.Row{Local: server, Remote: netip.MustParseAddrPort("0.0.0.0:0"), State: 10, Inode: 100}, false, false)
	for i := range connections {
		client := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(40000+i))
		b = procnet.AppendRow(b, int(i+1), procnet.Row{Local: client, Remote: server, State: 1, Inode: 101 + i}, false, false)
	}
	return b
}

// conntrackMessage returns an event of a flow whose helper and security context have
// that name.
func conntrackMessage(state ctmsg.State, name string) []byte {
	client, server := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:80")
	m := ctmsg.Message{Type: ctmsg.Update, ID: 9, HasStatus: true, Status: ctmsg.SeenReply | ctmsg.Assured, HasState: true, State: state,
		Orig: ctmsg.TupleOf(client, server, 6), Reply: ctmsg.TupleOf(server, client, 6)}
	attribute := func(typ uint16, data []byte) []byte {
		b := binary.LittleEndian.AppendUint16(nil, uint16(4+len(data)))
		b = append(binary.LittleEndian.AppendUint16(b, typ), data...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	const help, secctx, nested = 5, 19, 0x8000 // CTA_HELP, CTA_SECCTX, NLA_F_NESTED
	b := m.Append(nil, false)
	for _, typ := range []uint16{help, secctx} {
		b = append(b, attribute(typ|nested, attribute(1, append([]byte(name), 0)))...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

// answerPacket returns a packet with the answer that a name, of which the text is a
// label, has the address 10.0.0.2.
func answerPacket(text string) []byte {
	label := text[:min(len(text), 60)]
	name := slices.Concat([]byte{byte(len(label))}, []byte(label), []byte{2, 'i', 'n', 0})
	typ := []byte{0, 1, 0, 1} // A, IN
	message := slices.Concat([]byte{0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, name, typ, name, typ, []byte{0, 0, 9, 9, 0, 4, 10, 0, 0, 2})
	b, err := dnsmsg.AppendUDPPacket(nil, netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.1:5353"), message)
	if err != nil {
		panic(err)
	}
	return b
}
