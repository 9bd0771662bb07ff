package replay

import (
	"bytes"

	"github.com/topotape/topotape/capture"
)

// A PendingCarry keeps the carry at the head of a segment that follows on the one
// before it, until the record behind it tells whether records are missing between
// the two. Only then it is taken: a core that was shown everything knows better.
type PendingCarry struct {
	parts []capture.Record
	size  int
	last  uint64 // number of the last record
}

// maxHeld bounds the bytes of a carry that is kept; a longer one is not taken.
const maxHeld = 1 << 30

func (h *PendingCarry) Keep(r *capture.Record) {
	if h.size += len(r.Payload); h.size > maxHeld {
		h.parts = nil
		return
	}
	part := *r
	part.Payload = bytes.Clone(r.Payload)
	h.parts = append(h.parts, part)
}

// Before returns what is to be stepped before the record.
func (h *PendingCarry) Before(r *capture.Record) (parts []capture.Record) {
	if r.Seq != h.last+1 {
		parts = h.parts
	}
	h.last, h.parts, h.size = r.Seq, nil, 0
	return parts
}

// Carrier is a core that hands on what it knows.
type Carrier interface {
	Carry() []capture.Carry
	Carried() bool
}
