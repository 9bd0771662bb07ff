package replay

import (
	"bytes"

	"github.com/topotape/topotape/capture"
)

// A pendingCarry is the carry at the head of a segment that continues a recording.
// It applies only if records are missing between the two segments: otherwise the
// core has seen every record and has the better state. The number of the first
// record after the carry shows which is the case.
type pendingCarry struct {
	parts []capture.Record
	size  int    // payload bytes of the parts
	tape  int    // number of the last record's tape
	last  uint64 // number of the last record that is no carry
}

// maxPendingCarry bounds the payload bytes of a pending carry; a longer one is
// dropped.
const maxPendingCarry = 1 << 30

// next returns the carry to step before the next record of the tapes.
func (p *pendingCarry) next(it *Item) (parts []capture.Record) {
	if it.Tape() != p.tape {
		p.tape = it.Tape()
		if !it.Follows {
			p.drop()
			p.last = 0
		}
	}
	if it.Kind == capture.KindCarry {
		if it.Follows {
			p.add(&it.Record)
		}
		return nil
	}
	if it.Seq != p.last+1 {
		parts = p.parts
	}
	p.drop()
	p.last = it.Seq
	return parts
}

func (p *pendingCarry) add(r *capture.Record) {
	if p.size += len(r.Payload); p.size > maxPendingCarry {
		p.parts = nil
		return
	}
	part := *r
	part.Payload = bytes.Clone(r.Payload)
	p.parts = append(p.parts, part)
}

func (p *pendingCarry) drop() { p.parts, p.size = nil, 0 }
