package reporter_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockdiag"
)

// bySockDiag returns the record of a table of /proc/net as sock_diag would have delivered it. ok is false for other
// records, for tables that are absent or malformed, and for inodes that the kernel cannot have.
func bySockDiag(r *capture.Record, bigEndian bool) (out capture.Record, ok bool) {
	var p capture.ProcNet
	if r.Kind != capture.KindProcNet || r.Decode(&p) != nil || p.Absent {
		return out, false
	}
	table := capture.SocketTable{Netns: p.Netns, Table: p.Table, ReadStart: p.ReadStart, ReadEnd: p.ReadEnd, Part: p.Part, More: p.More}
	scan := procnet.NewScanner(p.Text, bigEndian)
	for w := (procnet.Row{}); scan.Next(&w); {
		if w.Inode > math.MaxUint32 {
			return out, false
		}
		row := sockdiag.Row{Row: w, Cgroup: 1}
		table.Messages = row.Append(table.Messages, p.Table == "tcp6", bigEndian)
	}
	out = *r
	out.Kind, out.Payload = capture.KindSocketTable, capture.AppendPayload(nil, &table)
	return out, scan.Malformed() == 0
}

// damagedTable reports whether a record is a table with a malformed row.
func damagedTable(r *capture.Record, bigEndian bool) bool {
	var p capture.ProcNet
	if r.Kind != capture.KindProcNet || r.Decode(&p) != nil {
		return false
	}
	scan := procnet.NewScanner(p.Text, bigEndian)
	for w := (procnet.Row{}); scan.Next(&w); {
	}
	return scan.Malformed() > 0
}

// A player steps two reporters: one with tables of /proc/net, one with the same tables by sock_diag.
type player struct {
	name, rules string
	text, diag  *reporter.Reporter
	tables      int // that were read by sock_diag
}

func newPlayer(t *testing.T, name, rules string, h *capture.Header) *player {
	t.Helper()
	p := &player{name: name, rules: rules}
	for _, r := range []**reporter.Reporter{&p.text, &p.diag} {
		var err error
		if *r, err = reporter.New(h, rules); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// step steps both, and compares the reports after a tick.
func (p *player) step(t *testing.T, r *capture.Record, bigEndian bool) {
	t.Helper()
	other, ok := bySockDiag(r, bigEndian)
	if !ok {
		other = *r
	} else {
		p.tables++
	}
	p.diag.Step(&other)
	if !p.text.Step(r) {
		return
	}
	a, b := p.text.Report(), p.diag.Report()
	if x, y := a.AppendJSON(nil), b.AppendJSON(nil); !bytes.Equal(x, y) || a.Digests() != b.Digests() {
		t.Fatalf("%s by %s, record %d:\n%s\nwith tables by sock_diag:\n%s", p.name, p.rules, r.Seq, x, y)
	}
}

// All fixtures make the same reports if sock_diag read their tables, but for those with a damaged table: the rules of 2016
// read on into the next one.
func TestFixturesBySockDiag(t *testing.T) {
	tables := 0
	for _, x := range fixtureTapes(t) {
		if slices.ContainsFunc(x.records, func(r capture.Record) bool { return damagedTable(&r, x.header.BigEndian) }) {
			continue
		}
		for _, rules := range allRules {
			p := newPlayer(t, x.name, rules, x.header)
			for i := range x.records {
				p.step(t, &x.records[i], x.header.BigEndian)
			}
			tables += p.tables
		}
	}
	if tables < 400 {
		t.Errorf("only %d tables were compared", tables)
	}
}

// So do random sockets, on hosts of both byte orders: all states, IPv6, IPv4-mapped addresses, several namespaces, tables in
// parts, and sockets that come and go.
func TestRandomSocketsBySockDiag(t *testing.T) {
	for seed := range uint64(60) {
		for _, rules := range allRules {
			header := &capture.Header{HostID: "h", BigEndian: seed%2 > 0}
			p, rng := newPlayer(t, fmt.Sprint("seed ", seed), rules, header), rand.New(rand.NewPCG(seed, 29))
			h := reportertest.NewHost(t, stepper(func(r *capture.Record) bool {
				p.step(t, r, header.BigEndian)
				return r.Kind == capture.KindTick
			}))
			shown := 0
			for range 6 {
				randomWalk(h, rng, header.BigEndian)
				h.Pass(3)
				h.Put(capture.KindTick, 0, &capture.Tick{})
				shown += len(p.diag.Report().Connections)
			}
			if p.tables == 0 || shown == 0 {
				t.Errorf("seed %d: %d tables, %d connections", seed, p.tables, shown)
			}
		}
	}
}

// A stepper is a machine without reports.
type stepper func(*capture.Record) bool

func (s stepper) Step(r *capture.Record) bool { return s(r) }
func (s stepper) Report() *report.Report      { return nil }

// randomWalk sends a walk of /proc with random tables, in parts, and their owners.
func randomWalk(h *reportertest.Host, rng *rand.Rand, bigEndian bool) {
	h.WalkBegin()
	for netns := uint64(1); netns <= 2; netns++ {
		for _, table := range []string{"tcp", "tcp6"} {
			for part := range uint32(2) {
				text := procnet.AppendHeader(nil)
				for i := range rng.IntN(8) {
					text = procnet.AppendRow(text, i, randomSocket(rng, table == "tcp6"), table == "tcp6", bigEndian)
				}
				h.Put(capture.KindProcNet, 2, &capture.ProcNet{Netns: netns, Table: table, ReadStart: h.At, ReadEnd: h.At, Part: part, More: part == 0, Text: text})
			}
		}
		h.Put(capture.KindProcSockets, 2, &capture.ProcSockets{Netns: netns, Processes: []capture.Process{
			{PID: uint32(10 * netns), Comm: "a", Inodes: []uint64{1, 2, 3}}, {PID: uint32(10*netns + 1), Comm: "b", Inodes: []uint64{3, 4, 5, 6}}}})
	}
	h.WalkEnd()
}

func randomSocket(rng *rand.Rand, ipv6 bool) procnet.Row {
	addrs := []string{"10.0.0.1", "10.0.0.2", "127.0.0.1", "2001:db8::1", "::1", "::"}
	if !ipv6 {
		addrs = addrs[:3]
	}
	end := func() netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(addrs[rng.IntN(len(addrs))]), []uint16{80, 443, 40000, 40001}[rng.IntN(4)])
	}
	return procnet.Row{Local: end(), Remote: end(), State: procnet.State(1 + rng.IntN(11)), UID: rng.Uint32N(3), Inode: uint64(rng.IntN(8))}
}

