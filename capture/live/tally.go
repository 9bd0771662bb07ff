package live

import (
	"errors"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// A tally counts the records of a tape.
type tally struct {
	records     uint64
	totals      []capture.Total   // by source number
	gaps        []uint64          // gap records, by source number
	undecodable map[string]uint64 // by kind of source, as in the last report
}

func newTally(sources int) tally {
	t := tally{totals: make([]capture.Total, sources+1), gaps: make([]uint64, sources+1)}
	for i := range t.totals {
		t.totals[i].Source = uint32(i)
	}
	return t
}

// count adds a record.
func (t *tally) count(r *capture.Record) {
	t.records++
	if r.Source == 0 || int(r.Source) >= len(t.totals) {
		return
	}
	total := &t.totals[r.Source]
	total.Bytes += uint64(len(r.Payload))
	if r.Kind == capture.KindGap {
		var gap capture.Gap
		if r.Decode(&gap) == nil {
			total.Lost += gap.Lost
		}
		t.gaps[r.Source]++
	}
	if counts(r) {
		total.Recorded++
	}
}

// counts reports whether collectors count such a record as received: a message,
// a packet, a name, a closed socket, a record of the kernel's rings, or the last part of
// a table.
func counts(r *capture.Record) bool {
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry, capture.KindDNS, capture.KindReverseName, capture.KindProcUnchanged,
		capture.KindSocketClose, capture.KindSocketEvent, capture.KindProcessEvent:
		return true
	case capture.KindProcNet:
		var table capture.ProcNet
		return r.Decode(&table) == nil && !table.More
	case capture.KindSocketTable:
		var table capture.SocketTable
		return r.Decode(&table) == nil && !table.More
	}
	return false
}

// set makes it equal to another tally of the same sources.
func (t *tally) set(from *tally) {
	t.records, t.undecodable = from.records, from.undecodable
	copy(t.totals, from.totals)
	copy(t.gaps, from.gaps)
}

// recount counts the records of a tape that another program has truncated. It returns
// the size of its whole frames. How many of them the core could not decode is unknown.
func (t *tally) recount(file io.ReaderAt, size int64) int64 {
	*t = newTally(len(t.totals) - 1)
	r, err := tape.NewReader(io.NewSectionReader(file, 0, size))
	if err != nil {
		return 0
	}
	for {
		rec, err := r.Next()
		var damage *tape.DamageError
		switch {
		case err == nil:
			t.count(&rec)
		case errors.As(err, &damage):
			return damage.Offset
		default:
			return size
		}
	}
}
