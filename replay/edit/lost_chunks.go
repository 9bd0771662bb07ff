package edit

import (
	"cmp"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	sources "github.com/topotape/topotape/reporter/source"
)

// lostChunks describes lost chunks by the pages of the index that are left. One
// page is in memory at a time.
type lostChunks struct {
	file    io.ReaderAt
	pages   []tape.Frame // not read yet, in order
	entries []tape.Entry // of the last page that was read; not used yet
	done    uint64       // last record number of the entries used
}

// A chunkLoss describes the records of lost chunks.
type chunkLoss struct {
	records     uint64 // how many
	first, last uint64 // their numbers
	lastAt      int64  // time of the last one
	sources     []sourceLoss
}

// A sourceLoss says how many messages, packets or readings of a source are lost.
type sourceLoss struct {
	source        // its kind is "" if the lost records do not show it
	lost   uint64 // 0 if only gap or source records of it are lost
}

// between describes the chunks that have all their records from one number to
// another. The ranges of consecutive calls must ascend.
func (c *lostChunks) between(from, to uint64) (loss chunkLoss) {
	for e := c.next(); e != nil && e.FirstSeq <= to; e = c.next() {
		if e.FirstSeq > c.done && e.FirstSeq >= from && e.FirstSeq <= e.LastSeq && e.LastSeq <= to {
			loss.add(e)
			c.done = e.LastSeq
		}
		c.entries = c.entries[1:]
	}
	slices.SortFunc(loss.sources, func(a, b sourceLoss) int { return compareSources(a.source, b.source) })
	return loss
}

// next returns the next entry that is not used yet, nil at the end.
func (c *lostChunks) next() *tape.Entry {
	for len(c.entries) == 0 {
		if len(c.pages) == 0 {
			return nil
		}
		c.entries, _ = c.pages[0].Entries(c.file) // a page that does not decode has none
		c.pages = c.pages[1:]
	}
	return &c.entries[0]
}

func (l *chunkLoss) add(e *tape.Entry) {
	if l.records == 0 {
		l.first = e.FirstSeq
	}
	l.last, l.lastAt = e.LastSeq, e.LastAt
	for _, n := range e.Counts {
		k := capture.Kind(n.Kind)
		if k == capture.KindCarry {
			continue
		}
		l.records += n.Records
		kind := k.Source()
		if kind == "" && (n.Source == 0 || k != capture.KindGap && k != capture.KindSource) {
			continue
		}
		at := slices.IndexFunc(l.sources, func(s sourceLoss) bool { return s.number == n.Source })
		if at < 0 {
			if len(l.sources) == sources.Max {
				continue
			}
			at = len(l.sources)
			l.sources = append(l.sources, sourceLoss{source: source{number: n.Source}})
		}
		s := &l.sources[at]
		s.kind = cmp.Or(s.kind, kind)
		if kind != "" {
			s.lost += n.Records
		}
	}
}