// A table that changed while it was read degrades its source until the next complete walk.
func TestInterruptedTable(t *testing.T) {
	for _, rules := range allRules {
		r, err := reporter.New(&capture.Header{}, rules)
		if err != nil {
			t.Fatal(err)
		}
		h := reportertest.NewHost(t, r)
		walk := func(interrupted bool) report.Coverage {
			row := sockdiag.Row{Row: procnet.Row{Local: netip.MustParseAddrPort("10.0.0.1:1"), Remote: netip.MustParseAddrPort("10.0.0.2:80"), State: procnet.Established, Inode: 5}}
			h.WalkBegin()
			h.Put(capture.KindSocketTable, 2, &capture.SocketTable{Netns: 1, Table: "tcp", Interrupted: interrupted, Messages: row.Append(nil, false, false)})
			h.WalkEnd()
			h.Pass(3)
			rep := h.Report()
			if len(rep.Connections) != 1 {
				t.Errorf("%s: %d connections", rules, len(rep.Connections))
			}
			return reportertest.CoverageOf(rep, capture.SourceProc)
		}
		if c := walk(false); c.State != report.CoverageOK || c.Records == 0 {
			t.Errorf("%s: %+v", rules, c)
		}
		if c := walk(true); c.State != report.CoverageDegraded || c.Why == "" {
			t.Errorf("%s, interrupted: %+v", rules, c)
		}
		if c := walk(false); c.State != report.CoverageOK {
			t.Errorf("%s, read again: %+v", rules, c)
		}
	}
}

// A tape that is cut in the middle begins with the tables that are current there, however they were read.
func TestEvidenceOfSocketTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var all []capture.Record
	h := reportertest.NewHost(t, stepper(func(r *capture.Record) bool {
		k := *r
		k.Payload = bytes.Clone(r.Payload)
		all = append(all, k)
		return false
	}))
	for range 3 {
		randomWalk(h, rng, false)
	}
	text, diag := reporter.NewEvidence(&capture.Header{}), reporter.NewEvidence(&capture.Header{})
	tables := 0
	for i := range all {
		text.Add(&all[i])
		if other, ok := bySockDiag(&all[i], false); ok {
			all[i], tables = other, tables+1
		}
		diag.Add(&all[i])
	}
	numbers := func(e *reporter.Evidence) (out []uint64) {
		for r := range e.Records(h.At) {
			out = append(out, r.Seq)
		}
		return out
	}
	if want, got := numbers(text), numbers(diag); tables == 0 || len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("records %v, want %v", got, want)
	}
}

// Closed sockets count, and change nothing else. Lost ones degrade the source for one report.
func TestClosedSockets(t *testing.T) {
	for _, rules := range allRules {
		r, err := reporter.New(&capture.Header{}, rules)
		if err != nil {
			t.Fatal(err)
		}
		h := reportertest.NewHost(t, r)
		c := sockdiag.Close{Local: netip.MustParseAddrPort("10.0.0.1:1"), Remote: netip.MustParseAddrPort("10.0.0.2:80"), Counted: true, Sent: 7}
		h.Put(capture.KindSource, 6, &capture.Source{Open: true, Kind: capture.SourceCloses})
		h.Raw(capture.KindSocketClose, 6, c.Append(nil, false))
		h.Raw(capture.KindSocketClose, 6, c.Append(nil, true))
		h.Put(capture.KindGap, 6, &capture.Gap{Lost: 9, Exact: true})
		h.Pass(3)
		rep := h.Report()
		got := reportertest.CoverageOf(rep, capture.SourceCloses)
		if got.Records != 2 || got.Undecodable != 1 || got.Lost != 9 || got.State != report.CoverageDegraded || len(rep.Connections) > 0 {
			t.Errorf("%s: %+v", rules, got)
		}
		h.Pass(3)
		if got := reportertest.CoverageOf(h.Report(), capture.SourceCloses); got.State != report.CoverageOK {
			t.Errorf("%s, a report later: %+v", rules, got)
		}
	}
}
