package capture

import (
	"bytes"
	"strings"
	"testing"
)

func TestOlderAndNewerPayloads(t *testing.T) {
	old := Record{Kind: KindGap, Payload: []byte{0x91, 7}} // a version with one field
	var g Gap
	if err := old.Decode(&g); err != nil || g.Lost != 7 || g.Why != "" {
		t.Errorf("one field: %+v, %v", g, err)
	}
	newer := Record{Kind: KindGap, Payload: []byte{0x96, 7, 1, 0xa1, 'x', 5, 0x92, 0xc0, 0x81, 1, 2, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0}}
	g = Gap{}
	if err := newer.Decode(&g); err != nil || g != (Gap{Lost: 7, Exact: true, Why: "x", Since: 5}) {
		t.Errorf("two fields more: %+v, %v", g, err)
	}
	for _, bad := range [][]byte{nil, {0x93}, {0x93, 7, 1}, {0xdd, 0xff, 0xff, 0xff, 0xff}, {0x93, 7, 1, 0xdb, 0xff, 0xff, 0xff, 0xff}, {0x93, 7, 1, 0xa0, 0}} {
		r := Record{Seq: 3, Kind: KindGap, Payload: bad}
		if err := r.Decode(new(Gap)); err == nil || !strings.Contains(err.Error(), "record 3 (gap)") {
			t.Errorf("% x: %v", bad, err)
		}
	}
	if err := old.Decode(new(Tick)); err == nil {
		t.Error("a gap was decoded as a tick")
	}
}

// FuzzPayload decodes any bytes as the payload of any kind. A payload that can be
// decoded is the same after it was encoded and decoded again.
func FuzzPayload(f *testing.F) {
	for k := KindSource; k.Known(); k++ {
		if p := k.New(); p != nil {
			f.Add(uint8(k), AppendPayload(nil, p))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		r := Record{Kind: Kind(kind), Payload: payload}
		p, again := r.Kind.New(), r.Kind.New()
		if p == nil {
			return
		}
		if r.Decode(p) != nil {
			return
		}
		r.Payload = AppendPayload(nil, p)
		if err := r.Decode(again); err != nil {
			t.Fatalf("%+v was written as %x: %v", p, r.Payload, err)
		}
		if !bytes.Equal(AppendPayload(nil, again), r.Payload) {
			t.Errorf("%+v became %+v", p, again)
		}
	})
}
