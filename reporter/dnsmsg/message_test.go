package dnsmsg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// pack makes a response to the question "name type", with records in zone file form. Records after "--" are additional.
func pack(t testing.TB, question string, records ...string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.Id, m.Response, m.Compress = 4711, true, true
	name, typ, _ := strings.Cut(question, " ")
	m.Question = []dns.Question{{Name: name, Qtype: dns.StringToType[typ], Qclass: dns.ClassINET}}
	section := &m.Answer
	for _, s := range records {
		if s == "--" {
			section = &m.Extra
			continue
		}
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		*section = append(*section, rr)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func answers(t testing.TB, b []byte) string {
	t.Helper()
	var m Message
	if err := m.Decode(b); err != nil {
		t.Fatalf("%v\n%x", err, b)
	}
	return line(m.Answers(nil))
}

func line(all []Answer) string {
	var s []string
	for _, a := range all {
		s = append(s, fmt.Sprintf("%v %s %d", a.Addr, a.Name, a.TTL))
	}
	return strings.Join(s, ", ")
}

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		question string
		records  []string
		want     string
	}{
		"plain":                 {"db.internal. A", []string{"db.internal. 60 IN A 172.17.0.2"}, "172.17.0.2 db.internal 60"},
		"AAAA":                  {"db.internal. AAAA", []string{"db.internal. 60 IN AAAA 2001:db8::2"}, "2001:db8::2 db.internal 60"},
		"mapped":                {"a. AAAA", []string{"a. 60 IN AAAA ::ffff:10.0.0.1"}, "10.0.0.1 a 60"},
		"the other family":      {"a. A", []string{"a. 5 IN AAAA 2001:db8::2"}, "2001:db8::2 a 5"},
		"no records":            {"db.internal. A", nil, ""},
		"another name":          {"db.internal. A", []string{"x.internal. 60 IN A 172.17.0.2"}, ""},
		"several hops":          {"graph.facebook.com. A", []string{"graph.facebook.com. 300 IN CNAME api.facebook.com.", "api.facebook.com. 20 IN CNAME star.c10r.facebook.com.", "star.c10r.facebook.com. 60 IN A 31.13.66.4"}, "31.13.66.4 graph.facebook.com 20"},
		"hops out of order":     {"a. A", []string{"c. 9 IN A 10.0.0.1", "b. 8 IN CNAME c.", "a. 7 IN CNAME b."}, "10.0.0.1 a 7"},
		"loop":                  {"a. A", []string{"a. 9 IN CNAME b.", "b. 9 IN CNAME a.", "b. 5 IN A 10.0.0.1"}, "10.0.0.1 a 5"},
		"points to itself":      {"a. A", []string{"a. 9 IN CNAME a.", "a. 5 IN A 10.0.0.1"}, "10.0.0.1 a 5"},
		"mixed case":            {"MiXed.eX. A", []string{"mixed.EX. 9 IN CNAME TARGET.", "target. 5 IN A 10.0.0.1"}, "10.0.0.1 mixed.ex 5"},
		"additional":            {"a. A", []string{"a. 9 IN CNAME b.", "--", "b. 5 IN A 10.0.0.1", "ns. 7 IN A 10.0.0.2"}, "10.0.0.1 a 5"},
		"sorted":                {"a. A", []string{"a. 9 IN A 10.0.0.9", "a. 8 IN A 10.0.0.1", "a. 7 IN AAAA ::1"}, "10.0.0.1 a 8, 10.0.0.9 a 9, ::1 a 7"},
		"twice, longest TTL":    {"a. A", []string{"a. 5 IN A 10.0.0.1", "a. 9 IN A 10.0.0.1", "a. 7 IN A 10.0.0.1"}, "10.0.0.1 a 9"},
		"first way counts":      {"a. A", []string{"a. 5 IN CNAME b.", "a. 9 IN CNAME b.", "b. 8 IN A 10.0.0.1"}, "10.0.0.1 a 5"},
		"other records":         {"a. A", []string{"a. 5 IN TXT x", "a. 5 CH A 10.0.0.1", "a. 5 IN MX 1 b.", "b. 5 IN A 10.0.0.2"}, ""},
		"asked for HTTPS":       {"a. HTTPS", []string{"a. 5 IN A 10.0.0.1"}, ""},
		"asked for CNAME":       {"a. CNAME", []string{"a. 5 IN CNAME b.", "b. 5 IN A 10.0.0.1"}, ""},
		"TTL beyond 31 bits":    {"a. A", []string{"a. 4294967295 IN A 10.0.0.1"}, "10.0.0.1 a 0"},
		"the root":              {". A", []string{". 5 IN A 10.0.0.1"}, ""},
		"odd bytes":             {`a\.b\\\000\200\032\"c.D. A`, []string{`a\.b\\\000\200\032\"C.d. 5 IN A 10.0.0.1`}, `10.0.0.1 a\.b\\\000\200\032"c.d 5`},
		"a dot is no separator": {`a\.b. A`, []string{"a.b. 5 IN A 10.0.0.1"}, ""},
	} {
		if got := answers(t, pack(t, test.question, test.records...)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// Only a successful response to a query of class IN has answers. Other messages are no error.
func TestNoAnswers(t *testing.T) {
	good := pack(t, "a. A", "a. 5 IN A 10.0.0.1")
	if answers(t, good) == "" {
		t.Fatal("no answer")
	}
	for name, change := range map[string]func(b []byte){
		"query":  func(b []byte) { b[2] &^= 0x80 },
		"opcode": func(b []byte) { b[2] |= 2 << 3 },
		"rcode":  func(b []byte) { b[3] |= 3 },
		"class":  func(b []byte) { b[18] = 3 },
	} {
		b := bytes.Clone(good)
		change(b)
		if got := answers(t, b); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	opt := pack(t, "a. A", "a. 5 IN A 10.0.0.1", "--")
	opt[11]++                                                             // ARCOUNT
	opt = append(opt, 0, 0, 41, 0x10, 0, 1 /* extended */, 0, 0, 0, 0, 0) // BADVERS
	var m Message
	if err := m.Decode(opt); err != nil || m.Rcode != 16 || m.Answers(nil) != nil {
		t.Errorf("extended rcode: %v %+v", err, m.header)
	}
}

func TestHeader(t *testing.T) {
	b := pack(t, "A.b. AAAA", "a.B. 5 IN CNAME C.", "--", "c. 6 IN A 10.0.0.1")
	b[2], b[3] = 0x80|0x04|0x02|0x01, 0x80|3
	var m Message
	if err := m.Decode(b); err != nil {
		t.Fatal(err)
	}
	want := header{ID: 4711, Response: true, Authoritative: true, Truncated: true, RecursionDesired: true, RecursionAvailable: true, Rcode: 3}
	if m.header != want {
		t.Errorf("%+v", m.header)
	}
	if q := m.Questions[0]; len(m.Questions) != 1 || m.QuestionName(q) != "A.b" || q.Type != typeAAAA || q.Class != ClassIN {
		t.Errorf("%+v", m.Questions)
	}
	if r := m.Records[0]; m.Owner(r) != "a.B" || m.Target(r) != "C" || r.TTL != 5 || r.Addr.IsValid() {
		t.Errorf("%+v", r)
	}
	if r := m.Records[1]; m.Owner(r) != "c" || m.Target(r) != "" || r.Addr != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("%+v owner %s", r, m.Owner(r))
	}
	if TypeName(28) != "AAAA" || TypeName(65280) != "TYPE65280" || RcodeName(3) != "NXDOMAIN" || RcodeName(16) != "RCODE16" {
		t.Error("names")
	}
}

func TestSeveralQuestions(t *testing.T) {
	m := dns.Msg{Question: make([]dns.Question, 9)}
	m.Response = true
	for i := range m.Question {
		name := fmt.Sprintf("n%d.", i)
		m.Question[i] = dns.Question{Name: name, Qtype: dns.TypeA, Qclass: dns.ClassINET}
		rr, _ := dns.NewRR(name + " 5 IN CNAME z.")
		m.Answer = append(m.Answer, rr)
	}
	rr, _ := dns.NewRR("z. 5 IN A 10.0.0.1")
	m.Answer = append(m.Answer, rr)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got := answers(t, b); strings.Count(got, "10.0.0.1") != maxQuestions {
		t.Error(got)
	}
}

// raw makes a response with one question: a header with the given number of answers, and the given bytes.
func raw(answers int, body ...byte) []byte {
	return append([]byte{0, 1, 0x80, 0, 0, 1, 0, byte(answers), 0, 0, 0, 0}, body...)
}

func TestMalformedMessages(t *testing.T) {
	label := append([]byte{63}, bytes.Repeat([]byte{'x'}, 63)...)
	long := bytes.Repeat(label, 3)
	question := []byte{1, 'a', 0, 0, 1, 0, 1}
	record := func(typ byte, data ...byte) []byte {
		return append([]byte{0xc0, 12, 0, typ, 0, 1, 0, 0, 0, 5, 0, byte(len(data))}, data...)
	}
	answer := func(r []byte) []byte { return raw(1, append(bytes.Clone(question), r...)...) }
	for name, test := range map[string]struct {
		b   []byte
		err error
	}{
		"good":                         {answer(record(1, 10, 0, 0, 1)), nil},
		"nothing":                      {nil, errShort},
		"header cut":                   {make([]byte, 11), errShort},
		"header alone":                 {make([]byte, 12), nil},
		"too long":                     {make([]byte, 1<<16), errLong},
		"no question":                  {raw(0), errShort},
		"question without class":       {raw(0, 1, 'a', 0, 0, 1, 0), errShort},
		"label leaves the message":     {raw(0, 9, 'a', 0, 0, 1, 0, 1), errShort},
		"pointer cut":                  {raw(0, 0xc0), errShort},
		"pointer to itself":            {raw(0, 0xc0, 12, 0, 1, 0, 1), errName},
		"pointer forward":              {raw(0, 0xc0, 14, 0, 0, 1, 0, 1), errName},
		"pointer into its own name":    {raw(0, 1, 'a', 0xc0, 12, 0, 1, 0, 1), errName},
		"pointer beyond the message":   {raw(0, 0xff, 0xff, 0, 1, 0, 1), errName},
		"label type 01":                {raw(0, 0x41, 'a', 0, 0, 1, 0, 1), errName},
		"label type 10":                {raw(0, 0x81, 'a', 0, 0, 1, 0, 1), errName},
		"name of 255 bytes":            {raw(0, append(append(bytes.Clone(long), append([]byte{61}, label[1:62]...)...), 0, 0, 1, 0, 1)...), nil},
		"name of 256 bytes":            {raw(0, append(append(bytes.Clone(long), append([]byte{62}, label[1:63]...)...), 0, 0, 1, 0, 1)...), errName},
		"no record":                    {raw(1, question...), errShort},
		"record cut":                   {answer(record(1, 10, 0, 0, 1)[:11]), errShort},
		"data cut":                     {answer(record(1, 10, 0, 0, 1)[:15]), errShort},
		"A of 3 bytes":                 {answer(record(1, 10, 0, 0)), errData},
		"A of no bytes":                {answer(record(1)), errData},
		"AAAA of 4 bytes":              {answer(record(28, 10, 0, 0, 1)), errData},
		"CNAME shorter than its data":  {answer(record(5, 1, 'b', 0, 0)), errData},
		"CNAME leaves its data":        {append(answer(record(5, 1, 'b')), 0), errShort},
		"data of another type is free": {answer(record(16, 255)), nil},
		"bytes after the message":      {append(answer(record(1, 10, 0, 0, 1)), 1, 2, 3), nil},
	} {
		var m Message
		if err := m.Decode(test.b); err != test.err {
			t.Errorf("%s: %v, want %v", name, err, test.err)
		} else if err != nil && (len(m.Questions) > 0 || len(m.Records) > 0 || m.header != (header{})) {
			t.Errorf("%s: leaves %+v", name, m)
		}
	}
}

// The number of compression pointers in a name is limited.
func TestPointerChain(t *testing.T) {
	for _, hops := range []int{maxPointers, maxPointers + 1} {
		b := raw(1, 0, 0, 1, 0, 1) // the root's question, its name at 12
		b = append(b, 0, 0, 16, 0, 1, 0, 0, 0, 5)
		b = binary.BigEndian.AppendUint16(b, uint16(2*hops-2))
		target := 12
		for range hops - 1 {
			b = binary.BigEndian.AppendUint16(b, 0xc000|uint16(target))
			target = len(b) - 2
		}
		b[7]++
		b = binary.BigEndian.AppendUint16(b, 0xc000|uint16(target))
		b = append(b, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 1)
		var m Message
		if err := m.Decode(b); (err == nil) != (hops <= maxPointers) {
			t.Errorf("%d pointers: %v", hops, err)
		}
	}
}

// Every prefix is an error; no flipped bit panics.
func TestDamagedMessage(t *testing.T) {
	b := pack(t, "a.example. A", "a.example. 5 IN CNAME b.example.", "b.example. 5 IN A 10.0.0.1", "--", "b.example. 5 IN AAAA ::1")
	var m Message
	for n := range b {
		if m.Decode(b[:n]) == nil {
			t.Errorf("%d of %d bytes decoded", n, len(b))
		}
	}
	for i := range b {
		for bit := range 8 {
			d := bytes.Clone(b)
			d[i] ^= 1 << bit
			if m.Decode(d) == nil {
				m.Answers(nil)
			}
		}
	}
}

// A reused Message gives the same answers as a new one, appends them, and decodes without allocation.
func TestReuse(t *testing.T) {
	big := make([]string, 200)
	for i := range big {
		big[i] = fmt.Sprintf("h%d.example. 5 IN A 10.0.0.%d", i, i)
	}
	all := [][]byte{
		pack(t, "h7.example. A", big...),
		pack(t, "a. A", "a. 5 IN A 10.0.0.1"),
		pack(t, "b. A", "b. 5 IN CNAME c.", "c. 5 IN A 10.0.0.2"),
		{1, 2, 3},
	}
	var m Message
	var list []Answer
	for range 2 {
		for _, b := range all {
			var fresh Message
			err, want := m.Decode(b), fresh.Decode(b)
			if err != want || !reflect.DeepEqual(append([]Answer{}, m.Answers(nil)...), append([]Answer{}, fresh.Answers(nil)...)) {
				t.Errorf("reused: %v, fresh: %v", err, want)
			}
			n := len(list)
			list = m.Answers(list)
			if line(list[n:]) != line(m.Answers(nil)) {
				t.Errorf("appended: %s", line(list))
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range all {
			_ = m.Decode(b)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The most memory that a message can need is bounded, and the next use frees it.
func TestHostileMessage(t *testing.T) {
	name := append(bytes.Repeat(append([]byte{62}, bytes.Repeat([]byte{'x'}, 62)...), 3), 61)
	name = append(name, bytes.Repeat([]byte{'y'}, 61)...)
	b := raw(0, append(append(name, 0), 0, 1, 0, 1)...)
	n := 0
	for ; len(b)+18 <= 0xffff; n++ {
		b = append(b, 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 5, 0, 2, 0xc0, 12)
	}
	binary.BigEndian.PutUint16(b[6:], uint16(n))
	var m Message
	if err := m.Decode(b); err != nil || len(m.Records) != n || len(m.Answers(nil)) != 0 {
		t.Fatalf("%v, %d records", err, len(m.Records))
	}
	if len(m.arena) > 3<<20 {
		t.Errorf("%d bytes of names", len(m.arena))
	}
	if m.Decode(nil) == nil || cap(m.arena) > maxKept {
		t.Errorf("keeps %d bytes", cap(m.arena))
	}
}

func BenchmarkMessage(b *testing.B) {
	msg := pack(b, "graph.facebook.com. A", "graph.facebook.com. 300 IN CNAME api.facebook.com.",
		"api.facebook.com. 20 IN CNAME star.c10r.facebook.com.", "star.c10r.facebook.com. 60 IN A 31.13.66.4")
	b.Run("Decode", func(b *testing.B) {
		var m Message
		b.ReportAllocs()
		for b.Loop() {
			if err := m.Decode(msg); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Answers", func(b *testing.B) {
		var m Message
		var list []Answer
		b.ReportAllocs()
		for b.Loop() {
			if err := m.Decode(msg); err != nil {
				b.Fatal(err)
			}
			if list = m.Answers(list[:0]); len(list) != 1 {
				b.Fatal(list)
			}
		}
	})
}
