package collect

import "github.com/topotape/topotape/capture"

// A pool makes up to a number of batches for one goroutine. Released batches
// come back to it.
type pool struct {
	home  chan *Batch
	made  int
	arena int // bytes of a batch's arena
	slots int // records of a batch, to begin with
}

func newPool(batches, arena, slots int) *pool {
	return &pool{home: make(chan *Batch, batches), arena: arena, slots: slots}
}

// get returns an empty batch. If all are in use, it waits for one.
func (p *pool) get() *Batch {
	select {
	case b := <-p.home:
		return b
	default:
	}
	if p.made == cap(p.home) {
		return <-p.home
	}
	p.made++
	return &Batch{home: p.home, arena: make([]byte, 0, p.arena), Records: make([]capture.Record, 0, p.slots)}
}

// used reports whether get would wait.
func (p *pool) used() bool { return p.made == cap(p.home) && len(p.home) == 0 }
