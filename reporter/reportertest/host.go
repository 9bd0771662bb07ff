package reportertest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
)

// A Host feeds a machine with the records of a tape. Sources have their conventional
// numbers; time stands still until the test moves it.
type Host struct {
	T        testing.TB
	machine  Machine
	At       int64
	Seq      uint64
	Tick     uint64
	rec      capture.Record
	OnRecord func(*capture.Record) // is shown every record, too
}

func (h *Host) Raw(kind capture.Kind, source uint32, payload []byte) bool {
	h.Seq++
	h.rec = capture.Record{Seq: h.Seq, At: h.At, Kind: kind, Source: source, Payload: payload}
	if h.OnRecord != nil {
		h.OnRecord(&h.rec)
	}
	return h.machine.Step(&h.rec)
}

func (h *Host) Put(kind capture.Kind, source uint32, p capture.Payload) bool {
	return h.Raw(kind, source, capture.AppendPayload(nil, p))
}

// Pass lets seconds go by.
func (h *Host) Pass(seconds float64) *Host { h.At += int64(seconds * 1e9); return h }

func Ends(s string) endPair {
	a, b, ok := strings.Cut(s, ">")
	if !ok {
		panic(s)
	}
	return endPair{netip.MustParseAddrPort(a), netip.MustParseAddrPort(b)}
}

func TCP(s string) ctmsg.Tuple { t := Ends(s); return ctmsg.TupleOf(t.Src, t.Dst, dnsmsg.TCP) }

// A CT is one conntrack message in the notation "O | R"; the reply is the
// original reversed where it is not given. An empty state is no protocol info.
type Message struct {
	Type     ctmsg.Type
	ID       uint32
	Zone     uint16
	State    string
	Tuples   string
	Flags    uint8 // of both directions
	Unseen   bool  // no reply was seen
	Assured  bool
	Source   uint32
	Protocol uint8
}

func (h *Host) Conntrack(typ ctmsg.Type, id uint32, state, tuples string) {
	h.Send(Message{Type: typ, ID: id, State: state, Tuples: tuples})
}

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
	if m.Assured {
		msg.Status |= ctmsg.Assured
	}
	kind := capture.KindConntrack
	if m.Type == ctmsg.Dump {
		kind = capture.KindDumpEntry
	}
	if m.Source == 0 {
		m.Source = 1
	}
	h.Raw(kind, m.Source, msg.Append(nil, false))
}

func (h *Host) DumpBegin() { h.Put(capture.KindDumpBegin, 1, &capture.ConntrackDump{}) }
func (h *Host) DumpEnd()   { h.Put(capture.KindDumpEnd, 1, &capture.ConntrackDump{}) }

// Dump sends a whole dump of entries in state ESTABLISHED.
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

// A Sock is a row: "L>R", a state (01 when 0), an inode, and who holds it.
type Socket struct {
	Netns     uint64
	Row       string
	State     procnet.State
	Inode     uint64
	Processes []report.Process
}

func Listen(netns uint64, addr string) Socket {
	any := "0.0.0.0:0"
	if strings.HasPrefix(addr, "[") {
		any = "[::]:0"
	}
	return Socket{Netns: netns, Row: addr + ">" + any, State: procnet.Listen, Inode: 1}
}

// Walk is one whole walk of /proc.
func (h *Host) Walk(socks ...Socket) {
	h.WalkBegin()
	h.Tables(socks...)
	h.WalkEnd()
}

func (h *Host) WalkBegin() { h.Put(capture.KindWalkBegin, 2, &capture.ProcWalk{}) }
func (h *Host) WalkEnd()   { h.Put(capture.KindWalkEnd, 2, &capture.ProcWalk{}) }

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

func (h *Host) Report() *report.Report {
	h.Tick++
	if !h.Put(capture.KindTick, 0, &capture.Tick{Number: h.Tick, Interval: 3e9}) {
		h.T.Fatal("a tick was not taken for one")
	}
	return h.machine.Report()
}

func endText(e *report.End) string {
	s := e.Addr.String()
	if e.Netns != 0 {
		s += fmt.Sprintf("@%d", e.Netns)
	}
	for _, p := range e.Processes {
		s += fmt.Sprintf("(%d %s)", p.PID, p.Comm)
	}
	return s
}

