package capture

import (
	"errors"
	"io"
	"testing"
)

// FuzzReader reads any bytes as a tape: it may say anything about them, in
// bounded time, without a panic.
func FuzzReader(f *testing.F) {
	whole := writeTape(f, testHeader(), testRecords(), 3)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(append(whole[:200:200], whole...))
	f.Add([]byte("\x99\xa9topotape1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, damage, _, err := readAll(b)
		var v *VersionError
		var d *DamageError
		if err != nil && !errors.As(err, &v) && !errors.As(err, &d) && !errors.Is(err, ErrNotTape) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%T: %v", err, err)
		}
		if len(records)+len(damage) > len(b) {
			t.Errorf("%d records and %d damages in %d bytes", len(records), len(damage), len(b))
		}
	})
}

// FuzzChunk reads any bytes as the records of a chunk, behind right checksums.
func FuzzChunk(f *testing.F) {
	var plain []byte
	for _, r := range testRecords() {
		plain = appendRecord(plain, &r)
	}
	f.Add(plain)
	f.Add([]byte{0x95, 15, 1, 0, 1, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, plain []byte) {
		for at := 0; at < len(plain); {
			var r Record
			n, err := readRecord(plain[at:], &r)
			if err != nil {
				return
			}
			if n <= 0 || at+n > len(plain) {
				t.Fatalf("a record of %d bytes in %d", n, len(plain)-at)
			}
			if p := r.Kind.New(); p != nil {
				_ = r.Decode(p)
			}
			at += n
		}
	})
}
