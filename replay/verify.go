package replay

import (
	"fmt"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter/report"
)

// A Verification is the result of comparing the reports of a replay with the
// witnesses on the tape: the digests of the reports that production made.
type Verification struct {
	Witnesses  uint64 // compared: of this core version
	Identical  uint64 // of Witnesses: equal
	Others     uint64 // compared: of other core versions
	Unchanged  uint64 // of Others: equal
	OtherCore  uint32 // the last of the other core versions
	OtherRules uint64 // not compared: of other rules
	// Unticked counts those of Witnesses and Others whose tick is missing on the tape,
	// though it should precede them. They are equal to no report.
	Unticked uint64
	// Elsewhere counts further witnesses whose tick is missing for a reason: it may be
	// on another tape, or cannot be read. They are not compared.
	Elsewhere uint64
	// First is the first report that differs: of this core version if there is one, or
	// else of another.
	First *Mismatch
}

// A Mismatch is a report that differs from the one that production made. Of that
// one only the digests are known, so only the report of the replay can be shown.
type Mismatch struct {
	Tick     uint64          // number of the tick
	Record   uint64          // number of the tick's record; of the witness if the tick is missing
	At       int64           // of that record, ns since the recording's start
	Tape     string          // name of its input
	Header   *capture.Header // of that tape
	Core     uint32          // version of the core that made the witness
	Sections []string        // that differ, in words
	Buckets  []int           // of connections, that differ
	Report   *report.Report  // of this replay; nil if the tick is missing
	// Before is the last earlier report of this recording that is as production made
	// it. Since is what changed from there to Report, limited to what the digests show
	// as different, without the times of connections. Both are nil if there is no such
	// report, or the tapes cannot be read again.
	Before *diff.Moment
	Since  *diff.Difference

	digests differing
	equal   position // of Before; count is 0 if there is none
}

// Connections returns the connections of the report that are in a bucket that
// differs.
func (d *Mismatch) Connections() (list []report.Connection) {
	if d.Report == nil {
		return nil
	}
	return connectionsIn(d.Report, d.Buckets)
}

func connectionsIn(r *report.Report, buckets []int) (list []report.Connection) {
	for i := range r.Connections {
		if c := &r.Connections[i]; slices.Contains(buckets, c.Bucket()) {
			list = append(list, *c)
		}
	}
	return list
}

// changesSince sets Before and Since.
func (d *Mismatch) changesSince(before *report.Report) {
	d.Before = &diff.Moment{Tick: before.Tick, At: diff.Wall(before.At), RecordA: d.equal.seq}
	c := diff.Comparison{IgnoreTimes: true}
	a, b := d.digests.parts(before, d.Report)
	c.Add(a, b)
	d.Since = c.Difference()
}

// differing lists the parts of a report whose digests differ.
type differing struct {
	coverage, endpoints, names, attempts bool
	buckets                              []int // of connections
}

// compareDigests compares a report with a witness.
func compareDigests(report, witness *capture.Digests) differing {
	d := differing{
		coverage:  report.Coverage != witness.Coverage,
		endpoints: report.Endpoints != witness.Endpoints,
		names:     report.Names != witness.Names,
		attempts:  report.Attempts != witness.Attempts,
	}
	for i := range report.Connections {
		if report.Connections[i] != witness.Connections[i] {
			d.buckets = append(d.buckets, i)
		}
	}
	return d
}

// sections names the parts, in the order of a report.
func (d *differing) sections() (names []string) {
	if d.coverage {
		names = append(names, "coverage")
	}
	for _, i := range d.buckets {
		names = append(names, fmt.Sprintf("connections bucket %d", i))
	}
	if d.endpoints {
		names = append(names, "endpoints")
	}
	if d.names {
		names = append(names, "names")
	}
	if d.attempts {
		names = append(names, "attempts")
	}
	return names
}

// parts returns two reports reduced to the parts that differ. An endpoint is made
// from its connections: if connections differ, only their endpoints can.
func (d *differing) parts(a, b *report.Report) (partA, partB *report.Report) {
	partA, partB = d.part(a), d.part(b)
	if d.endpoints && len(d.buckets) > 0 {
		ends := fold.EndSet{}
		for _, part := range [...]*report.Report{partA, partB} {
			for i := range part.Connections {
				ends.Add(&part.Connections[i])
			}
		}
		partA.Endpoints, partB.Endpoints = ends.Select(a.Endpoints), ends.Select(b.Endpoints)
	}
	return partA, partB
}

func (d *differing) part(r *report.Report) *report.Report {
	part := &report.Report{Connections: connectionsIn(r, d.buckets)}
	if d.coverage {
		part.Coverage, part.HostEvents = r.Coverage, r.HostEvents
	}
	if d.names {
		part.Names = r.Names
	}
	if d.attempts {
		part.Attempts = r.Attempts
	}
	if d.endpoints {
		part.Endpoints = r.Endpoints
	}
	return part
}
