package reporter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// anyAddr makes any address; some are not valid.
func anyAddr(rng *rand.Rand) netip.Addr {
	var b [16]byte
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	switch rng.IntN(4) {
	case 0:
		return netip.AddrFrom4([4]byte(b[:4]))
	case 1:
		return netip.AddrFrom16(b)
	case 2:
		return netip.AddrFrom16(netip.AddrFrom4([4]byte(b[:4])).As16()) // mapped
	}
	return netip.Addr{}
}

// anyReport fills a report with arbitrary values, valid or not.
func anyReport(seed uint64) *report.Report {
	rng := rand.New(rand.NewPCG(seed, 1))
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Interface().(type) {
		case netip.Addr:
			v.Set(reflect.ValueOf(anyAddr(rng)))
			return
		case netip.AddrPort:
			v.Set(reflect.ValueOf(netip.AddrPortFrom(anyAddr(rng), uint16(rng.Uint32()))))
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Field(i).CanInterface() {
					fill(v.Field(i))
				}
			}
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), rng.IntN(3), 3))
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.String:
			b := make([]byte, rng.IntN(5))
			for i := range b {
				b[i] = "a\"\\\n\x00\x7fz\xff\xc3\xa9</"[rng.IntN(12)]
			}
			v.SetString(string(b))
		case reflect.Bool:
			v.SetBool(rng.IntN(2) == 0)
		case reflect.Int64:
			v.SetInt(int64(rng.Uint64()) >> rng.IntN(64))
		default:
			v.SetUint(rng.Uint64() >> (64 - v.Type().Bits()) >> rng.IntN(v.Type().Bits()))
		}
	}
	r := new(report.Report)
	fill(reflect.ValueOf(r).Elem())
	return r
}

