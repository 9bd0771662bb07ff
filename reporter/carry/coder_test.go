package carry

import (
	"math"
	"net/netip"
	"reflect"
	"testing"
)

// everything has a field of each kind.
type everything struct {
	u8         uint8
	u64        uint64
	i32        int32
	i64        int64
	a, b, c    bool
	text       string
	blob       []byte
	list       []uint16
	addr, zone netip.Addr
	none       netip.Addr
	port       netip.AddrPort
	prefix     netip.Prefix
}

func (e *everything) carry(c *Coder) {
	Uint(c, &e.u8)
	Uint(c, &e.u64)
	Int(c, &e.i32)
	Int(c, &e.i64)
	c.Bools(&e.a, &e.b, &e.c)
	c.String(&e.text)
	c.Blob(&e.blob)
	List(c, &e.list, 1, func(c *Coder, p *uint16) { Uint(c, p) })
	c.Addr(&e.addr)
	c.Addr(&e.zone)
	c.Addr(&e.none)
	c.AddrPort(&e.port)
	c.Prefix(&e.prefix)
}

var values = []everything{
	{},
	{u8: 255, u64: math.MaxUint64, i32: math.MinInt32, i64: math.MinInt64, a: true, c: true, text: "text", blob: []byte{0, 1}, list: []uint16{1, 0, 65535},
		addr: netip.MustParseAddr("10.0.0.1"), zone: netip.MustParseAddr("fe80::1%eth0"), port: netip.MustParseAddrPort("[2001:db8::1]:53"),
		prefix: netip.MustParsePrefix("10.0.0.0/8")},
	{i32: math.MaxInt32, i64: math.MaxInt64, b: true, addr: netip.MustParseAddr("::ffff:10.0.0.1"), port: netip.MustParseAddrPort("127.0.0.1:0"),
		prefix: netip.MustParsePrefix("::/0")},
}

func bytesOf(c *Coder) (b []byte) {
	for part := range c.State().Parts() {
		b = append(b, part...)
	}
	return b
}

// reader returns a Coder that reads bytes from parts of all lengths from 1 on.
func reader(b []byte) *Coder {
	var s State
	for n := 1; len(b) > 0; n++ {
		n = min(n, len(b))
		s.Add(b[:n])
		b = b[n:]
	}
	return NewReader(&s)
}

func TestReaderReadsWhatWasWritten(t *testing.T) {
	for i, want := range values[1:] {
		w := NewWriter()
		want.carry(w)
		if w.Err() != nil {
			t.Fatal(w.Err())
		}
		var got everything
		r := NewReader(w.State())
		if got.carry(r); r.Err() != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %v\n got %+v\nwant %+v", i, r.Err(), got, want)
		}
		for n := range bytesOf(w) {
			r := reader(bytesOf(w)[:n])
			if got.carry(r); r.Err() == nil {
				t.Errorf("%d: %d of %d bytes are enough", i, n, len(bytesOf(w)))
			}
		}
		r = reader(bytesOf(w))
		if got.carry(r); r.Err() != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d, in parts: %v\n got %+v\nwant %+v", i, r.Err(), got, want)
		}
		r = reader(append(bytesOf(w), 0))
		if got.carry(r); r.Err() == nil {
			t.Errorf("%d: an additional byte is no error", i)
		}
	}
}

func TestNumbersThatDoNotFit(t *testing.T) {
	for name, read := range map[string]func(c *Coder){
		"uint8":  func(c *Coder) { var v uint8; Uint(c, &v) },
		"int32":  func(c *Coder) { var v int32; Int(c, &v) },
		"flags":  func(c *Coder) { var v bool; c.Bools(&v) },
		"length": func(c *Coder) { var v []uint64; List(c, &v, 1, func(c *Coder, p *uint64) { Uint(c, p) }) },
		"addr":   func(c *Coder) { var v netip.Addr; c.Addr(&v) },
		"check":  func(c *Coder) { var v uint64; Uint(c, &v); c.Check(v < 1<<32) },
	} {
		w, v := NewWriter(), uint64(1)<<40
		Uint(w, &v)
		r := NewReader(w.State())
		if read(r); r.Err() == nil || r.OK() {
			t.Errorf("%s: %d is no error", name, v)
		}
	}
	r := reader([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}) // over 64 bits
	var v uint64
	if Uint(r, &v); r.OK() || v != 0 {
		t.Error(v)
	}
}

func FuzzReader(f *testing.F) {
	for i := range values {
		w := NewWriter()
		values[i].carry(w)
		f.Add(bytesOf(w))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e everything
		r := reader(b)
		e.carry(r)
		if r.Err() != nil {
			return
		}
		w := NewWriter()
		e.carry(w)
		var again everything
		if r := NewReader(w.State()); true {
			if again.carry(r); r.Err() != nil || !reflect.DeepEqual(again, e) {
				t.Fatalf("%v\n got %+v\nwant %+v", r.Err(), again, e)
			}
		}
	})
}
