package tape_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/tinylib/msgp/msgp"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A sample is a file of tapes.
type sample struct {
	name  string
	bytes []byte
	sound int64    // bytes before the first damage
	ends  []string // for each tape: closed, cut or torn; "too new" at the end
}

// samples are the conformance tapes, the frozen ones and shipped fixtures.
func samples(t *testing.T) (list []sample) {
	t.Helper()
	var index []struct {
		File   string
		Tapes  []struct{ Ending string }
		Damage []struct{ Offset int64 }
		Error  *struct {
			Kind   string
			Offset int64
		}
	}
	text, err := os.ReadFile("testdata/conformance/index.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	for _, e := range index {
		s := sample{name: filepath.Join("testdata/conformance", e.File), sound: -1}
		for _, end := range e.Tapes {
			s.ends = append(s.ends, end.Ending)
		}
		if e.Error != nil {
			s.sound = e.Error.Offset
			kind := map[string]string{"too new": "too new", "damaged": "torn"}[e.Error.Kind]
			if n := len(s.ends); n > 0 && s.ends[n-1] == "" {
				s.ends = s.ends[:n-1]
			}
			s.ends = append(s.ends, kind)
		}
		if len(e.Damage) > 0 {
			s.sound = e.Damage[0].Offset
		}
		list = append(list, s)
	}
	for _, pattern := range []string{"../../fixtures/lab-gateway/*.tape", "../../fixtures/generated/*0/*.tape", "testdata/frozen/*.tape"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no tapes in %s (%v)", pattern, err)
		}
		for _, name := range names {
			list = append(list, sample{name: name, sound: -1, ends: []string{"closed"}})
		}
	}
	for i := range list {
		s := &list[i]
		if s.bytes, err = os.ReadFile(s.name); err != nil {
			t.Fatal(err)
		}
		if s.sound < 0 {
			s.sound = int64(len(s.bytes))
		}
	}
	return list
}

// foreign is a record as tinylib/msgp reads it.
type foreign struct {
	kind, seq, at, source uint64
	payload               any
	bytes                 []byte // of the payload as it is on the tape
}

// walk reads every byte of a sample's sound part with tinylib/msgp.
func (s *sample) walk(t *testing.T) (heads []any, list []foreign) {
	t.Helper()
	unpacker, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacker.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	whole := s.bytes[:s.sound]
	for b := whole; len(b) > 0; {
		frame := b
		n, b2, err := msgp.ReadArrayHeaderBytes(b)
		must(err)
		sync, b2, err := msgp.ReadStringBytes(b2)
		must(err)
		if n != 9 || sync != "topotape1" {
			t.Fatalf("%s: frame of %d elements begins with %q", s.name, n, sync)
		}
		var number [7]uint64 // kind, coding, number, file id, plain length, CRC of the payload, of the header
		for i := range number {
			number[i], b2, err = msgp.ReadUint64Bytes(b2)
			must(err)
		}
		payload, rest, err := msgp.ReadBytesZC(b2)
		must(err)
		b = rest
		table := crc32.MakeTable(crc32.Castagnoli)
		if uint64(crc32.Checksum(payload, table)) != number[5] ||
			uint64(crc32.Update(crc32.Checksum(frame[:44], table), table, frame[48:53])) != number[6] {
			t.Fatalf("%s: a frame fails its checksums", s.name)
		}
		if number[0] >= 64 {
			continue
		}
		if number[1] == 1 {
			payload, err = unpacker.DecodeAll(payload, nil)
			must(err)
		}
		if uint64(len(payload)) != number[4] {
			t.Fatalf("%s: %d bytes where %d were announced", s.name, len(payload), number[4])
		}
		if number[0] == 2 {
			list = append(list, chunk(t, payload)...)
			continue
		}
		v, rest, err := msgp.ReadIntfBytes(payload)
		must(err)
		if len(rest) > 0 {
			t.Errorf("%s: %d bytes after the payload of a frame of kind %d", s.name, len(rest), number[0])
		}
		if number[0] == 1 {
			heads = append(heads, v)
		}
	}
	return heads, list
}

func chunk(t *testing.T, b []byte) (list []foreign) {
	t.Helper()
	for len(b) > 0 {
		n, rest, err := msgp.ReadArrayHeaderBytes(b)
		if err != nil || n < 5 {
			t.Fatalf("record of %d elements: %v", n, err)
		}
		var r foreign
		for _, p := range []*uint64{&r.kind, &r.seq, &r.at, &r.source} {
			if *p, rest, err = msgp.ReadUint64Bytes(rest); err != nil {
				t.Fatal(err)
			}
		}
		from := rest
		if r.payload, rest, err = msgp.ReadIntfBytes(rest); err != nil {
			t.Fatal(err)
		}
		r.bytes = from[:len(from)-len(rest)]
		for range n - 5 {
			if rest, err = msgp.Skip(rest); err != nil {
				t.Fatal(err)
			}
		}
		list, b = append(list, r), rest
	}
	return list
}

