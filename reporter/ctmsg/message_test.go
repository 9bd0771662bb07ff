package ctmsg

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// capture is one message of the testdata directory.
type capture struct {
	label string
	raw   []byte
}

func captures(t testing.TB) []capture {
	t.Helper()
	text, err := os.ReadFile("testdata/linux-6.18.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []capture
	for line := range strings.Lines(string(text)) {
		label, digits, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || label == "#" {
			continue
		}
		raw, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, capture{label, raw})
	}
	if len(all) == 0 {
		t.Fatal("no messages in testdata")
	}
	return all
}

// story writes a message as one line that a reviewer can read.
func story(m *Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v id=%d %s %v>%v reply %v>%v", m.Type, m.ID, ProtoName(m.Orig.Proto), m.Orig.Src(), m.Orig.Dst(), m.Reply.Src(), m.Reply.Dst())
	if m.Zone != 0 {
		fmt.Fprintf(&b, " zone=%d/%d", m.Zone, m.ZoneDir)
	}
	if m.HasStatus {
		fmt.Fprintf(&b, " %v", m.Status)
	}
	if m.HasState {
		fmt.Fprintf(&b, " state=%v", m.State)
	}
	if m.HasFlags {
		fmt.Fprintf(&b, " flags=%02x/%02x wscale=%d/%d", m.FlagsOrig, m.FlagsReply, m.WScaleOrig, m.WScaleReply)
	}
	if m.HasTimeout {
		fmt.Fprintf(&b, " timeout=%d", m.Timeout)
	}
	if m.HasMark {
		fmt.Fprintf(&b, " mark=%#x", m.Mark)
	}
	for _, c := range []Counters{m.CountersOrig, m.CountersReply} {
		if c.Has {
			fmt.Fprintf(&b, " %d/%dB", c.Packets, c.Bytes)
		}
	}
	if m.HasTimestamp {
		fmt.Fprintf(&b, " start=%d stop=%d", m.Start, m.Stop)
	}
	if m.EventTime != 0 {
		fmt.Fprintf(&b, " event=%d", m.EventTime)
	}
	return b.String()
}

// Every captured message decodes to its line of the golden file.
func TestCaptured(t *testing.T) {
	var got strings.Builder
	for _, c := range captures(t) {
		var m Message
		if err := m.Decode(c.raw, false); err != nil {
			t.Errorf("%s: %v", c.label, err)
		}
		fmt.Fprintf(&got, "%s: %s\n", c.label, story(&m))
	}
	compareGolden(t, "testdata/linux-6.18.golden", got.String())
}

// compareGolden compares got with a golden file, and rewrites the file with -update.
func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("messages differ from %s; got:\n%s", file, got)
	}
}

// FlagBeLiberal distinguishes a connection that was picked up in mid-stream from a handshake.
func TestPickup(t *testing.T) {
	for _, c := range captures(t) {
		var m Message
		if err := m.Decode(c.raw, false); err != nil {
			t.Fatal(err)
		}
		if !m.HasFlags || m.Type == Dump {
			continue
		}
		pickup := strings.Contains(c.label, "pick")
		if got := m.FlagsOrig&FlagBeLiberal != 0; got != pickup {
			t.Errorf("%s: %s: pickup %v", c.label, story(&m), got)
		}
	}
}

// Append writes an event as the kernel sent it, except the sequence number and port ID of the request that caused it.
// Dump entries have another order of attributes and a use count.
func TestAppendMatchesKernel(t *testing.T) {
	for _, c := range captures(t) {
		var m Message
		if err := m.Decode(c.raw, false); err != nil {
			t.Fatal(err)
		}
		if m.Type == Dump || m.Orig.Proto == protoICMP || m.Orig.Proto == protoICMPv6 {
			continue
		}
		want := bytes.Clone(c.raw)
		copy(want[8:nlHeaderLen], make([]byte, 8))
		if got := m.Append(nil, false); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", c.label, got, want)
		}
	}
}

// Generate returns a random Message that follows the rules in the comments of its fields.
func (Message) Generate(r *rand.Rand, _ int) reflect.Value {
	var m Message
	v := reflect.ValueOf(&m).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.CanUint() {
			f.SetUint(r.Uint64() >> (64 - f.Type().Bits()))
		} else if f.Kind() == reflect.Bool {
			f.SetBool(r.Intn(2) == 0)
		}
	}
	m.Type = Type(1 + r.Intn(4))
	m.Orig, m.Reply = randomTuple(r), randomTuple(r)
	m.ZoneDir = Dir(r.Intn(3))
	if r.Intn(2) == 0 {
		m.Zone = 0
	}
	if m.Zone == 0 {
		m.ZoneDir = Both
	}
	if !m.HasStatus {
		m.Status = 0
	}
	if !m.HasState {
		m.State = 0
	}
	if !m.HasFlags {
		m.FlagsOrig, m.FlagsReply, m.WScaleOrig, m.WScaleReply = 0, 0, 0, 0
	}
	if !m.HasTimeout {
		m.Timeout = 0
	}
	if !m.HasMark {
		m.Mark = 0
	}
	if !m.HasTimestamp {
		m.Start, m.Stop = 0, 0
	}
	for _, c := range []*Counters{&m.CountersOrig, &m.CountersReply} {
		if r.Intn(2) == 0 {
			*c = Counters{true, r.Uint64(), r.Uint64()}
		}
	}
	return reflect.ValueOf(m)
}

