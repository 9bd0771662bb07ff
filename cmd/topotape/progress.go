package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
)

// progress says on a terminal how far a verb has read: one line on standard
// error, written over and erased at the end. It is nil, which says nothing, when
// standard error is no terminal.
type progress struct {
	to      io.Writer
	now     func() time.Time
	total   int64 // bytes of the inputs; 0 if one of them is a stream
	read    int64
	records uint64
	at      int64 // of the last record
	begun   time.Time
	next    time.Time // when the line is due
	shown   bool
}

const (
	progressAfter = time.Second // what is done sooner needs no line
	progressEvery = 200 * time.Millisecond
	progressLook  = 1024 // records between two looks at the clock
)

// newProgress watches the inputs: their Open is replaced. Standard error must
// not get anything but by yield or after done.
func newProgress(inputs []replay.Input) *progress {
	if !isTerminal(os.Stderr) {
		return nil
	}
	p := &progress{to: os.Stderr, now: time.Now}
	p.watch(inputs)
	return p
}

func (p *progress) watch(inputs []replay.Input) {
	p.begun = p.now()
	p.next = p.begun.Add(progressAfter)
	stream := false
	for i := range inputs {
		in := &inputs[i]
		open, before := in.Open, p.total
		in.Open = func() (io.ReadCloser, error) {
			f, err := open()
			if err != nil {
				return nil, err
			}
			w := &watched{ReadCloser: f, progress: p, before: before}
			if at, ok := f.(io.ReaderAt); ok {
				return &watchedFile{w, at}, nil
			}
			return w, nil
		}
		p.total += in.Size
		stream = stream || in.Size == 0
	}
	if stream {
		p.total = 0
	}
}

// watched is an open input.
type watched struct {
	io.ReadCloser
	progress *progress
	before   int64 // bytes of the inputs before it
	read     int64
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.read += int64(n)
	w.progress.read = w.before + w.read
	return n, err
}

// watchedFile can be read anywhere.
type watchedFile struct {
	*watched
	io.ReaderAt
}

func (w *watchedFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(b, at)
	w.progress.read = w.before + at + int64(n)
	return n, err
}

// record takes note of a record that was read.
func (p *progress) record(r *capture.Record) {
	if p == nil {
		return
	}
	p.records++
	p.at = r.At
	if p.records%progressLook == 0 {
		if now := p.now(); !now.Before(p.next) {
			p.next = now.Add(progressEvery)
			p.show(now)
		}
	}
}

func (p *progress) show(now time.Time) {
	elapsed := now.Sub(p.begun).Seconds()
	line := fmt.Sprintf("%d records, %.0f/s, at +%s", p.records, float64(p.records)/elapsed, time.Duration(p.at).Truncate(time.Millisecond))
	if p.total > 0 {
		line += fmt.Sprintf(", %d %%", min(100*p.read/p.total, 100))
	}
	fmt.Fprintf(p.to, "\r%.79s\x1b[K", line)
	p.shown = true
}

// yield makes room for a result if standard output is the terminal too, for
// good: results are progress enough.
func (p *progress) yield() {
	if p != nil && isTerminal(os.Stdout) {
		p.done()
	}
}

// done erases the line for good.
func (p *progress) done() {
	if p == nil {
		return
	}
	if p.shown {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.shown = false
	}
	p.next = p.now().Add(1 << 62)
}
