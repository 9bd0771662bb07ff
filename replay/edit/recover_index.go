package edit

import (
	"cmp"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// lostChunks is what the index still says of chunks that are lost. One page is
// in memory at a time.
type lostChunks struct {
	file    io.ReaderAt
	pages   []capture.Frame // not yet read, in order
	entries []capture.Entry // of the page before them, not yet asked for
	done    uint64          // the last number that was asked for
}

// A chunkLoss is what chunks held that are lost.
type chunkLoss struct {
	records uint64
	first   uint64
	last    uint64
	at      int64 // of the last
	sources []sourceLoss
}

// A sourceLoss is how many messages, packets or readings of a source are lost.
type sourceLoss struct {
	number uint32
	kind   string // "" if its records do not tell
	lost   uint64
}

// between says what the index tells of the records from one number to another.
// It must be asked in order.
func (c *lostChunks) between(from, to uint64) (loss chunkLoss) {
	for {
		if len(c.entries) == 0 {
			if len(c.pages) == 0 {
				break
			}
			c.entries, _ = c.pages[0].Entries(c.file) // a page that does not decode tells nothing
			c.pages = c.pages[1:]
			continue
		}
		e := &c.entries[0]
		if e.FirstSeq > to {
			break
		}
		if e.FirstSeq > c.done && e.FirstSeq >= from && e.FirstSeq <= e.LastSeq && e.LastSeq <= to {
			loss.add(e)
			c.done = e.LastSeq
		}
		c.entries = c.entries[1:]
	}
	slices.SortFunc(loss.sources, func(a, b sourceLoss) int {
		return cmp.Or(cmp.Compare(rank(a.kind), rank(b.kind)), cmp.Compare(a.number, b.number))
	})
	return loss
}

func (l *chunkLoss) add(e *capture.Entry) {
	if l.records == 0 {
		l.first = e.FirstSeq
	}
	l.last, l.at = e.LastSeq, e.LastAt
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
			if len(l.sources) == reporter.MaxSources {
				continue
			}
			l.sources = append(l.sources, sourceLoss{number: n.Source})
			at = len(l.sources) - 1
		}
		s := &l.sources[at]
		s.kind = cmp.Or(s.kind, kind)
		if kind != "" {
			s.lost += n.Records
		}
	}
}
