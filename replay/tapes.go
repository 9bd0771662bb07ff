package replay

import (
	"errors"
	"fmt"
	"io"

	"github.com/topotape/topotape/capture"
)

// An Input is a file of one tape, or of several that stand one behind the
// other. What Open returns is read faster if it is an io.ReaderAt too, with
// Size set.
type Input struct {
	Name string
	Open func() (io.ReadCloser, error)
	Size int64 // bytes; 0 if that is not known
}

// Head reads the head of the input's first tape.
func (in Input) Head() (*capture.Header, error) {
	f, err := in.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := capture.NewReader(f)
	if err != nil {
		return nil, in.headError(err)
	}
	return r.Header(), nil
}

// Part returns a section of the input: size bytes from an offset. It makes each of
// many tapes in one file readable without those before it.
func (in Input) Part(from, size int64) Input {
	return Input{Name: in.Name, Open: func() (io.ReadCloser, error) {
		f, err := in.Open()
		if err != nil {
			return nil, err
		}
		var part io.Reader
		if at, ok := f.(io.ReaderAt); ok {
			part = io.NewSectionReader(at, from, size)
		} else if _, err := io.CopyN(io.Discard, f, from); err != nil {
			f.Close()
			return nil, err
		} else {
			part = io.LimitReader(f, size)
		}
		return struct {
			io.Reader
			io.Closer
		}{part, f}, nil
	}}
}

// A TapeEnd says how a tape ended.
type TapeEnd struct {
	Name    string
	Header  *capture.Header
	Ending  capture.Ending
	Unknown uint64 // records of kinds that this version does not know
}

// Tapes reads the records of inputs one behind the other.
type Tapes struct {
	inputs []Input
	name   string
	file   io.Closer
	reader *capture.Reader
	header *capture.Header
	clip   *Clip // what stands ahead of it need not be read; nil for nothing
	copies bool  // records of unknown kinds are returned too
	fresh  bool
	count  uint64 // records read
	steps  int64  // of the recording's wall clock, together
	ends   []TapeEnd
}

// NewTapes returns the tapes of the inputs, in order. Nothing is opened before
// the first Next.
func NewTapes(inputs []Input) *Tapes { return &Tapes{inputs: inputs} }

// Copying makes Next return records of unknown kinds too.
func (t *Tapes) Copying() { t.copies = true }

// Next reads the next record. Its payload is valid until the next call. At the
// end of the last input it returns io.EOF. Errors name the input; a
// *capture.DamageError can be read past, all others are final.
func (t *Tapes) Next() (capture.Record, error) {
	for {
		if t.reader != nil {
			r, err := t.reader.Next()
			if err == nil {
				t.count++
				if r.Kind == capture.KindClock {
					t.step(&r)
				}
				return r, nil
			}
			if err != io.EOF {
				return r, fmt.Errorf("%s: %w", t.name, err)
			}
		}
		if err := t.advance(); err != nil {
			return capture.Record{}, err
		}
	}
}

// Header is that of the tape that the last record came from. It stays as it is
// when reading goes on.
func (t *Tapes) Header() *capture.Header { return t.header }

// Number tells the tape of the last record from the others.
func (t *Tapes) Number() int { return len(t.ends) }

// nameOf is the name of the input of a tape that was read from, by its number.
func (t *Tapes) nameOf(number int) string {
	if number < len(t.ends) {
		return t.ends[number].Name
	}
	return t.name
}

// Continues reports whether the tape of the last record is the next segment of
// the recording that the one before it is of.
func (t *Tapes) Continues() bool { return !t.fresh }

// Ends says how the tapes ended that were read to their end.
func (t *Tapes) Ends() []TapeEnd { return t.ends }

func (t *Tapes) step(r *capture.Record) {
	var c capture.Clock
	if r.Decode(&c) == nil {
		t.steps += c.Step
	}
}

// Position is where the last record stands.
func (t *Tapes) Position(r *capture.Record) position {
	ns := t.header.Start + r.At
	return position{steady: ns, Wall: ns + t.steps, seq: r.Seq, count: t.count, tape: t.Number()}
}

// Close closes the open input. It must be called.
func (t *Tapes) Close() error {
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file, t.reader = nil, nil
	return err
}

// advance goes on to the next tape, of the same input or the next one.
func (t *Tapes) advance() error {
	before := t.header
	if t.reader != nil {
		t.ends = append(t.ends, TapeEnd{Name: t.name, Header: t.header, Ending: t.reader.Ending(), Unknown: t.reader.Unknown()})
		more, err := t.reader.NextTape()
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if more {
			t.begin(before)
			return nil
		}
		t.Close()
	}
	if len(t.inputs) == 0 {
		return io.EOF
	}
	in := t.inputs[0]
	t.inputs = t.inputs[1:]
	t.name = in.Name
	file, err := in.Open()
	if err != nil {
		return err
	}
	t.file = file
	if t.reader, err = capture.NewReader(file); err != nil {
		t.reader = nil
		t.Close()
		return in.headError(err)
	}
	if t.copies {
		t.reader.Copying()
	}
	t.begin(before)
	if t.clip != nil {
		t.skip(&in, file)
	}
	return nil
}

// headError says what to do with what is no tape.
func (in *Input) headError(err error) error {
	if !errors.Is(err, capture.ErrNotTape) {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	for magic, tool := range map[string]string{"\x28\xb5\x2f\xfd": "zstd", "\x1f\x8b": "gzip", "\xfd7zXZ": "xz"} {
		if in.Size > 0 && in.beginsWith(magic) {
			return fmt.Errorf("%s: %w; it is compressed: unpack it, or %s -dc %[1]s | topotape VERB -", in.Name, err, tool)
		}
	}
	return fmt.Errorf("%s: %w; topotape build makes a tape of a script", in.Name, err)
}

func (in *Input) beginsWith(magic string) bool {
	f, err := in.Open()
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == magic
}

func (t *Tapes) begin(before *capture.Header) {
	h := *t.reader.Header()
	t.header = &h
	t.fresh = !h.Continues(before)
	if t.fresh {
		t.steps = 0
	}
}
