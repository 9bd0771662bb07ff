package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/topotape/topotape/capture/outfile"
	"github.com/topotape/topotape/capture/quote"
)

// output is the destination of a verb's result: standard output, a file that gets
// its name when it is complete, or a device or pipe.
type output struct {
	*bufio.Writer
	file *outfile.File // nil for standard output
}

// partialResult ends the name of a result until it is complete. No recording has such
// a name, so x.tape.partial of a recording can be recovered to x.tape.
const partialResult = ".new" + partialName

// createOutput opens the output of that name.
func createOutput(path string, may outfile.Replace) (*output, error) {
	if outfile.Descriptor(path) == 1 {
		return &output{Writer: bufio.NewWriterSize(os.Stdout, 64<<10)}, nil
	}
	f, err := outfile.Open(context.Background(), path, outfile.Options{Suffix: partialResult, Replace: may})
	if err != nil {
		return nil, err
	}
	if f.Warning != "" {
		quote.Line(os.Stderr, "topotape: warning: %s", f.Warning)
	}
	return &output{Writer: bufio.NewWriterSize(f, 64<<10), file: f}, nil
}

// toTerminal reports whether the output of that name goes to a terminal.
func toTerminal(path string) bool {
	return outfile.Descriptor(path) == 1 && isTerminal(os.Stdout)
}

// checkTapeOutput refuses to write a tape to a terminal.
func checkTapeOutput(path string) error {
	if toTerminal(path) {
		return errors.New("standard output is a terminal and a tape is binary: redirect it, or name a file with -o")
	}
	return nil
}

// target returns the file that the output is written to.
func (o *output) target() *os.File {
	if o.file == nil {
		return os.Stdout
	}
	return o.file.File
}

// finish completes the output if err is nil, else it removes the file.
func (o *output) finish(err error) error {
	if err == nil {
		err = o.Flush()
	}
	if o.file == nil {
		return err
	}
	if err == nil && !o.file.InPlace() {
		err = o.file.Sync()
	}
	if err != nil {
		o.file.Discard()
		return err
	}
	return o.file.Complete()
}

// onlyForced allows an existing file to be replaced if the user gave --force.
func onlyForced(force bool) outfile.Replace {
	if force {
		return outfile.Anything
	}
	return outfile.Nothing
}

// tapeOutput is the output of a tape, which is read back before it is complete. For a
// pipe the tape is written to a temporary file first.
type tapeOutput struct {
	*output
	temporary *os.File // nil if the output is a file
	pipe      *output
}

// createTape opens the output of that name for a tape.
func createTape(path string, may outfile.Replace) (*tapeOutput, error) {
	o, err := createOutput(path, may)
	if err != nil {
		return nil, err
	}
	if o.file != nil && !o.file.InPlace() {
		return &tapeOutput{output: o}, nil
	}
	f, err := os.CreateTemp("", "topotape-*.tape")
	if err != nil {
		return nil, o.finish(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, o.finish(errors.Join(err, f.Close()))
	}
	return &tapeOutput{output: &output{Writer: bufio.NewWriterSize(f, 64<<10)}, temporary: f, pipe: o}, nil
}

// check calls read with the tape as it was written, and passes it on to the pipe.
func (o *tapeOutput) check(read func(io.Reader) error) error {
	if err := o.Flush(); err != nil {
		return err
	}
	if o.pipe == nil {
		return readBack(o.file.File, read)
	}
	if err := readBack(o.temporary, read); err != nil {
		return err
	}
	return readBack(o.temporary, func(r io.Reader) error {
		_, err := io.Copy(o.pipe, r)
		return err
	})
}

func readBack(f *os.File, read func(io.Reader) error) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return read(f)
}

// finish completes the output if err is nil, else it removes the file.
func (o *tapeOutput) finish(err error) error {
	if o.pipe == nil {
		return o.output.finish(err)
	}
	return errors.Join(o.pipe.finish(err), o.temporary.Close())
}

// streamDelay bounds how long a line waits for others before it is written.
const streamDelay = 50 * time.Millisecond

// liveOutput passes on what is written to it within streamDelay. The records of a
// tape that is read from a recorder's pipe are printed as they arrive.
type liveOutput struct {
	mu    sync.Mutex
	out   *output
	dirty bool // something was written since the last flush
	stop  chan struct{}
	done  chan struct{}
}

// newLiveOutput starts a goroutine, which finish ends.
func newLiveOutput(out *output) *liveOutput {
	s := &liveOutput{out: out, stop: make(chan struct{}), done: make(chan struct{})}
	go s.flush()
	return s
}

func (s *liveOutput) flush() {
	defer close(s.done)
	tick := time.NewTicker(streamDelay)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		if s.dirty {
			s.dirty = false
			s.out.Flush() // the writer keeps an error for the next write
		}
		s.mu.Unlock()
	}
}

func (s *liveOutput) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = true
	return s.out.Write(b)
}

// finish completes the output if err is nil, else it removes the file.
func (s *liveOutput) finish(err error) error {
	close(s.stop)
	<-s.done
	return s.out.finish(err)
}
