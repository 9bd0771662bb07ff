package edit

import (
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// A witnessMaker steps a core through the records of a derived tape and replaces
// the tape's witnesses by those of this core version. The core has the current
// rules, which production uses by default. It may see more records than the tape gets.
type witnessMaker struct {
	core    *replay.Core
	tick    uint64           // number of the tick that digests belongs to
	digests *capture.Digests // of the report at the last tick; nil if there is no report
	// incomplete says that records before this place are missing, so that the
	// parents' witnesses prove nothing.
	incomplete bool
	compared   uint64 // witnesses of the parents that have this core version
	differ     uint64 // those of them that this core does not reproduce
}

// stepReporting steps the core and makes the report of a tick.
func (w *witnessMaker) stepReporting(r *capture.Record) {
	tick, panicked := w.core.Step(r)
	if tick || panicked != nil {
		w.digests = nil
	}
	var t capture.Tick
	if !tick || r.Decode(&t) != nil {
		return
	}
	w.tick = t.Number
	if report, panicked := w.core.Report(); panicked == nil {
		digests := report.Digests()
		w.digests = &digests
		report.Release()
	}
}

// rewrite returns what the tape gets for a record that the core has seen, and
// false if it gets nothing. Only witnesses change, and they keep their numbers:
//
//   - A witness of the current rules is replaced, unless it has this core version
//     and differs: then it stays, because it proves a difference. Where records are
//     missing before it, it proves nothing and is replaced too.
//   - A witness of other rules stays, but is left out where records are missing
//     before it.
func (w *witnessMaker) rewrite(r *capture.Record) (capture.Record, bool) {
	if r.Kind != capture.KindWitness || w.digests == nil {
		return *r, true
	}
	var p capture.Witness
	if r.Decode(&p) != nil || p.Tick != w.tick {
		return *r, true
	}
	if p.Rules != reporter.RulesCurrent {
		return *r, !w.incomplete
	}
	if p.Core == reporter.CoreVersion && !w.incomplete {
		w.compared++
		if p.Digests != *w.digests {
			w.differ++
			return *r, true
		}
	}
	p.Core, p.Digests = reporter.CoreVersion, *w.digests
	replaced := *r
	replaced.Payload = capture.AppendPayload(nil, &p)
	return replaced, true
}
