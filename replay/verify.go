package replay

import (
	"fmt"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// A Verification compares the reports of a replay with the witnesses that
// production left.
type Verification struct {
	Witnesses  uint64 // of this core version, compared
	Identical  uint64
	Others     uint64 // of other core versions, compared too
	Unchanged  uint64 // of those, equal
	OtherCore  uint32 // the last of the other core versions
	OtherRules uint64 // made under other rules: not compared
	// Unticked is how many of Witnesses and Others are of a tick that the tape
	// should have before them and has not: no report is equal to these.
	Unticked uint64
	// Elsewhere is how many more have no such tick and need none: it may stand on
	// another tape, or cannot be read. Not compared.
	Elsewhere uint64
	First     *Mismatch // of this core version, if any of that is; else of others
}

// A Mismatch is the first report that is not what production made. Production
// left digests of its own, so only this side can be shown.
type Mismatch struct {
	Tick     uint64
	Record   uint64          // number of the tick's record, of the witness' if the tape has no such tick
	At       int64           // of that record, ns since the recording's start
	Tape     string          // its input
	Header   *capture.Header // of that tape
	Core     uint32          // version that made the witness
	Sections []string
	Buckets  []int            // of connections
	Report   *reporter.Report // as made here; nil if the tape has no such tick
	// Before is the last report of this recording before it that is as production
	// made it, and Since what changed from there to Report, as far as the digests
	// differ; nil if there is none, or the tapes cannot be read again. Times of
	// connections are not compared.
	Before *Moment
	Since  *Difference

	coverage, endpoints, names bool     // differ
	equal                      position // of Before; count 0 is none
}

// Connections lists those of the report that are in a bucket that differs.
func (d *Mismatch) Connections() (list []reporter.Connection) {
	if d.Report == nil {
		return nil
	}
	return d.connections(d.Report)
}

func (d *Mismatch) connections(r *reporter.Report) (list []reporter.Connection) {
	for i := range r.Connections {
		if c := &r.Connections[i]; slices.Contains(d.Buckets, c.Bucket()) {
			list = append(list, *c)
		}
	}
	return list
}

// suspects are what two reports have of what differs. An endpoint is all that its
// connections say of it: where buckets differ, it is one of theirs that does.
func (d *Mismatch) suspects(reports ...*reporter.Report) (parts []*reporter.Report) {
	ends := endKeys{}
	for _, r := range reports {
		part := &reporter.Report{Connections: d.connections(r)}
		for i := range part.Connections {
			ends.add(&part.Connections[i])
		}
		if d.coverage {
			part.Coverage = r.Coverage
		}
		if d.names {
			part.Names = r.Names
		}
		parts = append(parts, part)
	}
	for i, r := range reports {
		switch {
		case d.endpoints && len(d.Buckets) > 0:
			parts[i].Endpoints = ends.of(r.Endpoints)
		case d.endpoints:
			parts[i].Endpoints = r.Endpoints
		}
	}
	return parts
}

// since says what changed since an earlier report that is as production made it.
func (d *Mismatch) since(before *reporter.Report) {
	d.Before = &Moment{Tick: before.Tick, At: Wall(before.At), RecordA: d.equal.seq}
	c := Comparison{untimed: true}
	parts := d.suspects(before, d.Report)
	c.Add(parts[0], parts[1])
	d.Since = c.Difference()
}

// verifier compares witnesses, as they come, with the report of the tick before.
type verifier struct {
	rules  string
	result Verification
	equal  position // of the last tick of this recording that is as production made it; count 0 is none
	tick   heldTick // the last one
	onTape bool     // it stands on this tape
	untold bool     // a tick could not be read: which number it had is not known
}

// A heldTick is a tick whose witness may come.
type heldTick struct {
	place  position
	at     int64
	number uint64
	report *reporter.Report // nil if it was not made
	digest capture.Digests
}

// begin goes on to another tape. A fresh core knows nothing of the one before.
func (v *verifier) begin(fresh bool) {
	v.onTape = false
	if fresh {
		v.equal, v.tick, v.untold = position{}, heldTick{}, false
	}
}

// ticked takes the place of the tick before.
func (v *verifier) ticked(it *item) (number uint64) {
	var t capture.Tick
	_ = it.rec.Decode(&t) // note says if it cannot be
	v.tick, v.onTape = heldTick{place: it.place, at: it.rec.At, number: t.Number}, true
	return t.Number
}

// made adds the report of the last tick.
func (v *verifier) made(r *reporter.Report) { v.tick.report, v.tick.digest = r, r.Digests() }

// awaits reports whether a record is the witness of that tick.
func (v *verifier) awaits(r *capture.Record, tick uint64) bool {
	var w capture.Witness
	return r.Kind == capture.KindWitness && r.Decode(&w) == nil && w.Rules == v.rules && w.Tick == tick
}

// note looks at a record before it is stepped.
func (v *verifier) note(it *item, tape string) {
	switch it.rec.Kind {
	case capture.KindTick:
		v.untold = v.untold || it.rec.Decode(new(capture.Tick)) != nil
	case capture.KindWitness:
		var w capture.Witness
		if it.rec.Decode(&w) != nil {
			return
		}
		d := &Mismatch{Tick: w.Tick, Record: it.rec.Seq, At: it.rec.At, Tape: tape, Header: it.header, Core: w.Core}
		switch {
		case w.Rules != v.rules:
			v.result.OtherRules++
		case v.tick.report != nil && w.Tick == v.tick.number:
			v.compare(&w, d)
		case v.elsewhere(it.header):
			v.result.Elsewhere++
		default:
			v.result.Unticked++
			v.count(d, false)
		}
	}
}

// elsewhere reports whether a witness that has no tick before it needs none: the
// tick may stand on the segment before, or is not on a tape that a verb made of a
// part of others, or is there and cannot be read.
func (v *verifier) elsewhere(h *capture.Header) bool {
	part := h.Derived.Verb != "" && h.Derived.Verb != "build"
	return part || v.untold || h.Segment > 0 && !v.onTape
}

// count takes a comparison's outcome.
func (v *verifier) count(d *Mismatch, equal bool) {
	ours := d.Core == reporter.CoreVersion
	n, same := &v.result.Witnesses, &v.result.Identical
	if !ours {
		n, same = &v.result.Others, &v.result.Unchanged
		v.result.OtherCore = d.Core
	}
	*n++
	if equal {
		*same++
		v.equal = v.tick.place
		return
	}
	if first := v.result.First; first == nil || ours && first.Core != d.Core {
		d.equal = v.equal
		v.result.First = d
	}
}

// compare compares the last tick's report.
func (v *verifier) compare(w *capture.Witness, d *Mismatch) {
	t, got, want := &v.tick, &v.tick.digest, &w.Digests
	d.Record, d.At, d.Report = t.place.seq, t.at, t.report
	section := func(name string, a, b uint64) bool {
		if a != b {
			d.Sections = append(d.Sections, name)
		}
		return a != b
	}
	d.coverage = section("coverage", got.Coverage, want.Coverage)
	for i := range got.Connections {
		if section(fmt.Sprintf("connections bucket %d", i), got.Connections[i], want.Connections[i]) {
			d.Buckets = append(d.Buckets, i)
		}
	}
	d.endpoints = section("endpoints", got.Endpoints, want.Endpoints)
	d.names = section("names", got.Names, want.Names)
	v.count(d, *got == *want)
}

// explain compares the first report that differs with the last one before it that
// does not, which is made again.
func (d *driver) explain(inputs []Input) {
	m := d.verify.result.First
	if m == nil || m.Report == nil || m.equal.count == 0 {
		return
	}
	if before := d.lastBefore(inputs, m.equal.count); before != nil {
		m.since(before)
	}
}
