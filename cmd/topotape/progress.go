package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
)

// progress shows on a terminal how far a verb has read: one line on standard error
// that is overwritten, and erased at the end. A nil progress, which shows nothing, is
// used if standard error is no terminal.
type progress struct {
	to      io.Writer
	now     func() time.Time
	total   int64        // bytes of the inputs; 0 if one of them is a stream
	offset  atomic.Int64 // in the inputs together; atomic because tapes are read ahead
	read    atomic.Int64 // bytes, with all that are read again
	records uint64
	at      int64 // of the last record
	begun   time.Time
	counts  bool // shows records, else bytes

	mu    sync.Mutex
	next  time.Time // when the line is due
	shown bool
}

const (
	progressAfter = time.Second // a verb that ends sooner shows no line
	progressEvery = 200 * time.Millisecond
	progressLook  = 1024 // records between two checks of the clock
)

// newProgress returns the progress of a verb that reads records. It replaces Open of
// the inputs. Until done, nothing else may write to standard error without calling
// yield or clear first.
func newProgress(inputs []replay.Input) *progress {
	if !isTerminal(os.Stderr) {
		return nil
	}
	p := &progress{to: os.Stderr, now: time.Now, counts: true}
	p.watch(inputs)
	return p
}

// readProgress returns the progress of a verb that does not count records. It shows
// the bytes read.
func readProgress(inputs []replay.Input) *progress {
	p := newProgress(inputs)
	if p != nil {
		p.counts = false
	}
	return p
}

// fileProgress returns a reader of the file and the progress of a verb that reads it.
func fileProgress(f *os.File, size int64) (io.ReaderAt, *progress) {
	if !isTerminal(os.Stderr) {
		return f, nil
	}
	p := &progress{to: os.Stderr, now: time.Now, total: size}
	p.begin()
	return &watchedFile{&watched{ReadCloser: f, progress: p}, f}, p
}

func (p *progress) begin() {
	p.begun = p.now()
	p.next = p.begun.Add(progressAfter)
}

// watch adds inputs.
func (p *progress) watch(inputs []replay.Input) {
	p.begin()
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
	w.progress.bytes(n, w.before+w.read)
	return n, err
}

// watchedFile is an open input with random access.
type watchedFile struct {
	*watched
	io.ReaderAt
}

func (w *watchedFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(b, at)
	w.progress.bytes(n, w.before+at+int64(n))
	return n, err
}

// bytes counts n bytes that were read, up to an offset in the inputs together.
func (p *progress) bytes(n int, offset int64) {
	p.offset.Store(offset)
	p.read.Add(int64(n))
	if !p.counts {
		p.update()
	}
}

// record counts a record that was read.
func (p *progress) record(r *capture.Record) {
	if p == nil {
		return
	}
	p.records++
	p.at = r.At
	if p.records%progressLook == 0 {
		p.update()
	}
}

// update shows the line if it is due.
func (p *progress) update() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); !now.Before(p.next) {
		p.next = now.Add(progressEvery)
		p.show(now)
	}
}

func (p *progress) show(now time.Time) {
	elapsed := now.Sub(p.begun).Seconds()
	line := fmt.Sprintf("%s read, %s/s", render.Size(uint64(p.read.Load())), render.Size(uint64(float64(p.read.Load())/elapsed)))
	if p.counts {
		line = fmt.Sprintf("%d records, %.0f/s, at +%s", p.records, float64(p.records)/elapsed, time.Duration(p.at).Truncate(time.Millisecond))
	}
	if p.total > 0 {
		line += fmt.Sprintf(", %d %%", min(100*p.offset.Load()/p.total, 100))
	}
	fmt.Fprintf(p.to, "\r%.79s\x1b[K", line)
	p.shown = true
}

// yield erases the line for good if standard output is a terminal too: there the
// results show the progress.
func (p *progress) yield() {
	if p != nil && isTerminal(os.Stdout) {
		p.done()
	}
}

// clear erases the line, which comes back when it is due.
func (p *progress) clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.shown = false
	}
}

// done erases the line for good.
func (p *progress) done() {
	if p == nil {
		return
	}
	p.clear()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = p.now().Add(1 << 62)
}
