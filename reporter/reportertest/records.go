package reportertest

import (
	"fmt"
	"math/rand/v2"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// ShortConnections returns the messages of n short connections. Ten of them are open at a
// time.
func ShortConnections(n int) [][]byte {
	var out [][]byte
	state := func(m *ctmsg.Message, typ ctmsg.Type, s ctmsg.State) {
		m.Type, m.State, m.HasState = typ, s, typ != ctmsg.Destroy
		m.HasStatus, m.Status = true, ctmsg.SeenReply|ctmsg.Assured
		out = append(out, m.Append(nil, false))
	}
	open := make([]ctmsg.Message, 0, 10)
	for i := range n {
		t := Ends(fmt.Sprintf("10.%d.%d.1:%d>10.0.0.2:80", i>>8&255, i&255, 1024+i%60000))
		m := ctmsg.Message{ID: uint32(i), Orig: ctmsg.TupleOf(t.Src, t.Dst, 6), Reply: ctmsg.TupleOf(t.Dst, t.Src, 6)}
		state(&m, ctmsg.New, ctmsg.SynSent)
		state(&m, ctmsg.Update, ctmsg.SynRecv)
		state(&m, ctmsg.Update, ctmsg.Established)
		open = append(open, m)
		if len(open) == cap(open) {
			for j := range open {
				state(&open[j], ctmsg.Update, ctmsg.FinWait)
				state(&open[j], ctmsg.Update, ctmsg.LastAck)
				state(&open[j], ctmsg.Update, ctmsg.TimeWait)
				state(&open[j], ctmsg.Destroy, 0)
			}
			open = open[:0]
		}
	}
	return out
}

// RandomProgram returns the program of 300 well-formed records: see ProgramRecords.
func RandomProgram(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	var p []byte
	for range 300 {
		p = append(p, 128|byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()))
	}
	return p
}

// ProgramRecords converts the input of a fuzz test to records. Each record has three bytes: its
// kind, its source, and the length of the payload that follows. If the first byte is 128 or
// more, no payload follows: the bytes choose a well-formed record.
func ProgramRecords(program []byte) (out []capture.Record) {
	rec := capture.Record{}
	for at := 0; at+3 <= len(program); {
		op, source, n := program[at], program[at+1], int(program[at+2])
		at += 3
		rec.Seq++
		rec.At += int64(source) * 1e8
		rec.Source = uint32(source % 6)
		if op < 128 {
			n = min(n, len(program)-at)
			rec.Kind, rec.Payload = capture.Kind(op%32), program[at:at+n]
			at += n
		} else {
			rec.Kind, rec.Payload = wellFormed(op, source, byte(n))
		}
		out = append(out, rec)
	}
	return out
}

// wellFormed returns a record that three bytes choose. It has few different values, so that
// records of one flow or socket are frequent.
func wellFormed(op, x, y byte) (capture.Kind, []byte) {
	addrs := []string{"10.0.0.1:1000", "10.0.0.2:80", "10.0.0.3:8080", "127.0.0.1:1000", "127.0.0.1:80", "10.0.0.1:80", "[2001:db8::1]:80", "[::1]:1000"}
	pick := func(b byte) string { return addrs[int(b)%len(addrs)] }
	t := Ends(pick(x) + ">" + pick(y))
	if op&8 != 0 {
		return eventRecord(op, x, y, &t)
	}
	switch op % 8 {
	case 0, 1, 2, 3:
		m := ctmsg.Message{Type: ctmsg.Type(op%4 + 1), ID: uint32(y) & 1, Zone: uint16(x) >> 7, HasStatus: true, Status: ctmsg.Status(x)&6 | ctmsg.Status(x&0x18)<<11, // the latter are the bits of offload
			HasState: y&0x80 == 0, State: ctmsg.State(x>>2) % 10,
			Orig: ctmsg.TupleOf(t.Src, t.Dst, 6), Reply: ctmsg.TupleOf(t.Dst, t.Src, 6)}
		if !m.HasState {
			m.State = 0
		}
		if op&0x10 != 0 {
			o := TCP(pick(x+y) + ">" + pick(0))
			m.Reply.SrcIP, m.Reply.SrcPort = o.SrcIP, o.SrcPort
		}
		if op&0x20 != 0 {
			m.Reply.Proto = 17
		}
		if m.Type == ctmsg.Dump {
			return capture.KindDumpEntry, m.Append(nil, false)
		}
		return capture.KindConntrack, m.Append(nil, false)
	case 4:
		row := procnet.AppendRow(nil, 0, procnet.Row{Local: t.Src, Remote: t.Dst, State: procnet.State(op>>3)%12 + 1, Inode: uint64(x & 3)}, false, false)
		return capture.KindProcNet, capture.AppendPayload(nil, &capture.ProcNet{Netns: uint64(y & 1), Table: "tcp", Text: row, Part: uint32(op >> 6 & 1)})
	case 5:
		return capture.KindWalkBegin, capture.AppendPayload(nil, &capture.ProcWalk{})
	case 6:
		return capture.KindWalkEnd, capture.AppendPayload(nil, &capture.ProcWalk{})
	}
	return capture.KindTick, capture.AppendPayload(nil, &capture.Tick{})
}

