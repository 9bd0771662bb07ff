package replaytest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// Busy is a tape of short connections, seven events each, with a tick and
// its witness every interval records.
func Busy(tb testing.TB, records, interval int) []byte {
	tb.Helper()
	var out bytes.Buffer
	h := &capture.Header{HostID: "h", TapeID: [16]byte{1}, Start: 1767323045e9}
	w, err := capture.NewWriter(&out, h)
	if err != nil {
		tb.Fatal(err)
	}
	core, err := reporter.New(h, "")
	if err != nil {
		tb.Fatal(err)
	}
	seq, at, tick := uint64(0), int64(0), uint64(0)
	write := func(kind capture.Kind, source uint32, payload []byte) bool {
		seq++
		r := capture.Record{Seq: seq, At: at, Kind: kind, Source: source, Payload: payload}
		if err := w.Write(&r); err != nil {
			tb.Fatal(err)
		}
		return core.Step(&r)
	}
	states := []ctmsg.State{ctmsg.SynSent, ctmsg.SynRecv, ctmsg.Established, ctmsg.FinWait, ctmsg.LastAck, ctmsg.TimeWait, ctmsg.None}
	var b []byte
	for i := range records {
		flow, event := i/len(states)/50*50+i%50, i/50%len(states) // fifty at a time
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(flow >> 14), byte(flow >> 6)}), uint16(20000+flow%40000))
		dst := netip.MustParseAddrPort("10.1.0.2:80")
		m := ctmsg.Message{Type: ctmsg.Update, ID: uint32(flow)*2654435761 + 1, HasStatus: true, Status: ctmsg.SeenReply | ctmsg.Confirmed,
			Orig: ctmsg.TupleOf(src, dst, 6), Reply: ctmsg.TupleOf(dst, src, 6),
			HasTimeout: true, Timeout: 120, HasState: states[event] != ctmsg.None, State: states[event], HasFlags: states[event] != ctmsg.None, FlagsOrig: 3, FlagsReply: 3}
		if event == 0 {
			m.Type, m.Status = ctmsg.New, ctmsg.Confirmed
		}
		if event == len(states)-1 {
			m.Type = ctmsg.Destroy
		}
		at += 20e3
		b = m.Append(b[:0], false)
		write(capture.KindConntrack, 1, b)
		if i%interval == interval-1 {
			tick++
			if write(capture.KindTick, 0, capture.AppendPayload(nil, &capture.Tick{Number: tick, Interval: 3e9})) {
				write(capture.KindWitness, 0, capture.AppendPayload(nil, &capture.Witness{Tick: tick, Rules: reporter.RulesCurrent,
					Core: reporter.CoreVersion, Digests: core.Report().Digests()}))
			}
		}
	}
	write(capture.KindEnd, 0, capture.AppendPayload(nil, &capture.End{}))
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// Small is a tape of few records in many frames.
func Small(t testing.TB, id byte, flush int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, &capture.Header{TapeID: [16]byte{id, 1, 2, 3, 4, 5, 6, 7, 8}, Start: 1e18, HostID: "host1", HostName: "host1"})
	if err != nil {
		t.Fatal(err)
	}
	core, _ := reporter.New(&capture.Header{Start: 1e18, HostID: "host1", HostName: "host1"}, "")
	seq := uint64(0)
	add := func(kind capture.Kind, source uint32, p capture.Payload) {
		seq++
		r := capture.Record{Seq: seq, At: int64(seq) * 1e7, Kind: kind, Source: source, Payload: capture.AppendPayload(nil, p)}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
		if core.Step(&r) {
			report := core.Report()
			seq++
			r = capture.Record{Seq: seq, At: r.At, Kind: capture.KindWitness,
				Payload: capture.AppendPayload(nil, &capture.Witness{Tick: report.Tick, Rules: reporter.RulesCurrent, Core: reporter.CoreVersion, Digests: report.Digests()})}
			if err := w.Write(&r); err != nil {
				t.Fatal(err)
			}
		}
		if seq%uint64(flush) == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(capture.KindHost, 0, &capture.Host{ID: "host1", Name: "host1"})
	add(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceProc})
	add(capture.KindSource, 5, &capture.Source{Open: true, Kind: capture.SourceConntrack})
	for i := range 12 {
		n := uint64(i + 1)
		add(capture.KindWalkBegin, 1, &capture.ProcWalk{Number: n})
		add(capture.KindProcNet, 1, &capture.ProcNet{Netns: 1, Table: "tcp", Text: fmt.Appendf(nil,
			"  0: 0100000A:%04X 0200000A:0050 01 00000000:00000000 00:00000000 00000000  1000 0 %d 1 0 20 4 30 10 -1\n", 40000+i, 100+i)})
		if i == 0 {
			add(capture.KindDumpBegin, 5, &capture.ConntrackDump{Number: n})
			add(capture.KindDumpEnd, 5, &capture.ConntrackDump{Number: n})
		}
		add(capture.KindWalkEnd, 1, &capture.ProcWalk{Number: n})
		add(capture.KindClock, 0, &capture.Clock{Step: 1e9, Wall: 1e18 + int64(seq+1)*1e7 + int64(i+1)*1e9})
		add(capture.KindTick, 0, &capture.Tick{Number: n, Interval: 1e8})
	}
	add(capture.KindEnd, 0, &capture.End{Why: "test"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func Lab(t testing.TB) []byte {
	t.Helper()
	tape, err := os.ReadFile(filepath.Join(fixtures(t), "lab-gateway/capture.tape"))
	if err != nil {
		t.Fatal(err)
	}
	return tape
}

// Shipped is tapes of all sorts.
func Shipped(t testing.TB) map[string][]byte {
	t.Helper()
	tapes := map[string][]byte{"lab": Lab(t), "small": Small(t, 1, 3), "busy": Busy(t, 2000, 300)}
	names, err := filepath.Glob(filepath.Join(fixtures(t), "generated/*/capture.tape"))
	if err != nil || len(names) == 0 {
		t.Fatal("no generated tapes", err)
	}
	for _, name := range Some(names) {
		tape, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tapes[name] = tape
	}
	return tapes
}

// Reframed is a tape with a frame for every few records.
func Reframed(t testing.TB, tape []byte, every int) []byte {
	t.Helper()
	h, records := Parsed(t, tape)
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, &h)
	for i := range records {
		if err == nil {
			err = w.Write(&records[i])
		}
		if err == nil && i%every == 0 {
			err = w.Flush()
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Parsed reads a sound tape.
func Parsed(t testing.TB, tape []byte) (h capture.Header, records []capture.Record) {
	t.Helper()
	r, err := capture.NewReader(bytes.NewReader(tape))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return *r.Header(), records
		}
		if err != nil {
			t.Fatal(err)
		}
		rec.Payload = bytes.Clone(rec.Payload)
		records = append(records, rec)
	}
}

func Written(t testing.TB, h capture.Header, records []capture.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, &h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := w.Write(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Rewrite makes a tape of another one's records.
func Rewrite(t testing.TB, tape []byte, h capture.Header, change func(*capture.Record) bool) []byte {
	t.Helper()
	r, err := capture.NewReader(bytes.NewReader(tape))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, &h)
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if !change(&rec) {
			continue
		}
		if err := w.Write(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// CountedReads counts what is read of a file.
type CountedReads struct {
	*bytes.Reader
	Count *int
}

func (c CountedReads) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	*c.Count += n
	return n, err
}

func (c CountedReads) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.Reader.ReadAt(b, at)
	*c.Count += n
	return n, err
}

func (c CountedReads) Close() error { return nil }

func Ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// Selected is a report of three connections: one through NAT, one of IPv6, one
// of loopback in a namespace.
func Selected() *reporter.Report {
	return &reporter.Report{
		Connections: []reporter.Connection{
			{Proto: "tcp", From: reporter.End{Addr: Ap("10.0.0.1:40000"), Processes: []reporter.Process{{PID: 4242, Comm: "curl"}}},
				To:  reporter.End{Addr: Ap("172.17.0.2:8080"), Processes: []reporter.Process{{PID: 7, Comm: "nginx"}}},
				NAT: []reporter.NAT{{OriginalSrc: Ap("10.0.0.1:40000"), OriginalDst: Ap("10.0.0.80:80"), ReplySrc: Ap("172.17.0.2:8080"), ReplyDst: Ap("192.0.2.1:1024")}}},
			{Proto: "tcp", From: reporter.End{Addr: Ap("[2001:db8::1]:40000")}, To: reporter.End{Addr: Ap("[2001:db8::2]:443")}},
			{Proto: "tcp", From: reporter.End{Addr: Ap("127.0.0.1:40000"), Netns: 5}, To: reporter.End{Addr: Ap("127.0.0.1:443"), Netns: 5}},
		},
		Endpoints: []reporter.Endpoint{
			{Addr: Ap("10.0.0.1:40000")}, {Addr: Ap("172.17.0.2:8080")},
			{Addr: Ap("[2001:db8::1]:40000")}, {Addr: Ap("[2001:db8::2]:443")},
			{Scope: "host1-5", Addr: Ap("127.0.0.1:40000")}, {Scope: "host1-5", Addr: Ap("127.0.0.1:443")},
			{Scope: "host1-6", Addr: Ap("127.0.0.1:443")},
		},
		Names: []reporter.Names{
			{Addr: netip.MustParseAddr("10.0.0.80"), Forward: []string{"shop.internal"}},
			{Addr: netip.MustParseAddr("172.17.0.2"), Reverse: []string{"web-1.internal"}},
			{Addr: netip.MustParseAddr("2001:db8::2"), Forward: []string{"db.internal"}},
		},
	}
}

func Connection(from, to string, first, last int64, seen ...string) reporter.Connection {
	return reporter.Connection{Proto: "tcp", From: reporter.End{Addr: Ap(from)}, To: reporter.End{Addr: Ap(to)}, FirstSeen: first, LastSeen: last, Seen: seen}
}

type Anywhere struct{ *bytes.Reader }

func (Anywhere) Close() error { return nil }

// Chunky has that many records, about so many in a chunk; of what is told one
// by one it has the less the duller it is.
func Chunky(t testing.TB, rng *rand.Rand, segment uint32, id byte, records, chunk, dull int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, &capture.Header{TapeID: [16]byte{id}, Recording: [16]byte{id / 4}, Segment: segment, Start: 1e18})
	if err != nil {
		t.Fatal(err)
	}
	seq, at := uint64(0), int64(segment)*1e12
	put := func(k capture.Kind, source uint32, payload []byte) {
		at += rng.Int64N(3) * 1e9
		if seq += 1; rng.IntN(200) == 0 {
			seq += 3
		}
		r := capture.Record{Seq: seq, At: at, Kind: k, Source: source, Payload: payload}
		if k == capture.KindCarry {
			r.Seq = 0
			seq--
		}
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(chunk) == 0 {
			w.Flush()
		}
	}
	encoded := func(p capture.Payload) []byte { return capture.AppendPayload(nil, p) }
	if rng.IntN(3) == 0 {
		put(capture.KindCarry, 0, encoded(&capture.Carry{Core: 1}))
	}
	kinds := []string{"", capture.SourceConntrack, capture.SourceProc, capture.SourceDNS, capture.SourceRDNS}
	for range records {
		source := uint32(1 + rng.IntN(4))
		reason := []string{"", "why"}[rng.IntN(2)]
		n := rng.IntN(200)
		if n < 4 && rng.IntN(dull) > 0 {
			n = 50
		}
		switch {
		case n == 0:
			put(capture.KindSource, source, encoded(&capture.Source{Open: rng.IntN(3) > 0, Kind: kinds[source], Why: reason}))
		case n == 1:
			put(capture.KindGap, source, encoded(&capture.Gap{Lost: rng.Uint64N(9), Why: reason}))
		case n == 2:
			put(capture.KindMark, 0, encoded(&capture.Mark{Text: "m"}))
		case n == 3 && rng.IntN(5) == 0:
			put(capture.KindHost, 0, encoded(&capture.Host{Sysctls: []capture.Sysctl{{Name: "nf_conntrack_events", Value: fmt.Sprint(rng.IntN(2))}}}))
		case n == 3 && rng.IntN(4) == 0:
			put(capture.KindClock, 0, encoded(&capture.Clock{Step: rng.Int64N(9e9) - 4e9}))
		case n < 20:
			put(capture.KindTick, 0, encoded(&capture.Tick{Number: seq}))
		case n < 30:
			put([]capture.Kind{capture.KindDumpBegin, capture.KindDumpEnd}[rng.IntN(2)], 1, encoded(&capture.ConntrackDump{Failed: reason}))
		case n < 40:
			put([]capture.Kind{capture.KindWalkBegin, capture.KindWalkEnd}[rng.IntN(2)], 2, encoded(&capture.ProcWalk{Failed: reason}))
		case n < 45:
			put(200, source, []byte{0x90})
		case n < 100:
			put(capture.KindDNS, 3, encoded(&capture.DNS{}))
		default:
			put(capture.KindConntrack, 1, []byte("x"))
		}
	}
	put(capture.KindEnd, 0, encoded(&capture.End{Totals: []capture.Total{{Source: 1, Undecodable: 7}, {Source: 3}}}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func Report(list ...reporter.Connection) *reporter.Report {
	return &reporter.Report{Tick: 1, Connections: list}
}

// reports replays a tape by the plainest loop and returns every report.
func Reports(t testing.TB, tape []byte, rules string) (list []*reporter.Report) {
	t.Helper()
	h, records := Parsed(t, tape)
	core, err := reporter.New(&h, rules)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if core.Step(&records[i]) {
			list = append(list, core.Report())
		}
	}
	return list
}

// fixtures returns the folder of the shipped fixtures.
func fixtures(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return filepath.Join(dir, "fixtures")
		}
		if dir == filepath.Dir(dir) {
			err = os.ErrNotExist
		}
		dir = filepath.Dir(dir)
	}
	t.Fatalf("the module's folder is not found: %v", err)
	return ""
}
