package replay

import (
	"runtime"
	"sync"

	"github.com/topotape/topotape/capture"
)

// decoders decode chunks on other cores, while the core steps on one.
type decoders struct {
	todo, done chan *capture.Chunk
	ready      map[*capture.Chunk]bool // decoded, and not waited for yet
	running    sync.WaitGroup
}

// maxDecoders is how many decode at the same time at most; one keeps up with two
// cores that step.
const maxDecoders = 4

func newDecoders() *decoders {
	d := &decoders{todo: make(chan *capture.Chunk, capture.MaxAhead), done: make(chan *capture.Chunk, capture.MaxAhead), ready: map[*capture.Chunk]bool{}}
	for range min(runtime.GOMAXPROCS(0), maxDecoders) {
		d.running.Go(func() {
			for c := range d.todo {
				c.Decode()
				d.done <- c
			}
		})
	}
	return d
}

func (d *decoders) Start(c *capture.Chunk) { d.todo <- c }

func (d *decoders) Wait(c *capture.Chunk) {
	for !d.ready[c] {
		d.ready[<-d.done] = true
	}
	delete(d.ready, c)
}

// close returns when nothing runs any more.
func (d *decoders) close() {
	close(d.todo)
	d.running.Wait()
}
