package edit

import (
	"bytes"
	"fmt"
	"io"

	"github.com/topotape/topotape/capture"
)

// A tapeReader reads one tape, from numbered record to numbered record.
type tapeReader struct {
	tape     *scannedTape
	file     io.Closer
	reader   *capture.Reader
	record   capture.Record   // the current one; its payload is valid until advance
	carry    []capture.Record // between it and the one before
	previous uint64           // number of the one before; 0 if there is none
	done     bool             // there is no current record, and the file is closed
}

func openTape(t *scannedTape) (*tapeReader, error) {
	f, err := t.input.Open()
	if err != nil {
		return nil, err
	}
	s := &tapeReader{tape: t, file: f}
	if s.reader, err = capture.NewReader(f); err == nil {
		s.reader.Copying()
		err = s.advance()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", t.input.Name, err)
	}
	return s, nil
}

// maxCarry bounds the bytes of a carry that is kept in memory. A larger one is
// left out.
const maxCarry = 1 << 30

// advance goes to the next numbered record. The parts of a carry have no number.
func (s *tapeReader) advance() (err error) {
	s.previous, s.carry = s.record.Seq, nil
	for size := 0; ; {
		if s.record, err = s.reader.Next(); err == io.EOF {
			s.done = true
			return s.file.Close()
		}
		if err != nil || s.record.Seq != 0 {
			return err
		}
		if size += len(s.record.Payload); size > maxCarry {
			s.carry = nil
			continue
		}
		part := s.record
		part.Payload = bytes.Clone(part.Payload)
		s.carry = append(s.carry, part)
	}
}

// The ranks of records with the same number on different tapes.
const (
	rankEnd      = iota // an end of a tape: others may have more records
	rankAdded           // a record that a verb may have added
	rankRecorded        // a record of the recording
)

// rank ranks the current record. The record with the highest rank is used. Of two
// that are recorded, both must be the same; of others, any will do.
func (s *tapeReader) rank() int {
	switch {
	case s.record.Kind == capture.KindEnd:
		return rankEnd
	case s.tape.mayBeAdded(s.record.Kind):
		return rankAdded
	}
	return rankRecorded
}

// sameRecord compares records with the same number. Verbs replace the digests of
// witnesses and the text of ends.
func sameRecord(a, b *capture.Record) bool {
	if a.Kind != b.Kind || a.At != b.At || a.Source != b.Source {
		return false
	}
	return a.Kind == capture.KindWitness || a.Kind == capture.KindEnd || bytes.Equal(a.Payload, b.Payload)
}
