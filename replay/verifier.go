package replay

import (
	"cmp"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// A verifier compares each witness with the report of the tick before it.
type verifier struct {
	rules  string
	result Verification
	tick   tickReport
	equal  position // of the last tick of this recording whose report is as production made it; count is 0 if there is none
	onTape bool     // the last tick is on the current tape
	// unreadable: a tick of this recording could not be decoded, so its number is not
	// known.
	unreadable bool
}

// A tickReport is the last tick, and its report if that was made.
type tickReport struct {
	position position
	at       int64 // ns since the recording's start
	number   uint64
	report   *report.Report  // nil if it was not made
	digests  capture.Digests // of the report
}

func newVerifier(rules string) verifier {
	return verifier{rules: cmp.Or(rules, reporter.RulesCurrent)}
}

// begin goes on to another tape. A tape that does not follow the one before begins a
// recording.
func (v *verifier) begin(recording bool) {
	v.onTape = false
	if recording {
		v.equal, v.tick, v.unreadable = position{}, tickReport{}, false
	}
}

// ticked replaces the last tick.
func (v *verifier) ticked(it *Item) {
	var t capture.Tick
	_ = it.Decode(&t) // note has recorded a failure
	v.tick, v.onTape = tickReport{position: it.position, at: it.At, number: t.Number}, true
}

// reported adds the report of the last tick.
func (v *verifier) reported(r *report.Report) {
	v.tick.report, v.tick.digests = r, r.Digests()
}

// isWitness reports whether a record is the witness of the last tick.
func (v *verifier) isWitness(r *capture.Record) bool {
	if r.Kind != capture.KindWitness {
		return false
	}
	var w capture.Witness
	return r.Decode(&w) == nil && w.Rules == v.rules && w.Tick == v.tick.number
}

// note looks at a record before it is stepped.
func (v *verifier) note(it *Item) {
	switch it.Kind {
	case capture.KindTick:
		v.unreadable = v.unreadable || it.Decode(new(capture.Tick)) != nil
	case capture.KindWitness:
		var w capture.Witness
		if it.Decode(&w) == nil {
			v.witness(it, &w)
		}
	}
}

// witness counts a witness, and compares it if the report of its tick was made. The
// first mismatch is kept, or the first of this core version.
func (v *verifier) witness(it *Item, w *capture.Witness) {
	t := &v.tick
	d := Mismatch{Tick: w.Tick, Record: it.Seq, At: it.At, Tape: it.input, Header: it.Header, Core: w.Core}
	switch {
	case w.Rules != v.rules:
		v.result.OtherRules++
		return
	case t.report != nil && w.Tick == t.number:
		equal := t.digests == w.Digests
		v.result.count(w.Core, equal)
		if equal {
			v.equal = t.position
			return
		}
		d.digests = compareDigests(&t.digests, &w.Digests)
		d.Record, d.At, d.Report = t.position.seq, t.at, t.report
		d.Sections, d.Buckets = d.digests.sections(), d.digests.buckets
	case v.elsewhere(it.Header):
		v.result.Elsewhere++
		return
	default:
		v.result.Unticked++
		v.result.count(w.Core, false)
	}
	first := v.result.First
	if first == nil || d.Core == reporter.CoreVersion && first.Core != d.Core {
		d.equal = v.equal
		v.result.First = &d
	}
}

// elsewhere reports whether the tick of a witness may be missing for a reason: it is
// on the segment before, or on the parent of a tape that a verb made from parts of
// others, or could not be decoded.
func (v *verifier) elsewhere(h *capture.Header) bool {
	part := h.Derived.Verb != "" && h.Derived.Verb != "build"
	return part || v.unreadable || h.Segment > 0 && !v.onTape
}

// count counts a comparison with a witness that a core of that version made.
func (r *Verification) count(core uint32, equal bool) {
	n := uint64(0)
	if equal {
		n = 1
	}
	if core == reporter.CoreVersion {
		r.Witnesses++
		r.Identical += n
		return
	}
	r.Others++
	r.Unchanged += n
	r.OtherCore = core
}