func ConnectionText(c *report.Connection) string {
	s := fmt.Sprintf("%s -> %s %s %s", endText(&c.From), endText(&c.To), c.State, c.Direction)
	if len(c.NAT) > 0 {
		s += fmt.Sprintf(" nat%d", len(c.NAT))
	}
	if c.Closed {
		s += " closed"
	}
	if c.MayHaveClosed {
		s += " maybe"
	}
	return s
}

// Want makes a tick and compares the report's connections, in short notation.
func (h *Host) Want(lines ...string) *report.Report {
	h.T.Helper()
	r := h.Report()
	var got []string
	for i := range r.Connections {
		got = append(got, ConnectionText(&r.Connections[i]))
	}
	if !slices.Equal(got, lines) {
		h.T.Errorf("tick %d:\n got %s\nwant %s", h.Tick, strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
	}
	return r
}

func CoverageOf(r *report.Report, kind string) report.Coverage {
	for _, c := range r.Coverage {
		if c.Source == kind {
			return c
		}
	}
	return report.Coverage{}
}

// Lives is the messages of n short connections, ten of them open at a time.
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

// RandomProgram is 300 well-formed records.
func RandomProgram(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	var p []byte
	for range 300 {
		p = append(p, 128|byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()))
	}
	return p
}

// ProgramRecords is what the program says.
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
			rec.Kind, rec.Payload = capture.Kind(op%24), program[at:at+n]
			at += n
		} else {
			rec.Kind, rec.Payload = wellFormed(op, source, byte(n))
		}
		out = append(out, rec)
	}
	return out
}

// wellFormed makes records of few flows and few sockets.
func wellFormed(op, x, y byte) (capture.Kind, []byte) {
	addrs := []string{"10.0.0.1:1000", "10.0.0.2:80", "10.0.0.3:8080", "127.0.0.1:1000", "127.0.0.1:80", "10.0.0.1:80", "[2001:db8::1]:80", "[::1]:1000"}
	pick := func(b byte) string { return addrs[int(b)%len(addrs)] }
	t := Ends(pick(x) + ">" + pick(y))
	switch op % 8 {
	case 0, 1, 2, 3:
		m := ctmsg.Message{Type: ctmsg.Type(op%4 + 1), ID: uint32(y) & 1, Zone: uint16(x) >> 7, HasStatus: true, Status: ctmsg.Status(x) & 6,
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

func CheckReport(t *testing.T, r *report.Report) {
	ids := map[string]bool{}
	for i := range r.Endpoints {
		if i > 0 && r.Endpoints[i-1].Compare(&r.Endpoints[i]) >= 0 {
			t.Errorf("endpoints %q and %q", r.Endpoints[i-1].ID(), r.Endpoints[i].ID())
		}
		ids[r.Endpoints[i].Addr.String()] = true
	}
	for i := range r.Connections {
		c := &r.Connections[i]
		if !c.From.Addr.IsValid() || !c.To.Addr.IsValid() || !ids[c.From.Addr.String()] || !ids[c.To.Addr.String()] {
			t.Errorf("connection %s lacks an end", ConnectionText(c))
		}
		if c.FirstSeen > c.LastSeen || len(c.Seen) == 0 || c.Direction == "" || c.Closed && c.MayHaveClosed {
			t.Errorf("connection %+v", c)
		}
		if i > 0 {
			p := &r.Connections[i-1]
			if n := p.From.Addr.Compare(c.From.Addr); n > 0 || n == 0 && p.To.Addr.Compare(c.To.Addr) > 0 {
				t.Errorf("%s precedes %s", ConnectionText(p), ConnectionText(c))
			}
		}
	}
}

const (
	Plain = "10.0.0.1:40000>10.0.0.2:80"
	DNAT  = "10.0.0.1:40000>10.0.0.80:80 | 172.17.0.2:8080>10.0.0.1:40000"
)

// RandomRecords is a tape of records of few flows and few sockets.
func RandomRecords(seed uint64) []capture.Record { return ProgramRecords(RandomProgram(seed)) }

// A Machine makes reports of records: a reporter, or the machine of one rule set.
type Machine interface {
	Step(*capture.Record) (tick bool)
	Report() *report.Report
}

// NewHost returns a host for a machine.
func NewHost(t testing.TB, m Machine) *Host { return &Host{T: t, machine: m} }

// An endPair is "L>R" parsed.
type endPair struct{ Src, Dst netip.AddrPort }
