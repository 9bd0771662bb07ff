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

// output is what a verb writes its result to: standard output, a file that
// appears under its name when it is whole, or a device or pipe.
type output struct {
	*bufio.Writer
	file    *os.File
	partial string // the file's name until it is whole
	path    string
}

// createOutput opens the output of that name, - being standard output. An
// existing file is an error unless replace allows it. The name that it has until
// it is whole is none of a recording: a left-over x.tape.partial can become x.tape.
func createOutput(path string, replace func(path string) error) (*output, error) {
	partial := path + ".new.partial"
	if path == "-" || path == "" || path == "/dev/stdout" { // which may stand for a file
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
		return nil, fmt.Errorf("%s exists: another topotape writes it, or one was killed; remove it", partial)
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
		return errors.New("a tape is not for a terminal: redirect standard output, or name a file with -o")
	}
	return nil
}

// target is where the output goes in the end.
func (o *output) target() *os.File {
	if o.file == nil {
		return os.Stdout
	}
	return o.file
}

// finish completes the output if err is nil, else it takes back what can be.
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

// onlyForced lets an existing file be replaced if the user said so.
func onlyForced(force bool) func(string) error {
	return func(path string) error {
		if force {
			return nil
		}
		return fmt.Errorf("%s exists; --force replaces it", path)
	}
}

// unlessTape lets any file be replaced that is not a tape: reports can be made
// again, a tape cannot.
func unlessTape(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 16)
	n, _ := io.ReadFull(f, head)
	if bytes.Contains(head[:n], []byte("topotape")) {
		return fmt.Errorf("%s is a tape; name another file for this", path)
	}
	return nil
}

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

// streamDelay is how long a line may wait for others before it is written out.
const streamDelay = 50 * time.Millisecond

// liveOutput hands on what is written to it within streamDelay, however slowly more
// comes: a tape that is still being recorded is read from a pipe that stays open.
type liveOutput struct {
	mu    sync.Mutex
	out   *output
	fresh bool // something was written since the last flush
	stop  chan struct{}
	ended chan struct{}
}

// newLiveOutput starts a goroutine that ends with finish.
func newLiveOutput(out *output) *liveOutput {
	s := &liveOutput{out: out, stop: make(chan struct{}), ended: make(chan struct{})}
	go s.flush()
	return s
}

func (s *liveOutput) flush() {
	defer close(s.ended)
	tick := time.NewTicker(streamDelay)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		if s.fresh {
			s.fresh = false
			s.out.Flush() // an error stays with the writer, and comes with the next write
		}
		s.mu.Unlock()
	}
}

func (s *liveOutput) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = true
	return s.out.Write(b)
}

// finish completes the output if err is nil, else it takes back what can be.
func (s *liveOutput) finish(err error) error {
	close(s.stop)
	<-s.ended
	return s.out.finish(err)
}
