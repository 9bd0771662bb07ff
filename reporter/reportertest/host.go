package reportertest

import (
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
)

// A machine makes reports from records: a Reporter, or the state machine of one rule set.
type machine interface {
	Step(*capture.Record) (tick bool)
	Report() *report.Report
}

// NewHost returns a host for a machine.
func NewHost(t testing.TB, m machine) *Host { return &Host{T: t, machine: m} }

// A Host feeds a machine with records. Its sources have the usual numbers: conntrack 1, proc
// 2, DNS 3, reverse look-ups 4. Its clock moves only by Pass.
type Host struct {
	T        testing.TB
	At       int64                 // ns since the recording's start
	Seq      uint64                // number of the last record
	Tick     uint64                // number of the last tick
	OnRecord func(*capture.Record) // is called with every record, if it is not nil

	machine machine
	rec     capture.Record
}

// Raw steps the machine with a record of the given payload.
func (h *Host) Raw(kind capture.Kind, source uint32, payload []byte) bool {
	h.Seq++
	h.rec = capture.Record{Seq: h.Seq, At: h.At, Kind: kind, Source: source, Payload: payload}
	if h.OnRecord != nil {
		h.OnRecord(&h.rec)
	}
	return h.machine.Step(&h.rec)
}

// Put steps the machine with a record.
func (h *Host) Put(kind capture.Kind, source uint32, p capture.Payload) bool {
	return h.Raw(kind, source, capture.AppendPayload(nil, p))
}

// Pass advances the clock by seconds.
func (h *Host) Pass(seconds float64) *Host { h.At += int64(seconds * 1e9); return h }

// A Message is one conntrack message.
type Message struct {
	Type     ctmsg.Type
	ID       uint32
	Zone     uint16
	State    string       // the kernel's name, "" for a message without protocol info
	Tuples   string       // original tuple, " | " and reply tuple; the reply may be left out if nothing is translated
	Flags    uint8        // TCP flags of both directions
	Unseen   bool         // no reply was seen
	Status   ctmsg.Status // further bits
	Source   uint32       // 0 means 1
	Protocol uint8        // 0 means TCP
}

// Conntrack sends a message of source 1.
func (h *Host) Conntrack(typ ctmsg.Type, id uint32, state, tuples string) {
	h.Send(Message{Type: typ, ID: id, State: state, Tuples: tuples})
}

// Send sends a message: as an event, or as an entry of a dump if its type is Dump.
func (h *Host) Send(m Message) {
	o, r, nat := strings.Cut(m.Tuples, " | ")
	orig := Ends(o)
	reply := endPair{orig.Dst, orig.Src}
	if nat {
		reply = Ends(r)
	}
	proto := m.Protocol
	if proto == 0 {
		proto = dnsmsg.TCP
	}
	msg := ctmsg.Message{
		Type: m.Type, ID: m.ID, Zone: m.Zone, HasStatus: true,
		Orig:  ctmsg.TupleOf(orig.Src, orig.Dst, proto),
		Reply: ctmsg.TupleOf(reply.Src, reply.Dst, proto),
	}
	if m.State != "" {
		var ok bool
		if msg.State, ok = ctmsg.ParseState(m.State); !ok {
			h.T.Fatalf("state %q", m.State)
		}
		msg.HasState = true
		if m.Flags != 0 {
			msg.HasFlags, msg.FlagsOrig, msg.FlagsReply = true, m.Flags, m.Flags
		}
	}
	if !m.Unseen && m.Type != ctmsg.New && m.State != "SYN_SENT" {
		msg.Status |= ctmsg.SeenReply
	}
	msg.Status |= m.Status
	kind := capture.KindConntrack
	if m.Type == ctmsg.Dump {
		kind = capture.KindDumpEntry
	}
	if m.Source == 0 {
		m.Source = 1
	}
	h.Raw(kind, m.Source, msg.Append(nil, false))
}

// DumpBegin begins a dump of source 1, and DumpEnd ends it.
func (h *Host) DumpBegin() { h.Put(capture.KindDumpBegin, 1, &capture.ConntrackDump{}) }
func (h *Host) DumpEnd()   { h.Put(capture.KindDumpEnd, 1, &capture.ConntrackDump{}) }

// Dump sends a complete dump: ids and tuples of entries in state ESTABLISHED.
func (h *Host) Dump(entries map[uint32]string) {
	h.DumpBegin()
	var ids []uint32
	for id := range entries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		h.Conntrack(ctmsg.Dump, id, "ESTABLISHED", entries[id])
	}
	h.DumpEnd()
}

// A Socket is a row of a table of /proc/net, and the processes that have the socket open.
type Socket struct {
	Netns     uint64
	Row       string        // local and remote end, as Ends parses them
	State     procnet.State // 0 means ESTABLISHED
	Inode     uint64
	Processes []report.Process
}

// Listen returns a listening socket.
func Listen(netns uint64, addr string) Socket {
	any := "0.0.0.0:0"
	if strings.HasPrefix(addr, "[") {
		any = "[::]:0"
	}
	return Socket{Netns: netns, Row: addr + ">" + any, State: procnet.Listen, Inode: 1}
}

// Walk sends a complete walk of /proc that finds the sockets.
func (h *Host) Walk(socks ...Socket) {
	h.WalkBegin()
	h.Tables(socks...)
	h.WalkEnd()
}

// WalkBegin begins a walk of /proc, and WalkEnd ends it.
func (h *Host) WalkBegin() { h.Put(capture.KindWalkBegin, 2, &capture.ProcWalk{}) }
func (h *Host) WalkEnd()   { h.Put(capture.KindWalkEnd, 2, &capture.ProcWalk{}) }

// Tables sends the tables and the lists of processes that show the sockets.
func (h *Host) Tables(socks ...Socket) {
	type key struct {
		netns uint64
		v6    bool
	}
	text := make(map[key][]byte)
	var order []key
	for _, s := range socks {
		t := Ends(s.Row)
		k := key{s.Netns, t.Src.Addr().Is6()}
		if text[k] == nil {
			order = append(order, k)
			text[k] = procnet.AppendHeader(nil)
		}
		if s.State == 0 {
			s.State = procnet.Established
		}
		text[k] = procnet.AppendRow(text[k], 0, procnet.Row{Local: t.Src, Remote: t.Dst, State: s.State, Inode: s.Inode}, k.v6, false)
	}
	for _, k := range order {
		name := "tcp"
		if k.v6 {
			name = "tcp6"
		}
		h.Put(capture.KindProcNet, 2, &capture.ProcNet{Netns: k.netns, Table: name, ReadStart: h.At, ReadEnd: h.At, Text: text[k]})
	}
	for _, s := range socks {
		for _, p := range s.Processes {
			h.Put(capture.KindProcSockets, 2, &capture.ProcSockets{Netns: s.Netns,
				Processes: []capture.Process{{PID: p.PID, Comm: p.Comm, Inodes: []uint64{s.Inode}}}})
		}
	}
}

// Report sends a tick and returns the report.
func (h *Host) Report() *report.Report {
	h.Tick++
	if !h.Put(capture.KindTick, 0, &capture.Tick{Number: h.Tick, Interval: 3e9}) {
		h.T.Fatal("Step returned false for a tick")
	}
	return h.machine.Report()
}
