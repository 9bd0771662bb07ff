package replaytest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// Lab returns the tape of the fixture lab-gateway.
func Lab(t testing.TB) []byte {
	t.Helper()
	tape, err := os.ReadFile(filepath.Join(fixtures(t), "lab-gateway/capture.tape"))
	if err != nil {
		t.Fatal(err)
	}
	return tape
}

// Tapes returns tapes of many kinds by name: recorded, generated and synthetic ones.
func Tapes(t testing.TB) map[string][]byte {
	t.Helper()
	tapes := map[string][]byte{"lab": Lab(t), "small": Small(t, 1, 3), "busy": Busy(t, 2000, 300)}
	names, err := filepath.Glob(filepath.Join(fixtures(t), "generated/*/capture.tape"))
	if err != nil || len(names) == 0 {
		t.Fatal("no generated tapes", err)
	}
	for _, name := range Sample(names) {
		tape, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tapes[name] = tape
	}
	return tapes
}

// Read returns the header and the records of a tape without damage.
func Read(t testing.TB, recorded []byte) (h capture.Header, records []capture.Record) {
	t.Helper()
	r, err := tape.NewReader(bytes.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return *r.Header(), records
		}
		if err != nil {
			t.Fatal(err)
		}
		rec.Payload = bytes.Clone(rec.Payload)
		records = append(records, rec)
	}
}

// Write returns a closed tape with that header and those records.
func Write(t testing.TB, h capture.Header, records []capture.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := w.Write(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Rewrite returns a tape with the header h and the records of another tape. change may
// modify a record; if it returns false, the record is left out.
func Rewrite(t testing.TB, recorded []byte, h capture.Header, change func(*capture.Record) bool) []byte {
	t.Helper()
	r, err := tape.NewReader(bytes.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &h)
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if !change(&rec) {
			continue
		}
		if err := w.Write(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Reframe returns the tape with a chunk for every so many records.
func Reframe(t testing.TB, recorded []byte, every int) []byte {
	t.Helper()
	h, records := Read(t, recorded)
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &h)
	for i := range records {
		if err == nil {
			err = w.Write(&records[i])
		}
		if err == nil && i%every == 0 {
			err = w.Flush()
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A File is a file in memory. It adds the number of bytes that are read to Count, if
// that is not nil.
type File struct {
	*bytes.Reader
	Count *int
}

func (f File) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	f.add(n)
	return n, err
}

func (f File) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.Reader.ReadAt(b, at)
	f.add(n)
	return n, err
}

func (f File) add(n int) {
	if f.Count != nil {
		*f.Count += n
	}
}

func (File) Close() error { return nil }

// fixtures returns the folder of the shipped fixtures.
func fixtures(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return filepath.Join(dir, "fixtures")
		}
		if dir == filepath.Dir(dir) {
			err = os.ErrNotExist
		}
		dir = filepath.Dir(dir)
	}
	t.Fatalf("the module's folder is not found: %v", err)
	return ""
}