// ParseReport reads everything that AppendJSON writes, and AppendJSON writes the same
// bytes again.
func TestParseIsTheInverseOfJSON(t *testing.T) {
	law := func(seed uint64) bool {
		want := anyReport(seed).AppendJSON(nil)
		r, err := report.ParseReport(append(bytes.Clone(want), '\n'))
		if err != nil {
			t.Errorf("%v: %s", err, want)
			return false
		}
		return cmp.Equal(string(want), string(r.AppendJSON(nil)))
	}
	if err := quick.Check(law, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
	for seed := range uint64(20) {
		if !law(seed) {
			t.Errorf("seed %d", seed)
		}
	}
}

// A parsed report has the values of the core's report.
func TestParseKeepsValues(t *testing.T) {
	h := newHost(t)
	h.Send(reportertest.Message{Type: 2, ID: 7, State: "ESTABLISHED", Flags: 3, Tuples: reportertest.DNAT})
	h.Walk(reportertest.Listen(7, "172.17.0.2:8080"), reportertest.Socket{Netns: 7, Row: "127.0.0.1:5>127.0.0.1:6", Inode: 4, Processes: []report.Process{{PID: 4, Comm: "x"}, {PID: 5, Comm: "y"}}})
	want := h.Pass(3).Report()
	got, err := report.ParseReport(want.AppendJSON(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Connections) < 2 {
		t.Fatal(want)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(report.Report{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

// Every deviation from the canonical JSON is an error. It describes the deviation and
// gives an offset within the changed text.
func TestParseRefuses(t *testing.T) {
	good := string((&report.Report{HostID: "h", Rules: "current", Connections: []report.Connection{{Proto: "tcp"}},
		Endpoints: []report.Endpoint{{Scope: "s", Addr: netip.MustParseAddrPort("10.0.0.1:80")}}}).AppendJSON(nil))
	if _, err := report.ParseReport([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct{ old, new, want string }{
		{`{"host"`, ` {"host"`, `in canonical JSON "{\"host\":`},
		{`"tick":0`, `"tick":00`, `invalid character '0'`},
		{`"tick":0`, `"tick":-1`, `cannot unmarshal number -1`},
		{`"tick":0`, `"tick":1.5`, `cannot unmarshal number 1.5`},
		{`"tick":0`, `"tick":"0"`, `cannot unmarshal string`},
		{`"tick":0`, `"tick":99999999999999999999`, `cannot unmarshal number 99999999999999999999`},
		{`"tick":0,`, `"tick":0, `, `in canonical JSON "\"at\":`},
		{`"tick":0`, `"tick":0,"tick":0`, `in canonical JSON "at\":`},
		{`"tick":0,`, ``, `in canonical JSON "tick\":0,`},
		{`"port":0`, `"port":65536`, `cannot unmarshal number 65536`},
		{`"port":0,"netns":0`, `"netns":0,"port":0`, `in canonical JSON "port\":0,`},
		{`"h"`, `"\u0068"`, `in canonical JSON "h\",`},
		{`"h"`, `"\x"`, `invalid character 'x' in string escape code`},
		{`"h"`, "\"\x01\"", `invalid character '\x01' in string literal`},
		{`"h"`, "\"\xff\"", `"\xff\",`},
		{`00:00Z`, `00:00+00:00`, `in canonical JSON "Z\",`},
		{`1970-`, `2970-`, `in canonical JSON "`},
		{`1970-`, `today-`, `cannot parse "today-`},
		{`"0s"`, `"0m0s"`, `in canonical JSON "s\",`},
		{`"0s"`, `"soon"`, `invalid duration "soon"`},
		{`"0s"`, `0`, `cannot unmarshal number`},
		{`"addr":""`, `"addr":"10.0.0.01"`, `ParseAddr("10.0.0.01")`},
		{`"addr":""`, `"addr":"FE80::1"`, `in canonical JSON "fe80::1\",`},
		{`"nat":[]`, `"nat":[{"original":{"src":"x"}}]`, `"x\"}}]`},
		{`"closed":false`, `"closed":no`, `invalid character 'o'`},
		{`"closed":false`, `"closed":false,"new":1`, `unknown field "new"`},
		{`"closed":false`, `"closed":true,"closed":false`, `in canonical JSON "false,`},
		{`"seen":[]`, `"seen":null`, `in canonical JSON "[]`},
		{`"seen":[]`, `"seen":[],"may_have_closed":false`, `in canonical JSON "}]`},
		{`"rules"`, `"Rules"`, `in canonical JSON "rules\":`},
		{`"s;10.0.0.1;80"`, `"s;10.0.0.1;81"`, `in canonical JSON ";10.0.0.1;80\"`},
		{`"s;10.0.0.1;80"`, `";10.0.0.1"`, `in canonical JSON ";10.0.0.1;80\"`},
		{`"names":[]}`, `"names":[]}` + "\n\n", `"\n" after the end`},
		{`"names":[]}`, `"names":[]}{}`, `"{}" after the end`},
		{`"names":[]}`, `"names":[]`, `unexpected EOF`},
		{good, `null`, `in canonical JSON "{\"host\":`},
		{good, `{}`, `in canonical JSON "\"host\":`},
		{good, ``, `unexpected EOF`},
		{good, strings.Repeat(`[`, 1e5), `exceeded max depth`},
	} {
		from := strings.Index(good, change.old)
		if from < 0 {
			t.Errorf("%s is not in %s", change.old, good)
			continue
		}
		bad := strings.Replace(good, change.old, change.new, 1)
		_, err := report.ParseReport([]byte(bad))
		if err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%.99s: %v, want %s", change.new, err, change.want)
			continue
		}
		at, to := 0, from+len(change.new)+1 // the quote after a removed field is in both
		if _, err := fmt.Sscanf(err.Error(), "report: byte %d: ", &at); err != nil || at < from || at > to {
			t.Errorf("%.99s: byte %d, want %d to %d: %v", change.new, at, from, to, err)
		}
	}
	for n := range good {
		if _, err := report.ParseReport([]byte(good[:n])); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), fmt.Sprintf("byte %d: ", n)) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := report.ParseReport([]byte(good + good)); err == nil {
		t.Error("two reports are accepted as one")
	}
}

// A connection is read as strictly as a report.
func TestParseConnectionIsStrict(t *testing.T) {
	for seed := range uint64(200) {
		for _, c := range anyReport(seed).Connections {
			text := c.AppendJSON(nil)
			again, err := report.ParseConnection(text)
			if err != nil || !bytes.Equal(again.AppendJSON(nil), text) {
				t.Errorf("%s: %v", text, err)
			}
			for _, bad := range []string{"", "null", "{}", string(text) + "\n", string(text[:len(text)-1]), string(text[:len(text)-1]) + `,"new":1}`} {
				if _, err := report.ParseConnection([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "connection: byte ") {
					t.Errorf("%s: %v", bad, err)
				}
			}
		}
	}
}

func FuzzParseReport(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(anyReport(seed).AppendJSON(nil))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := report.ParseReport(line)
		if err != nil {
			return
		}
		if again := r.AppendJSON(nil); !bytes.Equal(again, bytes.TrimSuffix(line, []byte{'\n'})) {
			t.Errorf("%s\n%s", line, again)
		}
	})
}
