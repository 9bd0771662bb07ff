package sockmsg

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/procnet"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// read returns a file of testdata: format-6.18 and records are from one host, whose socket numbers are replaced.
func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parse(t testing.TB, text []byte) Format {
	t.Helper()
	f, err := ParseFormat(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// formats are layouts of real kernels: 64 bits with two bytes of protocol, with one byte, and with a longer head as
// PREEMPT_RT has it; and 32 bits.
func formats(t testing.TB) map[string]Format {
	t.Helper()
	shifted := func(by int, pointer string) Format {
		text := string(read(t, "format-6.18"))
		for _, offset := range []int{56, 40, 36, 32, 30, 28, 26, 24, 20, 16} {
			text = strings.Replace(text, fmt.Sprintf("offset:%d;", offset), fmt.Sprintf("offset:%d;", offset+by), 1)
		}
		first := max(8, 8+by)
		return parse(t, []byte(strings.Replace(text, "offset:8;	size:8;", fmt.Sprintf("offset:%d;	size:%s;", first, pointer), 1)))
	}
	return map[string]Format{
		"usual": UsualFormat(), "6.18": parse(t, read(t, "format-6.18")), "5.4": parse(t, read(t, "format-5.4")),
		"realtime": shifted(8, "8"), "32 bits": shifted(-4, "4"),
	}
}

func records(t testing.TB) (list [][]byte) {
	t.Helper()
	for line := range strings.Lines(string(read(t, "records"))) {
		b, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// The records are of a program that enters a network namespace, connects over IPv4, IPv6 and mapped addresses, to a
// closed port too, names a thread, and starts others, and of a cgroup that is made.
func TestCapturedRecords(t *testing.T) {
	const golden = "testdata/golden"
	f := parse(t, read(t, "format-6.18"))
	var got []byte
	for _, r := range records(t) {
		var err error
		if got, err = AppendText(got, &f, r, false); err != nil {
			t.Errorf("%x: %v", r, err)
		}
		got = append(got, '\n')
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, "golden"); !bytes.Equal(got, want) {
		t.Errorf("texts differ from %s; got:\n%s", golden, got)
	}
}

// The usual layout is that of the kernel it is documented to be.
func TestUsualFormat(t *testing.T) {
	if usual, f := UsualFormat(), parse(t, read(t, "format-6.18")); usual != f {
		t.Errorf("%+v, the kernel has %+v", usual, f)
	}
	var f Format
	text := capture.AppendPayload(nil, &capture.SocketFormat{Text: read(t, "format-5.4")})
	f.Follow(&capture.Record{Kind: capture.KindSocketFormat, Payload: text})
	if f != parse(t, read(t, "format-5.4")) {
		t.Errorf("a record of the format gives %+v", f)
	}
	before := f
	for _, r := range []capture.Record{
		{Kind: capture.KindMark, Payload: text}, {Kind: capture.KindSocketFormat}, {Kind: capture.KindSocketFormat, Payload: []byte{0x91, 0xc4, 1, 'x'}},
	} {
		if f.Follow(&r); f != before {
			t.Errorf("%v: %+v", r, f)
		}
	}
}

// Append writes what the kernel wrote, but for the fields that only tracing uses and a cgroup that it left out.
func TestAppendIsTheKernels(t *testing.T) {
	f := parse(t, read(t, "format-6.18"))
	samples := 0
	for _, r := range records(t) {
		var e, again Event
		var p Process
		if f.Decode(&e, r, false) == nil {
			samples++
			got := e.Append(nil, &f, false)
			if err := f.Decode(&again, got, false); err != nil || again != e {
				t.Errorf("%+v became %+v (%v)", e, again, err)
			}
			const data = headerLen + 20
			want := slices.Clone(r)
			clear(want[4:6])             // misc: the processor's mode
			clear(want[data : data+2])   // common_type
			clear(want[data+3 : data+8]) // common_preempt_count, common_pid
			clear(want[data+72 : data+76])
			if r[data+28] == inet && !bytes.Equal(got, want) { // of IPv6, it also writes an IPv4 address
				t.Errorf("%+v was written as\n%x, the kernel wrote\n%x", e, got, want)
			}
			continue
		}
		if err := DecodeProcess(&p, r, false); err != nil {
			t.Fatal(err)
		}
		got := p.Append(nil, false)
		if exact := p.Kind == Comm || p.Kind == Cgroup && p.PID != 0; exact && !bytes.Equal(got, r) {
			t.Errorf("%+v was written as\n%x, the kernel wrote\n%x", p, got, r)
		}
		var q Process
		if err := DecodeProcess(&q, got, false); err != nil || q != p {
			t.Errorf("%+v became %+v (%v)", p, q, err)
		}
	}
	if samples < 20 {
		t.Errorf("%d samples", samples)
	}
}

func sample(local, remote string) Event {
	return Event{PID: 4242, TID: 4243, Time: 5e9, Cgroup: 77, Flags: FlagSoftIRQ | FlagBHOff, Socket: 0x1f3a, Old: procnet.Close, New: procnet.SynSent,
		Protocol: TCP, Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote)}
}

func TestEventsRoundTrip(t *testing.T) {
	mptcp := sample("[2001:db8::1]:40000", "[2001:db8::2]:443")
	mptcp.Protocol, mptcp.Cgroup, mptcp.Flags = MPTCP, 0, 0
	for name, f := range formats(t) {
		for _, e := range []Event{sample("10.0.0.1:0", "10.0.0.2:80"), sample("0.0.0.0:80", "0.0.0.0:0"), sample("[::]:80", "[::]:0"), sample("[::ffff:10.0.0.1]:1", "[2001:db8::2]:2"), mptcp} {
			e.Local, e.Remote = netip.AddrPortFrom(e.Local.Addr().Unmap(), e.Local.Port()), netip.AddrPortFrom(e.Remote.Addr().Unmap(), e.Remote.Port())
			if e.Protocol == MPTCP && f.protocol.size == 1 {
				continue // before there was MPTCP
			}
			for _, bigEndian := range []bool{false, true} {
				var again Event
				b := e.Append(nil, &f, bigEndian)
				if err := f.Decode(&again, b, bigEndian); err != nil || again != e || len(b)%8 != 0 {
					t.Errorf("%s, big endian %v: %+v became %+v (%v)", name, bigEndian, e, again, err)
				}
				if err := f.Decode(&again, b, !bigEndian); err == nil {
					t.Errorf("%s: decoded in the other byte order: %+v", name, again)
				}
			}
		}
	}
}

// An old kernel's sample has no cgroup. InProcess refuses every flag of another context.
func TestOldSamples(t *testing.T) {
	f := UsualFormat()
	e := sample("10.0.0.1:0", "10.0.0.2:80")
	b := e.Append(nil, &f, false)
	b = b[:len(b)-8]
	b[6] = byte(len(b))
	var got Event
	if err := f.Decode(&got, b, false); err != nil || got.Cgroup != 0 || got.Remote != e.Remote {
		t.Errorf("%+v, %v", got, err)
	}
	for _, flags := range []uint8{FlagHardIRQ, FlagSoftIRQ, FlagNMI, FlagBHOff} {
		if got.Flags = flags; got.InProcess() {
			t.Errorf("flags %#x", flags)
		}
	}
	if got.Flags = 0x05; !got.InProcess() { // interrupts off, need resched
		t.Error("flags that do not matter")
	}
}

// A sample read with the layout of another kernel is an error, not a connection of other addresses.
func TestOtherLayouts(t *testing.T) {
	all := formats(t)
	for name, f := range all {
		for other, g := range all {
			if f == g {
				continue
			}
			for _, e := range []Event{sample("10.0.0.1:0", "10.0.0.2:80"), sample("192.168.1.1:40000", "1.2.3.4:443")} {
				var got Event
				if err := g.Decode(&got, e.Append(nil, &f, false), false); err == nil {
					t.Errorf("layout %s, read as %s: %+v", name, other, got)
				}
			}
		}
	}
}

func processes() []Process {
	return []Process{
		{Kind: Comm, PID: 4243, TID: 4243, Time: 1, Comm: "curl", Exec: true},
		{Kind: Comm, PID: 4243, TID: 4250, Time: 2, Comm: "12345678\xff"},
		{Kind: Fork, PID: 4243, TID: 4243, PPID: 4242, PTID: 4244, Time: 3},
		{Kind: Exit, PID: 4243, TID: 4250, PPID: 1, PTID: 1, Time: 4},
		{Kind: Namespaces, PID: 4243, TID: 4243, Time: 5, Netns: 4026531840},
		{Kind: Cgroup, PID: 1, TID: 1, Time: 6, Cgroup: 77, Path: "/system.slice/x"},
	}
}

func TestProcessesRoundTrip(t *testing.T) {
	want := []string{`comm 4243 "curl" (exec)`, `comm 4243/4250 "12345678\xff"`, "fork 4243 of 4242/4244", "exit 4243/4250", "namespaces 4243: net 4026531840", `cgroup 77 "/system.slice/x"`}
	for i, p := range processes() {
		for _, bigEndian := range []bool{false, true} {
			var again Process
			b := p.Append(nil, bigEndian)
			if err := DecodeProcess(&again, b, bigEndian); err != nil || again != p || len(b)%8 != 0 {
				t.Errorf("big endian %v: %+v became %+v (%v)", bigEndian, p, again, err)
			}
			text, err := AppendText([]byte("> "), nil, b, bigEndian)
			if string(text) != "> "+want[i] || err != nil {
				t.Errorf("%s, want %s (%v)", text, want[i], err)
			}
		}
	}
}

func TestText(t *testing.T) {
	f := UsualFormat()
	e := sample("10.0.0.1:0", "10.0.0.2:80")
	plain := e
	plain.TID, plain.Cgroup, plain.Flags, plain.Protocol = plain.PID, 0, 0, MPTCP
	for want, e := range map[string]Event{
		"pid 4242/4243 CLOSE -> SYN_SENT 10.0.0.1:0 -> 10.0.0.2:80 socket 1f3a cgroup 77 [SOFTIRQ BH_OFF]": e,
		"pid 4242 CLOSE -> SYN_SENT 10.0.0.1:0 -> 10.0.0.2:80 mptcp socket 1f3a":                           plain,
	} {
		if got, err := AppendText(nil, &f, e.Append(nil, &f, true), true); string(got) != want || err != nil {
			t.Errorf("%s (%v), want %s", got, err, want)
		}
	}
}

// Formats that lack a field, or where it cannot be, are refused with the field's name.
func TestBadFormats(t *testing.T) {
	good := string(read(t, "format-6.18"))
	for _, c := range []struct{ old, new, want string }{
		{"field:", "fields:", "no field common_flags"},
		{"saddr_v6[16]", "saddr_v7[16]", "no field saddr_v6"},
		{"oldstate;	offset:16;	size:4;", "oldstate;	offset:16;	size:8;", "field oldstate has offset 16 and size 8"},
		{"skaddr;	offset:8;	size:8;", "skaddr;	offset:8;	size:0;", "no field skaddr"},
		{"sport;	offset:24;", "sport;	offset:65000;", "field sport has offset 65000 and size 2"},
		{"sport;	offset:24;", "sport;	offset:-1;", "no field sport"},
		{"sport;	offset:24;", "sport;	offset:99999999999999999999;", "no field sport"},
	} {
		text := strings.Replace(good, c.old, c.new, -1)
		if text == good {
			t.Fatalf("no %q in the format", c.old)
		}
		if _, err := ParseFormat([]byte(text)); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.new, err, c.want)
		}
	}
}

// Every prefix of a record is refused, as is one whose lengths do not agree with it.
func TestHostileRecords(t *testing.T) {
	f := UsualFormat()
	e := sample("10.0.0.1:0", "10.0.0.2:80")
	all := [][]byte{e.Append(nil, &f, false)}
	for _, p := range processes() {
		all = append(all, p.Append(nil, false))
	}
	for _, whole := range all {
		for n := range whole {
			cut := slices.Clone(whole[:n])
			if b, err := AppendText(nil, &f, cut, false); err == nil || b != nil {
				t.Errorf("%d bytes of %x: %s", n, whole, b)
			}
			if n >= headerLen { // the length agrees
				cut[6], cut[7] = byte(n), byte(n>>8)
				AppendText(nil, &f, cut, false) // no panic; a comm may be shorter
			}
		}
		for i := range whole {
			for bit := range 8 {
				bad := slices.Clone(whole)
				bad[i] ^= 1 << bit
				b, err := AppendText(nil, &f, bad, false)
				if lengths := i == 6 || i == 7; err == nil && lengths {
					t.Errorf("byte %d of %x: %s", i, bad, b)
				}
			}
		}
	}
	for name, change := range map[string]func([]byte){
		"the raw data are longer than the record":  func(b []byte) { b[24], b[27] = 0xff, 0xff },
		"the raw data are shorter than the format": func(b []byte) { b[24] = 8 },
		"no address family":                        func(b []byte) { b[headerLen+20+28] = 1 },
		"no protocol":                              func(b []byte) { b[headerLen+20+31] = 9 },
		"a state beyond the table":                 func(b []byte) { b[headerLen+20+18] = 1 },
		"the addresses disagree":                   func(b []byte) { b[headerLen+20+32] ^= 1 },
	} {
		bad := slices.Clone(all[0])
		change(bad)
		var got Event
		if err := f.Decode(&got, bad, false); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	namespaces := processes()[4].Append(nil, false)
	for _, n := range []byte{0, 2, 255} {
		namespaces[16] = n
		var p Process
		if err := DecodeProcess(&p, namespaces, false); err == nil {
			t.Errorf("%d namespaces: %+v", n, p)
		}
	}
	if err := f.Decode(new(Event), namespaces, false); err != errSample {
		t.Error(err)
	}
}

// FuzzRecord reads any bytes with any layout. What the usual layout can read is the same after it was written again.
func FuzzRecord(f *testing.F) {
	texts := [][]byte{read(f, "format-6.18"), read(f, "format-5.4"), nil}
	for i, r := range records(f) {
		f.Add(texts[i%len(texts)], r, false)
	}
	usual := UsualFormat()
	e := sample("10.0.0.1:0", "10.0.0.2:80")
	f.Add(texts[0], e.Append(nil, &usual, true), true)
	for _, p := range processes() {
		f.Add(texts[2], p.Append(nil, true), true)
	}
	f.Fuzz(func(t *testing.T, text, record []byte, bigEndian bool) {
		if g, err := ParseFormat(text); err == nil {
			AppendText(nil, &g, record, bigEndian)
			new(Event).Append(nil, &g, bigEndian)
		}
		if len(record) > 60<<10 {
			return // a text that grows to a multiple of 8 bytes may be too long
		}
		var e, again Event
		if usual.Decode(&e, record, bigEndian) == nil {
			if err := usual.Decode(&again, e.Append(nil, &usual, bigEndian), bigEndian); err != nil || again != e {
				t.Errorf("%+v became %+v (%v)", e, again, err)
			}
		}
		var p, q Process
		if DecodeProcess(&p, record, bigEndian) == nil {
			if err := DecodeProcess(&q, p.Append(nil, bigEndian), bigEndian); err != nil || q != p {
				t.Errorf("%+v became %+v (%v)", p, q, err)
			}
		}
	})
}
