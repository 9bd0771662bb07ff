package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// output is the destination of a verb's result: standard output, a file that gets
// its name when it is complete, or a device or pipe.
type output struct {
	*bufio.Writer
	file    *os.File // nil for standard output
	partial string   // the file's name until it is complete, "" for a device or pipe
	path    string
}

// createOutput opens the output of that name, standard output for -. An existing file
// is an error unless replace allows it. Until it is complete, the file has a name that
// no recording has, so that x.tape.partial of a recording can be recovered to x.tape.
func createOutput(path string, replace func(path string) error) (*output, error) {
	partial := path + ".new.partial"
	if path == "-" || path == "" || path == "/dev/stdout" { // which may be redirected to a file
		return &output{Writer: bufio.NewWriterSize(os.Stdout, 64<<10)}, nil
	}
	st, err := os.Stat(path)
	switch {
	case err == nil && st.IsDir():
		return nil, fmt.Errorf("%s is a directory; name a file", path)
	case err == nil && !st.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &output{Writer: bufio.NewWriterSize(f, 64<<10), file: f}, nil
	case err == nil:
		if err := replace(path); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists: another topotape is writing it, or one was killed; in that case remove it", partial)
	}
	if err != nil {
		return nil, err
	}
	return &output{Writer: bufio.NewWriterSize(f, 64<<10), file: f, partial: partial, path: path}, nil
}

// toTerminal reports whether the output of that name goes to a terminal.
func toTerminal(path string) bool {
	return (path == "-" || path == "/dev/stdout") && isTerminal(os.Stdout)
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
	return o.file
}

// finish completes the output if err is nil, else it removes the file.
func (o *output) finish(err error) error {
	if err == nil {
		err = o.Flush()
	}
	if o.file == nil {
		return err
	}
	if err == nil && o.partial != "" {
		err = o.file.Sync()
	}
	if closed := o.file.Close(); err == nil {
		err = closed
	}
	switch {
	case o.partial == "":
		return err
	case err != nil:
		os.Remove(o.partial)
		return err
	}
	return os.Rename(o.partial, o.path)
}

// onlyForced allows an existing file to be replaced if the user gave --force.
func onlyForced(force bool) func(string) error {
	return func(path string) error {
		if force {
			return nil
		}
		return fmt.Errorf("%s exists; --force replaces it", path)
	}
}

// unlessTape allows any file but a tape to be replaced: reports can be made again, a
// tape cannot.
func unlessTape(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 16)
	n, _ := io.ReadFull(f, head)
	if bytes.Contains(head[:n], []byte("topotape")) {
		return fmt.Errorf("%s is a tape and is not overwritten; name another file", path)
	}
	return nil
}

// tapeOutput is the output of a tape, which is read back before it is complete. For a
// pipe the tape is written to a temporary file first.
type tapeOutput struct {
	*output
	temporary *os.File // nil if the output is a file
	pipe      *output
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
	f, err := os.CreateTemp("", "topotape-*.tape")
	if err != nil {
		return nil, o.finish(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, o.finish(errors.Join(err, f.Close()))
	}
	return &tapeOutput{output: &output{Writer: bufio.NewWriterSize(f, 64<<10), file: f}, temporary: f, pipe: o}, nil
}

// check calls read with the tape as it was written, and passes it on to the pipe.
func (o *tapeOutput) check(read func(io.Reader) error) error {
	if err := o.Flush(); err != nil {
		return err
	}
	if o.temporary != nil {
		if _, err := o.temporary.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := read(o.temporary); err != nil {
			return err
		}
		if _, err := o.temporary.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(o.pipe, o.temporary)
		return err
	}
	f, err := os.Open(o.partial)
	if err != nil {
		return err
	}
	defer f.Close()
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
