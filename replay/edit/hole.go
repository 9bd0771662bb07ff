package edit

import (
	"fmt"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// A hole is where a tape that is copied is damaged.
type hole struct {
	tail    error    // the damage that nothing came behind yet
	texts   []string // of the others
	sources []uint32 // that deliver, by number
}

func (h *hole) add(err error) {
	h.close()
	h.tail = err
}

func (h *hole) close() {
	if h.tail != nil {
		h.texts = append(h.texts, h.tail.Error())
		h.tail = nil
	}
}

// note learns from a record which sources there are.
func (h *hole) note(r *capture.Record) {
	if r.Source == 0 {
		return
	}
	at, known := slices.BinarySearch(h.sources, r.Source)
	switch closed := r.Kind == capture.KindSource && closes(r); {
	case closed && known:
		h.sources = slices.Delete(h.sources, at, at+1)
	case !closed && !known && len(h.sources) < reporter.MaxSources:
		h.sources = slices.Insert(h.sources, at, r.Source)
	}
}

func closes(r *capture.Record) bool {
	var s capture.Source
	return r.Decode(&s) == nil && !s.Open
}

// gaps returns records that say, for every source, that something is missing
// between two records, as far as their numbers leave room.
func (h *hole) gaps(before, next *capture.Record) (out []capture.Record) {
	if h.tail == nil {
		return nil
	}
	h.close()
	if next.Seq <= before.Seq+1 {
		return nil
	}
	why := fmt.Sprintf("%d records of all sources are missing: the tape was damaged", next.Seq-before.Seq-1)
	for i, source := range h.sources {
		seq := before.Seq + 1 + uint64(i)
		if seq == next.Seq {
			break
		}
		out = append(out, capture.Record{Seq: seq, At: before.At, Kind: capture.KindGap, Source: source,
			Payload: capture.AppendPayload(nil, &capture.Gap{Why: why})})
	}
	return out
}
