package wire

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// thing has a field of every type that a Coder knows.
type thing struct {
	u64   uint64
	i64   int64
	u32   uint32
	u8    uint8
	flag  bool
	text  string
	bytes []byte
	id    [4]byte
	parts []part
	names []string
}

type part struct{ n uint64 }

func (p *part) fields(c *Coder) { c.Uint64(&p.n) }

func (t *thing) fields(c *Coder) {
	c.Uint64(&t.u64)
	c.Int64(&t.i64)
	c.Uint32(&t.u32)
	c.Uint8(&t.u8)
	c.Bool(&t.flag)
	c.String(&t.text)
	c.Bytes(&t.bytes)
	c.Fixed(t.id[:])
	List(c, &t.parts, (*part).fields)
	Values(c, &t.names, (*Coder).String)
}

func full() *thing {
	return &thing{1 << 40, -5, 7, 255, true, "text\xff", []byte{1, 2}, [4]byte{1, 2, 3, 4}, []part{{1}, {2}}, []string{"a", ""}}
}

func TestObjectsRoundTrip(t *testing.T) {
	for _, want := range []*thing{full(), {}} {
		got := full()
		if len(want.text) == 0 {
			got = new(thing)
		}
		if err := Decode(Append(nil, want.fields), got.fields); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(Append(nil, got.fields), Append(nil, want.fields)) {
			t.Errorf("wrote %+v, read %+v", want, got)
		}
	}
}

// Every proper prefix of an object, and anything after it, is an error.
func TestPrefixesAreErrors(t *testing.T) {
	whole := Append(nil, full().fields)
	for n := range whole {
		if err := Decode(whole[:n], new(thing).fields); err == nil {
			t.Errorf("%d of %d bytes are accepted", n, len(whole))
		}
		if got, err := ValueLen(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes are a value of %d", n, len(whole), got)
		}
	}
	if err := Decode(append(bytes.Clone(whole), 0), new(thing).fields); err == nil {
		t.Error("a byte after the object is accepted")
	}
}

// A reader skips elements that it does not know, of any type, and keeps fields that the
// array lacks.
func TestObjectsOfOtherVersions(t *testing.T) {
	newer, err := msgpack.Marshal([]any{uint64(9), map[string]any{"a": []any{1.5, nil}}, "more"})
	if err != nil {
		t.Fatal(err)
	}
	var p part
	if err := Decode(newer, p.fields); err != nil || p.n != 9 {
		t.Errorf("%+v, %v", p, err)
	}
	p.n = 3
	if err := Decode([]byte{0x90}, p.fields); err != nil || p.n != 3 {
		t.Errorf("%+v, %v", p, err)
	}
}

// The functions for single values agree with the library.
func TestValuesAgreeWithTheLibrary(t *testing.T) {
	for _, v := range []any{uint64(0), uint64(127), uint64(128), uint64(1 << 16), uint64(1 << 32), []byte{}, bytes.Repeat([]byte{1}, 300), bytes.Repeat([]byte{2}, 70000)} {
		var b bytes.Buffer
		enc := msgpack.NewEncoder(&b)
		enc.UseCompactInts(true)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if n, err := ValueLen(b.Bytes()); n != b.Len() || err != nil {
			t.Errorf("%T: length %d, %v; want %d", v, n, err, b.Len())
		}
		switch v := v.(type) {
		case uint64:
			if got, n := Uint(b.Bytes()); got != v || n != b.Len() || !bytes.Equal(AppendUint(nil, v), b.Bytes()) {
				t.Errorf("%d is read as %d and written as % x", v, got, AppendUint(nil, v))
			}
		case []byte:
			if got, n := Bin(b.Bytes()); !bytes.Equal(got, v) || n != b.Len() || !bytes.Equal(AppendBin(nil, v), b.Bytes()) {
				t.Errorf("%d bytes are read as %d", len(v), len(got))
			}
		}
	}
}