// same compares a value that this package read with that of another reader.
// Elements that only this package knows must be zero.
func same(ours reflect.Value, theirs any) error {
	var flat []reflect.Value
	var flatten func(reflect.Value)
	flatten = func(v reflect.Value) { // Digests and Derived have no array of their own
		for i := range v.NumField() {
			f := v.Field(i)
			switch {
			case f.Kind() == reflect.Struct:
				flatten(f)
			case f.Kind() == reflect.Array && f.Type().Elem().Kind() != reflect.Uint8:
				for j := range f.Len() {
					flat = append(flat, f.Index(j))
				}
			default:
				flat = append(flat, f)
			}
		}
	}
	switch v := ours; v.Kind() {
	case reflect.Struct:
		flatten(v)
		array, ok := theirs.([]any)
		if !ok {
			return fmt.Errorf("%T is no array", theirs)
		}
		for i, f := range flat {
			if i < len(array) {
				if err := same(f, array[i]); err != nil {
					return fmt.Errorf("element %d: %w", i, err)
				}
			} else if !f.IsZero() {
				return fmt.Errorf("element %d of %d is %v", i, len(array), f)
			}
		}
		return nil
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b, ok := theirs.([]byte)
			if v.Kind() == reflect.Array {
				a := reflect.New(v.Type()).Elem()
				reflect.Copy(a, reflect.ValueOf(b))
				ok = ok && len(b) == v.Len() && a.Interface() == v.Interface()
			} else {
				ok = ok && bytes.Equal(b, v.Bytes())
			}
			if !ok {
				return fmt.Errorf("%v here, %v there", v, theirs)
			}
			return nil
		}
		array, ok := theirs.([]any)
		if !ok || len(array) != v.Len() {
			return fmt.Errorf("%v here, %v there", v, theirs)
		}
		for i := range array {
			if err := same(v.Index(i), array[i]); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	case reflect.Bool:
		ours = reflect.ValueOf(map[bool]int{false: 0, true: 1}[v.Bool()])
	}
	if fmt.Sprintf("%v", ours) != fmt.Sprintf("%v", theirs) || (ours.Kind() == reflect.String) != (reflect.TypeOf(theirs).Kind() == reflect.String) {
		return fmt.Errorf("%v here, %v (%T) there", ours, theirs, theirs)
	}
	return nil
}

// tinylib/msgp walks every byte of every tape and finds the header and the
// records that the Reader finds, of the kinds that it knows.
func TestMsgpReadsTheSame(t *testing.T) {
	for _, s := range samples(t) {
		heads, theirs := s.walk(t)
		r, err := tape.NewReader(bytes.NewReader(s.bytes[:s.sound]))
		compared := 0
		for more := err == nil; more; {
			if len(heads) == 0 {
				t.Fatalf("%s: a tape too many", s.name)
			}
			if err := same(reflect.ValueOf(*r.Header()), heads[0]); err != nil {
				t.Errorf("%s: header: %v", s.name, err)
			}
			heads = heads[1:]
			for {
				rec, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				for len(theirs) > 0 && !capture.Kind(theirs[0].kind).Known() {
					theirs = theirs[1:]
				}
				if len(theirs) == 0 {
					t.Fatalf("%s: record %d is there only for one", s.name, rec.Seq)
				}
				if err := sameRecord(&rec, &theirs[0]); err != nil {
					t.Errorf("%s: record %d (%s): %v", s.name, rec.Seq, rec.Kind, err)
				}
				theirs = theirs[1:]
				compared++
			}
			if more, err = r.NextTape(); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
		}
		for _, r := range theirs {
			if capture.Kind(r.kind).Known() {
				t.Errorf("%s: the Reader misses record %d", s.name, r.seq)
			}
		}
		if len(heads) > 0 || compared == 0 && s.sound > 700 {
			t.Errorf("%s: %d records compared, %d heads left", s.name, compared, len(heads))
		}
	}
}

func sameRecord(r *capture.Record, f *foreign) error {
	if uint64(r.Kind) != f.kind || r.Seq != f.seq || uint64(r.At) != f.at || uint64(r.Source) != f.source {
		return fmt.Errorf("differs: %v", f)
	}
	p := r.Kind.New()
	if p == nil {
		return same(reflect.ValueOf(r.Payload), f.payload)
	}
	if !bytes.Equal(r.Payload, f.bytes) {
		return errors.New("other bytes")
	}
	if r.Decode(p) != nil {
		return nil
	}
	return same(reflect.ValueOf(p).Elem(), f.payload)
}
