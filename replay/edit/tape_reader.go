package edit

import (
	"bytes"
	"fmt"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A tapeReader reads one tape, from numbered record to numbered record.
type tapeReader struct {
	tape     *scannedTape
	file     io.Closer
	reader   *tape.Reader
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
	tr := &tapeReader{tape: t, file: f}
	if tr.reader, err = tape.NewReader(f); err == nil {
		tr.reader.Copying()
		err = tr.advance()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", t.input.Name, err)
	}
	return tr, nil
}

// maxCarry bounds the bytes of a carry that is kept in memory. A larger one is
// left out.
const maxCarry = 1 << 30

// advance goes to the next numbered record. The parts of a carry have no number.
func (tr *tapeReader) advance() (err error) {
	tr.previous, tr.carry = tr.record.Seq, nil
	for size := 0; ; {
		if tr.record, err = tr.reader.Next(); err == io.EOF {
			tr.done = true
			return tr.file.Close()
		}
		if err != nil || tr.record.Seq != 0 {
			return err
		}
		if size += len(tr.record.Payload); size > maxCarry {
			tr.carry = nil
			continue
		}
		tr.carry = append(tr.carry, cloned(&tr.record))
	}
}

// A preference orders records with the same number on different tapes.
type preference int

const (
	preferLast  preference = iota // the end of a tape: others may have more records
	preferAdded                   // a record that a verb may have added
	preferFirst                   // an original record
)

// preference returns that of the current record. Merge uses the record with the
// highest one. Of several original records all must be the same; of others, Merge
// uses any.
func (tr *tapeReader) preference() preference {
	switch {
	case tr.record.Kind == capture.KindEnd:
		return preferLast
	case tr.tape.mayBeAdded(tr.record.Kind):
		return preferAdded
	}
	return preferFirst
}

// sameRecord compares records with the same number. Verbs replace the digests of
// witnesses and the text of ends.
func sameRecord(a, b *capture.Record) bool {
	if a.Kind != b.Kind || a.At != b.At || a.Source != b.Source {
		return false
	}
	return a.Kind == capture.KindWitness || a.Kind == capture.KindEnd || bytes.Equal(a.Payload, b.Payload)
}
