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
	"github.com/topotape/topotape/replay"
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

// readBack reads tapes that were just written, one checksum for each. They must be
// closed and have exactly the records that were written.
func readBack(from io.Reader, want ...checksum) error {
	in := replay.Input{Name: "the new tape", Open: func() (io.ReadCloser, error) { return io.NopCloser(from), nil }}
	tapes, err := replay.Open([]replay.Input{in}, replay.Window{})
	if err != nil {
		return err
	}
	got := make([]checksum, len(want))
	for i := range got {
		got[i] = newChecksum()
	}
	var it replay.Item
	for err = tapes.Next(&it); err == nil && it.Tape() < len(want); err = tapes.Next(&it) {
		got[it.Tape()].add(&it.Record)
	}
	ends := tapes.Ends()
	switch {
	case err == nil || err == io.EOF && len(ends) != len(want):
		err = fmt.Errorf("it does not have %d tapes", len(want))
	case err == io.EOF:
		err = nil
	}
	for i := 0; i < len(want) && err == nil; i++ {
		err = got[i].compare(&want[i], ends[i].Ending)
	}
	if err != nil {
		return fmt.Errorf("the new tape does not read back: %w", err)
	}
	return nil
}

// compare compares what was read of a tape with what was written.
func (c *checksum) compare(want *checksum, ending tape.Ending) error {
	switch {
	case ending != tape.Closed:
		return fmt.Errorf("it is %s", ending)
	case c.records != want.records:
		return fmt.Errorf("it has %d records, but %d were written", c.records, want.records)
	case string(c.sha.Sum(nil)) != string(want.sha.Sum(nil)):
		return errors.New("its records differ from those written")
	}
	return nil
}
