package main

import (
	"bufio"
	"errors"
	"io"
	"os"
)

// tapeOutput is an output that is read back before it counts. What goes to a
// pipe is kept until then.
type tapeOutput struct {
	*output
	kept *os.File // the tape, when it is to go on to out
	out  *output
}

// createTape opens the output of that name for a tape.
func createTape(path string, replace func(path string) error) (*tapeOutput, error) {
	o, err := createOutput(path, replace)
	if err != nil {
		return nil, err
	}
	if o.partial != "" {
		return &tapeOutput{output: o}, nil
	}
	kept, err := os.CreateTemp("", "topotape-*.tape")
	if err != nil {
		return nil, o.finish(err)
	}
	if err := os.Remove(kept.Name()); err != nil {
		return nil, o.finish(errors.Join(err, kept.Close()))
	}
	return &tapeOutput{output: &output{Writer: bufio.NewWriterSize(kept, 64<<10), file: kept}, kept: kept, out: o}, nil
}

// check reads back what was written.
func (o *tapeOutput) check(read func(io.Reader) error) error {
	if err := o.Flush(); err != nil {
		return err
	}
	if o.kept != nil {
		if _, err := o.kept.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := read(o.kept); err != nil {
			return err
		}
		if _, err := o.kept.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(o.out, o.kept)
		return err
	}
	f, err := os.Open(o.partial)
	if err != nil {
		return err
	}
	defer f.Close()
	return read(f)
}

// finish completes the output if err is nil, else it takes back what can be.
func (o *tapeOutput) finish(err error) error {
	if o.out == nil {
		return o.output.finish(err)
	}
	return errors.Join(o.out.finish(err), o.kept.Close())
}
