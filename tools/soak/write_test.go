//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
	format "github.com/topotape/topotape/capture/tape"
)

// readings is what package tape reads from a file: records, endings and damages.
type readings struct {
	Records []capture.Record
	Endings []format.Ending
	Damages int
	Err     string
}

func readAll(b []byte) (all readings) {
	fail := func(err error) readings {
		all.Err = err.Error()
		return all
	}
	r, err := format.NewReader(bytes.NewReader(b))
	if err != nil {
		return fail(err)
	}
	for more := true; more; {
		for {
			rec, err := r.Next()
			var damage *format.DamageError
			if errors.As(err, &damage) {
				all.Damages++
				continue
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return fail(err)
			}
			rec.Payload = bytes.Clone(rec.Payload)
			all.Records = append(all.Records, rec)
		}
		all.Endings = append(all.Endings, r.Ending())
		if more, err = r.NextTape(); err != nil {
			return fail(err)
		}
	}
	return all
}

// A tape that is taken apart and written again unchanged has the same records and the
// same endings, with pages of the index of any size. So a finding is due to a change.
func TestWriterIsRight(t *testing.T) {
	lists, err := sourceNames("../..")
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Concat(lists...)
	slices.Sort(names)
	names = slices.Compact(names)
	compared := 0
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := readAll(b)
		if want.Damages > 0 || want.Err != "" || len(want.Endings) == 0 || slices.Contains(want.Endings, format.Torn) {
			continue // what is wrong with it is not in the tree
		}
		compared++
		for _, page := range []int{1, 3, 4096} {
			for _, chunk := range []int{1, 256 << 10} {
				tapes, err := read(b)
				if err != nil {
					t.Fatal(name, err)
				}
				for _, tape := range tapes {
					tape.page, tape.chunk = page, chunk
				}
				var out bytes.Buffer
				if err := write(&out, tapes); err != nil {
					t.Fatal(name, err)
				}
				got := readAll(out.Bytes())
				if !reflect.DeepEqual(got.Endings, want.Endings) || got.Damages > 0 || len(got.Records) != len(want.Records) {
					t.Fatalf("%s, pages of %d: %v, %d records, %d damages, %s; want %v, %d records", name, page, got.Endings, len(got.Records), got.Damages, got.Err, want.Endings, len(want.Records))
				}
				for i := range got.Records {
					if g, w := content(&got.Records[i]), content(&want.Records[i]); !reflect.DeepEqual(g, w) {
						t.Fatalf("%s: record %v, want %v", name, g, w)
					}
				}
				if last := want.Endings[len(want.Endings)-1]; last == format.Closed {
					if ix, err := format.ReadIndex(bytes.NewReader(out.Bytes()), int64(out.Len())); err != nil {
						t.Errorf("%s, pages of %d: %v", name, page, err)
					} else if ix.Records > 0 {
						checkIndex(t, name, out.Bytes(), ix)
					}
				}
			}
		}
	}
	if compared < 50 {
		t.Errorf("only %d tapes were compared", compared)
	}
}

// content returns a record with its payload decoded: on tape an integer has several forms.
func content(r *capture.Record) (list [5]any) {
	list = [5]any{r.Seq, r.At, r.Kind, r.Source, r.Payload}
	if p := r.Kind.New(); p != nil && r.Decode(p) == nil {
		list[4] = p
	}
	return list
}

// checkIndex reads every chunk by the index.
func checkIndex(t *testing.T, name string, b []byte, ix *format.Index) {
	t.Helper()
	n := uint64(0)
	for i := range ix.Entries {
		chunks, err := ix.Chunks(bytes.NewReader(b), &ix.Entries[i])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for j := range chunks {
			for _, c := range chunks[j].Counts {
				n += c.Records
			}
			if _, err := ix.ReadChunk(bytes.NewReader(b), &chunks[j]); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if n != ix.Records {
		t.Fatalf("%s: the index counts %d of %d records", name, n, ix.Records)
	}
}
