package replay

import (
	"fmt"
	"io"
	"iter"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// An Item is a record with its tape and its place.
type Item struct {
	capture.Record
	Header  *capture.Header // of its tape
	Follows bool            // its tape is the next segment of the recording on the tape before
	Place   Place           // relative to the window
	// Carry is the carry at the head of this segment, in parts, if records are
	// missing before it: it is to be stepped before the record. It is nil for every
	// other record. The carry records themselves come too, as items of their own;
	// one of a tape that Follows must not be stepped.
	Carry iter.Seq[capture.Record]

	position position
	input    string // name of its input
}

// position is where a record is on the tapes and in time.
type position struct {
	steady int64  // Unix ns, without the steps of the wall clock
	wall   int64  // Unix ns, as reports give it
	seq    uint64 // number of the record; 0 for a carry
	count  uint64 // of records read, including this one
	tape   int    // number of its tape
}

// Tape returns the number of the item's tape, from 0.
func (it *Item) Tape() int { return it.position.tape }

// Wall returns the time of the record as reports give it, in Unix ns.
func (it *Item) Wall() int64 { return it.position.wall }

// A TapeEnd says how a tape ended.
type TapeEnd struct {
	Name    string // of the input
	Header  *capture.Header
	Ending  tape.Ending
	Unknown uint64 // records of kinds that this version does not know
}

// Tapes reads the records of inputs one after the other.
type Tapes struct {
	inputs  []Input // still to be opened
	name    string  // of the open input
	file    io.Closer
	reader  *tape.Reader
	header  *capture.Header
	window  placer
	seek    bool // use the index to skip chunks before the window
	unknown bool // return records of unknown kinds too
	follows bool
	skipped bool           // the reader has skipped a tape whose head is damaged
	count   uint64         // records read
	steps   int64          // ns: sum of the steps of the recording's wall clock
	format  sockmsg.Format // of socket events, at this place of the tape
	carry   pendingCarry
	ends    []TapeEnd
	heads   Heads // of ends

	unreadBefore, unreadAfter bool // records on that side of the window were not read
}

// Open returns the tapes of the inputs, in order, for a reading that places every
// record relative to the window, also those of unknown kinds. The inputs are read first if the window needs it:
// to find a mark, or the time of the last record.
func Open(inputs []Input, w Window) (*Tapes, error) {
	if err := w.Check(); err != nil {
		return nil, err
	}
	window, err := newPlacer(inputs, w)
	return &Tapes{inputs: inputs, window: window, unknown: true}, err
}

// Next reads the next record into it. The payload is valid until the next call.
// After the last input Next returns io.EOF. Errors name the input. Reading can go
// on after a *capture.DamageError; every other error is final.
func (t *Tapes) Next(it *Item) error {
	if err := t.read(it); err != nil {
		return err
	}
	it.Carry = t.carry.next(it)
	return nil
}

// read is Next without the carries of segments.
func (t *Tapes) read(it *Item) error {
	for {
		if t.reader != nil {
			var err error
			if it.Record, err = t.reader.Next(); err == nil {
				t.place(it)
				return nil
			}
			if err != io.EOF {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		if err := t.advance(); err != nil {
			return err
		}
	}
}

// place sets all fields of an item besides the record and the carry.
func (t *Tapes) place(it *Item) {
	t.count++
	if it.Kind == capture.KindClock {
		t.stepClock(&it.Record)
	}
	t.format.Follow(&it.Record)
	it.Header, it.Follows, it.input = t.header, t.follows, t.name
	it.position = t.position(it.Seq, it.At)
	it.Place = t.window.place(it)
}

func (t *Tapes) stepClock(r *capture.Record) {
	var c capture.Clock
	if r.Decode(&c) == nil {
		t.steps += c.Step
	}
}

// position returns where a record of the current tape is, by its number and time.
func (t *Tapes) position(seq uint64, at int64) position {
	ns := t.header.Start + at
	return position{steady: ns, wall: ns + t.steps, seq: seq, count: t.count, tape: len(t.ends)}
}

// Header returns the header of the last record's tape, nil before the first. It
// does not change when reading goes on.
func (t *Tapes) Header() *capture.Header { return t.header }

// Format returns the layout of socket events at the place of the last record, also where the
// record about it is before the window. It changes when reading goes on.
func (t *Tapes) Format() *sockmsg.Format { return &t.format }

// Ends returns how the tapes ended that were read to their end.
func (t *Tapes) Ends() []TapeEnd { return t.ends }

// Unread reports whether Records did not read all records before the window, or after
// it. Damage among them was not noticed.
func (t *Tapes) Unread() (before, after bool) { return t.unreadBefore, t.unreadAfter }

// Close closes the open input.
func (t *Tapes) Close() error {
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file, t.reader = nil, nil
	return err
}

// advance goes on to the next tape, of the same input or of the next one.
func (t *Tapes) advance() error {
	if t.reader != nil {
		if !t.skipped {
			t.ends = append(t.ends, TapeEnd{Name: t.name, Header: t.header, Ending: t.reader.Ending(), Unknown: t.reader.Unknown()})
		}
		more, err := t.reader.NextTape()
		if t.skipped = err != nil; t.skipped {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if more {
			t.begin()
			return nil
		}
		t.Close()
	}
	if len(t.inputs) == 0 {
		return io.EOF
	}
	in := t.inputs[0]
	t.inputs = t.inputs[1:]
	return t.open(&in)
}

func (t *Tapes) open(in *Input) error {
	t.name = in.Name
	file, err := in.Open()
	if err != nil {
		return err
	}
	t.file = file
	if t.reader, err = tape.NewReader(file); err != nil {
		t.reader = nil
		t.Close()
		return in.headError(err)
	}
	if t.unknown {
		t.reader.Copying()
	}
	t.begin()
	if t.seek {
		t.skipByIndex(in, file)
	}
	return nil
}

// begin sets the header to that of the tape that the reader is at.
func (t *Tapes) begin() {
	h := t.heads.Keep(t.reader.Header())
	t.follows = h.Continues(t.header)
	t.header = h
	if !t.follows {
		t.steps, t.format = 0, sockmsg.UsualFormat()
	}
}
