package edit

import (
	"bytes"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/packed"
	"github.com/topotape/topotape/replay"
)

// A tapeReader reads one tape, from numbered record to numbered record.
type tapeReader struct {
	tape     *scannedTape
	tapes    *replay.Tapes  // this one
	item     replay.Item    // the current record; its payload is valid until advance
	carry    packed.Records // between it and the one before
	previous uint64         // number of the one before; 0 if there is none
	done     bool           // there is no current record, and the file is closed
}

func openTape(t *scannedTape) (*tapeReader, error) {
	tapes, err := replay.Open([]replay.Input{t.input}, replay.Window{})
	if err != nil {
		return nil, err
	}
	tr := &tapeReader{tape: t, tapes: tapes}
	if err := tr.advance(); err != nil {
		tapes.Close()
		return nil, err
	}
	return tr, nil
}

// advance goes to the next numbered record. The parts of a carry have no number.
func (tr *tapeReader) advance() error {
	tr.previous = tr.item.Seq
	tr.carry.Clear()
	for {
		err := tr.tapes.Next(&tr.item)
		tr.done = err == io.EOF
		if tr.done {
			return nil
		}
		if err != nil || tr.item.Seq != 0 {
			return err
		}
		tr.carry.Add(&tr.item.Record)
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
	case tr.item.Kind == capture.KindEnd:
		return preferLast
	case tr.tape.mayBeAdded(tr.item.Kind):
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
