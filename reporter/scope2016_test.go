package reporter

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// FuzzScope2016 plays scenarios to the rules and to the model. The input is a string of
// choices among few values, so that addresses, ports and ids occur again.
func FuzzScope2016(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomChoices(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) > 1<<12 {
			return
		}
		compareScope(t, choices)
	})
}

func randomChoices(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 100+rng.IntN(900))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestScope2016Model(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(1500) {
		for name, n := range compareScope(t, randomChoices(seed)) {
			seen[name] += n
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, name := range []string{"copy_of", "pid", "conntracked", "procspied", "snooped_dns_names", "reverse_dns_names", "adjacency",
		"local", "netns", "<nil>", "copy of a copy", "v6"} {
		if seen[name] < 50 {
			t.Errorf("%s occurs %d times in all scenarios", name, seen[name])
		}
	}
}

// A scopePlayer plays one scenario to the model, to a reporter, and to a second reporter
// that makes few reports.
type scopePlayer struct {
	choices []byte
	model   *scopeModel
	every   *Reporter    // makes all reports
	few     *Reporter    // makes some reports
	tables  []modelTable // of the last finished walk
	at      int64
	seq     uint64
	ticks   int

	addrs []string // all of them, or few, so that tuples are equal
	ports []int
	names []string
}

// choose returns a number below n.
func (p *scopePlayer) choose(n int) int {
	if len(p.choices) == 0 {
		return 0
	}
	b := p.choices[0]
	p.choices = p.choices[1:]
	return int(b) % n
}

func one[T any](p *scopePlayer, of []T) T { return of[p.choose(len(of))] }

var (
	scopeAddrs = []string{"10.0.0.1", "10.0.0.2", "172.17.0.2", "172.17.0.3", "127.0.0.1", "127.0.0.2", "203.0.113.1", "2001:db8::1", "::1", "0.0.0.0"}
	scopePorts = []int{80, 8080, 40000, 40001, 0, 65535}
	scopeNames = []string{"n1.example", "n2.example", "N1.example", "alias.example", "", "a b.example"}
)

func compareScope(t *testing.T, choices []byte) map[string]int {
	p := &scopePlayer{choices: choices}
	p.addrs, p.ports, p.names = scopeAddrs, scopePorts, scopeNames
	if p.choose(2) == 0 {
		p.addrs, p.ports, p.names = scopeAddrs[3:5], scopePorts[1:3], scopeNames[2:4]
	}
	local := one(p, [][]string{nil, {"172.17.0.0/16"}, {"172.17.0.3/32", "127.0.0.2/31"}, {"2001:db8::/32", "10.0.0.0/31"}})
	h := &capture.Header{HostID: "h", HostName: "h", Start: 1e18, LocalNetworks: local}
	p.model = newScopeModel("h", local)
	var err error
	if p.every, err = New(h, RulesScope2016); err != nil {
		t.Fatal(err)
	}
	p.few, _ = New(h, RulesScope2016)
	seen := map[string]int{}
	for len(p.choices) > 0 && !t.Failed() {
		p.at += one(p, []int64{0, 1, 1e6, 3e9})
		p.model.now = p.at
		switch p.choose(10) {
		case 0, 1, 2, 3:
			p.flow(t)
		case 4:
			p.walk()
		case 5:
			p.dns(t)
		case 6:
			p.reverse()
		case 7:
			p.rare()
		default:
			p.tick(t, seen)
		}
	}
	p.tick(t, seen)
	return seen
}

// record steps both reporters.
func (p *scopePlayer) record(kind capture.Kind, source uint32, payload []byte) (tick bool) {
	p.seq++
	r := capture.Record{Seq: p.seq, At: p.at, Kind: kind, Source: source, Payload: payload}
	p.few.Step(&r)
	tick = p.every.Step(&r)
	for i := range payload {
		payload[i] = 0xaa // a reporter must not refer to it
	}
	return tick
}

func (p *scopePlayer) put(kind capture.Kind, source uint32, payload capture.Payload) (tick bool) {
	return p.record(kind, source, capture.AppendPayload(nil, payload))
}

func (p *scopePlayer) flow(t *testing.T) {
	n := 1 + p.choose(3)
	for range n {
		v6 := p.choose(8) == 0
		addr := func() string {
			a := one(p, p.addrs)
			if strings.Contains(a, ":") != v6 {
				return map[bool]string{false: "10.0.0.1", true: "::1"}[v6]
			}
			return a
		}
		f := modelFlow{typ: one(p, []string{"update", "update", "update", "destroy", "dump", "new"}), id: 1 + p.choose(6), proto: "tcp"}
		f.orig = modelTuple{addr(), addr(), one(p, p.ports), one(p, p.ports)}
		f.reply = f.orig.reversed()
		translated := p.choose(16)
		if translated&1 != 0 {
			f.reply.src = addr()
		}
		if translated&2 != 0 {
			f.reply.dst = addr()
		}
		if translated&4 != 0 {
			f.reply.sport = one(p, p.ports)
		}
		if translated&8 != 0 {
			f.reply.dport = one(p, p.ports)
		}
		m := ctmsg.Message{ID: uint32(f.id), HasStatus: true, Orig: f.orig.message(), Reply: f.reply.message(), Zone: uint16(p.choose(2))}
		m.Type, _ = ctmsg.ParseType(f.typ)
		m.Status = one(p, []ctmsg.Status{0, ctmsg.SrcNAT, ctmsg.DstNAT, ctmsg.SrcNAT | ctmsg.DstNAT})
		f.nat = m.Status != 0
		m.Status |= ctmsg.SeenReply
		f.state = one(p, []string{"ESTABLISHED", "ESTABLISHED", "", "TIME_WAIT", "CLOSE", "SYN_SENT"})
		if f.state != "" {
			m.HasState = true
			m.State, _ = ctmsg.ParseState(f.state)
		}
		if p.choose(16) == 0 {
			f.proto, m.Orig.Proto, m.Reply.Proto = "udp", dnsmsg.UDP, dnsmsg.UDP
		}
		kind := capture.KindConntrack
		if m.Type == ctmsg.Dump {
			kind = capture.KindDumpEntry
		}
		p.record(kind, 1, m.Append(nil, false))
		p.model.flow(f)
	}
}

func (t modelTuple) message() ctmsg.Tuple {
	return ctmsg.TupleOf(addrPort(t.src, t.sport), addrPort(t.dst, t.dport), dnsmsg.TCP)
}

func addrPort(addr string, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(port))
}

// walk plays a walk of /proc. A few walks fail.
func (p *scopePlayer) walk() {
	p.put(capture.KindWalkBegin, 2, &capture.ProcWalk{})
	var tables []modelTable
	var lists []modelList
	for range p.choose(4) {
		if p.choose(8) == 0 && len(p.tables) > 0 {
			t := one(p, p.tables)
			p.put(capture.KindProcUnchanged, 2, &capture.ProcUnchanged{Netns: t.netns, Table: t.name})
			for _, u := range p.tables {
				if u.netns == t.netns && u.name == t.name {
					tables = append(tables, u)
				}
			}
			continue
		}
		t := modelTable{netns: one(p, []uint64{7, 8, 0}), name: one(p, []string{"tcp", "tcp", "tcp6", "udp"})}
		if t.absent = p.choose(16) == 0; !t.absent {
			t.text = p.text(t.name)
		}
		p.put(capture.KindProcNet, 2, &capture.ProcNet{Netns: t.netns, Table: t.name, Absent: t.absent, Text: []byte(t.text)})
		if t.name != "udp" {
			tables = append(tables, t)
		}
	}
	for range p.choose(4) {
		s := capture.ProcSockets{Netns: one(p, []uint64{7, 8, 0})}
		for range p.choose(4) {
			q := capture.Process{PID: uint32(p.choose(6)), Comm: "c"}
			for range p.choose(4) {
				inode := uint64(p.choose(8))
				q.Inodes = append(q.Inodes, inode)
				lists = append(lists, modelList{s.Netns, inode, int(q.PID)})
			}
			s.Processes = append(s.Processes, q)
		}
		p.put(capture.KindProcSockets, 2, &s)
	}
	if p.choose(16) == 0 {
		p.put(capture.KindWalkEnd, 2, &capture.ProcWalk{Failed: "permission denied"})
		return
	}
	p.put(capture.KindWalkEnd, 2, &capture.ProcWalk{})
	p.model.walk(tables, lists)
	p.tables = tables
}

// text returns a table with lines of all kinds, also malformed ones that no kernel writes.
func (p *scopePlayer) text(name string) string {
	b := procnet.AppendHeader(nil)
	for i := range p.choose(5) {
		if name == "tcp6" && p.choose(2) == 0 {
			row := procnet.Row{Local: addrPort(one(p, []string{"2001:db8::1", "::1", "::ffff:10.0.0.1"}), one(p, p.ports)),
				Remote: addrPort(one(p, []string{"2001:db8::1", "::1", "::ffff:10.0.0.2"}), one(p, p.ports)), State: 1, Inode: uint64(p.choose(8))}
			b = procnet.AppendRow(b, i, row, true, false)
			continue
		}
		row := procnet.Row{Local: addrPort(one(p, p.addrs[:min(7, len(p.addrs))]), one(p, p.ports)), Remote: addrPort(one(p, p.addrs[:min(7, len(p.addrs))]), one(p, p.ports)),
			State: one(p, []procnet.State{1, 1, 1, 1, 6, 10, 8}), Inode: uint64(p.choose(8))}
		b = procnet.AppendRow(b, i, row, false, false)
		switch start := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1; p.choose(24) {
		case 0: // cut short
			b = append(b[:start+p.choose(len(b)-start)], '\n')
		case 1: // cut short, and no end of the line
			b = b[:start+p.choose(len(b)-start)]
		case 2: // a second header
			b = procnet.AppendHeader(b)
		case 3: // one byte is changed
			b[start+p.choose(len(b)-start)] = one(p, []byte(" \n:s0a.\xff"))
		case 4: // an address of another length, or none
			at := start + bytes.IndexByte(b[start:], ':') + 2
			port := at + bytes.IndexByte(b[at:], ':')
			b = slices.Concat(b[:one(p, []int{at, at, port})], one(p, [][]byte{[]byte(":0050"), []byte("0050"), []byte("0100007F:0050"),
				[]byte("0100007F0100007F0100007F:0050"), []byte("0100007F0100007F0100007F0100007F:50")}), b[port+5:])
		case 5:
			b = append(b, one(p, []string{"\n", " \n", "x", "  s\n", "   "})...)
		case 6: // no end of the line
			b = b[:len(b)-1]
		}
	}
	return string(b)
}

func (p *scopePlayer) dns(t *testing.T) {
	d := modelMessage{response: p.choose(16) != 0, rcode: p.choose(16) / 15 * 3}
	ask := modelQuestion{one(p, p.names), one(p, []int{1, 1, 1, 28}), one(p, []int{1, 1, 1, 3})}
	for range one(p, []int{1, 1, 1, 1, 1, 1, 0, 2}) {
		d.questions = append(d.questions, ask)
	}
	for range p.choose(4) {
		r := modelRecord{owner: one(p, append(slices.Clone(p.names), ask.name, ask.name)), typ: one(p, []int{1, 1, 5}), class_: one(p, []int{1, 1, 1, 3})}
		r.target = one(p, p.names)
		r.ip = net.ParseIP(one(p, p.addrs[:min(7, len(p.addrs))])).To4()
		d.records = append(d.records, r)
	}
	answers := p.choose(len(d.records) + 1)
	message := d.bytes(answers)
	from, to := netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.0.1:33000")
	counts := true // the packet is incoming and of port 53
	q := capture.DNS{}
	switch p.choose(12) {
	case 0:
		q.Direction, counts = capture.DirectionOut, false
	case 1:
		from, counts = netip.MustParseAddrPort("10.0.0.53:5353"), false
	case 2:
		q.Direction = capture.DirectionIn
		from, to = to, from
	}
	var err error
	if q.Packet, err = dnsmsg.AppendUDPPacket(nil, from, to, message); err != nil {
		t.Fatal(err)
	}
	p.put(capture.KindDNS, 3, &q)
	if counts {
		p.model.dns(d)
	}
}

// bytes encodes the message: the first records as answers, the others as additionals.
func (d *modelMessage) bytes(answers int) []byte {
	be := binary.BigEndian
	flags := uint16(d.rcode)
	if d.response {
		flags |= 0x8000
	}
	b := be.AppendUint16([]byte{0, 1}, flags)
	b = be.AppendUint16(b, uint16(len(d.questions)))
	b = be.AppendUint16(b, uint16(answers))
	b = be.AppendUint16(b, 0)
	b = be.AppendUint16(b, uint16(len(d.records)-answers))
	name := func(b []byte, s string) []byte {
		for _, label := range strings.Split(s, ".") {
			if s != "" {
				b = append(append(b, byte(len(label))), label...)
			}
		}
		return append(b, 0)
	}
	for _, q := range d.questions {
		b = be.AppendUint16(be.AppendUint16(name(b, q.name), uint16(q.typ)), uint16(q.class_))
	}
	for _, r := range d.records {
		b = be.AppendUint16(be.AppendUint16(name(b, r.owner), uint16(r.typ)), uint16(r.class_))
		b = append(b, 0, 0, 0, 60)
		data := []byte(r.ip)
		if r.typ == 5 {
			data = name(nil, r.target)
		}
		b = append(be.AppendUint16(b, uint16(len(data))), data...)
	}
	return b
}

func (p *scopePlayer) reverse() {
	addr := one(p, p.addrs)
	names := one(p, [][]string{{"r1.example."}, {"r2.example", "r1.example."}, nil, {"r3.example..", "r3.example"}})
	failed := p.choose(8) == 0
	a := capture.ReverseName{Addr: addr, Names: names}
	if failed {
		a.Error = "timeout"
	}
	p.put(capture.KindReverseName, 4, &a)
	p.model.answer(addr, names, failed)
}

// rare plays a record of a rare kind.
func (p *scopePlayer) rare() {
	switch p.choose(8) {
	case 0, 1:
		p.put(capture.KindGap, 1, &capture.Gap{Lost: 3})
		p.model.gap()
	case 2:
		p.put(capture.KindGap, uint32(2+p.choose(3)), &capture.Gap{Lost: 3})
	case 3:
		p.put(capture.KindDumpBegin, 1, &capture.ConntrackDump{})
		p.put(capture.KindDumpEnd, 1, &capture.ConntrackDump{})
	case 4:
		p.at += one(p, []int64{10 * 60e9, 30 * 60e9, 30*60e9 + 1})
		p.model.now = p.at
	case 5:
		p.put(capture.KindClock, 0, &capture.Clock{Step: -5e9})
	case 6: // a malformed payload
		p.record(capture.Kind(p.choose(24)), uint32(p.choose(6)), []byte{0xc1, byte(p.choose(256))})
	}
}