// changes are the changes of a socket's state that events show.
var changes = [...][2]procnet.State{
	{procnet.Close, procnet.SynSent}, {procnet.SynSent, procnet.Established}, {procnet.SynRecv, procnet.Established},
	{procnet.Established, procnet.FinWait1}, {procnet.CloseWait, procnet.LastAck}, {procnet.FinWait2, procnet.Close},
	{procnet.SynSent, procnet.Close}, {procnet.Close, procnet.Listen}, {procnet.Listen, procnet.Close}, {procnet.Established, procnet.Close},
}

// eventRecord returns a record of the source of socket events.
func eventRecord(op, x, y byte, t *endPair) (capture.Kind, []byte) {
	pid := uint32(x&3) + 1
	switch op % 8 {
	case 5:
		p := sockmsg.Process{Kind: sockmsg.ProcessKind(y)%5 + 1, PID: pid, TID: pid + uint32(y>>7), PPID: uint32(x>>2&3) + 1, Time: int64(y), Exec: y&0x40 != 0}
		switch p.Kind {
		case sockmsg.Comm:
			p.Comm, p.PPID = string(rune('a'+x%3)), 0
		case sockmsg.Namespaces:
			p.Netns, p.PPID = uint64(x&1)+1, 0
		}
		p.PTID = p.PPID
		return capture.KindProcessEvent, p.Append(nil, false)
	case 6:
		return capture.KindProcesses, capture.AppendPayload(nil, &capture.ProcSockets{Netns: uint64(y & 1), Processes: []capture.Process{{PID: pid, PPID: uint32(y>>1) & 3, Comm: "kthreadd"}}})
	case 7:
		return capture.KindSocketFormat, capture.AppendPayload(nil, &capture.SocketFormat{Text: []byte(UsualFormatText)})
	}
	c := changes[int(op>>4)%len(changes)]
	if x&0x80 != 0 {
		c = changes[int(y)%len(changes)]
	}
	e := sockmsg.Event{PID: pid, TID: pid + uint32(x>>6&1), Time: int64(x) << 20, Flags: y & 0xc0, Socket: uint64(y & 3), Old: c[0], New: c[1],
		Protocol: sockmsg.TCP, Local: t.Src, Remote: t.Dst}
	if x&0x70 == 0x70 {
		e.Protocol = sockmsg.MPTCP
	}
	f := sockmsg.UsualFormat()
	return capture.KindSocketEvent, e.Append(nil, &f, false)
}

// UsualFormatText is the text of a tracepoint's format that has the usual layout.
const UsualFormatText = `	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:const void * skaddr;	offset:8;	size:8;	signed:0;
	field:int oldstate;	offset:16;	size:4;	signed:1;
	field:int newstate;	offset:20;	size:4;	signed:1;
	field:__u16 sport;	offset:24;	size:2;	signed:0;
	field:__u16 dport;	offset:26;	size:2;	signed:0;
	field:__u16 family;	offset:28;	size:2;	signed:0;
	field:__u16 protocol;	offset:30;	size:2;	signed:0;
	field:__u8 saddr[4];	offset:32;	size:4;	signed:0;
	field:__u8 daddr[4];	offset:36;	size:4;	signed:0;
	field:__u8 saddr_v6[16];	offset:40;	size:16;	signed:0;
	field:__u8 daddr_v6[16];	offset:56;	size:16;	signed:0;
`

// RandomRecords returns 300 records of few flows and few sockets.
func RandomRecords(seed uint64) []capture.Record { return ProgramRecords(RandomProgram(seed)) }
