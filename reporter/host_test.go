package reporter

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
)

// A Host feeds a machine with the records of a tape. Sources have their conventional
// numbers; time stands still until the test moves it.
type Host struct {
	t       testing.TB
	machine Machine
	at      int64
	seq     uint64
	tick    uint64
	rec     capture.Record
	also    func(*capture.Record) // is shown every record, too
}

func (h *Host) raw(kind capture.Kind, source uint32, payload []byte) bool {
	h.seq++
	h.rec = capture.Record{Seq: h.seq, At: h.at, Kind: kind, Source: source, Payload: payload}
	if h.also != nil {
		h.also(&h.rec)
	}
	return h.machine.Step(&h.rec)
}

func (h *Host) put(kind capture.Kind, source uint32, p capture.Payload) bool {
	return h.raw(kind, source, capture.AppendPayload(nil, p))
}

// pass lets seconds go by.
func (h *Host) pass(seconds float64) *Host { h.at += int64(seconds * 1e9); return h }

func ends(s string) endPair {
	a, b, ok := strings.Cut(s, ">")
	if !ok {
		panic(s)
	}
	return endPair{netip.MustParseAddrPort(a), netip.MustParseAddrPort(b)}
}

func tcpFrom(s string) ctmsg.Tuple { t := ends(s); return ctmsg.TupleOf(t.src, t.dst, dnsmsg.TCP) }

// A ct is one conntrack message in the notation "O | R"; the reply is the
// original reversed where it is not given. An empty state is no protocol info.
type ct struct {
	typ      ctmsg.Type
	id       uint32
	zone     uint16
	state    string
	tuples   string
	flags    uint8 // of both directions
	unseen   bool  // no reply was seen
	assured  bool
	source   uint32
	protocol uint8
}

func (h *Host) ct(typ ctmsg.Type, id uint32, state, tuples string) {
	h.send(ct{typ: typ, id: id, state: state, tuples: tuples})
}

func (h *Host) send(c ct) {
	o, r, nat := strings.Cut(c.tuples, " | ")
	orig := ends(o)
	reply := endPair{orig.dst, orig.src}
	if nat {
		reply = ends(r)
	}
	proto := c.protocol
	if proto == 0 {
		proto = dnsmsg.TCP
	}
	m := ctmsg.Message{
		Type: c.typ, ID: c.id, Zone: c.zone, HasStatus: true,
		Orig:  ctmsg.TupleOf(orig.src, orig.dst, proto),
		Reply: ctmsg.TupleOf(reply.src, reply.dst, proto),
	}
	if c.state != "" {
		var ok bool
		if m.State, ok = ctmsg.ParseState(c.state); !ok {
			h.t.Fatalf("state %q", c.state)
		}
		m.HasState = true
		if c.flags != 0 {
			m.HasFlags, m.FlagsOrig, m.FlagsReply = true, c.flags, c.flags
		}
	}
	if !c.unseen && c.typ != ctmsg.New && c.state != "SYN_SENT" {
		m.Status |= ctmsg.SeenReply
	}
	if c.assured {
		m.Status |= ctmsg.Assured
	}
	kind := capture.KindConntrack
	if c.typ == ctmsg.Dump {
		kind = capture.KindDumpEntry
	}
	if c.source == 0 {
		c.source = 1
	}
	h.raw(kind, c.source, m.Append(nil, false))
}

func (h *Host) dumpBegin() { h.put(capture.KindDumpBegin, 1, &capture.ConntrackDump{}) }
func (h *Host) dumpEnd()   { h.put(capture.KindDumpEnd, 1, &capture.ConntrackDump{}) }

// dump sends a whole dump of entries in state ESTABLISHED.
func (h *Host) dump(entries map[uint32]string) {
	h.dumpBegin()
	var ids []uint32
	for id := range entries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		h.ct(ctmsg.Dump, id, "ESTABLISHED", entries[id])
	}
	h.dumpEnd()
}

// A sock is a row: "L>R", a state (01 when 0), an inode, and who holds it.
type sock struct {
	netns uint64
	row   string
	state procnet.State
	inode uint64
	procs []Process
}

func listen(netns uint64, addr string) sock {
	any := "0.0.0.0:0"
	if strings.HasPrefix(addr, "[") {
		any = "[::]:0"
	}
	return sock{netns: netns, row: addr + ">" + any, state: procnet.Listen, inode: 1}
}

// walk is one whole walk of /proc.
func (h *Host) walk(socks ...sock) {
	h.walkBegin()
	h.tables(socks...)
	h.walkEnd()
}

func (h *Host) walkBegin() { h.put(capture.KindWalkBegin, 2, &capture.ProcWalk{}) }
func (h *Host) walkEnd()   { h.put(capture.KindWalkEnd, 2, &capture.ProcWalk{}) }

func (h *Host) tables(socks ...sock) {
	type key struct {
		netns uint64
		v6    bool
	}
	text := make(map[key][]byte)
	var order []key
	for _, s := range socks {
		t := ends(s.row)
		k := key{s.netns, t.src.Addr().Is6()}
		if text[k] == nil {
			order = append(order, k)
			text[k] = procnet.AppendHeader(nil)
		}
		if s.state == 0 {
			s.state = procnet.Established
		}
		text[k] = procnet.AppendRow(text[k], 0, procnet.Row{Local: t.src, Remote: t.dst, State: s.state, Inode: s.inode}, k.v6, false)
	}
	for _, k := range order {
		name := "tcp"
		if k.v6 {
			name = "tcp6"
		}
		h.put(capture.KindProcNet, 2, &capture.ProcNet{Netns: k.netns, Table: name, ReadStart: h.at, ReadEnd: h.at, Text: text[k]})
	}
	for _, s := range socks {
		for _, p := range s.procs {
			h.put(capture.KindProcSockets, 2, &capture.ProcSockets{Netns: s.netns,
				Processes: []capture.Process{{PID: p.PID, Comm: p.Comm, Inodes: []uint64{s.inode}}}})
		}
	}
}

