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
	First      *Mismatch
}

// A Mismatch is the first report that is not what production made. Production
// left digests of its own, so only this side can be shown.
type Mismatch struct {
	Tick     uint64
	Record   uint64 // number of the tick's record
	At       int64  // ns since the recording's start
	Core     uint32 // version that made the witness
	Sections []string
	Buckets  []int            // of connections
	Report   *reporter.Report // as made here
	// Before is the last report before it that is as production made it, and Since
	// what changed from there to Report, as far as the digests differ; nil if there
	// is none, or the tapes cannot be read again. Times of connections are not compared.
	Before *Moment
	Since  *Difference

	coverage, endpoints, names bool // differ
}

// Connections lists those of the report that are in a bucket that differs.
func (d *Mismatch) Connections() (list []reporter.Connection) {
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
func (d *Mismatch) since(before *reporter.Report, record uint64) {
	d.Before = &Moment{Tick: before.Tick, At: Wall(before.At), RecordA: record}
	c := Comparison{untimed: true}
	parts := d.suspects(before, d.Report)
	c.Add(parts[0], parts[1])
	d.Since = c.Difference()
}

// verifier compares as witnesses come.
type verifier struct {
	rules  string
	result Verification
	equal  position // of the last tick that is as production made it, before any other
}

// take reads a witness; nil if it is not to be compared.
func (v *verifier) take(r *capture.Record) *capture.Witness {
	w := new(capture.Witness)
	if r.Decode(w) != nil {
		return nil
	}
	if w.Rules != v.rules {
		v.result.OtherRules++
		return nil
	}
	return w
}

// compareOnly compares a report that nobody else wants.
func (v *verifier) compareOnly(tick *item, w *capture.Witness, made *reporter.Report) {
	v.compare(tick, w, made)
	if v.result.First == nil || v.result.First.Report != made {
		made.Release()
	}
}

func (v *verifier) compare(tick *item, w *capture.Witness, made *reporter.Report) {
	got := made.Digests()
	equal := got == w.Digests
	n, same := &v.result.Witnesses, &v.result.Identical
	if w.Core != reporter.CoreVersion {
		n, same = &v.result.Others, &v.result.Unchanged
		v.result.OtherCore = w.Core
	}
	*n++
	if equal {
		*same++
		if v.result.First == nil {
			v.equal = tick.place
		}
		return
	}
	if v.result.First != nil {
		return
	}
	d := &Mismatch{Tick: w.Tick, Record: tick.rec.Seq, At: tick.rec.At, Core: w.Core, Report: made}
	section := func(name string, a, b uint64) {
		if a != b {
			d.Sections = append(d.Sections, name)
		}
	}
	d.coverage, d.endpoints, d.names = got.Coverage != w.Digests.Coverage, got.Endpoints != w.Digests.Endpoints, got.Names != w.Digests.Names
	section("coverage", got.Coverage, w.Digests.Coverage)
	for i := range got.Connections {
		if got.Connections[i] != w.Digests.Connections[i] {
			d.Sections = append(d.Sections, fmt.Sprintf("connections bucket %d", i))
			d.Buckets = append(d.Buckets, i)
		}
	}
	section("endpoints", got.Endpoints, w.Digests.Endpoints)
	section("names", got.Names, w.Digests.Names)
	v.result.First = d
}