func randomTuple(r *rand.Rand) Tuple {
	t := Tuple{Proto: []uint8{protoTCP, protoTCP, protoUDP, protoICMP, protoICMPv6, uint8(r.Intn(256))}[r.Intn(6)]}
	addr := func() netip.Addr {
		var a [16]byte
		r.Read(a[:])
		if r.Intn(2) == 0 {
			return netip.AddrFrom4([4]byte(a[:4]))
		}
		return netip.AddrFrom16(a).Unmap()
	}
	var sport, dport uint16
	if hasPorts(t.Proto) {
		sport, dport = uint16(r.Uint32()), uint16(r.Uint32())
	}
	return TupleOf(netip.AddrPortFrom(addr(), sport), netip.AddrPortFrom(addr(), dport), t.Proto)
}

func TestAppendInverse(t *testing.T) {
	var got Message
	inverse := func(m Message, bigEndian bool, prefix []byte) bool {
		b := m.Append(bytes.Clone(prefix), bigEndian)
		return bytes.HasPrefix(b, prefix) && got.Decode(b[len(prefix):], bigEndian) == nil && got == m
	}
	if err := quick.Check(inverse, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

// Append and Decode keep a change of any single field, so that neither can lack a new field.
func TestEveryField(t *testing.T) {
	full, ok := quick.Value(reflect.TypeFor[Message](), rand.New(rand.NewSource(1)))
	if !ok {
		t.Fatal("no value")
	}
	base := full.Interface().(Message)
	base.HasStatus, base.HasState, base.HasFlags, base.HasTimeout, base.HasMark, base.HasTimestamp = true, true, true, true, true, true
	base.Orig.Proto, base.Reply.Proto = protoTCP, protoTCP
	base.Type, base.Zone, base.ZoneDir = New, 3, Both
	base.CountersOrig.Has, base.CountersReply.Has = true, true
	for _, path := range leaves(reflect.ValueOf(&base).Elem(), "") {
		m := base
		field := reflect.ValueOf(&m).Elem()
		for name := range strings.SplitSeq(path, ".") {
			field = field.FieldByName(name)
		}
		switch {
		case field.CanUint() && (path == "Type" || path == "ZoneDir"):
			field.SetUint(field.Uint() + 1)
		case field.CanUint() && strings.HasSuffix(path, "Proto"):
			field.SetUint(protoUDP)
		case field.CanUint():
			field.SetUint(field.Uint() ^ 1)
		default:
			continue // a Has field: TestAppendInverse
		}
		var got Message
		if err := got.Decode(m.Append(nil, false), false); err != nil || got != m {
			t.Errorf("%s: err %v\n got %+v\nwant %+v", path, err, got, m)
		}
		if got == base {
			t.Errorf("%s makes no difference", path)
		}
	}
}

func leaves(v reflect.Value, prefix string) []string {
	var all []string
	for i := range v.NumField() {
		f, name := v.Field(i), prefix+v.Type().Field(i).Name
		if f.Kind() == reflect.Struct {
			all = append(all, leaves(f, name+".")...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

func TestNoAllocation(t *testing.T) {
	all := captures(t)
	buf := make([]byte, 0, 1024)
	var m Message
	if n := testing.AllocsPerRun(100, func() {
		for _, c := range all {
			if m.Decode(c.raw, false) != nil {
				t.Fatal("not decoded")
			}
			m.Append(buf, false)
			if !errors.Is(m.Decode(c.raw[:20], false), errLength) {
				t.Fatal("decoded")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNames(t *testing.T) {
	for i := range 256 {
		if got, ok := ParseState(State(i).String()); !ok || got != State(i) {
			t.Errorf("state %d: %v %v", i, got, ok)
		}
		if got, ok := ParseProto(ProtoName(uint8(i))); !ok || got != uint8(i) {
			t.Errorf("protocol %d: %v %v", i, got, ok)
		}
		got, ok := ParseType(Type(i).String())
		if want := i >= int(New) && i <= int(Dump); ok != want || ok && got != Type(i) {
			t.Errorf("type %d: %v %v", i, got, ok)
		}
	}
	names := Status(1<<32 - 1).Names()
	if len(names) != 32 || names[1] != "SEEN_REPLY" || names[15] != "HW_OFFLOAD" || names[16] != "0x10000" {
		t.Errorf("%q", names)
	}
	for i, name := range names {
		if got, ok := ParseStatus(name); !ok || got != 1<<i {
			t.Errorf("%s: %v %v", name, got, ok)
		}
	}
	for _, bad := range []string{"", "3", "established", "256", "-1", "0x", "0x100000000"} {
		if _, ok := ParseState(bad); ok {
			t.Errorf("state %q", bad)
		}
		if _, ok := ParseStatus(bad); ok {
			t.Errorf("status %q", bad)
		}
	}
	if got := (SeenReply | Assured).String(); got != "SEEN_REPLY|ASSURED" {
		t.Error(got)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range captures(b) {
		if c.label != "tcp4-open" && c.label != "tcp6-open" && c.label != "tcp4-deleted" {
			continue
		}
		b.Run(fmt.Sprintf("%s/%dB", c.label, len(c.raw)), func(b *testing.B) {
			var m Message
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Decode(c.raw, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	var m Message
	if err := m.Decode(captures(b)[0].raw, false); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		m.Append(buf, false)
	}
}
