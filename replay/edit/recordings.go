package edit

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/topotape/topotape/capture"
)

// A recording is the tapes of one recording, in the order of their records.
type recording struct {
	tapes    []*scannedTape
	order    int   // on the command line
	ticks    bool  // it has ticks
	from, to int64 // times of its first and last record; on the time line, after it is placed there
	sources  []source
	steps    []clockStep
	track
}

func (r *recording) header() *capture.Header { return r.tapes[0].header }

func compareStarts(a, b *recording) int {
	return cmp.Or(cmp.Compare(a.header().Start, b.header().Start), cmp.Compare(a.order, b.order))
}

// groupTapes groups the tapes by recording. The recordings are in the order of
// the command line.
func groupTapes(tapes []*scannedTape) (list []*recording, err error) {
	for _, t := range tapes {
		at := slices.IndexFunc(list, func(r *recording) bool { return r.header().Origin() == t.header.Origin() })
		if at < 0 {
			list = append(list, &recording{order: len(list), from: t.from})
			at = len(list) - 1
		}
		if err := list[at].add(t); err != nil {
			return nil, err
		}
	}
	for _, r := range list {
		slices.SortFunc(r.tapes, func(a, b *scannedTape) int {
			return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.header.Segment, b.header.Segment), bytes.Compare(a.header.TapeID[:], b.header.TapeID[:]))
		})
		slices.SortFunc(r.steps, func(a, b clockStep) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
		r.steps = slices.Compact(r.steps) // tapes that overlap have the same steps
	}
	return list, nil
}

func (r *recording) add(t *scannedTape) error {
	if len(r.tapes) > 0 && r.header().Start != t.header.Start {
		return fmt.Errorf("%s and %s are of one recording, but have different starts", r.tapes[0].input.Name, t.input.Name)
	}
	if slices.ContainsFunc(r.tapes, func(o *scannedTape) bool { return o.input.Name == t.input.Name && o.base == t.base && o.sum == t.sum }) {
		return nil // it was named twice
	}
	r.tapes = append(r.tapes, t)
	r.ticks = r.ticks || t.ticks
	r.from, r.to = min(r.from, t.from), max(r.to, t.to)
	r.steps = append(r.steps, t.steps...)
	for _, s := range t.sources {
		if !slices.ContainsFunc(r.sources, func(o source) bool { return o.number == s.number }) {
			r.sources = append(r.sources, s)
		}
	}
	return nil
}
