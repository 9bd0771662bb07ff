package reporter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// A host speaks to a reporter as a tape would. Sources have their conventional
// numbers; time stands still until the test moves it.
type host struct {
	t    testing.TB
	r    *Reporter
	at   int64
	seq  uint64
	tick uint64
	rec  capture.Record
	also func(*capture.Record) // is shown every record, too
}

func newHost(t testing.TB) *host { return newHostOf(t, RulesCurrent) }

func newHostOf(t testing.TB, rules string) *host {
	r, err := New(&capture.Header{HostID: "host1", HostName: "host1"}, rules)
	if err != nil {
		t.Fatal(err)
	}
	return &host{t: t, r: r}
}

func (h *host) raw(kind capture.Kind, source uint32, payload []byte) bool {
	h.seq++
	h.rec = capture.Record{Seq: h.seq, At: h.at, Kind: kind, Source: source, Payload: payload}
	if h.also != nil {
		h.also(&h.rec)
	}
	return h.r.Step(&h.rec)
}

func (h *host) put(kind capture.Kind, source uint32, p capture.Payload) bool {
	return h.raw(kind, source, capture.AppendPayload(nil, p))
}

// pass lets seconds go by.
func (h *host) pass(seconds float64) *host { h.at += int64(seconds * 1e9); return h }

func ends(s string) tuple {
	a, b, ok := strings.Cut(s, ">")
	if !ok {
		panic(s)
	}
	return tuple{netip.MustParseAddrPort(a), netip.MustParseAddrPort(b)}
}

func tcpFrom(s string) ctmsg.Tuple { t := ends(s); return tcpTuple(t.src, t.dst) }

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

func (h *host) ct(typ ctmsg.Type, id uint32, state, tuples string) {
	h.send(ct{typ: typ, id: id, state: state, tuples: tuples})
}

func (h *host) send(c ct) {
	o, r, nat := strings.Cut(c.tuples, " | ")
	orig := ends(o)
	reply := orig.reversed()
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

func (h *host) dumpBegin() { h.put(capture.KindDumpBegin, 1, &capture.ConntrackDump{}) }
func (h *host) dumpEnd()   { h.put(capture.KindDumpEnd, 1, &capture.ConntrackDump{}) }

// dump sends a whole dump of entries in state ESTABLISHED.
func (h *host) dump(entries map[uint32]string) {
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
func (h *host) walk(socks ...sock) {
	h.walkBegin()
	h.tables(socks...)
	h.walkEnd()
}

func (h *host) walkBegin() { h.put(capture.KindWalkBegin, 2, &capture.ProcWalk{}) }
func (h *host) walkEnd()   { h.put(capture.KindWalkEnd, 2, &capture.ProcWalk{}) }

func (h *host) tables(socks ...sock) {
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

func (h *host) report() *Report {
	h.tick++
	if !h.put(capture.KindTick, 0, &capture.Tick{Number: h.tick, Interval: 3e9}) {
		h.t.Fatal("a tick was not taken for one")
	}
	return h.r.Report()
}

func (e *End) text() string {
	s := e.Addr.String()
	if e.Netns != 0 {
		s += fmt.Sprintf("@%d", e.Netns)
	}
	for _, p := range e.Processes {
		s += fmt.Sprintf("(%d %s)", p.PID, p.Comm)
	}
	return s
}

func (c *Connection) text() string {
	s := fmt.Sprintf("%s -> %s %s %s", c.From.text(), c.To.text(), c.State, c.Direction)
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
func (h *host) want(lines ...string) *Report {
	h.t.Helper()
	r := h.report()
	var got []string
	for i := range r.Connections {
		got = append(got, r.Connections[i].text())
	}
	if !slices.Equal(got, lines) {
		h.t.Errorf("tick %d:\n got %s\nwant %s", h.tick, strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
	}
	return r
}

func (r *Report) coverageOf(kind string) Coverage {
	for _, c := range r.Coverage {
		if c.Source == kind {
			return c
		}
	}
	return Coverage{}
}
