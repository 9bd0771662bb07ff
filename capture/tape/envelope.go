package tape

import (
	"errors"
	"fmt"
	"math"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/wire"
)

// A record on tape is one array [kind, number, at, source, payload]. The
// payload of the raw kinds is binary, of all others an array.

// appendRecord appends r as a chunk contains it.
func appendRecord(b []byte, r *capture.Record) []byte {
	b = append(b, 0x95)
	b = wire.AppendUint(b, uint64(r.Kind))
	b = wire.AppendUint(b, r.Seq)
	b = wire.AppendUint(b, uint64(r.At))
	b = wire.AppendUint(b, uint64(r.Source))
	if r.Kind.Raw() {
		b = wire.AppendBin(b, r.Payload)
	} else {
		b = append(b, r.Payload...)
	}
	return b
}

var errEnvelope = errors.New("is not a record: [kind, number, at, source, payload] expected")

// readRecord reads the record at the beginning of b into r and returns its
// length. The payload points into b.
func readRecord(b []byte, r *capture.Record) (int, error) {
	if len(b) == 0 || b[0]&0xf0 != 0x90 || b[0]&0x0f < 5 {
		return 0, errEnvelope
	}
	elements := int(b[0] & 0x0f)
	at := 1
	var v [4]uint64
	for i := range v {
		u, n := wire.Uint(b[at:])
		if n == 0 {
			return 0, errEnvelope
		}
		v[i], at = u, at+n
	}
	if v[0] > math.MaxUint8 || v[2] > math.MaxInt64 || v[3] > math.MaxUint32 {
		return 0, fmt.Errorf("has kind %d, time %d, source %d: out of range", v[0], v[2], v[3])
	}
	r.Kind, r.Seq, r.At, r.Source = capture.Kind(v[0]), v[1], int64(v[2]), uint32(v[3])
	if r.Kind.Raw() {
		p, n := wire.Bin(b[at:])
		if n == 0 {
			return 0, fmt.Errorf("number %d (%s): binary payload expected", r.Seq, r.Kind)
		}
		r.Payload, at = p, at+n
	} else {
		n, err := wire.ValueLen(b[at:])
		if err != nil {
			return 0, fmt.Errorf("number %d (%s): payload: %w", r.Seq, r.Kind, err)
		}
		r.Payload, at = b[at:at+n:at+n], at+n
	}
	for i := 5; i < elements; i++ {
		n, err := wire.ValueLen(b[at:])
		if err != nil {
			return 0, fmt.Errorf("number %d (%s): element %d: %w", r.Seq, r.Kind, i, err)
		}
		at += n
	}
	return at, nil
}
