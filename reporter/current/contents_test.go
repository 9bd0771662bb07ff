package current

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/source"
)

// A record that finds no room in a walk is counted, and the source is degraded until the next
// complete walk.
func TestWalkIsTooLarge(t *testing.T) {
	h := newMachineHost(t)
	connected := reportertest.Socket{Netns: 1, Row: reportertest.Plain, Inode: 11, Processes: curl}
	large := &capture.ProcSockets{Netns: 2, Processes: []capture.Process{{PID: 1, Comm: "x", Inodes: make([]uint64, 1_000_000)}}}
	h.WalkBegin()
	h.Tables(connected)
	for range 5 {
		h.Put(capture.KindProcSockets, 2, large)
	}
	h.WalkEnd()
	r := h.Want("10.0.0.1:40000@1(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order maybe")
	if c := reportertest.CoverageOf(r, "proc"); c.State != report.CoverageDegraded || c.Undecodable != 3 {
		t.Errorf("%+v", c)
	}
	h.Pass(1).Walk(connected)
	r = h.Want("10.0.0.1:40000@1(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
	if c := reportertest.CoverageOf(r, "proc"); c.State != report.CoverageOK || c.Undecodable != 3 {
		t.Errorf("%+v", c)
	}
}

// Removing repeated rows and listeners does not change what the tables show.
func TestTidyKeepsWhatTablesShow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		made := &table{key: source.TableKey{Netns: 1, Name: "tcp"}}
		for i := range rng.IntN(30) {
			addr := func() netip.AddrPort {
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(2))}), uint16(rng.IntN(3)))
			}
			made.rows = append(made.rows, row{Tuple: tcpTuple(addr(), addr()), inode: uint64(rng.IntN(3)), first: int64(i)})
			made.listen = append(made.listen, listenRow{addr(), uint64(rng.IntN(2))})
		}
		tidy := *made
		tidy.tidy()
		var a, b sockets
		a.contents, b.contents = newContents(), newContents()
		a.put(made)
		b.put(&tidy)
		a.build()
		b.build()
		same := slices.EqualFunc(a.rows, b.rows, func(x, y socketRow) bool { return *x.row == *y.row && x.number == y.number })
		if !same || len(a.listen.in) != len(b.listen.in) || len(tidy.rows) != len(a.rows) {
			t.Fatalf("%d rows and %d listeners became %d and %d", len(made.rows), len(made.listen), len(tidy.rows), len(tidy.listen))
		}
	}
}

// A row that is repeated without an end takes little memory, and the walk is complete.
func TestRepeatedRowsTakeNoRoom(t *testing.T) {
	w := newContents()
	tables := []*table{{key: source.TableKey{Netns: 1, Name: "tcp"}}, {key: source.TableKey{Netns: 2, Name: "tcp"}}}
	for _, t := range tables {
		w.put(t)
	}
	one := row{Tuple: tcpTuple(netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2"))}
	for i := range 3 * maxRows {
		if !w.addRow(tables[i&1], one) || !w.addListener(tables[i&1], listenRow{addr: one.Src()}) {
			t.Fatalf("no room for the row after %d", i)
		}
	}
	if n := len(tables[0].rows) + len(tables[1].rows); n > 2*tidyRows || w.size.rows != n {
		t.Errorf("%d rows are kept, counted as %d", n, w.size.rows)
	}
}
