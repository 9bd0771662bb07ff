package edit

import (
	"fmt"
	"slices"

	"github.com/topotape/topotape/capture"
	sources "github.com/topotape/topotape/reporter/source"
)

// A damageLog collects the damage of tapes that are cut, and says which records
// are missing because of it.
type damageLog struct {
	last  error    // damage that no record has followed yet
	texts []string // of the damage before it
	// sources are the numbers of the sources that are open or have records, sorted.
	sources []uint32
}

func (d *damageLog) add(err error) {
	d.settle()
	d.last = err
}

// settle is called when the damage is known to matter for the cut.
func (d *damageLog) settle() {
	if d.last != nil {
		d.texts = append(d.texts, d.last.Error())
		d.last = nil
	}
}

// noteSource updates the sources with a record.
func (d *damageLog) noteSource(r *capture.Record) {
	if r.Source == 0 {
		return
	}
	at, listed := slices.BinarySearch(d.sources, r.Source)
	switch closed := r.Kind == capture.KindSource && isClosing(r); {
	case closed && listed:
		d.sources = slices.Delete(d.sources, at, at+1)
	case !closed && !listed && len(d.sources) < sources.Max:
		d.sources = slices.Insert(d.sources, at, r.Source)
	}
}

func isClosing(r *capture.Record) bool {
	var s capture.Source
	return r.Decode(&s) == nil && !s.Open
}

// gaps returns a gap record of every source if damage lies between two records
// that do not have consecutive numbers. The gaps take the free numbers between
// them; if there are fewer numbers than sources, the last sources get no gap.
func (d *damageLog) gaps(before, next *capture.Record) (out []capture.Record) {
	if d.last == nil {
		return nil
	}
	d.settle()
	if next.Seq <= before.Seq+1 {
		return nil
	}
	why := fmt.Sprintf("%d records of all sources are missing: the tape was damaged", next.Seq-before.Seq-1)
	for i, source := range d.sources {
		seq := before.Seq + 1 + uint64(i)
		if seq == next.Seq {
			break
		}
		out = append(out, capture.Record{Seq: seq, At: before.At, Kind: capture.KindGap, Source: source,
			Payload: capture.AppendPayload(nil, &capture.Gap{Why: why})})
	}
	return out
}
