package replay

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter/report"
)

// A Summary reports what a Run read and what was wrong with it.
type Summary struct {
	Header       *capture.Header // of the first tape
	Records      uint64
	Ticks        uint64
	Reports      uint64 // that were yielded
	Gaps         uint64 // gap records
	Lost         uint64 // the sum of what they say was lost
	LeftOut      uint64 // connections beyond MaxConnections; counted up to as many again
	Ends         []TapeEnd
	Damage       error           // the first damage: wraps a *capture.DamageError
	Uncarried    bool            // a tape begins with a carry that this version cannot read
	Undecodable  uint64          // records that the last report lacks because they are malformed, or beyond a limit
	Faults       []capture.Fault // panics of the core in production, as the tape records them; at most maxFaults
	FaultsMore   uint64
	Panic        *Panic // of this replay
	Verification *Verification
}

// maxFaults bounds the faults of a Summary.
const maxFaults = 100

// reported takes from a report how many records it lacks.
func (s *Summary) reported(r *report.Report) {
	s.Undecodable = 0
	for i := range r.Coverage {
		s.Undecodable += r.Coverage[i].Undecodable
	}
}

// Foreseen reports whether the tape has a fault for the record that this replay
// panicked on.
func (s *Summary) Foreseen() bool {
	return s.Panic != nil && slices.ContainsFunc(s.Faults, func(f capture.Fault) bool { return f.Record == s.Panic.Record })
}

// Unclean returns a text about the first tape that was not closed, of those that were
// read to their end. It is empty if there is none.
func (s *Summary) Unclean() string {
	for _, e := range s.Ends {
		if e.Ending == tape.Cut {
			text := fmt.Sprintf("%s is cut: it was not closed, its last records may be missing", e.Name)
			if strings.HasSuffix(e.Name, ".partial") {
				return text + "; it is being written (topotape cut makes a tape of what there is), or its recorder died (topotape recover closes it)"
			}
			return text + "; topotape recover makes a closed tape of it"
		}
	}
	return ""
}

// Unknown returns how many records of unknown kinds were skipped.
func (s *Summary) Unknown() (n uint64) {
	for _, e := range s.Ends {
		n += e.Unknown
	}
	return n
}

// note counts gaps and lists faults.
func (s *Summary) note(r *capture.Record) {
	switch r.Kind {
	case capture.KindGap:
		var g capture.Gap
		if r.Decode(&g) == nil {
			s.Gaps++
			if s.Lost += g.Lost; s.Lost < g.Lost {
				s.Lost = math.MaxUint64
			}
		}
	case capture.KindFault:
		var f capture.Fault
		switch {
		case r.Decode(&f) != nil:
		case len(s.Faults) == maxFaults:
			s.FaultsMore++
		default:
			s.Faults = append(s.Faults, f)
		}
	}
}
