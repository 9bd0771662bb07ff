package tape

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/topotape/topotape/capture"
)

// fill sets every field of a value, by reflection, to something that differs
// from field to field and from zero.
func fill(v reflect.Value, n *uint64) {
	switch v.Kind() {
	case reflect.Pointer:
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		*n++
		v.SetString("text " + string(rune('a'+*n%26)))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		*n++
		v.SetUint(*n%200 + 1)
	case reflect.Int64:
		*n++
		v.SetInt(-int64(*n))
	default:
		panic(v.Kind())
	}
}

func testHeader() *capture.Header {
	var h capture.Header
	n := uint64(0)
	fill(reflect.ValueOf(&h), &n)
	return &h
}

// testRecords is one record of every kind, with every field set. The end is last.
func testRecords() []capture.Record {
	var out []capture.Record
	n := uint64(0)
	for _, k := range kindsEndLast() {
		r := capture.Record{Seq: uint64(len(out)) + 1, At: int64(len(out)) * 1e6, Kind: k, Source: uint32(k) % 5}
		if p := k.New(); p != nil {
			fill(reflect.ValueOf(p), &n)
			r.Payload = capture.AppendPayload(nil, p)
		} else {
			r.Payload = []byte{1, 2, 3, byte(k)}
		}
		if k == capture.KindCarry {
			r.Seq = 0
		}
		out = append(out, r)
	}
	return out
}

func writeTape(t testing.TB, h *capture.Header, records []capture.Record, flushEvery int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := w.Write(&records[i]); err != nil {
			t.Fatal(err)
		}
		if flushEvery > 0 && i%flushEvery == flushEvery-1 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(b.Len()) {
		t.Fatalf("Size is %d, %d bytes were written", w.Size(), b.Len())
	}
	return b.Bytes()
}

// readAll reads a tape to its end: the records, the damage, how it ended.
func readAll(b []byte) (records []capture.Record, damage []*DamageError, ending Ending, err error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, nil, Unfinished, err
	}
	for {
		rec, err := r.Next()
		var d *DamageError
		switch {
		case err == nil:
			rec.Payload = bytes.Clone(rec.Payload)
			records = append(records, rec)
		case errors.As(err, &d):
			damage = append(damage, d)
		case err == io.EOF:
			return records, damage, r.Ending(), nil
		default:
			return records, damage, r.Ending(), err
		}
	}
}

func kindsEndLast() (kinds []capture.Kind) {
	for k := capture.KindSource; k.Known(); k++ {
		if k != capture.KindEnd {
			kinds = append(kinds, k)
		}
	}
	return append(kinds, capture.KindEnd)
}