func (h *Host) report() *Report {
	h.tick++
	if !h.put(capture.KindTick, 0, &capture.Tick{Number: h.tick, Interval: 3e9}) {
		h.t.Fatal("a tick was not taken for one")
	}
	return h.machine.Report()
}

func endText(e *End) string {
	s := e.Addr.String()
	if e.Netns != 0 {
		s += fmt.Sprintf("@%d", e.Netns)
	}
	for _, p := range e.Processes {
		s += fmt.Sprintf("(%d %s)", p.PID, p.Comm)
	}
	return s
}

func connText(c *Connection) string {
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

// want makes a tick and compares the report's connections, in short notation.
func (h *Host) want(lines ...string) *Report {
	h.t.Helper()
	r := h.report()
	var got []string
	for i := range r.Connections {
		got = append(got, connText(&r.Connections[i]))
	}
	if !slices.Equal(got, lines) {
		h.t.Errorf("tick %d:\n got %s\nwant %s", h.tick, strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
	}
	return r
}

func coverageOf(r *Report, kind string) Coverage {
	for _, c := range r.Coverage {
		if c.Source == kind {
			return c
		}
	}
	return Coverage{}
}

// lives is the messages of n short connections, ten of them open at a time.
func lives(n int) [][]byte {
	var out [][]byte
	state := func(m *ctmsg.Message, typ ctmsg.Type, s ctmsg.State) {
		m.Type, m.State, m.HasState = typ, s, typ != ctmsg.Destroy
		m.HasStatus, m.Status = true, ctmsg.SeenReply|ctmsg.Assured
		out = append(out, m.Append(nil, false))
	}
	open := make([]ctmsg.Message, 0, 10)
	for i := range n {
		t := ends(fmt.Sprintf("10.%d.%d.1:%d>10.0.0.2:80", i>>8&255, i&255, 1024+i%60000))
		m := ctmsg.Message{ID: uint32(i), Orig: ctmsg.TupleOf(t.src, t.dst, 6), Reply: ctmsg.TupleOf(t.dst, t.src, 6)}
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

// randomProgram is 300 well-formed records.
func randomProgram(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	var p []byte
	for range 300 {
		p = append(p, 128|byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()))
	}
	return p
}

// programRecords is what the program says.
func programRecords(program []byte) (out []capture.Record) {
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
	t := ends(pick(x) + ">" + pick(y))
	switch op % 8 {
	case 0, 1, 2, 3:
		m := ctmsg.Message{Type: ctmsg.Type(op%4 + 1), ID: uint32(y) & 1, Zone: uint16(x) >> 7, HasStatus: true, Status: ctmsg.Status(x) & 6,
			HasState: y&0x80 == 0, State: ctmsg.State(x>>2) % 10,
			Orig: ctmsg.TupleOf(t.src, t.dst, 6), Reply: ctmsg.TupleOf(t.dst, t.src, 6)}
		if !m.HasState {
			m.State = 0
		}
		if op&0x10 != 0 {
			o := tcpFrom(pick(x+y) + ">" + pick(0))
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
		row := procnet.AppendRow(nil, 0, procnet.Row{Local: t.src, Remote: t.dst, State: procnet.State(op>>3)%12 + 1, Inode: uint64(x & 3)}, false, false)
		return capture.KindProcNet, capture.AppendPayload(nil, &capture.ProcNet{Netns: uint64(y & 1), Table: "tcp", Text: row, Part: uint32(op >> 6 & 1)})
	case 5:
		return capture.KindWalkBegin, capture.AppendPayload(nil, &capture.ProcWalk{})
	case 6:
		return capture.KindWalkEnd, capture.AppendPayload(nil, &capture.ProcWalk{})
	}
	return capture.KindTick, capture.AppendPayload(nil, &capture.Tick{})
}

func checkReport(t *testing.T, r *Report) {
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
			t.Errorf("connection %s lacks an end", connText(c))
		}
		if c.FirstSeen > c.LastSeen || len(c.Seen) == 0 || c.Direction == "" || c.Closed && c.MayHaveClosed {
			t.Errorf("connection %+v", c)
		}
		if i > 0 {
			p := &r.Connections[i-1]
			if n := p.From.Addr.Compare(c.From.Addr); n > 0 || n == 0 && p.To.Addr.Compare(c.To.Addr) > 0 {
				t.Errorf("%s precedes %s", connText(p), connText(c))
			}
		}
	}
}

const (
	plain = "10.0.0.1:40000>10.0.0.2:80"
	dnat  = "10.0.0.1:40000>10.0.0.80:80 | 172.17.0.2:8080>10.0.0.1:40000"
)

// RandomRecords is a tape of records of few flows and few sockets.
func RandomRecords(seed uint64) []capture.Record { return programRecords(randomProgram(seed)) }

// A Machine makes reports of records: a reporter, or the machine of one rule set.
type Machine interface {
	Step(*capture.Record) (tick bool)
	Report() *Report
}

// NewHost returns a host for a machine.
func NewHost(t testing.TB, m Machine) *Host { return &Host{t: t, machine: m} }

// An endPair is "L>R" parsed.
type endPair struct{ src, dst netip.AddrPort }
