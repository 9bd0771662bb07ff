package replay

import (
	"iter"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/packed"
)

// A pendingCarry is the carry at the head of a segment that continues a recording.
// It applies only if records are missing between the two segments: otherwise the
// core has seen every record and has the better state. The number of the first
// record after the carry shows which is the case.
type pendingCarry struct {
	parts packed.Records
	tape  int    // number of the last record's tape
	last  uint64 // number of the last record that is no carry
}

// next returns the carry to step before the next record of the tapes, nil for none.
func (p *pendingCarry) next(it *Item) (parts iter.Seq[capture.Record]) {
	if it.Tape() != p.tape {
		p.tape = it.Tape()
		if !it.Follows {
			p.parts.Clear()
			p.last = 0
		}
	}
	if it.Kind == capture.KindCarry {
		if it.Follows {
			p.parts.Add(&it.Record)
		}
		return nil
	}
	if it.Seq != p.last+1 && p.parts.Len() > 0 {
		parts = p.parts.All()
	}
	p.parts.Clear()
	p.last = it.Seq
	return parts
}
