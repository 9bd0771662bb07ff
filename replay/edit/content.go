package edit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/topotape/topotape/capture"
)

// A content is the records of a tape: how many, and a digest of them all.
type content struct {
	records uint64
	sum     hash.Hash
	head    []byte
}

func newContent() content { return content{sum: sha256.New()} }

func (c *content) add(r *capture.Record) {
	c.records++
	b := append(c.head[:0], byte(r.Kind))
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.At))
	b = binary.BigEndian.AppendUint32(b, r.Source)
	b = binary.BigEndian.AppendUint64(b, uint64(len(r.Payload)))
	c.head = b
	c.sum.Write(b)
	c.sum.Write(r.Payload)
}

// readBack reads tapes that were just written: they must be closed, and hold
// just these records.
func readBack(from io.Reader, want []content) error {
	reader, err := capture.NewReader(from)
	for i := range want {
		if err != nil {
			return fmt.Errorf("tape %d: %w", i+1, err)
		}
		reader.Copying()
		got := newContent()
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
		case reader.Ending() != capture.Closed:
			return fmt.Errorf("it is %s", reader.Ending())
		case got.records != want[i].records:
			return fmt.Errorf("it holds %d records, %d were written", got.records, want[i].records)
		case string(got.sum.Sum(nil)) != string(want[i].sum.Sum(nil)):
			return errors.New("it holds other records than were written")
		}
		var more bool
		if more, err = reader.NextTape(); err == nil && more != (i+1 < len(want)) {
			return fmt.Errorf("it does not hold %d tapes", len(want))
		}
	}
	return err
}
