package replay

import (
	"fmt"
	"math"
	"runtime/debug"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// A Summary says what a Run met.
type Summary struct {
	Header       *capture.Header // of the first tape
	Records      uint64
	Ticks        uint64
	Reports      uint64 // that were yielded
	Gaps         uint64 // gap records
	Lost         uint64 // what they add up to
	LeftOut      uint64 // connections beyond MaxConnections, counted up to as many again
	Ends         []TapeEnd
	Damage       error // where the tape is damaged: wraps a *capture.DamageError
	Uncarried    bool  // a tape begins with what another core knew, and ours cannot read that
	Faults       []Fault
	Panic        *Panic
	Verification *Verification
}

// A Fault of production that the tape tells of.
type Fault struct {
	Record  uint64
	Message string
}

// A Panic of the core in this replay.
type Panic struct {
	Record uint64
	Value  any
	Stack  []byte
	count  uint64 // records read with it
}

// Foreseen reports whether production panicked on the same record.
func (s *Summary) Foreseen() bool {
	if s.Panic == nil {
		return false
	}
	for _, f := range s.Faults {
		if f.Record == s.Panic.Record {
			return true
		}
	}
	return false
}

// Unclean says which tapes were not closed, "" when all that were read to
// their end were.
func (s *Summary) Unclean() string {
	for _, e := range s.Ends {
		if e.Ending == capture.Cut {
			text := fmt.Sprintf("%s is cut: it was not closed, its last records may be missing", e.Name)
			if strings.HasSuffix(e.Name, ".partial") {
				return text + "; it is being written (topotape cut makes a tape of what there is), or its recorder died (topotape recover closes it)"
			}
			return text + "; topotape recover makes a closed tape of it"
		}
	}
	return ""
}

// Unknown is how many records of unknown kinds were skipped.
func (s *Summary) Unknown() (n uint64) {
	for _, e := range s.Ends {
		n += e.Unknown
	}
	return n
}

// note looks at records other than conntrack's.
func (s *Summary) note(it *item) {
	switch it.rec.Kind {
	case capture.KindGap:
		var g capture.Gap
		if it.rec.Decode(&g) == nil {
			s.Gaps++
			if s.Lost += g.Lost; s.Lost < g.Lost {
				s.Lost = math.MaxUint64
			}
		}
	case capture.KindFault:
		var f capture.Fault
		if it.rec.Decode(&f) == nil {
			s.Faults = append(s.Faults, Fault{Record: f.Record, Message: f.Message})
		}
	}
}

// panicked goes on without the core.
func (d *driver) panicked(it *item, p *Panic) {
	p.Record, p.count = it.rec.Seq, it.place.count
	d.summary.Panic = p
	d.core = nil
}

func Step(core Core, r *capture.Record) (tick bool, panicked *Panic) {
	defer func() {
		if v := recover(); v != nil {
			panicked = &Panic{Value: v, Stack: debug.Stack()}
		}
	}()
	return core.Step(r), nil
}

func MakeReport(core Core) (r *reporter.Report, panicked *Panic) {
	defer func() {
		if v := recover(); v != nil {
			panicked = &Panic{Value: v, Stack: debug.Stack()}
		}
	}()
	return core.Report(), nil
}