func TestEveryFieldRoundTrips(t *testing.T) {
	for k := capture.KindSource; k.Known(); k++ {
		p := k.New()
		if p == nil {
			continue
		}
		n := uint64(0)
		fill(reflect.ValueOf(p), &n)
		r := capture.Record{Kind: k, Payload: capture.AppendPayload(nil, p)}
		q := k.New()
		if err := r.Decode(q); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		if !reflect.DeepEqual(p, q) {
			t.Errorf("%s:\nwrote %+v\nread  %+v", k, p, q)
		}
		zero := capture.Record{Kind: k, Payload: capture.AppendPayload(nil, k.New())}
		if err := zero.Decode(k.New()); err != nil {
			t.Errorf("%s, empty: %v", k, err)
		}
	}
	h := testHeader()
	r, err := NewReader(bytes.NewReader(writeTape(t, h, nil, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Header(), h) {
		t.Errorf("header:\nwrote %+v\nread  %+v", h, r.Header())
	}
}

func TestWholeTape(t *testing.T) {
	want := testRecords()
	for _, every := range []int{0, 1, 3} {
		b := writeTape(t, testHeader(), want, every)
		got, damage, ending, err := readAll(b)
		if err != nil || len(damage) > 0 || ending != Closed {
			t.Fatalf("flush every %d: %v, %v, %v", every, ending, damage, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("flush every %d: other records were read than written", every)
		}
		ix, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		var n uint64
		for _, e := range ix.Entries {
			for _, c := range e.Counts {
				n += c.Records
			}
		}
		if n != uint64(len(want)) || ix.Records != n || int64(ix.foot.lastAt) != want[len(want)-1].At {
			t.Errorf("index counts %d records to %d ns, the foot %d", n, int64(ix.foot.lastAt), ix.Records)
		}
		if again := writeTape(t, testHeader(), want, every); !bytes.Equal(again, b) {
			t.Error("the same records gave other bytes")
		}
	}
}

func isPrefix(got, want []capture.Record) bool {
	return len(got) <= len(want) && reflect.DeepEqual(append([]capture.Record{}, got...), append([]capture.Record{}, want[:len(got)]...))
}

// frameEnds lists the offsets at which frames end.
func frameEnds(t *testing.T, b []byte) map[int]bool {
	ends := make(map[int]bool)
	for at := 0; at < len(b); {
		var h frameHeader
		if err := h.parse(b[at:]); err != nil {
			t.Fatal(err)
		}
		at += frameHeaderLen + int(h.stored)
		ends[at] = true
	}
	return ends
}

func TestCutAtEveryByte(t *testing.T) {
	want := testRecords()
	b := writeTape(t, testHeader(), want, 3)
	ends := frameEnds(t, b)
	headEnd := len(b)
	for e := range ends {
		headEnd = min(headEnd, e)
	}
	for n := range len(b) + 1 {
		got, damage, ending, err := readAll(b[:n])
		if n < headEnd {
			if err == nil {
				t.Fatalf("cut at %d, in the head: no error", n)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		wantEnding := Torn
		switch {
		case n == len(b):
			wantEnding = Closed
		case ends[n]:
			wantEnding = Cut
		}
		if ending != wantEnding {
			t.Fatalf("cut at %d of %d: %v, want %v", n, len(b), ending, wantEnding)
		}
		if !isPrefix(got, want) {
			t.Fatalf("cut at %d: a wrong record", n)
		}
		if torn := ending == Torn; torn != (len(damage) == 1) || torn && (!damage[0].Torn || !errors.Is(damage[0], io.ErrUnexpectedEOF) || damage[0].Offset+damage[0].Ignored != int64(n)) {
			t.Fatalf("cut at %d: damage %v", n, damage)
		}
	}
}

// isSubsequence reports whether got is want with some records left out.
func isSubsequence(got, want []capture.Record) bool {
	for _, g := range got {
		for len(want) > 0 && !reflect.DeepEqual(g, want[0]) {
			want = want[1:]
		}
		if len(want) == 0 {
			return false
		}
		want = want[1:]
	}
	return true
}

func TestEveryByteFlipped(t *testing.T) {
	want := testRecords()
	whole := writeTape(t, testHeader(), want, 3)
	for at := 0; at < len(whole); at += sparse {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			b := bytes.Clone(whole)
			b[at] ^= mask
			got, damage, ending, err := readAll(b)
			if err != nil {
				continue // reported: in the head, or as a newer version
			}
			if len(damage) == 0 || ending == Closed {
				t.Fatalf("byte %d ^ %#x: not reported", at, mask)
			}
			if !isSubsequence(got, want) {
				t.Fatalf("byte %d ^ %#x: a wrong record", at, mask)
			}
			if len(damage) > 1 {
				t.Fatalf("byte %d ^ %#x: one flip, %d reports: %v", at, mask, len(damage), damage)
			}
		}
	}
}

func TestVersionAndDamageDiffer(t *testing.T) {
	b := writeTape(t, testHeader(), testRecords(), 3)
	newer := bytes.Clone(b)
	newer[offMajor] = '2'
	newer[offKind] ^= 0x55 // another layout altogether
	var v *VersionError
	if _, err := NewReader(bytes.NewReader(newer)); !errors.As(err, &v) || v.Major != 2 {
		t.Errorf("format 2: %v", err)
	}
	flipped := bytes.Clone(b)
	flipped[offMajor] ^= 3
	var d *DamageError
	if _, err := NewReader(bytes.NewReader(flipped)); !errors.As(err, &d) {
		t.Errorf("flipped version: %v", err)
	}
	for _, other := range []string{"", "x", "{\"tape\":{}}\n", "\x99\xa9topotap"} {
		_, err := NewReader(bytes.NewReader([]byte(other)))
		if err == nil {
			t.Errorf("%q was taken for a tape", other)
		}
	}
	for _, n := range []int{1, 20} {
		if _, err := NewReader(bytes.NewReader(bytes.Repeat([]byte("no tape "), n))); !errors.Is(err, ErrNotTape) {
			t.Errorf("something else: %v", err)
		}
	}
}
