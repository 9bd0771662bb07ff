package edit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A checksum identifies the records of a tape.
type checksum struct {
	records uint64
	sha     hash.Hash // SHA-256
	buffer  []byte    // reused from record to record
}

func newChecksum() checksum { return checksum{sha: sha256.New()} }

func (c *checksum) add(r *capture.Record) {
	c.records++
	b := append(c.buffer[:0], byte(r.Kind))
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.At))
	b = binary.BigEndian.AppendUint32(b, r.Source)
	b = binary.BigEndian.AppendUint64(b, uint64(len(r.Payload)))
	c.buffer = b
	c.sha.Write(b)
	c.sha.Write(r.Payload)
}

// readBack reads tapes that were just written, one checksum for each. They must
// be closed and have exactly the records that were written.
func readBack(from io.Reader, want []checksum) error {
	if err := compareTapes(from, want); err != nil {
		return fmt.Errorf("the new tape does not read back: %w", err)
	}
	return nil
}

func compareTapes(from io.Reader, want []checksum) error {
	reader, err := tape.NewReader(from)
	for i := range want {
		if err != nil {
			return fmt.Errorf("tape %d: %w", i+1, err)
		}
		if err := compareTape(reader, &want[i]); err != nil {
			return err
		}
		var more bool
		if more, err = reader.NextTape(); err == nil && more != (i+1 < len(want)) {
			return fmt.Errorf("it does not have %d tapes", len(want))
		}
	}
	return err
}

func compareTape(reader *tape.Reader, want *checksum) error {
	reader.Copying()
	got := newChecksum()
	for {
		r, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		got.add(&r)
	}
	switch {
	case reader.Ending() != tape.Closed:
		return fmt.Errorf("it is %s", reader.Ending())
	case got.records != want.records:
		return fmt.Errorf("it has %d records, but %d were written", got.records, want.records)
	case string(got.sha.Sum(nil)) != string(want.sha.Sum(nil)):
		return errors.New("its records differ from those written")
	}
	return nil
}
